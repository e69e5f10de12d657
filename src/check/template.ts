/**
 * Templates: `${{ CEL }}` in the strings of a JSON value. A string that is one placeholder becomes the value itself, with
 * its type; otherwise the value is put into the text. What comes out is never looked at again: a label that holds
 * `${{ }}`, quotes or blanks stays one piece of text.
 */
import { CatalystError } from '../errors.ts';
import type { Json } from '../integrations/contract.ts';
import {
  type Evaluation,
  type Expression,
  ExpressionError,
  type ExpressionType,
  type FactReader,
  type FactReading,
  type Scope,
  type Segment,
  type Template,
} from './check.ts';

type Compile = (source: string, expected?: readonly ExpressionType[]) => Expression;

/** Types that can stand inside a text. */
const textual: readonly ExpressionType[] = [
  ...['string', 'int', 'uint', 'double', 'bool', 'google.protobuf.Timestamp'],
];

/** Splits a text at its placeholders. Throws ExpressionError for one that is not closed. */
export function splitPlaceholders(text: string): Segment[] {
  const segments: Segment[] = [];
  let from = 0;
  for (;;) {
    const start = text.indexOf('${{', from);
    if (start < 0) break;
    if (start > from) segments.push({ text: text.slice(from, start) });
    const end = endOfExpression(text, start + 3);
    if (end === undefined)
      throw new ExpressionError('template-syntax', 'This ${{ is never closed: }} is missing.', start);
    segments.push({ expression: text.slice(start + 3, end), offset: start + 3 });
    from = end + 2;
  }
  if (from < text.length) segments.push({ text: text.slice(from) });
  return segments;
}

/** Where the `}}` stands that ends an expression: not inside a CEL string, not closing a CEL map. */
function endOfExpression(text: string, start: number): number | undefined {
  let depth = 0;
  let at = start;
  while (at < text.length) {
    const c = text[at];
    if (c === '"' || c === "'") {
      const end = endOfString(text, at);
      if (end === undefined) return undefined;
      at = end;
      continue;
    }
    if (c === '{') depth += 1;
    else if (c === '}' && depth > 0) depth -= 1;
    else if (c === '}' && text[at + 1] === '}') return at;
    at += 1;
  }
  return undefined;
}

/** The position after the CEL string literal that starts at `at`. A backslash guards what follows it in raw strings too, as the CEL library has it. */
function endOfString(text: string, at: number): number | undefined {
  const quote = text[at] ?? '"';
  const close = text.startsWith(quote.repeat(3), at) ? quote.repeat(3) : quote;
  let i = at + close.length;
  while (i < text.length) {
    if (text[i] === '\\') i += 2;
    else if (text.startsWith(close, i)) return i + close.length;
    else i += 1;
  }
  return undefined;
}

/** Compiles a JSON value. Throws ExpressionError whose `path` leads to the string. */
export function compileTemplate(value: Json, compile: Compile): Template {
  if (typeof value === 'string') return compileSegments(splitPlaceholders(value), compile);
  if (value === null || typeof value !== 'object') return constant(value);
  const entries: [string | number, Template][] = Object.entries(value).map(([key, entry]) => {
    const step = Array.isArray(value) ? Number(key) : key;
    try {
      return [step, compileTemplate(entry, compile)];
    } catch (error) {
      if (!(error instanceof ExpressionError)) throw error;
      throw new ExpressionError(error.rule, error.message, error.offset, [step, ...error.path]);
    }
  });
  if (entries.every(([, template]) => template.constant)) return constant(value);
  return {
    constant: false,
    type: 'dyn',
    facts: unique(entries.flatMap(([, t]) => t.facts)),
    variables: unique(entries.flatMap(([, t]) => t.variables)),
    evaluate: async (scope, reader) => {
      const readings: FactReading[] = [];
      const values: [string | number, Json][] = [];
      for (const [key, template] of entries) {
        const evaluation = await template.evaluate(scope, reader);
        keepReadings(readings, evaluation.readings);
        if (!evaluation.ok) return { ...evaluation, readings };
        values.push([key, evaluation.value]);
      }
      const result = Array.isArray(value) ? values.map(([, v]) => v) : Object.fromEntries(values);
      return { ok: true, value: result, readings };
    },
  };
}

/** Compiles a text that is already split. Throws ExpressionError. */
export function compileSegments(segments: readonly Segment[], compile: Compile): Template {
  const [first] = segments;
  if (segments.length === 1 && first && 'expression' in first) return lone(compileAt(first, compile));
  if (!segments.some((s) => 'expression' in s))
    return constant(segments.map((s) => ('text' in s ? s.text : '')).join(''));
  const parts = segments.map((s) => ('text' in s ? s.text : compileAt(s, compile, textual)));
  const expressions = parts.filter((p) => typeof p !== 'string');
  return {
    constant: false,
    type: 'string',
    facts: unique(expressions.flatMap((e) => e.facts)),
    variables: unique(expressions.flatMap((e) => e.variables)),
    evaluate: (scope, reader) => interpolate(parts, scope, reader),
  };
}

function compileAt(
  { expression, offset }: { expression: string; offset: number },
  compile: Compile,
  expected?: readonly ExpressionType[],
): Expression {
  try {
    return compile(expression, expected);
  } catch (error) {
    if (!(error instanceof ExpressionError)) throw error;
    throw new ExpressionError(error.rule, error.message, error.offset + offset, error.path);
  }
}

async function interpolate(
  parts: readonly (string | Expression)[],
  scope: Scope,
  reader: FactReader,
): Promise<Evaluation> {
  const readings: FactReading[] = [];
  let text = '';
  for (const part of parts) {
    if (typeof part === 'string') {
      text += part;
      continue;
    }
    const evaluation = await part.evaluate(scope, reader);
    keepReadings(readings, evaluation.readings);
    if (!evaluation.ok) return { ...evaluation, readings };
    if (evaluation.value === null || typeof evaluation.value === 'object') {
      const sentence = `\${{${part.source}}} is ${evaluation.value === null ? 'null' : 'a list or map'}, which cannot stand inside a text.`;
      return { ok: false, error: new CatalystError('InvalidResource', sentence), readings };
    }
    text += String(evaluation.value);
  }
  return { ok: true, value: text, readings };
}

function lone(expression: Expression): Template {
  return {
    constant: false,
    type: expression.type,
    facts: expression.facts,
    variables: expression.variables,
    evaluate: (scope, reader) => expression.evaluate(scope, reader),
  };
}

/** A template that is its value. */
export function constant(value: Json): Template {
  const type = typeof value === 'string' ? 'string' : typeof value === 'boolean' ? 'bool' : 'dyn';
  return {
    constant: true,
    value,
    type,
    facts: [],
    variables: [],
    evaluate: () => Promise.resolve({ ok: true, value, readings: [] }),
  };
}

function unique(names: readonly string[]): string[] {
  return [...new Set(names)];
}

function keepReadings(kept: FactReading[], more: readonly FactReading[]): void {
  for (const reading of more) if (!kept.includes(reading)) kept.push(reading);
}
