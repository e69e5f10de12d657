/**
 * Values on their way into CEL and back. JSON numbers are doubles unless a type says `int`; CEL's int is a BigInt.
 * Sizes are limited here, at the edge, because the cost of an expression is bounded by the sizes of what it looks at.
 */
import { CatalystError } from '../errors.ts';
import type { FactType, Json } from '../integrations/contract.ts';

/** What CEL works with. */
export type CelValue = null | boolean | number | bigint | string | Date | CelValue[] | { [key: string]: CelValue };

/** Most entries one list or map may have: a page of Kubernetes objects with room to spare. */
export const maxEntries = 2000;
/** Longest text, UTF-16 units: a pod's log line or an alert's longest annotation fits. */
export const maxText = 16_384;
/** Deepest nesting; Kubernetes objects stay under 20. */
const maxDepth = 40;
/** Most values in all, so that nested lists cannot multiply. */
const maxValues = 50_000;

/** The sentence that says why a JSON value is too large to be looked at, or undefined when it is not. */
export function tooLarge(value: Json): string | undefined {
  let values = 0;
  const visit = (v: Json, depth: number): string | undefined => {
    values += 1;
    if (values > maxValues) return `holds more than ${maxValues} values`;
    if (typeof v === 'string') return v.length > maxText ? `holds a text longer than ${maxText} characters` : undefined;
    if (v === null || typeof v !== 'object') return undefined;
    if (depth > maxDepth) return `is nested deeper than ${maxDepth} levels`;
    const entries = Array.isArray(v) ? v : Object.values(v);
    if (entries.length > maxEntries) return `holds a list or map of more than ${maxEntries} entries`;
    for (const entry of entries) {
      const reason = visit(entry, depth + 1);
      if (reason) return reason;
    }
    return undefined;
  };
  return visit(value, 0);
}

/** The JSON value as a CEL value of the type promised, or the sentence that says why it is not one. */
export function toCel(value: Json, type: FactType): { value: CelValue } | { problem: string } {
  const size = tooLarge(value);
  if (size) return { problem: size };
  switch (type) {
    case 'bool':
      return typeof value === 'boolean' ? { value } : wrong(value, 'true or false');
    case 'string':
      return typeof value === 'string' ? { value } : wrong(value, 'a text');
    case 'double':
      // Not a number is not a value: a comparison with it would be false, and its negation true.
      return typeof value === 'number' && Number.isFinite(value) ? { value } : wrong(value, 'a finite number');
    case 'int':
      return Number.isSafeInteger(value) ? { value: BigInt(value as number) } : wrong(value, 'a whole number');
    case 'timestamp': {
      const date = new Date(typeof value === 'number' || typeof value === 'string' ? value : Number.NaN);
      return Number.isNaN(date.getTime()) ? wrong(value, 'a time') : { value: date };
    }
    case 'list<string>':
      return Array.isArray(value) && value.every((v) => typeof v === 'string')
        ? { value }
        : wrong(value, 'a list of texts');
    case 'list<dyn>':
      return Array.isArray(value) ? { value } : wrong(value, 'a list');
    case 'map<string, dyn>':
      return value !== null && typeof value === 'object' && !Array.isArray(value) ? { value } : wrong(value, 'a map');
    case 'dyn':
      return value === undefined ? wrong(value, 'a value') : { value };
  }
}

function wrong(value: Json | undefined, wanted: string): { problem: string } {
  const what =
    value === null || value === undefined
      ? 'nothing'
      : Array.isArray(value)
        ? 'a list'
        : typeof value === 'number'
          ? `the number ${value}`
          : typeof value === 'object'
            ? 'a map'
            : `a ${typeof value}`;
  return { problem: `is ${what} where ${wanted} was promised` };
}

/** A CEL value as JSON. Throws CatalystError for what JSON cannot say. */
export function fromCel(value: unknown): Json {
  switch (typeof value) {
    case 'boolean':
    case 'string':
      return value;
    case 'number':
      if (Number.isFinite(value)) return value;
      throw new CatalystError('InvalidResource', `The value is ${value}, which is not a finite number.`);
    case 'bigint': {
      const number = Number(value);
      if (Number.isSafeInteger(number)) return number;
      throw new CatalystError('InvalidResource', `The number ${value} is too large; use string() to keep it as text.`);
    }
    case 'object':
      return fromCelObject(value);
    default:
      throw new CatalystError('InvalidResource', `A value of type ${typeof value} cannot be used here.`);
  }
}

function fromCelObject(value: object | null): Json {
  if (value === null) return null;
  if (Array.isArray(value)) return value.map(fromCel);
  if (value instanceof Date) return value.toISOString();
  if (value instanceof Map) return Object.fromEntries([...value].map(([k, v]) => [String(k), fromCel(v)]));
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype === Object.prototype || prototype === null)
    return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, fromCel(v)]));
  throw new CatalystError(
    'InvalidResource',
    'The value is neither text, number, bool, time, list nor map; use string() to make it text.',
  );
}
