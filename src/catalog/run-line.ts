/**
 * The words of a `run:` line. They are split at blanks like a command line's, but nothing is ever given to a shell:
 * no variables, no globbing, no pipes. A placeholder belongs to the word it stands in whatever its value holds.
 */
import { ExpressionError, type Segment } from '../check/check.ts';
import { splitPlaceholders } from '../check/template.ts';

export interface Word {
  segments: readonly Segment[];
  /** The word's text when it has no placeholder. */
  text: string | undefined;
  /** UTF-16 offset of its first character in the line, quotes included. */
  offset: number;
  /** True when it begins with a quote: then it is never a flag. */
  quoted: boolean;
}

interface Draft {
  segments: Segment[];
  offset: number;
  quoted: boolean;
}

/** Splits a line. Double quotes know `\"` and `\\`; single quotes know nothing. Throws ExpressionError for an open quote. */
export function splitWords(line: string): Word[] {
  const words: Word[] = [];
  let word: Draft | undefined;
  let quote: { mark: string; offset: number } | undefined;
  let at = 0;
  const open = (offset: number, quoted: boolean): Draft => {
    word ??= { segments: [], offset, quoted };
    return word;
  };
  const close = () => {
    if (word) words.push(finish(word));
    word = undefined;
  };
  for (const segment of splitPlaceholders(line)) {
    if ('expression' in segment) {
      open(at, false).segments.push(segment);
      at = segment.offset + segment.expression.length + 2;
      continue;
    }
    const end = at + segment.text.length;
    while (at < end) {
      const c = line[at] ?? '';
      if (quote?.mark === c) quote = undefined;
      else if (quote) {
        const escaped = quote.mark === '"' && c === '\\' && /["\\]/.test(line[at + 1] ?? '') && at + 1 < end;
        if (escaped) at += 1;
        append(open(at, false), line[at] ?? '');
      } else if (c === '"' || c === "'") {
        open(at, true);
        quote = { mark: c, offset: at };
      } else if (/\s/.test(c)) close();
      else append(open(at, false), c);
      at += 1;
    }
  }
  if (quote) throw new ExpressionError('template-syntax', 'This quote is never closed.', quote.offset);
  close();
  return words;
}

function append(word: Draft, text: string): void {
  const last = word.segments.at(-1);
  if (last && 'text' in last) last.text += text;
  else word.segments.push({ text });
}

function finish({ segments, offset, quoted }: Draft): Word {
  const constant = segments.every((s) => 'text' in s);
  const text = constant ? segments.map((s) => ('text' in s ? s.text : '')).join('') : undefined;
  return { segments: segments.length > 0 ? segments : [{ text: '' }], text, offset, quoted };
}

/** A word without the first `length` characters of its text, for `--flag=value`. */
export function dropPrefix(word: Word, length: number): Word {
  const [first, ...rest] = word.segments;
  if (!first || !('text' in first)) return word;
  const remaining = first.text.slice(length);
  const segments = remaining === '' && rest.length > 0 ? rest : [{ text: remaining }, ...rest];
  return { ...word, segments, text: word.text?.slice(length), offset: word.offset + length };
}
