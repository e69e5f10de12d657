/**
 * OpenSLO documents, `openslo/v1alpha` and `openslo/v1`, as ServiceLevelObjectives. SLIs and alert policies may stand in
 * the objective or beside it in the same text; a burn-rate condition keeps the pairs of our table that it asks for.
 */
import type { Loaded } from '../../catalog/document.ts';
import type { ServiceLevelObjectiveSpec } from '../../catalog/kinds/service-level-objective.ts';
import type { SourceText } from '../../catalog/lint.ts';
import { burnFactors } from '../burn-rate.ts';
import { camelCase } from '../slo.ts';
import { type Converted, dnsName, type ForeignDocument, map, maps, percentOf, readForeign, textOf } from './foreign.ts';

export function readOpenSlo({ text, origin }: SourceText): Loaded | undefined {
  if (!/^apiVersion: *["']?openslo(\.com)?\/v1/m.test(String(text))) return undefined;
  return readForeign(text, origin, convert);
}

type Values = Record<string, unknown>;

function convert(document: ForeignDocument, all: readonly ForeignDocument[]): Converted[] {
  const { value } = document;
  if (value.kind !== 'SLO') return [];
  const spec = map(value.spec);
  const metadata = map(value.metadata);
  const lookUp = (kind: string, name: unknown): Values | undefined =>
    all.map((one) => one.value).find((one) => one.kind === kind && map(one.metadata).name === name);
  const named = spec.indicatorRef === undefined ? spec.indicator : lookUp('SLI', spec.indicatorRef);
  const objectives = maps(spec.objectives);
  return objectives.flatMap((objective, i): Converted[] => {
    const path = ['spec', 'objectives', i];
    const sli = sliOf(objective, map(map(named).spec ?? named));
    if (!sli) {
      document.say(
        'error',
        'unsupported-sli',
        path,
        'Only Prometheus queries of ratios and thresholds can be read. Write this one as a ServiceLevelObjective.',
      );
      return [];
    }
    const name = dnsName(objectives.length === 1 ? textOf(metadata.name) : `${textOf(metadata.name)}-${i + 1}`);
    const percent = percentOf(objective.targetPercent, false) ?? percentOf(objective.target, true);
    const window = windowOf(maps(spec.timeWindow ?? spec.timeWindows)[0]);
    if (window === undefined)
      document.say(
        'error',
        'unsupported-window',
        ['spec'],
        'A window of the calendar cannot be summed in Prometheus. Use a rolling one, for instance 30d.',
      );
    return window === undefined
      ? []
      : [
          {
            name,
            path,
            spec: {
              title: textOf(objective.displayName) || textOf(metadata.displayName) || name,
              service: dnsName(textOf(spec.service)),
              ...(percent ? { objective: percent } : {}),
              window,
              sli,
              burnRate: burnRate(name, maps(policies(spec, lookUp))),
            },
          },
        ];
  });
}

/** Durations there may be weeks; of months and more there are only those of the calendar. */
function windowOf(timeWindow: Values | undefined): string | undefined {
  if (timeWindow === undefined) return '30d';
  if (timeWindow.isRolling === false || timeWindow.calendar !== undefined) return undefined;
  const text =
    textOf(timeWindow.duration) || `${Number(timeWindow.count)}${textOf(timeWindow.unit).charAt(0).toLowerCase()}`;
  const found = /^([0-9]+)([mhdw])$/.exec(text);
  if (!found) return undefined;
  return found[2] === 'w' ? `${Number(found[1]) * 7}d` : text;
}

/** The query of a metric, where v1 and v1alpha keep it. */
function queryOf(metric: unknown): string {
  const source = map(map(metric).metricSource ?? metric);
  const query = textOf(map(source.spec).query) || textOf(source.query) || textOf(map(source.spec).promql);
  return query.trim().replaceAll(/\{\{ *\.window *\}\}/g, '$window');
}

function sliOf(objective: Values, indicator: Values): ServiceLevelObjectiveSpec['sli'] | undefined {
  const ratio = map(indicator.ratioMetric ?? objective.ratioMetrics);
  const [good, bad, total] = [ratio.good, ratio.bad ?? ratio.incremental_bad, ratio.total].map(queryOf);
  if (total && bad) return { ratio: { bad, total } };
  if (total && good) return { ratio: { good, total } };
  const value = queryOf(indicator.thresholdMetric);
  const operator = { lt: '<', lte: '<', gt: '>', gte: '>' }[textOf(objective.op)];
  const limit = Number(objective.value);
  if (!value || !operator || !Number.isFinite(limit)) return undefined;
  return { timeslice: { value, unit: 'none', target: `${operator}${Number(limit.toPrecision(12))}` } };
}

function policies(spec: Values, lookUp: (kind: string, name: unknown) => Values | undefined): unknown[] {
  const all = Array.isArray(spec.alertPolicies) ? spec.alertPolicies : [];
  return all.map((policy) =>
    typeof policy === 'string'
      ? lookUp('AlertPolicy', policy)
      : (lookUp('AlertPolicy', map(policy).alertPolicyRef) ?? policy),
  );
}

function burnRate(name: string, all: readonly Values[]): NonNullable<ServiceLevelObjectiveSpec['burnRate']> {
  const conditions = all
    .flatMap((policy) => maps(map(policy.spec).conditions))
    .map((one) => map(map(one.spec).condition));
  const asked = conditions.filter((one) => one.kind === 'burnrate').map((one) => Number(one.threshold));
  // Each threshold gets the fastest pair of ours that is not faster; without a policy all of them.
  const near = asked.map((threshold) => burnFactors.find((factor) => Number(factor) <= threshold) ?? '1');
  const factors = asked.length === 0 ? burnFactors : burnFactors.filter((factor) => near.includes(factor));
  const [policy] = all;
  const said = textOf(map(policy?.spec).description);
  return {
    factors: factors as NonNullable<NonNullable<ServiceLevelObjectiveSpec['burnRate']>['factors']>,
    alert: `${camelCase(dnsName(textOf(map(policy?.metadata).name) || name))}BudgetBurn`,
    notifyOnly: said.length >= 10 ? said : 'It was read from an OpenSLO document, which names no runbook.',
  };
}
