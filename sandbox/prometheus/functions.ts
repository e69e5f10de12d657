/** The functions of the subset. */

import { seriesKey } from './database.ts';
import type { Labels, Sample } from './series.ts';
import { type Expression, PromqlError, wholePattern } from './syntax.ts';
import { type RangeSeries, TYPE_NAMES, type Value, withoutName } from './value.ts';

type Call = Extract<Expression, { kind: 'call' }>;

function argumentError(name: string, wanted: string, got: string): PromqlError {
  return new PromqlError(
    `unknown position: parse error: expected type ${wanted} in call to function "${name}", got ${got}`,
  );
}

function expectType<T extends Value['type']>(
  call: Call,
  args: Value[],
  at: number,
  type: T,
): Extract<Value, { type: T }> {
  const value = args[at];
  if (value?.type === type) return value as Extract<Value, { type: T }>;
  throw argumentError(call.name, TYPE_NAMES[type], value ? TYPE_NAMES[value.type] : 'nothing');
}

type OverRange = (series: RangeSeries, from: number, to: number) => number | undefined;

const sum = (values: number[]) => values.reduce((total, value) => total + value, 0);
const values = ({ points }: RangeSeries) => points.map((point) => point.value);

const OVER_RANGE: Record<string, OverRange> = {
  rate: (series, from, to) => extrapolate(series, from, to, true, true),
  increase: (series, from, to) => extrapolate(series, from, to, true, false),
  delta: (series, from, to) => extrapolate(series, from, to, false, false),
  irate: ({ points }) => {
    const [before, last] = points.slice(-2);
    if (!before || !last) return undefined;
    const rise = last.value < before.value ? last.value : last.value - before.value;
    return rise / ((last.time - before.time) / 1000);
  },
  avg_over_time: (series) => sum(values(series)) / series.points.length,
  sum_over_time: (series) => sum(values(series)),
  min_over_time: (series) => Math.min(...values(series)),
  max_over_time: (series) => Math.max(...values(series)),
  count_over_time: (series) => series.points.length,
  last_over_time: (series) => series.points.at(-1)?.value,
};

/**
 * The rise over a range, resets of counters added back, stretched to the range's ends as Prometheus does: to an end
 * that is near the samples, by half an interval otherwise, and never below a counter's zero.
 */
function extrapolate({ points }: RangeSeries, from: number, to: number, isCounter: boolean, perSecond: boolean) {
  const first = points[0];
  const last = points.at(-1);
  if (!first || !last || points.length < 2) return undefined;
  let rise = last.value - first.value;
  if (isCounter) {
    points.reduce((before, point) => {
      if (point.value < before.value) rise += before.value;
      return point;
    });
  }
  const sampled = (last.time - first.time) / 1000;
  const interval = sampled / (points.length - 1);
  const threshold = interval * 1.1;
  let toStart = (first.time - from) / 1000;
  if (toStart >= threshold) toStart = interval / 2;
  if (isCounter && rise > 0 && first.value >= 0) toStart = Math.min(toStart, sampled * (first.value / rise));
  let toEnd = (to - last.time) / 1000;
  if (toEnd >= threshold) toEnd = interval / 2;
  const stretched = rise * ((sampled + toStart + toEnd) / sampled);
  return perSecond ? stretched / ((to - from) / 1000) : stretched;
}

const ON_SAMPLES: Record<string, (value: number, parameter: number) => number> = {
  abs: Math.abs,
  ceil: Math.ceil,
  floor: Math.floor,
  round: (value, to) => Math.round(value / (to || 1)) * (to || 1),
  clamp_min: Math.max,
  clamp_max: Math.min,
};

/** The value of a call whose arguments are evaluated. */
export function callFunction(call: Call, args: Value[], time: number): Value {
  const { name } = call;
  const overRange = OVER_RANGE[name];
  if (overRange) {
    const { series, from, to } = expectType(call, args, 0, 'matrix');
    const samples = series.flatMap((one) => {
      const value = overRange(one, from, to);
      const labels = name === 'last_over_time' ? one.labels : withoutName(one.labels);
      return value === undefined ? [] : [{ labels, value }];
    });
    return { type: 'vector', samples };
  }
  const onSamples = ON_SAMPLES[name];
  if (onSamples) {
    const { samples } = expectType(call, args, 0, 'vector');
    const parameter = args.length > 1 ? expectType(call, args, 1, 'scalar').value : 0;
    return {
      type: 'vector',
      samples: samples.map((s) => ({ labels: withoutName(s.labels), value: onSamples(s.value, parameter) })),
    };
  }
  switch (name) {
    case 'time':
      return { type: 'scalar', value: time / 1000 };
    case 'vector':
      return { type: 'vector', samples: [{ labels: {}, value: expectType(call, args, 0, 'scalar').value }] };
    case 'scalar': {
      const { samples } = expectType(call, args, 0, 'vector');
      return { type: 'scalar', value: samples.length === 1 ? (samples[0]?.value ?? Number.NaN) : Number.NaN };
    }
    case 'absent': {
      const { samples } = expectType(call, args, 0, 'vector');
      return { type: 'vector', samples: samples.length > 0 ? [] : [{ labels: absentLabels(call.args[0]), value: 1 }] };
    }
    case 'histogram_quantile': {
      const quantile = expectType(call, args, 0, 'scalar').value;
      return { type: 'vector', samples: histogramQuantile(quantile, expectType(call, args, 1, 'vector').samples) };
    }
    case 'label_replace':
      return { type: 'vector', samples: labelReplace(call, args) };
    default:
      throw new PromqlError(`unknown position: parse error: unknown function with name "${name}"`);
  }
}

/** Where the whole of a label matches, another one is set from it; set to nothing, it goes. */
function labelReplace(call: Call, args: Value[]): Sample[] {
  const { samples } = expectType(call, args, 0, 'vector');
  const [target = '', replacement = '', source = '', expression = ''] = [1, 2, 3, 4].map(
    (at) => expectType(call, args, at, 'string').value,
  );
  const pattern = wholePattern(expression);
  return samples.map((sample) => {
    const match = pattern.exec(sample.labels[source] ?? '');
    if (!match) return sample;
    const { [target]: _, ...others } = sample.labels;
    const value = replacement.replace(/\$(?:(\d+)|\{(\d+)\})/g, (_all, a, b) => match[Number(a ?? b)] ?? '');
    return { labels: value === '' ? others : { ...others, [target]: value }, value: sample.value };
  });
}

/** What an absent series is sure to have looked like: the labels it was asked for by equality. */
function absentLabels(argument: Expression | undefined): Labels {
  if (argument?.kind !== 'selector') return {};
  const equal = argument.matchers.filter((matcher) => matcher.operator === '=' && matcher.name !== '__name__');
  return Object.fromEntries(equal.map((matcher) => [matcher.name, matcher.value]));
}

function histogramQuantile(quantile: number, buckets: Sample[]): Sample[] {
  const withoutBound = ({ le: _, ...labels }: Labels) => withoutName(labels);
  const groups = Map.groupBy(buckets, (sample) => seriesKey(withoutBound(sample.labels)));
  return [...groups.values()].map((members) => {
    const sorted = members
      .map((sample) => ({ bound: Number((sample.labels.le ?? '').replace('Inf', 'Infinity')), count: sample.value }))
      .toSorted((a, b) => a.bound - b.bound);
    return { labels: withoutBound(members[0]?.labels ?? {}), value: quantileOf(quantile, sorted) };
  });
}

function quantileOf(quantile: number, buckets: { bound: number; count: number }[]): number {
  const total = buckets.at(-1)?.count ?? 0;
  if (buckets.length < 2 || buckets.at(-1)?.bound !== Number.POSITIVE_INFINITY || total === 0) return Number.NaN;
  const rank = quantile * total;
  const at = buckets.findIndex((bucket) => bucket.count >= rank);
  const bucket = buckets[at];
  if (!bucket || bucket.bound === Number.POSITIVE_INFINITY) return buckets.at(-2)?.bound ?? Number.NaN;
  const below = buckets[at - 1] ?? { bound: 0, count: 0 };
  return below.bound + (bucket.bound - below.bound) * ((rank - below.count) / (bucket.count - below.count));
}
