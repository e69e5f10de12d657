/** How words and values become the typed input of an action. Pure. */
import type { TObject, TSchema } from 'typebox';
import type { ActionDefinition, Json } from '../integrations/contract.ts';
import { fits } from './schema.ts';

/** `--auto-shamir` is the property `autoShamir`. */
export function propertyOfFlag(flag: string): string {
  return flag.replaceAll(/-([a-z0-9])/g, (_all, c: string) => c.toUpperCase());
}

/** The property `autoShamir` is written `--auto-shamir`. */
export function flagOfProperty(property: string): string {
  return `--${property.replaceAll(/[A-Z]/g, (c) => `-${c.toLowerCase()}`)}`;
}

/** Schemas of an action's input by property name. */
export function propertiesOf(input: TObject): Readonly<Record<string, TSchema>> {
  return input.properties;
}

/** JSON types a schema accepts; empty when it accepts anything. */
export function typesOf(schema: TSchema): ReadonlySet<string> {
  const node = schema as { type?: string | string[]; anyOf?: TSchema[]; const?: unknown; enum?: unknown[] };
  if (node.anyOf) {
    const inner = node.anyOf.map(typesOf);
    return inner.some((t) => t.size === 0) ? new Set() : new Set(inner.flatMap((t) => [...t]));
  }
  if (node.type !== undefined) return new Set([node.type].flat());
  const constants = 'const' in node ? [node.const] : (node.enum ?? []);
  return new Set(constants.map((c) => typeof c));
}

/** A word of a command line as the type the schema wants: `3` is a number where a number may stand, `+1` stays text. */
export function coerce(value: Json, schema: TSchema): Json {
  const types = typesOf(schema);
  if (types.has('array') && !Array.isArray(value)) return [coerce(value, itemsOf(schema))];
  if (typeof value === 'number' || typeof value === 'boolean') {
    const fitting = [value, String(value)].find((candidate) => fits(schema, candidate));
    return fitting ?? value;
  }
  if (typeof value !== 'string') return value;
  const candidates: Json[] = [];
  // Where text may stand too, a sign means something to whoever wrote it: `-1` is one less.
  const number = types.has('string') ? /^(0|[1-9][0-9]*)(\.[0-9]+)?$/ : /^-?(0|[1-9][0-9]*)(\.[0-9]+)?$/;
  if ((types.has('integer') || types.has('number')) && number.test(value)) candidates.push(Number(value));
  if (types.has('boolean') && (value === 'true' || value === 'false')) candidates.push(value === 'true');
  // Where nothing fits, the number is what the complaint should be about.
  return (
    candidates.find((candidate) => fits(schema, candidate)) ?? (types.has('string') ? value : (candidates[0] ?? value))
  );
}

/** Schema of a list's entries. */
export function itemsOf(schema: TSchema): TSchema {
  return (schema as { items?: TSchema }).items ?? {};
}

/** The sentence that says why an expression's type can never fit, or undefined when it may. */
export function typeMismatch(type: string, schema: TSchema, fromWords: boolean): string | undefined {
  const types = typesOf(schema);
  if (type === 'dyn' || types.size === 0) return undefined;
  const json = jsonTypeOf(type);
  if (types.has(json) || (json === 'integer' && types.has('number'))) return undefined;
  if (fromWords && (types.has('array') || types.has('string')) && scalar.has(json)) return undefined;
  // A text that says a number or a bool becomes one, as a word of the line would.
  if (fromWords && json === 'string') return types.has('object') ? wanted(type, types) : undefined;
  return wanted(type, types);
}

const scalar = new Set(['string', 'integer', 'number', 'boolean']);

function jsonTypeOf(type: string): string {
  if (type === 'int' || type === 'uint') return 'integer';
  if (type === 'double') return 'number';
  if (type === 'bool') return 'boolean';
  if (type.startsWith('list')) return 'array';
  if (type.startsWith('map')) return 'object';
  return 'string';
}

function wanted(type: string, types: ReadonlySet<string>): string {
  return `is of type ${type}, and ${[...types].join(' or ')} is needed`;
}

/** The input with the schema's defaults where nothing was given. */
export function withDefaults(action: ActionDefinition, input: Record<string, Json>): Record<string, Json> {
  const filled = { ...input };
  for (const [name, schema] of Object.entries(propertiesOf(action.input))) {
    const fallback = (schema as { default?: Json }).default;
    if (!Object.hasOwn(filled, name) && fallback !== undefined) filled[name] = fallback;
  }
  return filled;
}
