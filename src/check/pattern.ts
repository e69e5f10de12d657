/**
 * The only regular expressions there are: RE2, whose matching time is linear in the text. CEL's own `matches` is a
 * JavaScript RegExp in the library used here and can hang the process, so it is refused when an expression is loaded.
 */
import { RE2JS } from 're2js';
import { messageOf } from '../errors.ts';
import { ExpressionError } from './check.ts';

/** Longest pattern; matching costs pattern times text. Real patterns are far shorter. */
const maxPatternLength = 1024;
/** Patterns made at evaluation time are kept up to this number, so that hostile ones cannot fill the memory. */
const maxCached = 500;

const cache = new Map<string, RE2JS>();

/** Compiles an RE2 pattern. Throws ExpressionError. */
export function compileRe2(pattern: string, offset = 0): RE2JS {
  const cached = cache.get(pattern);
  if (cached) return cached;
  if (pattern.length > maxPatternLength)
    throw new ExpressionError(
      'regex-not-re2',
      `The pattern is ${pattern.length} characters long; at most ${maxPatternLength} are allowed.`,
      offset,
    );
  try {
    const compiled = RE2JS.compile(pattern);
    if (cache.size >= maxCached) cache.clear();
    cache.set(pattern, compiled);
    return compiled;
  } catch (error) {
    throw new ExpressionError(
      'regex-not-re2',
      `${JSON.stringify(pattern)} is not an RE2 regular expression: ${messageOf(error)}.`,
      offset,
    );
  }
}

/** Does the pattern match anywhere in the text? Anchor with ^ and $ to match the whole. */
export function re2(text: string, pattern: string): boolean {
  return compileRe2(pattern).matcher(text).find();
}

/** Does the whole text match, where `*` stands for any characters, none included, and `?` for one? */
export function glob(text: string, pattern: string): boolean {
  const source = [...pattern].map((c) => (c === '*' ? '.*' : c === '?' ? '.' : RE2JS.quote(c))).join('');
  return compileRe2(`(?s)^(?:${source})$`).matcher(text).matches();
}
