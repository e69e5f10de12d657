/** What can be said of a PromQL expression without a Prometheus: its syntax, what it selects, what labels come out. */
import type { SyntaxNode, Tree } from '@lezer/common';
import { parser } from '@prometheus-io/lezer-promql';
import { parseDuration } from '../catalog/duration.ts';

/** Stands for the length of a range in declared expressions. */
const windowName = '$window';
/** As long as the name, so that places in the text stay where they are. */
const windowStandIn = '000005m';

/** The expression with every `$window` replaced. */
export function withWindow(text: string, window: string): string {
  return text.replaceAll(windowName, window);
}

export interface PromQl {
  /** With a valid range in place of `$window`. */
  text: string;
  root: SyntaxNode;
  problems: readonly { offset: number; sentence: string }[];
}

/** An alert's expression is asked about five times over: linted, routed, tested, and its labels twice. */
const parsed = new Map<string, PromQl>();
/** More than the expressions of a thousand objectives; a server reads new ones for as long as it lives. */
const maxParsed = 5_000;

/** Parses an expression; `$window` may stand where a range stands. Never throws. */
export function parsePromQl(declared: string): PromQl {
  const known = parsed.get(declared);
  if (known) return known;
  if (parsed.size >= maxParsed) parsed.clear();
  const one = parse(declared);
  parsed.set(declared, one);
  return one;
}

function parse(declared: string): PromQl {
  const text = declared.replaceAll(windowName, windowStandIn);
  const tree: Tree = parser.parse(text);
  const problems: { offset: number; sentence: string }[] = [];
  tree.iterate({
    enter: (node) => {
      if (!node.type.isError || problems.length > 0) return;
      const near = text.slice(node.from, node.from + 20);
      const sentence = near.trim()
        ? `This is not PromQL from here on: ${JSON.stringify(near)}.`
        : 'The PromQL expression ends too early.';
      problems.push({ offset: node.from, sentence });
    },
  });
  const root = tree.topNode.firstChild ?? tree.topNode;
  if (problems.length === 0) problems.push(...rangeProblems(tree, text));
  return { text, root, problems };
}

/** Functions that look at a range; all others look at an instant. */
const ofRanges = new Set([
  ...['rate', 'irate', 'increase', 'delta', 'idelta', 'deriv', 'changes', 'resets', 'predict_linear'],
  ...['holt_winters', 'double_exponential_smoothing', 'absent_over_time'],
]);

function rangeProblems(tree: Tree, text: string): PromQl['problems'] {
  const problems: { offset: number; sentence: string }[] = [];
  tree.iterate({
    enter: ({ node }) => {
      if (node.name !== 'FunctionCall') return;
      const name = functionName(node, text);
      const wanted = ofRanges.has(name) || name.endsWith('_over_time');
      const values = argumentsOf(node).filter((a) => a.name !== 'StringLiteral' && a.name !== 'NumberDurationLiteral');
      const hasRange = values.some((a) => inner(a).name === 'MatrixSelector' || inner(a).name === 'SubqueryExpr');
      if (wanted && !hasRange)
        problems.push({ offset: node.from, sentence: `${name} needs a range: write ${name}(…[${windowName}]).` });
      if (!wanted && hasRange)
        problems.push({ offset: node.from, sentence: `${name} takes no range: leave out the brackets.` });
    },
  });
  return problems;
}

function functionName(call: SyntaxNode, text: string): string {
  const name = call.getChild('FunctionIdentifier');
  return name ? text.slice(name.from, name.to) : '';
}

function children(node: SyntaxNode | null): SyntaxNode[] {
  const all: SyntaxNode[] = [];
  for (let child = node?.firstChild ?? null; child; child = child.nextSibling) all.push(child);
  return all;
}

function argumentsOf(call: SyntaxNode): SyntaxNode[] {
  return children(call.getChild('FunctionCallBody'));
}

/** The expression without parentheses, offset and @ around it. */
function inner(node: SyntaxNode): SyntaxNode {
  if (['ParenExpr', 'OffsetExpr', 'StepInvariantExpr'].includes(node.name) && node.firstChild)
    return inner(node.firstChild);
  return node;
}

/** Whether the whole is one selector of an instant: `metric{…}`. */
export function isSelector({ root }: PromQl): boolean {
  return inner(root).name === 'VectorSelector';
}

/** The histogram that the whole expression is a quantile of, without `_bucket`; undefined where it is something else. */
export function quantiledHistogram({ root, text }: PromQl): string | undefined {
  const call = inner(root);
  if (call.name !== 'FunctionCall' || functionName(call, text) !== 'histogram_quantile') return undefined;
  const [one, ...others] = new Set(selectorsOf({ root: call, text }).map(({ metric }) => metric));
  return others.length === 0 && one?.endsWith('_bucket') ? one.slice(0, -'_bucket'.length) : undefined;
}

export interface Selector {
  /** Empty where it is selected by other labels only. */
  metric: string;
  matchers: { label: string; operator: string; value: string; offset: number }[];
  offset: number;
}

/** Every selector of the expression, in the order of the text. */
export function selectorsOf({ root, text }: Pick<PromQl, 'root' | 'text'>): Selector[] {
  const found: Selector[] = [];
  root.cursor().iterate(({ node }) => {
    if (node.name !== 'VectorSelector') return;
    const name = node.getChild('Identifier');
    const matchers = matchersOf(node, text);
    const byLabel = matchers.find((m) => m.label === '__name__' && m.operator === '=')?.value ?? '';
    found.push({ metric: name ? text.slice(name.from, name.to) : byLabel, matchers, offset: node.from });
  });
  return found;
}

function matchersOf(selector: SyntaxNode, text: string): Selector['matchers'] {
  const list = children(selector.getChild('LabelMatchers')).filter((n) => n.name.endsWith('LabelMatcher'));
  return list.map((matcher) => {
    const [label, operator, value] = children(matcher).map((n) => text.slice(n.from, n.to));
    return {
      label: unquote(label ?? ''),
      operator: operator ?? '=',
      value: unquote(value ?? ''),
      offset: matcher.from,
    };
  });
}

/** The value of a PromQL string literal. */
export function unquote(text: string): string {
  if (text.startsWith('`')) return text.slice(1, -1);
  if (!/^["']/.test(text)) return text;
  return text.slice(1, -1).replaceAll(/\\(.)/gs, (_all, c: string) => (c === 'n' ? '\n' : c === 't' ? '\t' : c));
}

/** Labels that come out of an expression. */
export interface ResultLabels {
  labels: ReadonlySet<string>;
  /** True when there may be others: a selector passes on whatever its series carry. */
  open: boolean;
}

const noLabels: ResultLabels = { labels: new Set(), open: false };
const anyLabels: ResultLabels = { labels: new Set(), open: true };

/** Which labels the result carries, as far as the text says. */
export function resultLabels({ root, text }: PromQl): ResultLabels {
  return labelsOf(root, text);
}

function labelsOf(outer: SyntaxNode, text: string): ResultLabels {
  const node = inner(outer);
  switch (node.name) {
    case 'VectorSelector':
      return { labels: new Set(equalLabels(node, text)), open: true };
    case 'MatrixSelector':
    case 'SubqueryExpr':
    case 'UnaryExpr': {
      const operand = children(node).find((n) => n.name !== 'AggregateOp' && !n.name.startsWith('Sub'));
      return operand ? labelsOf(node.name === 'UnaryExpr' ? (node.lastChild ?? node) : operand, text) : anyLabels;
    }
    case 'AggregateExpr':
      return aggregated(node, text);
    case 'FunctionCall':
      return ofFunction(node, text);
    case 'BinaryExpr':
      return ofBinary(node, text);
    default:
      return noLabels;
  }
}

function equalLabels(selector: SyntaxNode, text: string): string[] {
  return matchersOf(selector, text)
    .filter((m) => m.label !== '__name__' && (m.operator === '=' ? m.value !== '' : m.operator === '=~'))
    .map((m) => m.label);
}

function aggregated(node: SyntaxNode, text: string): ResultLabels {
  const modifier = node.getChild('AggregateModifier');
  const operator = node.getChild('AggregateOp');
  const body = children(node.getChild('FunctionCallBody'));
  const names = children(modifier?.getChild('GroupingLabels') ?? null).map((n) => unquote(text.slice(n.from, n.to)));
  const operand = body.at(-1);
  // topk, bottomk and limitk keep the series as they are.
  if (operator && /^(topk|bottomk|limitk|limit_ratio)$/i.test(text.slice(operator.from, operator.to)))
    return operand ? labelsOf(operand, text) : anyLabels;
  if (!modifier) return noLabels;
  if (modifier.getChild('By')) return { labels: new Set(names), open: false };
  const inside = operand ? labelsOf(operand, text) : anyLabels;
  return { labels: new Set([...inside.labels].filter((l) => !names.includes(l))), open: inside.open };
}

function ofFunction(call: SyntaxNode, text: string): ResultLabels {
  const name = functionName(call, text);
  const values = argumentsOf(call);
  const [first] = values;
  if (name === 'vector' || name === 'time' || name === 'scalar') return noLabels;
  if (name === 'absent' || name === 'absent_over_time') {
    let selector: SyntaxNode | undefined;
    first?.cursor().iterate(({ node }) => {
      if (node.name === 'VectorSelector') selector ??= node;
    });
    const equal = selector ? matchersOf(selector, text).filter((m) => m.operator === '=') : [];
    return { labels: new Set(equal.map((m) => m.label)), open: false };
  }
  if (name === 'histogram_quantile') return without(values[1], text, 'le');
  if (name === 'label_replace' || name === 'label_join') {
    const target = values[1];
    const inside = first ? labelsOf(first, text) : anyLabels;
    return target
      ? { ...inside, labels: new Set([...inside.labels, unquote(text.slice(target.from, target.to))]) }
      : inside;
  }
  const operand = values.find((n) => n.name !== 'NumberDurationLiteral' && n.name !== 'StringLiteral');
  return operand ? labelsOf(operand, text) : noLabels;
}

function without(node: SyntaxNode | undefined, text: string, label: string): ResultLabels {
  if (!node) return anyLabels;
  const inside = labelsOf(node, text);
  return { ...inside, labels: new Set([...inside.labels].filter((l) => l !== label)) };
}

function ofBinary(node: SyntaxNode, text: string): ResultLabels {
  const { left, right, operator, on, groupLeft, groupRight, included } = binaryParts(node, text);
  if (!left || !right) return anyLabels;
  const [a, b] = [labelsOf(left, text), labelsOf(right, text)];
  if (operator === 'And' || operator === 'Unless') return a;
  // Only what every series has is certain.
  if (operator === 'Or') return { labels: common(a, b), open: a.open || b.open };
  if (isScalar(right)) return a;
  if (isScalar(left)) return b;
  if (groupLeft) return { ...a, labels: new Set([...a.labels, ...included]) };
  if (groupRight) return { ...b, labels: new Set([...b.labels, ...included]) };
  return on ? { labels: new Set(on), open: false } : a;
}

function common(a: ResultLabels, b: ResultLabels): Set<string> {
  return new Set([...a.labels].filter((l) => b.labels.has(l)));
}

function isScalar(outer: SyntaxNode): boolean {
  const node = inner(outer);
  if (node.name === 'NumberDurationLiteral') return true;
  if (node.name === 'UnaryExpr') return node.lastChild !== null && isScalar(node.lastChild);
  if (node.name === 'BinaryExpr')
    return node.firstChild !== null && isScalar(node.firstChild) && isScalar(node.lastChild ?? node);
  return (
    node.name === 'FunctionCall' && /Time|Scalar|Pi/.test(node.getChild('FunctionIdentifier')?.firstChild?.name ?? '')
  );
}

const comparisons = new Set(['Eql', 'EqlC', 'Neq', 'Gtr', 'Gte', 'Lss', 'Lte']);

interface BinaryParts {
  left: SyntaxNode | null;
  right: SyntaxNode | null;
  /** Name of its node: `And`, `Div`, `Gtr`. */
  operator: string;
  bool: boolean;
  on: string[] | undefined;
  groupLeft: boolean;
  groupRight: boolean;
  included: string[];
}

function binaryParts(node: SyntaxNode, text: string): BinaryParts {
  const parts = children(node);
  const clause = node.getChild('MatchingModifierClause');
  const named = (list: SyntaxNode | null | undefined) =>
    children(list ?? null).map((n) => unquote(text.slice(n.from, n.to)));
  const lists = clause?.getChildren('GroupingLabels') ?? [];
  return {
    left: parts[0] ?? null,
    right: parts.at(-1) ?? null,
    operator: parts[1]?.name ?? '',
    bool: node.getChild('BoolModifier') !== null,
    on: clause?.getChild('On') ? named(lists[0]) : undefined,
    groupLeft: clause?.getChild('GroupLeft') != null,
    groupRight: clause?.getChild('GroupRight') != null,
    included: named(lists[1]),
  };
}

/** Whether the expression has a result only while something holds: a comparison, absent(), or a set operation of those. */
export function isCondition({ root, text }: PromQl): boolean {
  return conditional(root, text);
}

function conditional(outer: SyntaxNode, text: string): boolean {
  const node = inner(outer);
  if (node.name === 'FunctionCall') {
    const name = functionName(node, text);
    return name.startsWith('absent') || argumentsOf(node).some((a) => conditional(a, text));
  }
  if (node.name === 'AggregateExpr')
    return children(node.getChild('FunctionCallBody')).some((a) => conditional(a, text));
  if (node.name !== 'BinaryExpr') return false;
  const { left, right, operator, bool } = binaryParts(node, text);
  if (comparisons.has(operator)) return !bool;
  if (!left || !right) return false;
  if (operator === 'Or') return conditional(left, text) && conditional(right, text);
  if (operator === 'Unless') return true;
  return conditional(left, text) || conditional(right, text);
}

/** Pairs of operands that can never match, because their labels are known and differ. */
export function mismatches({ root, text }: PromQl): { offset: number; left: string[]; right: string[] }[] {
  const found: { offset: number; left: string[]; right: string[] }[] = [];
  root.cursor().iterate(({ node }) => {
    if (node.name !== 'BinaryExpr') return;
    const { left, right, operator } = binaryParts(node, text);
    if (!left || !right || operator === 'Or' || operator === 'Unless') return;
    if (node.getChild('MatchingModifierClause') || isScalar(left) || isScalar(right)) return;
    const [a, b] = [labelsOf(left, text), labelsOf(right, text)];
    if (a.open || b.open || (a.labels.size === b.labels.size && common(a, b).size === a.labels.size)) return;
    found.push({ offset: node.from, left: [...a.labels].sort(), right: [...b.labels].sort() });
  });
  return found;
}

/** Lengths of the ranges it looks back over, ms; those that are no plain duration are left out. */
export function rangesOf({ root, text }: PromQl): number[] {
  const found: number[] = [];
  root.cursor().iterate(({ node }) => {
    if (node.name !== 'MatrixSelector' && node.name !== 'SubqueryExpr') return;
    const range = node.getChild('DurationExpr');
    const ms = range ? parseDuration(text.slice(range.from, range.to)) : undefined;
    if (ms !== undefined) found.push(ms);
  });
  return found;
}
