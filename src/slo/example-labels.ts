/** Labels that satisfy matchers, so that a test can make up a series. */
import { compileRe2 } from '../check/pattern.ts';
import { parsePromQl, selectorsOf } from './promql.ts';

/** `label="value"` for each matcher and each further label; undefined when no value can be made up for a pattern. */
export function exampleLabels(matchers: string, further: readonly string[]): string[] | undefined {
  const [selector] = selectorsOf(parsePromQl(`x{${matchers}}`));
  const values = new Map<string, string>();
  for (const { label, operator, value } of selector?.matchers ?? []) {
    const made = operator === '=' ? value : operator === '=~' ? matching(value) : otherThan(operator, value);
    if (made === undefined) return undefined;
    if (!values.has(label) || operator === '=') values.set(label, made);
  }
  for (const label of further) if (!values.has(label)) values.set(label, `${label}-1`);
  return [...values].filter(([, value]) => value !== '').map(([label, value]) => `${label}=${JSON.stringify(value)}`);
}

/** A text the pattern matches: its first alternative with the simplest thing for each wildcard. */
function matching(pattern: string): string | undefined {
  const compiled = compileRe2(pattern);
  const guesses = pattern.split('|').map((p) =>
    p
      .replaceAll(/\.[*?]/g, '')
      .replaceAll('.+', 'x')
      .replaceAll(/\\(.)/g, '$1')
      .replaceAll('.', '0'),
  );
  return [...guesses, 'x', '0', ''].find((guess) => compiled.matcher(guess).matches());
}

function otherThan(operator: string, value: string): string | undefined {
  if (operator === '!=') return value === 'x' ? 'y' : 'x';
  const compiled = compileRe2(value);
  return ['x', '0', ''].find((guess) => !compiled.matcher(guess).matches());
}
