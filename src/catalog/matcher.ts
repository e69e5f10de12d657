/** Alertmanager's label matchers: `severity="critical"`, `namespace=~"prod-.*"`, `team!=web`. */
import { ExpressionError } from '../check/check.ts';
import { compileRe2 } from '../check/pattern.ts';
import type { LabelMatcher } from './compiled-runbook.ts';

/** What is wrong with a matcher, as a sentence. */
export class MatcherError extends Error {
  /** UTF-16 offset in the matcher. */
  readonly offset: number;
  constructor(sentence: string, offset: number) {
    super(sentence);
    this.name = 'MatcherError';
    this.offset = offset;
  }
}

const shape = /^\s*([a-zA-Z_][a-zA-Z0-9_]*|"(?:[^"\\]|\\.)*")\s*(=~|!~|!=|=)\s*(.*?)\s*$/s;

/** Parses one matcher. Throws MatcherError. A label that is absent counts as the empty text, as in Alertmanager. */
export function parseMatcher(text: string): LabelMatcher {
  const found = shape.exec(text);
  if (!found)
    throw new MatcherError(
      `${JSON.stringify(text)} is not a matcher. Write a label name, one of = != =~ !~, and a value: severity="critical".`,
      0,
    );
  const [, name = '', operator = '=', rest = ''] = found;
  const at = text.lastIndexOf(rest);
  const label = name.startsWith('"') ? unquote(name, 0) : name;
  const value = rest.startsWith('"') ? unquote(rest, at) : bare(rest, at);
  const matcher = { label, operator: operator as LabelMatcher['operator'], value };
  return { ...matcher, matches: predicate(matcher, at) };
}

function unquote(text: string, offset: number): string {
  if (!/^"(?:[^"\\]|\\.)*"$/s.test(text))
    throw new MatcherError(
      'The quoted text does not end where the matcher ends. Quotes inside are written \\".',
      offset,
    );
  return text.slice(1, -1).replaceAll(/\\(.)/gs, (_all, c: string) => (c === 'n' ? '\n' : c));
}

function bare(text: string, offset: number): string {
  if (/[\s"'{}()[\],=!~]/.test(text))
    throw new MatcherError(`Put the value in double quotes: ${JSON.stringify(text)}.`, offset);
  return text;
}

function predicate(
  { label, operator, value }: Pick<LabelMatcher, 'label' | 'operator' | 'value'>,
  offset: number,
): LabelMatcher['matches'] {
  const of = (labels: Readonly<Record<string, string>>) => (Object.hasOwn(labels, label) ? (labels[label] ?? '') : '');
  if (operator === '=') return (labels) => of(labels) === value;
  if (operator === '!=') return (labels) => of(labels) !== value;
  try {
    const pattern = compileRe2(value);
    const whole = (text: string) => pattern.matcher(text).matches();
    return operator === '=~' ? (labels) => whole(of(labels)) : (labels) => !whole(of(labels));
  } catch (error) {
    if (error instanceof ExpressionError) throw new MatcherError(error.message, offset);
    throw error;
  }
}

/** The matcher that contradicts another, so that both can never hold; undefined when nothing is known to. */
export function contradiction(matchers: readonly LabelMatcher[]): LabelMatcher | undefined {
  for (const fixed of matchers.filter((m) => m.operator === '=')) {
    const clash = matchers.find((m) => m.label === fixed.label && !m.matches({ [fixed.label]: fixed.value }));
    if (clash) return clash;
  }
  return undefined;
}
