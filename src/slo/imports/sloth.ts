/** Specs of Sloth, `prometheus/v1` and its PrometheusServiceLevel objects, as ServiceLevelObjectives; alerts are kept. */
import type { Loaded } from '../../catalog/document.ts';
import type { ServiceLevelObjectiveSpec } from '../../catalog/kinds/service-level-objective.ts';
import type { SourceText } from '../../catalog/lint.ts';
import { camelCase } from '../slo.ts';
import { type Converted, dnsName, type ForeignDocument, map, maps, percentOf, readForeign, textOf } from './foreign.ts';

export function readSloth({ text, origin }: SourceText): Loaded | undefined {
  const head = String(text);
  if (!/^version: *["']?prometheus\/v1/m.test(head) && !/^apiVersion: *["']?sloth\.slok\.dev\//m.test(head))
    return undefined;
  return readForeign(text, origin, (document) => convert(document));
}

function convert(document: ForeignDocument): Converted[] {
  const inObject = document.value.spec !== undefined;
  const root = inObject ? map(document.value.spec) : document.value;
  const base = inObject ? ['spec'] : [];
  const service = dnsName(textOf(root.service));
  return maps(root.slos).flatMap((slo, i): Converted[] => {
    const path = [...base, 'slos', i];
    const sli = ratioOf(map(slo.sli));
    if (!sli) {
      document.say(
        'error',
        'unsupported-sli',
        path,
        'Only SLIs of events or raw ratios can be read; this one comes from a plugin. Write it as a ServiceLevelObjective.',
      );
      return [];
    }
    const name = dnsName(`${service}-${textOf(slo.name)}`);
    const objective = percentOf(slo.objective, false);
    return [
      {
        name,
        path,
        spec: { title: textOf(slo.name) || name, service, ...(objective ? { objective } : {}), sli, ...alerting(slo) },
      },
    ];
  });
}

/** `{{.window}}` is our `$window`. */
const windowed = (query: unknown): string =>
  textOf(query)
    .trim()
    .replaceAll(/\{\{ *\.window *\}\}/g, '$window');

function ratioOf(sli: Record<string, unknown>): ServiceLevelObjectiveSpec['sli'] | undefined {
  const events = map(sli.events);
  const [error, total] = [events.error_query ?? events.errorQuery, events.total_query ?? events.totalQuery];
  if (error !== undefined && total !== undefined) return { ratio: { bad: windowed(error), total: windowed(total) } };
  const raw = map(sli.raw);
  const ratio = raw.error_ratio_query ?? raw.errorRatioQuery;
  // A ratio without its events: each moment weighs the same, as it does there.
  return ratio === undefined ? undefined : { ratio: { bad: windowed(ratio), total: `(${windowed(ratio)}) * 0 + 1` } };
}

function alerting(slo: Record<string, unknown>): Partial<ServiceLevelObjectiveSpec> {
  const alerting = map(slo.alerting);
  const [page, ticket] = [
    map(alerting.page_alert ?? alerting.pageAlert),
    map(alerting.ticket_alert ?? alerting.ticketAlert),
  ];
  const factors = [...(page.disable === true ? [] : ['14.4', '6']), ...(ticket.disable === true ? [] : ['3', '1'])];
  const annotations = map(alerting.annotations);
  const notifyOnly =
    textOf(annotations.summary) ||
    textOf(slo.description) ||
    'It was read from a spec of Sloth, which names no runbook.';
  return {
    burnRate: {
      factors: factors as NonNullable<NonNullable<ServiceLevelObjectiveSpec['burnRate']>['factors']>,
      alert: textOf(alerting.name) || `${camelCase(dnsName(textOf(slo.name)))}BudgetBurn`,
      notifyOnly: notifyOnly.padEnd(10, '.'),
    },
    ...labelsOf(slo.labels, alerting.labels),
  };
}

function labelsOf(...all: unknown[]): Pick<ServiceLevelObjectiveSpec, 'labels'> {
  const entries = all.flatMap((labels) => Object.entries(map(labels))).map(([key, value]) => [key, String(value)]);
  // The severity is that of the pair.
  const kept = entries.filter(([key]) => key !== 'severity');
  return kept.length === 0 ? {} : { labels: Object.fromEntries(kept) };
}
