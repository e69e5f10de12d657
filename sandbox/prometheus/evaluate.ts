/** Evaluates an expression at one moment over the samples kept. */
import { type Point, pointsBetween, type Queryable, seriesKey, valueAt } from './database.ts';
import { callFunction } from './functions.ts';
import type { Labels, Sample } from './series.ts';
import { compileMatchers, type Expression, type Grouping, type Matching, PromqlError } from './syntax.ts';
import { TYPE_NAMES, type Value, withoutName } from './value.ts';

/** The value of an expression at `time` (milliseconds); throws PromqlError when the types do not fit. */
export function evaluate(expression: Expression, database: Queryable, time: number): Value {
  switch (expression.kind) {
    case 'number':
      return { type: 'scalar', value: expression.value };
    case 'string':
      return { type: 'string', value: expression.value };
    case 'selector':
      return select(expression, database, time);
    case 'negate':
      return negate(evaluate(expression.argument, database, time));
    case 'call': {
      const args = expression.args.map((argument) => evaluate(argument, database, time));
      return callFunction(expression, args, time);
    }
    case 'aggregate':
      if (expression.parameter)
        return ranked(
          expression,
          evaluate(expression.parameter, database, time),
          evaluate(expression.argument, database, time),
        );
      return aggregate(expression.operator, expression.grouping, evaluate(expression.argument, database, time));
    case 'binary':
      return combine(expression, evaluate(expression.left, database, time), evaluate(expression.right, database, time));
  }
}

function typeError(message: string): PromqlError {
  return new PromqlError(`unknown position: parse error: ${message}`);
}

function select(selector: Extract<Expression, { kind: 'selector' }>, database: Queryable, asked: number): Value {
  const time = asked - (selector.offsetMs ?? 0);
  const found = database.select(selector.name, compileMatchers(selector.matchers));
  if (selector.rangeMs !== undefined) {
    const from = time - selector.rangeMs;
    const { stepMs } = selector;
    const series = found.map(({ labels, points }) => ({
      labels,
      points: stepMs === undefined ? pointsBetween(points, from, time) : pointsAt(points, from, time, stepMs),
    }));
    return { type: 'matrix', series: series.filter(({ points }) => points.length > 0), from, to: time };
  }
  const samples = found.flatMap(({ labels, points }) => {
    const value = valueAt(points, time);
    return value === undefined ? [] : [{ labels, value }];
  });
  return { type: 'vector', samples };
}

/** What a subquery sees: the value at each whole multiple of the step, from when on there is any. */
function pointsAt(points: readonly Point[], from: number, to: number, step: number) {
  const first = Math.max(from + 1, points[0]?.time ?? to + 1);
  const seen: { time: number; value: number }[] = [];
  for (let time = Math.ceil(first / step) * step; time <= to; time += step) {
    const value = valueAt(points, time);
    if (value !== undefined) seen.push({ time, value });
  }
  return seen;
}

function negate(value: Value): Value {
  if (value.type === 'scalar') return { type: 'scalar', value: -value.value };
  if (value.type !== 'vector')
    throw typeError(`unary expression only allowed on scalars and vectors, got ${value.type}`);
  return {
    type: 'vector',
    samples: value.samples.map((sample) => ({ labels: withoutName(sample.labels), value: -sample.value })),
  };
}

function grouped(labels: Labels, { by, labels: names }: Grouping): Labels {
  const kept = Object.entries(withoutName(labels)).filter(([name]) => names.includes(name) === by);
  return Object.fromEntries(kept);
}

const AGGREGATES: Record<string, (values: number[]) => number> = {
  sum: (values) => values.reduce((sum, value) => sum + value, 0),
  avg: (values) => values.reduce((sum, value) => sum + value, 0) / values.length,
  min: (values) => Math.min(...values),
  max: (values) => Math.max(...values),
  count: (values) => values.length,
  group: () => 1,
};

function aggregate(operator: string, grouping: Grouping, value: Value): Value {
  if (value.type !== 'vector') {
    throw typeError(`expected type instant vector in aggregation expression, got ${TYPE_NAMES[value.type]}`);
  }
  const groups = Map.groupBy(value.samples, (sample) => seriesKey(grouped(sample.labels, grouping)));
  const samples = [...groups.values()].map((members) => ({
    labels: grouped(members[0]?.labels ?? {}, grouping),
    value: AGGREGATES[operator]?.(members.map((sample) => sample.value)) ?? Number.NaN,
  }));
  return { type: 'vector', samples };
}

/** `topk` and `bottomk`: the samples themselves, of each group so many. */
function ranked(
  { operator, grouping }: Extract<Expression, { kind: 'aggregate' }>,
  parameter: Value,
  value: Value,
): Value {
  if (parameter.type !== 'scalar' || value.type !== 'vector')
    throw typeError(`expected type scalar and instant vector in aggregation expression "${operator}"`);
  const sign = operator === 'topk' ? -1 : 1;
  const groups = Map.groupBy(value.samples, (sample) => seriesKey(grouped(sample.labels, grouping)));
  const samples = [...groups.values()].flatMap((members) =>
    members.toSorted((a, b) => sign * (a.value - b.value)).slice(0, Math.max(0, Math.floor(parameter.value))),
  );
  return { type: 'vector', samples };
}

const ARITHMETIC: Record<string, (a: number, b: number) => number> = {
  '+': (a, b) => a + b,
  '-': (a, b) => a - b,
  '*': (a, b) => a * b,
  '/': (a, b) => a / b,
  '%': (a, b) => a % b,
};
const COMPARISON: Record<string, (a: number, b: number) => boolean> = {
  '==': (a, b) => a === b,
  '!=': (a, b) => a !== b,
  '>': (a, b) => a > b,
  '<': (a, b) => a < b,
  '>=': (a, b) => a >= b,
  '<=': (a, b) => a <= b,
};

type Binary = Extract<Expression, { kind: 'binary' }>;

function combine(expression: Binary, left: Value, right: Value): Value {
  const { operator, bool } = expression;
  if (['and', 'or', 'unless'].includes(operator)) return combineSets(expression, left, right);
  if (left.type === 'scalar' && right.type === 'scalar') {
    const compare = COMPARISON[operator];
    if (compare && !bool) throw typeError('comparisons between scalars must use BOOL modifier');
    const value = compare ? Number(compare(left.value, right.value)) : ARITHMETIC[operator]?.(left.value, right.value);
    return { type: 'scalar', value: value ?? Number.NaN };
  }
  if (left.type === 'vector' && right.type === 'scalar') {
    const samples = left.samples.flatMap((sample) =>
      apply(expression, sample, sample.value, right.value, sample.labels),
    );
    return { type: 'vector', samples };
  }
  if (left.type === 'scalar' && right.type === 'vector') {
    const samples = right.samples.flatMap((sample) =>
      apply(expression, sample, left.value, sample.value, sample.labels),
    );
    return { type: 'vector', samples };
  }
  if (left.type === 'vector' && right.type === 'vector') return combineVectors(expression, left.samples, right.samples);
  throw typeError('binary expression must contain only scalar and instant vector types');
}

/** One sample of the result, or none where a comparison filters it out; `kept` is the vector's own sample. */
function apply({ operator, bool }: Binary, kept: Sample, a: number, b: number, labels: Labels): Sample[] {
  const compare = COMPARISON[operator];
  if (!compare) return [{ labels: withoutName(labels), value: ARITHMETIC[operator]?.(a, b) ?? Number.NaN }];
  const holds = compare(a, b);
  if (bool) return [{ labels: withoutName(labels), value: Number(holds) }];
  return holds ? [{ labels, value: kept.value }] : [];
}

function matchLabels(labels: Labels, matching: Matching | undefined): Labels {
  if (!matching) return withoutName(labels);
  return grouped(labels, { by: matching.on, labels: matching.labels });
}

function combineVectors(expression: Binary, left: Sample[], right: Sample[]): Value {
  const { matching } = expression;
  const keyOf = (sample: Sample) => seriesKey(matchLabels(sample.labels, matching));
  const ones = new Map<string, Sample>();
  for (const sample of right) {
    const key = keyOf(sample);
    if (ones.has(key)) throw executionError('right');
    ones.set(key, sample);
  }
  const used = new Set<string>();
  const samples = left.flatMap((sample) => {
    const key = keyOf(sample);
    const one = ones.get(key);
    if (!one) return [];
    if (used.has(key) && matching?.include === undefined) throw executionError('left');
    used.add(key);
    const own = matching && matching.include === undefined ? oneToOneLabels(sample.labels, matching) : sample.labels;
    const taken = (matching?.include ?? []).flatMap((name) => {
      const value = one.labels[name];
      return value === undefined ? [] : [[name, value] as const];
    });
    return apply(expression, sample, sample.value, one.value, { ...own, ...Object.fromEntries(taken) });
  });
  return { type: 'vector', samples };
}

/** One-to-one matches leave the labels they matched by, comparisons too; without `on` the name may stay. */
function oneToOneLabels(labels: Labels, { on, labels: names }: Matching): Labels {
  return Object.fromEntries(Object.entries(labels).filter(([name]) => names.includes(name) === on));
}

function combineSets({ operator, matching }: Binary, left: Value, right: Value): Value {
  if (left.type !== 'vector' || right.type !== 'vector') {
    throw typeError(`set operator "${operator}" not allowed in binary scalar expression`);
  }
  const keyOf = (sample: Sample) => seriesKey(matchLabels(sample.labels, matching));
  const leftKeys = new Set(left.samples.map(keyOf));
  const rightKeys = new Set(right.samples.map(keyOf));
  if (operator === 'or') {
    return { type: 'vector', samples: [...left.samples, ...right.samples.filter((s) => !leftKeys.has(keyOf(s)))] };
  }
  return { type: 'vector', samples: left.samples.filter((s) => rightKeys.has(keyOf(s)) === (operator === 'and')) };
}

/** A query that parses but meets data it cannot be answered with. */
export class ExecutionError extends Error {}

function executionError(side: string): ExecutionError {
  return new ExecutionError(
    `found duplicate series for the match group on the ${side} hand-side of the operation; ` +
      'many-to-many matching not allowed: matching labels must be unique on one side',
  );
}
