/** Validation against a schema, told in sentences that say where and what to do. */
import Ajv, { type ErrorObject, type ValidateFunction } from 'ajv';
import type { TSchema } from 'typebox';
import { didYouMean } from '../check/nearest.ts';

export type Path = readonly (string | number)[];

export interface SchemaProblem {
  rule: 'unknown-field' | 'missing-field' | 'wrong-type' | 'wrong-value';
  sentence: string;
  path: Path;
  /** True when the key itself is wrong, not its value. */
  atKey: boolean;
}

/** What is looked at of a JSON schema. */
interface SchemaNode {
  type?: string;
  const?: unknown;
  enum?: unknown[];
  anyOf?: SchemaNode[];
  properties?: Record<string, SchemaNode>;
  required?: string[];
  examples?: unknown[];
}

// Optimizing the generated code takes longer than it saves: a document is checked once, and a command ends in a second.
const ajv = new Ajv.default({
  allErrors: true,
  verbose: true,
  strict: false,
  validateSchema: false,
  code: { optimize: false },
});
const compiled = new WeakMap<object, ValidateFunction>();

function validator(schema: object): ValidateFunction {
  let found = compiled.get(schema);
  if (!found) {
    found = ajv.compile(schema);
    compiled.set(schema, found);
  }
  return found;
}

/** More than this nobody reads, and a hostile document could produce any number. */
const maxProblems = 50;

/** True when the value fits the schema. */
export function fits(schema: TSchema | object, value: unknown): boolean {
  return validator(schema)(value) === true;
}

/** Everything that is wrong with a value; empty when it fits. */
export function validate(schema: TSchema | object, value: unknown, path: Path = []): SchemaProblem[] {
  const check = validator(schema);
  if (check(value)) return [];
  const errors = [...(check.errors ?? [])];
  const unions = errors.filter((e) => e.keyword === 'anyOf');
  // What the branches of a union say is told by the branch that was meant, below.
  const own = errors.filter((e) => !unions.some((u) => u !== e && isInside(e, u)));
  const problems = own.slice(0, maxProblems).flatMap((e) => {
    const at = [...path, ...pointer(e.instancePath)];
    return e.keyword === 'anyOf' ? union(e.parentSchema as SchemaNode, e.data, at) : describe(e, at);
  });
  return problems.slice(0, maxProblems);
}

function isInside(error: ErrorObject, union: ErrorObject): boolean {
  return error.schemaPath.startsWith(`${union.schemaPath}/`) && error.instancePath.startsWith(union.instancePath);
}

function pointer(text: string): (string | number)[] {
  if (text === '') return [];
  return text
    .slice(1)
    .split('/')
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    .map((part) => (/^(0|[1-9][0-9]*)$/.test(part) ? Number(part) : part));
}

/** `steps[0].run`, for sentences. */
export function pathText(path: Path): string {
  let text = '';
  for (const part of path) text += typeof part === 'number' ? `[${part}]` : text ? `.${part}` : part;
  return text;
}

function problem(rule: SchemaProblem['rule'], path: Path, sentence: string, atKey = false): SchemaProblem {
  return { rule, path, sentence, atKey };
}

function describe(error: ErrorObject, path: Path): SchemaProblem[] {
  const schema = error.parentSchema as SchemaNode;
  const name = pathText(path) || 'The document';
  const limit = error.params.limit as number;
  const field = (rule: SchemaProblem['rule'], sentence: string) => [problem(rule, path, `${name} ${sentence}`)];
  switch (error.keyword) {
    case 'additionalProperties':
      return [unknownField(error.params.additionalProperty as string, schema, path)];
    case 'required':
      return field('missing-field', `needs the field ${error.params.missingProperty}.`);
    case 'type':
      return field(
        'wrong-type',
        `must be ${article(error.params.type as string)}, not ${kindOf(error.data)}.${forExample(schema)}`,
      );
    case 'const':
    case 'enum':
      return field('wrong-value', `must be ${choices(schema)}.${hint(error.data, schema)}`);
    case 'pattern':
      return field('wrong-value', `does not have the right form: ${short(error.data)}.${forExample(schema)}`);
    case 'minLength':
      return field('wrong-value', 'must not be empty.');
    case 'maxLength':
      return field('wrong-value', `is too long: at most ${limit} characters.`);
    case 'minItems':
    case 'minProperties':
      return field('wrong-value', `needs at least ${limit} ${limit === 1 ? 'entry' : 'entries'}.`);
    case 'maxItems':
    case 'maxProperties':
      return field('wrong-value', `has too many entries: at most ${limit}.`);
    case 'minimum':
      return field('wrong-value', `must be ${limit} or more, not ${short(error.data)}.`);
    case 'maximum':
      return field('wrong-value', `must be ${limit} or less, not ${short(error.data)}.`);
    default:
      return field('wrong-value', `${error.message ?? 'is not allowed'}.`);
  }
}

function unknownField(field: string, schema: SchemaNode, path: Path): SchemaProblem {
  const names = Object.keys(schema.properties ?? {});
  const where = path.length > 0 ? ` in ${pathText(path)}` : '';
  const hint = didYouMean(field, names) || (names.length > 0 ? ` There are ${names.join(', ')}.` : '');
  return problem('unknown-field', [...path, field], `There is no field ${short(field)}${where}.${hint}`, true);
}

/** A value that fits no branch of a union: told by the branch its author meant. */
function union(schema: SchemaNode, data: unknown, path: Path): SchemaProblem[] {
  const branches = schema.anyOf ?? [];
  const name = pathText(path) || 'The document';
  if (branches.every((b) => 'const' in b)) {
    const options: SchemaNode = { enum: branches.map((b) => b.const) };
    return [problem('wrong-value', path, `${name} must be ${choices(options)}.${hint(data, options)}`)];
  }
  const same = branches.filter(
    (b) => b.type === jsonType(data) || (b.type === 'integer' && jsonType(data) === 'number'),
  );
  if (same.length === 0) {
    const wanted = branches.map((b) => article(b.type ?? 'value')).join(' or ');
    return [problem('wrong-type', path, `${name} must be ${wanted}, not ${kindOf(data)}.`)];
  }
  if (jsonType(data) !== 'object' || same.length === 1) return same[0] ? validate(same[0], data, path) : [];
  return objectUnion(same, data as Record<string, unknown>, path, name);
}

function objectUnion(branches: readonly SchemaNode[], data: Record<string, unknown>, path: Path, name: string) {
  const tags = branches.map((b) => b.required?.[0] ?? '');
  const present = branches.filter((b) => Object.hasOwn(data, b.required?.[0] ?? ''));
  const [meant, second] = present;
  if (meant && !second) return validate(meant, data, path);
  if (meant) {
    const both = present.map((b) => b.required?.[0]).join(' and ');
    return [
      problem(
        'wrong-value',
        path,
        `${name} has ${both}. Exactly one of ${tags.join(', ')} is needed: make it two entries.`,
      ),
    ];
  }
  const near = Object.keys(data)
    .map((key) => didYouMean(key, tags))
    .find((text) => text !== '');
  return [problem('missing-field', path, `${name} needs exactly one of ${tags.join(', ')}.${near ?? ''}`)];
}

function jsonType(value: unknown): string {
  return value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value;
}

const articles: Record<string, string> = {
  string: 'a text',
  integer: 'a whole number',
  number: 'a number',
  boolean: 'true or false',
  object: 'a map of fields',
  array: 'a list',
  null: 'empty',
};

function article(type: string): string {
  return articles[type] ?? type;
}

function kindOf(value: unknown): string {
  const type = jsonType(value);
  if (type === 'null') return 'empty';
  return type === 'string' || type === 'number' || type === 'boolean'
    ? `${type === 'string' ? 'the text ' : ''}${short(value)}`
    : article(type);
}

function short(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

function choices(schema: SchemaNode): string {
  const values = schema.enum ?? [schema.const];
  return values.length === 1 ? short(values[0]) : `one of ${values.map((v) => String(v)).join(', ')}`;
}

function hint(data: unknown, schema: SchemaNode): string {
  return typeof data === 'string' ? didYouMean(data, (schema.enum ?? []).map(String)) : '';
}

function forExample(schema: SchemaNode): string {
  const example = schema.examples?.[0];
  return example === undefined ? '' : ` Write for instance ${String(example)}.`;
}
