/**
 * An upper bound of the work an expression can cause, known when it is loaded. Evaluation itself runs without a pause
 * between two facts, so nothing could interrupt it; therefore what could take long is never accepted.
 */
import type { ASTNode } from '@marcbachmann/cel-js';
import { ExpressionError } from './check.ts';
import { comprehensions } from './names.ts';
import { maxEntries, maxText } from './value.ts';

/**
 * Steps an expression may take at worst. A step is some 50 ns, so the bound is about a quarter of a second; one walk over
 * the longest list with a predicate of a hundred nodes is far below it, every pair of two such lists is above it.
 */
export const maxCost = 5_000_000;

interface Bound {
  /** Steps to evaluate it. */
  cost: number;
  /** Entries of the value, or of any list, map or text inside it. */
  size: number;
}

type Locals = ReadonlyMap<string, number>;

/** Throws ExpressionError when an expression could take longer than is safe. */
export function checkCost(ast: ASTNode): void {
  const { cost } = bound(ast, new Map());
  if (cost > maxCost)
    throw new ExpressionError(
      'check-too-costly',
      'This expression could look at too many values: it walks lists inside lists. Ask a more precise question, with a selector or in PromQL.',
      ast.start,
    );
}

function bound(node: ASTNode, locals: Locals): Bound {
  switch (node.op) {
    case 'value':
      return { cost: 1, size: typeof node.args === 'string' ? node.args.length : 1 };
    case 'id':
      return { cost: 1, size: locals.get(node.args) ?? maxEntries };
    case 'rcall':
      return comprehensions.has(node.args[0]) ? comprehension(node, locals) : call(node, locals);
    case 'call':
      return call(node, locals);
    case '+': {
      const [left, right] = pair(node.args, locals);
      // Adding copies both lists or texts.
      const size = left.size + right.size;
      return { cost: left.cost + right.cost + size, size };
    }
    case 'in':
    case '==':
    case '!=': {
      const [left, right] = pair(node.args, locals);
      const compared = node.op === 'in' ? right.size : Math.min(left.size, right.size);
      return { cost: left.cost + right.cost + compared, size: 1 };
    }
    case '.':
    case '.?': {
      const of = bound(node.args[0], locals);
      return { cost: of.cost + 1, size: of.size };
    }
    case '!_':
    case '-_': {
      const of = bound(node.args, locals);
      return { cost: of.cost + 1, size: 1 };
    }
    case 'map':
      return together(node.args.flat(), locals);
    default:
      return together(node.args, locals);
  }
}

function pair(args: readonly [ASTNode, ASTNode], locals: Locals): [Bound, Bound] {
  return [bound(args[0], locals), bound(args[1], locals)];
}

/** Lists, maps, choices and plain operators: every part is evaluated, the largest decides the size. */
function together(nodes: readonly ASTNode[], locals: Locals): Bound {
  const parts = nodes.map((n) => bound(n, locals));
  return {
    cost: parts.reduce((sum, p) => sum + p.cost, 1),
    size: parts.reduce((most, p) => Math.max(most, p.size), Math.max(1, nodes.length)),
  };
}

function call(node: ASTNode & { op: 'call' | 'rcall' }, locals: Locals): Bound {
  const args = node.op === 'rcall' ? [node.args[1], ...node.args[2]] : node.args[1];
  const { cost, size } = together(args, locals);
  switch (node.args[0]) {
    case 'split':
      return { cost: cost + maxText, size: Math.max(size, maxText) };
    case 'join':
      return { cost: cost + size, size: size * maxText };
    case 're2':
    case 'glob':
      // Linear in the text, but each character costs more than a step does.
      return { cost: cost + Math.max(size, 100), size: 1 };
    default:
      return { cost: cost + 1, size: Math.max(size, maxEntries) };
  }
}

function comprehension(node: ASTNode & { op: 'rcall' }, locals: Locals): Bound {
  const [name, receiver, [variable, ...body]] = node.args;
  const over = bound(receiver, locals);
  const inner = variable?.op === 'id' ? new Map([...locals, [variable.args, over.size]]) : locals;
  const step = together(body, inner);
  const size = name === 'map' ? Math.max(over.size, step.size) : name === 'filter' ? over.size : 1;
  return { cost: over.cost + 1 + over.size * (1 + step.cost), size };
}
