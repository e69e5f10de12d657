/** What is allowed in SLOs and alert rules and yet cannot work: each said in a sentence, with its place. */
import type { AlertRule } from '../catalog/kinds/alert-rule.ts';
import type { Resource } from '../catalog/resource.ts';
import type { Report } from '../catalog/runbook-lint.ts';
import type { Path } from '../catalog/schema.ts';
import { lintAnswers } from './answer-lint.ts';
import { compare, decimal, minus, one, times } from './decimal.ts';
import type { SloDocuments } from './documents.ts';
import { lintExpression } from './expression-lint.ts';
import type { MetricCatalog } from './metric-catalog.ts';
import { isCondition, parsePromQl, quantiledHistogram, selectorsOf } from './promql.ts';
import { inUnit, parseComparison } from './quantity.ts';
import { percent } from './rules.ts';
import type { Slo } from './slo.ts';

/** Reports everything about the documents, and about how they fit together. */
export function lintSloDocuments(documents: SloDocuments): void {
  const { slos, alerts, runbooks, metrics, reporter } = documents;
  for (const slo of slos) lintSlo(slo, metrics, reporter(slo.resource));
  for (const alert of alerts) lintAlert(alert, metrics, reporter(alert));
  for (const document of [...slos.map((slo) => slo.resource), ...alerts, ...runbooks])
    lintPlaceholders(document, reporter(document));
  lintAnswers(documents);
}

function lintSlo(slo: Slo, metrics: MetricCatalog, report: Report): void {
  lintSources(slo, metrics, report);
  lintBurnRates(slo, report);
  lintThreshold(slo, report);
  lintInterpolation(slo, metrics, report);
  const reserved = slo.by.findIndex((label) => label === 'slo' || label === 'slo_service' || label === 'le');
  if (reserved >= 0)
    report(
      'error',
      'reserved-label',
      ['spec', 'by', reserved],
      `${slo.by[reserved]} is written by the rules themselves. Group by other labels.`,
    );
  if (!slo.spec.example && !slo.indicator.buckets?.bounds)
    report(
      'warning',
      'no-example',
      ['spec'],
      'It has no example, so no test shows that its alerts fire. Give series that are firing and quiet.',
    );
}

function lintSources({ spec, by }: Slo, metrics: MetricCatalog, report: Report): void {
  const [kind, fields] = Object.entries(spec.sli)[0] as [string, Record<string, string>];
  const check = (field: string, text: string) =>
    lintExpression(text, by, metrics, (severity, rule, sentence, offset) =>
      report(severity, rule, ['spec', 'sli', kind, field], sentence, offset),
    );
  if ('latency' in spec.sli) {
    const { histogram, matchers = '' } = spec.sli.latency;
    const head = `${histogram}_bucket{`;
    lintExpression(`${head}${matchers}}`, by, metrics, (severity, rule, sentence, offset = 0) => {
      const inMatchers = offset >= head.length;
      const path = ['spec', 'sli', kind, inMatchers ? 'matchers' : 'histogram'];
      report(severity, rule, path, sentence, inMatchers ? offset - head.length : 0);
    });
    return;
  }
  for (const field of ['bad', 'good', 'total', 'value', 'when'])
    if (fields[field] !== undefined) check(field, fields[field]);
}

function lintBurnRates({ pairs, budget, spec }: Slo, report: Report): void {
  pairs.forEach(({ factor }) => {
    const limit = times(decimal(factor), budget);
    if (compare(limit, one) < 0) return;
    const at = spec.burnRate?.factors?.indexOf(factor as '1') ?? -1;
    const path: Path = at >= 0 ? ['spec', 'burnRate', 'factors', at] : ['spec', 'objective'];
    report(
      'error',
      'unfireable-alert',
      path,
      `The alert for ${factor} times the budget can never fire: ${factor} times ${percent(budget)} is ${percent(limit)} of all events. Leave it out of burnRate.factors, or raise the objective.`,
    );
  });
}

function lintThreshold({ spec, indicator, objective }: Slo, report: Report): void {
  if (!spec.threshold) return;
  const comparison = parseComparison(spec.threshold.when);
  const value = inUnit(comparison, indicator.unit);
  const error = (rule: string, sentence: string) => report('error', rule, ['spec', 'threshold', 'when'], sentence);
  if (!value) return;
  if (indicator.unit === 'ratio') {
    if (value.digits <= 0n) error('unfireable-alert', 'No share is below 0%: this alert can never fire.');
    else if (compare(value, one) > 0) error('always-firing', 'Every share is below this: the alert would fire always.');
    else if ('ratio' in spec.sli && compare(value, objective) > 0)
      report(
        'warning',
        'threshold-inside-objective',
        ['spec', 'threshold', 'when'],
        `${spec.threshold.when} is stricter than the objective ${percent(objective)}: it alerts while no more is spent than is allowed.`,
      );
  }
  const last = indicator.buckets?.bounds?.at(-1);
  if (last !== undefined && compare(minus(value, decimal(last)), { digits: 0n, scale: 0 }) > 0)
    error(
      'unfireable-alert',
      `The last bucket ends at ${last} ${indicator.unit}, and no quantile is found beyond it: this alert can never fire. Choose at most ${last} ${indicator.unit}.`,
    );
}

/** What is compared with a quantile and has no bucket of its own is compared with an estimate; a document has to know. */
function lintInterpolation({ spec, indicator }: Slo, metrics: MetricCatalog, report: Report): void {
  const histogram =
    'latency' in spec.sli
      ? spec.sli.latency.histogram
      : 'timeslice' in spec.sli
        ? quantiledHistogram(parsePromQl(spec.sli.timeslice.value))
        : undefined;
  const known = histogram === undefined ? undefined : metrics.find(`${histogram}_bucket`);
  if (!known?.buckets || known.unit !== indicator.unit) return;
  const bounds = ['0', ...known.buckets];
  const compared: [Path, string | undefined][] = [
    [['spec', 'threshold', 'when'], spec.threshold?.when],
    // A latency's target is counted, not estimated: without a bucket it is refused.
    [['spec', 'sli', 'timeslice', 'target'], 'timeslice' in spec.sli ? spec.sli.timeslice.target : undefined],
  ];
  const estimated = compared.flatMap(([path, text]) => {
    const value = text === undefined ? undefined : inUnit(parseComparison(text), indicator.unit);
    if (!value) return [];
    const above = bounds.findIndex((bound) => compare(decimal(bound), value) >= 0);
    // Beyond the last bucket there is no quantile at all, which is said elsewhere.
    if (above <= 0 || compare(decimal(bounds[above] ?? '0'), value) === 0) return [];
    const near = `${bounds[above - 1]} and ${bounds[above]} ${indicator.unit}`;
    const sentence = `${histogram} has no bucket that ends at ${text?.slice(1)}: a quantile there is a guess between ${near}. Take one of the two, or write interpolated: true.`;
    return [{ path, sentence }];
  });
  if (spec.interpolated !== true)
    for (const { path, sentence } of estimated) report('warning', 'between-buckets', path, sentence);
  else if (estimated.length === 0)
    report(
      'warning',
      'not-between-buckets',
      ['spec', 'interpolated'],
      `Every number here is the end of a bucket of ${histogram}, and nothing is estimated. Leave interpolated out.`,
    );
}

function lintAlert({ spec }: AlertRule, metrics: MetricCatalog, report: Report): void {
  const at: Path = ['spec', 'expr'];
  const sound = lintExpression(spec.expr, undefined, metrics, (severity, rule, sentence, offset) =>
    report(severity, rule, at, sentence, offset),
  );
  if (!sound) return;
  const parsed = parsePromQl(spec.expr);
  const selects = selectorsOf(parsed).length > 0;
  if (selects && !isCondition(parsed))
    report(
      'error',
      'always-firing',
      at,
      'It compares nothing, so it fires whenever there is a value. Compare it, for instance with > 0.',
    );
  if (!spec.example)
    report(
      'warning',
      'no-example',
      ['spec'],
      'It has no example, so no test shows that it fires. Give series that are firing and quiet.',
    );
}

const placeholder = /<[a-z][a-z0-9]*([-_ ][a-z0-9]+)*>|\b(TODO|FIXME|CHANGEME|REPLACE_ME)\b/;

/** The first placeholder of a text, with its place. */
export function placeholderIn(text: string): { text: string; offset: number } | undefined {
  const found = placeholder.exec(text);
  return found ? { text: found[0], offset: found.index } : undefined;
}

function lintPlaceholders(resource: Resource, report: Report): void {
  const visit = (value: unknown, path: Path): void => {
    if (typeof value === 'string') {
      const found = placeholderIn(value);
      if (found)
        report('error', 'placeholder', path, `${found.text} is a placeholder. Put in what is meant.`, found.offset);
    } else if (typeof value === 'object' && value !== null) {
      for (const [key, inside] of Object.entries(value))
        visit(inside, [...path, Array.isArray(value) ? Number(key) : key]);
    }
  };
  visit(resource.spec, ['spec']);
}
