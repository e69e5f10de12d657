/** What an expression names: which facts and variables it may read, and what is wrong with those names. */
import type { ASTNode } from '@marcbachmann/cel-js';
import type { FactDefinition } from '../integrations/contract.ts';
import { ExpressionError } from './check.ts';
import { didYouMean } from './nearest.ts';
import { compileRe2 } from './pattern.ts';

/** Macros that walk a list, binding their first argument to each element. */
export const comprehensions: ReadonlySet<string> = new Set(['all', 'exists', 'exists_one', 'map', 'filter']);

export interface Names {
  facts: Set<string>;
  variables: Set<string>;
}

export interface Known {
  facts: ReadonlyMap<string, FactDefinition>;
  /** First words of all facts. */
  roots: ReadonlySet<string>;
  variables: ReadonlySet<string>;
}

/** Finds the facts and variables an expression may read. Throws ExpressionError for a name that does not exist. */
export function findNames(ast: ASTNode, known: Known): Names {
  const found: Names = { facts: new Set(), variables: new Set() };
  visit(ast, new Set(), known, found);
  return found;
}

type Locals = ReadonlySet<string>;

function visit(node: ASTNode, locals: Locals, known: Known, found: Names): void {
  const path = factPath(node, locals, known);
  if (path) visitFact(node, path, known, found);
  else if (node.op === 'id') visitName(node.args, node.start, locals, known, found);
  else if (node.op === 'call') visitCall(node, locals, known, found);
  else if (node.op === 'rcall') visitMethod(node, locals, known, found);
  else for (const child of children(node)) visit(child, locals, known, found);
}

/** The parts of a node that is neither a name nor a call. */
function children(node: Exclude<ASTNode, { op: 'id' | 'call' | 'rcall' }>): readonly ASTNode[] {
  switch (node.op) {
    case 'value':
      return [];
    case '.':
    case '.?':
      return [node.args[0]];
    case '!_':
    case '-_':
      return [node.args];
    case 'map':
      return node.args.flat();
    default:
      return node.args;
  }
}

/** The dotted path of `a.b.c` where `a` is the first word of a fact and no local variable. */
function factPath(node: ASTNode, locals: Locals, known: Known): string[] | undefined {
  if (node.op === 'id') return known.roots.has(node.args) && !locals.has(node.args) ? [node.args] : undefined;
  if (node.op !== '.') return undefined;
  const left = factPath(node.args[0], locals, known);
  left?.push(node.args[1]);
  return left;
}

function visitFact(node: ASTNode, path: readonly string[], known: Known, found: Names): void {
  for (let length = 1; length <= path.length; length++) {
    const name = path.slice(0, length).join('.');
    const fact = known.facts.get(name);
    if (!fact) continue;
    if (fact.parameters)
      throw new ExpressionError('unknown-fact', `${name} is asked with arguments: ${signature(fact)}.`, node.start);
    found.facts.add(name);
    return;
  }
  throw unknownFact(path.join('.'), node.start, known);
}

/** `prometheus.query(expr: string)`: how a fact is called. */
export function signature(fact: FactDefinition): string {
  if (!fact.parameters) return fact.name;
  return `${fact.name}(${fact.parameters.map((p) => `${p.name}: ${p.type}`).join(', ')})`;
}

function unknownFact(name: string, offset: number, known: Known): ExpressionError {
  const names = [...known.facts.keys()];
  const under = names.filter((n) => n.startsWith(`${name}.`));
  if (under.length > 0)
    return new ExpressionError('unknown-fact', `${name} is not a fact by itself. It holds ${some(under)}.`, offset);
  const root = name.split('.')[0] ?? name;
  const hint = didYouMean(name, names) || ` ${root} has ${some(names.filter((n) => n.startsWith(`${root}.`)))}.`;
  return new ExpressionError('unknown-fact', `There is no fact ${name}.${hint}`, offset);
}

/** The first few names, in a sentence. */
function some(names: readonly string[]): string {
  const shown = names.slice(0, 8);
  return shown.join(', ') + (names.length > shown.length ? ` and ${names.length - shown.length} more` : '');
}

function visitName(name: string, offset: number, locals: Locals, known: Known, found: Names): void {
  if (locals.has(name)) return;
  if (known.variables.has(name)) {
    found.variables.add(name);
    return;
  }
  if (builtIn.has(name)) return;
  const names = [...known.variables, ...known.facts.keys()];
  const hint = didYouMean(name, [...known.variables, ...known.roots]) || didYouMean(name, names);
  throw new ExpressionError(
    'unknown-variable',
    `There is no variable ${name}.${hint || ` There are ${[...known.variables].join(', ')}, and the facts of ${[...known.roots].join(', ')}.`}`,
    offset,
  );
}

/** Names CEL itself defines: types, as `type(x) == int` uses them. */
const builtIn = new Set([
  ...['bool', 'int', 'uint', 'double', 'string', 'bytes', 'list', 'map', 'null_type', 'type', 'google'],
]);

function visitCall(node: ASTNode & { op: 'call' }, locals: Locals, known: Known, found: Names): void {
  const [name, args] = node.args;
  const first = args[0];
  if (name === 'has' && first) {
    // A fact always exists; whether it can be read is another question, and has its own word.
    const path = factPath(first, locals, known);
    if (path) {
      visitFact(first, path, known, found);
      throw new ExpressionError(
        'check-type',
        `has() asks whether a key exists. To ask whether a fact can be read, write readable(${path.join('.')}); to ask for a key of its value, write 'key' in ${path.join('.')}.`,
        node.start,
      );
    }
  }
  if (name === 're2') compileLiteral(args[1]);
  for (const arg of args) visit(arg, locals, known, found);
}

function compileLiteral(pattern: ASTNode | undefined): void {
  if (pattern?.op === 'value' && typeof pattern.args === 'string') compileRe2(pattern.args, pattern.start);
}

function visitMethod(node: ASTNode & { op: 'rcall' }, locals: Locals, known: Known, found: Names): void {
  const [name, receiver, args] = node.args;
  const path = factPath(receiver, locals, known);
  if (path && visitFactCall(node, [...path, name], known, found)) {
    for (const arg of args) visit(arg, locals, known, found);
    return;
  }
  if (name === 'matches')
    throw new ExpressionError(
      'regex-not-re2',
      'matches() is not offered, because its patterns can hang. Write re2(text, "pattern"), or glob(text, "prod-*").',
      node.start,
    );
  if (name === 'bind' && receiver.op === 'id' && receiver.args === 'cel')
    throw new ExpressionError('unknown-function', 'cel.bind() is not offered. Write the expression out.', node.start);
  visit(receiver, locals, known, found);
  const variable = args[0];
  if (comprehensions.has(name) && variable?.op === 'id') {
    const inner = new Set([...locals, variable.args]);
    for (const arg of args.slice(1)) visit(arg, inner, known, found);
    return;
  }
  for (const arg of args) visit(arg, locals, known, found);
}

/** True when the call is a fact's; false when it is a method of a fact's value. */
function visitFactCall(node: ASTNode & { op: 'rcall' }, path: readonly string[], known: Known, found: Names): boolean {
  const name = path.join('.');
  const fact = known.facts.get(name);
  if (fact) {
    if (!fact.parameters)
      throw new ExpressionError('unknown-fact', `${name} is a plain fact: write it without parentheses.`, node.start);
    if (fact.parameters.length !== node.args[2].length)
      throw new ExpressionError(
        'check-type',
        `${name} takes ${fact.parameters.length} argument(s), not ${node.args[2].length}: ${signature(fact)}.`,
        node.start,
      );
    found.facts.add(name);
    return true;
  }
  for (let length = 1; length < path.length; length++)
    if (known.facts.has(path.slice(0, length).join('.'))) return false;
  throw unknownFact(name, node.start, known);
}
