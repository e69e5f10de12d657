/** What a schema has against a value, in sentences that say what to do. */
import type { ErrorObject } from 'ajv';

/** One complaint: which path it is about, and what is wrong there. */
export interface Complaint {
  path: (string | number)[];
  /** Point at the key instead of its value: the key itself is wrong. */
  atKey: boolean;
  sentence: string;
}

export function complaintOf(error: ErrorObject, value: unknown, schemaKeys: readonly string[]): Complaint {
  const path = error.instancePath
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    .map((part) => (/^[0-9]+$/.test(part) ? Number(part) : part));
  const here = path.length === 0 ? 'The document' : `"${nameOf(path)}"`;
  const params = error.params as Record<string, unknown>;
  switch (error.keyword) {
    case 'additionalProperties': {
      const key = String(params.additionalProperty);
      const near = nearest(key, schemaKeys);
      return {
        path: [...path, key],
        atKey: true,
        sentence: `"${nameOf([...path, key])}" is not known here${near ? `; did you mean "${near}"?` : `. Known are: ${schemaKeys.join(', ')}.`}`,
      };
    }
    case 'required':
      return { path, atKey: true, sentence: `${here} needs "${String(params.missingProperty)}".` };
    case 'type':
      return {
        path,
        atKey: false,
        sentence: `${here} must be ${aType(String(params.type))}, and is ${kindOf(value)}.`,
      };
    case 'enum':
      return {
        path,
        atKey: false,
        sentence: `${here} is ${JSON.stringify(value)}; it must be one of ${(params.allowedValues as unknown[]).join(', ')}.`,
      };
    case 'pattern': {
      const schema = error.parentSchema as
        | { description?: string; examples?: unknown[]; default?: unknown }
        | undefined;
      const example = schema?.examples?.[0] ?? schema?.default;
      return {
        path,
        atKey: false,
        sentence: `${here} does not have the right form${example === undefined ? '' : `; write it like ${JSON.stringify(example)}`}.`,
      };
    }
    default:
      return { path, atKey: false, sentence: `${here} ${error.message ?? 'is wrong'}.` };
  }
}

/** `tokens[0].role` */
export function nameOf(path: readonly (string | number)[]): string {
  return path.map((part, i) => (typeof part === 'number' ? `[${part}]` : i === 0 ? part : `.${part}`)).join('');
}

function aType(type: string): string {
  const names: Record<string, string> = {
    string: 'text',
    integer: 'a whole number',
    number: 'a number',
    boolean: 'true or false',
    array: 'a list',
    object: 'a map of names to values',
  };
  return names[type] ?? type;
}

function kindOf(value: unknown): string {
  if (value === null || value === undefined) return 'empty';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a map';
  return typeof value === 'string' ? `the text ${JSON.stringify(value.slice(0, 40))}` : String(value);
}

/** The known word that is closest: two letters may differ (or have changed places), or a third of them, but never all. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  let best: { word: string; distance: number } | undefined;
  for (const candidate of known) {
    const distance = editDistance(word.toLowerCase().slice(0, 64), candidate.toLowerCase());
    if (
      distance <= Math.max(2, candidate.length / 3) &&
      distance < candidate.length &&
      (!best || distance < best.distance)
    )
      best = { word: candidate, distance };
  }
  return best?.word;
}

/** Levenshtein distance. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++)
      next.push(
        Math.min((next[j - 1] ?? 0) + 1, (row[j] ?? 0) + 1, (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)),
      );
    row = next;
  }
  return row[b.length] ?? 0;
}
