/**
 * The base series of an indicator: how much was bad and how much there was at all, over the last five minutes. Everything
 * else is summed from these two, so that a quiet night weighs as little as its traffic. What is defined:
 * - no traffic: total is 0 and bad is 0, and the error ratio over any window that saw nothing is 0;
 * - bad events were never counted (no error yet): bad is 0; good events were never counted: everything is bad;
 * - no total at all (the target is gone): nothing is recorded, and an alert says so.
 */
import type { ServiceLevelObjectiveSpec } from '../catalog/kinds/service-level-objective.ts';
import type { Path } from '../catalog/schema.ts';
import { type Decimal, decimal, minus, one, write } from './decimal.ts';
import type { MetricCatalog } from './metric-catalog.ts';
import { isSelector, parsePromQl, withWindow } from './promql.ts';
import { inUnit, parseComparison } from './quantity.ts';

export interface Indicator {
  /** Which side is good: a latency is good below, a ratio above. */
  goodIs: '<' | '>';
  /** Unit of the value that thresholds are compared with. */
  unit: string;
  /** Rules in the order in which they have to be evaluated. */
  base: readonly { record: string; expr: string }[];
  /** The condition of the literal alert. */
  threshold(value: Decimal): string;
  /** Of a latency: its target as a bucket bound, and the bounds its histogram has where they are known. */
  buckets?: { target: string; bounds: readonly string[] | undefined; quantile: string };
}

type Fail = (rule: string, path: Path, sentence: string, offset?: number) => undefined;
type Spec<K extends 'ratio' | 'latency' | 'timeslice'> = Extract<
  ServiceLevelObjectiveSpec['sli'],
  Record<K, unknown>
>[K];

/** What the three kinds share: names, grouping and the cap. */
interface Frame {
  /** `slo:total:5m{slo="…"}` */
  total: string;
  value: string;
  ratio: string;
  /** `on (a, b)` */
  on: string;
  /** Aggregates a rate to the groups. */
  sum(expr: string): string;
  /** Keeps the groups that count most. */
  capped(expr: string, end?: 'topk' | 'bottomk'): string;
  by: readonly string[];
}

/** The range of all base series. */
const range = '5m';

export function indicatorOf(
  name: string,
  spec: ServiceLevelObjectiveSpec,
  metrics: MetricCatalog,
  fail: Fail,
): Indicator | undefined {
  const by = spec.by ?? [];
  const frame: Frame = {
    total: `slo:total:5m{slo="${name}"}`,
    value: `slo:value:5m{slo="${name}"}`,
    ratio: `slo:error_ratio:5m{slo="${name}"}`,
    on: `on (${by.join(', ')})`,
    sum: (expr) => (by.length === 0 ? `sum(${expr})` : `sum by (${by.join(', ')}) (${expr})`),
    capped: (expr, end = 'topk') => (by.length === 0 ? expr : `${end}(${spec.maxSeries ?? defaultMaxSeries}, ${expr})`),
    by,
  };
  if ('ratio' in spec.sli) return ratio(spec.sli.ratio, frame, fail);
  if ('latency' in spec.sli) return latency(spec.sli.latency, frame, metrics, fail);
  return timeslice(spec.sli.timeslice, frame, fail);
}

/** Groups an SLO follows unless it says otherwise: the models, tenants' gateways or consumers of one Sovereign. */
const defaultMaxSeries = 100;

function ratio({ bad, good, total }: Spec<'ratio'>, frame: Frame, fail: Fail): Indicator | undefined {
  const at = (field: string): Path => ['sli', 'ratio', field];
  if ((bad === undefined) === (good === undefined))
    return fail('bad-or-good', ['sli', 'ratio'], 'A ratio needs exactly one of bad and good, beside total.');
  const all = rateOf(total, at('total'), fail);
  const part = rateOf(bad ?? good ?? '', at(bad === undefined ? 'good' : 'bad'), fail);
  if (all === undefined || part === undefined) return undefined;
  const { total: recordedTotal, on } = frame;
  const badExpr =
    bad === undefined
      ? `clamp_min(${recordedTotal} - ${on} ${frame.sum(part)}, 0) or ${on} ${recordedTotal}`
      : `(${frame.sum(part)} and ${on} ${recordedTotal}) or ${on} (${recordedTotal} * 0)`;
  return {
    goodIs: '>',
    unit: 'ratio',
    base: [
      { record: 'slo:total:5m', expr: frame.capped(frame.sum(all)) },
      { record: 'slo:bad:5m', expr: badExpr },
    ],
    threshold: (value) => `${frame.ratio} > ${write(minus(one, value))}`,
  };
}

function latency(spec: Spec<'latency'>, frame: Frame, metrics: MetricCatalog, fail: Fail): Indicator | undefined {
  const at = (field: string): Path => ['sli', 'latency', field];
  const known = metrics.find(`${spec.histogram}_bucket`);
  const unit = known?.unit ?? unitOfName(spec.histogram);
  if (unit === undefined)
    return fail(
      'unknown-unit',
      at('histogram'),
      `The unit of ${spec.histogram} is not known. Describe it in an Exporter document.`,
    );
  const comparison = parseComparison(spec.target);
  if (comparison.operator !== '<')
    return fail('target-inverted', at('target'), 'A request is good when it is faster: write the target with <.');
  const target = inUnit(comparison, unit);
  if (!target) return fail('wrong-unit', at('target'), `${spec.target} is no time in ${unit}.`);
  const bound = write(target);
  if (known?.buckets && !known.buckets.includes(bound))
    return fail('missing-bucket', at('target'), missingBucket(spec.histogram, spec.target, bound, known.buckets, unit));
  const matchers = spec.matchers?.trim() ?? '';
  const selector = `${spec.histogram}_bucket{${matchers}}`;
  const wrong = parsePromQl(selector).problems[0];
  // The place in the matchers, behind the name and the brace.
  if (wrong)
    return fail('promql-syntax', at('matchers'), wrong.sentence, Math.max(0, wrong.offset - selector.indexOf('{') - 1));
  const join = matchers && !matchers.endsWith(',') ? `${matchers},` : matchers;
  const quantile = quantileOf(spec.quantile ?? 'p95');
  const grouped = ['le', ...frame.by].join(', ');
  const all = frame.sum(`rate(${spec.histogram}_count{${matchers}}[${range}])`);
  const within = (bucket: string) => frame.sum(`rate(${spec.histogram}_bucket{${join}${leMatcher(bucket)}}[${range}])`);
  return {
    goodIs: '<',
    unit,
    base: [
      { record: 'slo:total:5m', expr: frame.capped(all) },
      { record: 'slo:bad:5m', expr: `clamp_min(${frame.total} - ${frame.on} ${within(bound)}, 0)` },
      {
        record: 'slo:value:5m',
        expr: `histogram_quantile(${quantile}, sum by (${grouped}) (rate(${selector}[${range}]))) and ${frame.on} ${frame.total}`,
      },
    ],
    threshold: (value) => {
      const limit = write(value);
      if (limit !== known?.buckets?.at(-1)) return `${frame.value} > ${limit}`;
      // A quantile never exceeds the last bound; the share of requests beyond it says what is meant.
      return `1 - ${within(limit)} / ${all} > ${write(minus(one, decimal(quantile)))}`;
    },
    buckets: { target: bound, bounds: known?.buckets, quantile },
  };
}

/** Prometheus 3 writes whole bounds with a point, `le="5.0"`; Prometheus 2 as they come, `le="5"`. */
export function leMatcher(bound: string): string {
  return bound.includes('.') ? `le="${bound}"` : `le=~"${bound}(\\\\.0)?"`;
}

function missingBucket(name: string, target: string, bound: string, buckets: readonly string[], unit: string): string {
  const below = buckets.findLast((b) => Number(b) < Number(bound));
  const above = buckets.find((b) => Number(b) > Number(bound));
  const near = [below, above].flatMap((b) => (b === undefined ? [] : [`${b} ${unit}`])).join(' and ');
  return `${name} has no bucket that ends at ${target}, so it cannot be counted; the nearest end at ${near}. Choose one of them, configure the bucket, or measure with a timeslice over histogram_quantile().`;
}

function unitOfName(name: string): string | undefined {
  if (name.endsWith('_seconds')) return 's';
  return /_(ms|milliseconds)$/.test(name) ? 'ms' : undefined;
}

/** `p95` becomes `0.95`, `p99.9` becomes `0.999`. */
function quantileOf(text: string): string {
  const [whole = '', fraction = ''] = text.slice(1).split('.');
  return `0.${whole.padStart(2, '0')}${fraction}`.replace(/0+$/, '');
}

function timeslice(spec: Spec<'timeslice'>, frame: Frame, fail: Fail): Indicator | undefined {
  const at = (field: string): Path => ['sli', 'timeslice', field];
  const { operator, ...quantity } = parseComparison(spec.target);
  const unit = spec.unit ?? 's';
  const target = inUnit({ operator, ...quantity }, unit);
  if (!target)
    return fail('wrong-unit', at('target'), `${spec.target} cannot be compared with a value in ${unit}: see unit.`);
  const value = checked(spec.value, at('value'), fail);
  const when = spec.when === undefined ? undefined : checked(spec.when, at('when'), fail);
  if (value === undefined || (spec.when !== undefined && when === undefined)) return undefined;
  // Of several series in a group the worst one counts.
  const [worst, end] = operator === '<' ? (['max', 'topk'] as const) : (['min', 'bottomk'] as const);
  const grouped = frame.by.length === 0 ? `${worst}(${value})` : `${worst} by (${frame.by.join(', ')}) (${value})`;
  const measured = when === undefined ? grouped : `${grouped} and ${frame.on} (${when})`;
  const bad = operator === '<' ? '>=' : '<=';
  return {
    goodIs: operator,
    unit,
    base: [
      { record: 'slo:value:5m', expr: frame.capped(measured, end) },
      // A quantile of nothing is NaN, which compares with nothing: such a moment counts 0.
      { record: 'slo:total:5m', expr: `${frame.value} >= bool -Inf` },
      { record: 'slo:bad:5m', expr: `${frame.value} ${bad} bool ${write(target)}` },
    ],
    threshold: (limit) => `${frame.value} ${operator === '<' ? '>' : '<'} ${write(limit)}`,
  };
}

/** The rate of a counter, or the expression as it stands, over the base range; undefined when it is no PromQL. */
function rateOf(declared: string, path: Path, fail: Fail): string | undefined {
  const text = checked(declared, path, fail);
  if (text === undefined) return undefined;
  return isSelector(parsePromQl(declared)) ? `rate(${text}[${range}])` : text;
}

function checked(declared: string, path: Path, fail: Fail): string | undefined {
  const [wrong] = parsePromQl(declared).problems;
  if (wrong) return fail('promql-syntax', path, wrong.sentence, wrong.offset);
  return withWindow(declared.trim(), range);
}
