/** What the CEL library says is wrong, as a sentence that says what to do. */
import { messageOf } from '../errors.ts';
import type { ExpressionRule } from './check.ts';

interface CelErrorLike {
  code: string;
  summary: string;
  range?: { start: number };
}

function celError(error: unknown): CelErrorLike | undefined {
  if (!(error instanceof Error) || !('code' in error) || !('summary' in error)) return undefined;
  return typeof error.code === 'string' && typeof error.summary === 'string'
    ? (error as Error & CelErrorLike)
    : undefined;
}

/** UTF-16 offset at which the library saw the mistake; 0 when it does not say. */
export function offsetOf(error: unknown): number {
  return celError(error)?.range?.start ?? 0;
}

/** Rule and sentence for anything the library throws. */
export function explain(error: unknown): { rule: ExpressionRule; sentence: string } {
  const cel = celError(error);
  if (!cel) return { rule: 'check-syntax', sentence: `The expression cannot be used: ${messageOf(error)}.` };
  const { code, summary } = cel;
  switch (code) {
    case 'limit_exceeded':
      return { rule: 'check-too-large', sentence: `The expression is too large. ${summary}.` };
    case 'unknown_variable': {
      const name = summary.replace('Unknown variable: ', '');
      return { rule: 'unknown-variable', sentence: `${name} is not known here.` };
    }
    case 'no_such_key':
      return { rule: 'check-type', sentence: noSuchKey(summary) };
    case 'no_matching_overload':
      return { rule: 'unknown-function', sentence: noOverload(summary) };
    case 'no_such_overload':
      return { rule: 'check-type', sentence: noOperator(summary) };
    default:
      return { rule: isSyntax(error) ? 'check-syntax' : 'check-type', sentence: `${summary}.` };
  }
}

function isSyntax(error: unknown): boolean {
  return error instanceof Error && error.name === 'ParseError';
}

function noSuchKey(summary: string): string {
  if (summary.includes('index out of bounds')) return `${summary.replace('No such key: ', 'The ')}.`;
  const key = summary.replace('No such key: ', '');
  return `There is no ${key} in it. Ask has(...) first where it may be missing.`;
}

function noOverload(summary: string): string {
  const call = /'(.*)'/.exec(summary)?.[1] ?? summary;
  return `There is no function ${call}. Mind the types of the arguments; the functions are listed in docs/runbook-language.md.`;
}

function noOperator(summary: string): string {
  const operation = summary.replace('no such overload: ', '').replaceAll(/dyn<(\w+)>/g, '$1');
  const mixed = /\bint\b/.test(operation) && /\bdouble\b/.test(operation);
  const hint = mixed
    ? ' Write the whole number as a double, 0.0 for 0, or convert one side with double() or int().'
    : '';
  return `CEL cannot do ${operation}.${hint}`;
}
