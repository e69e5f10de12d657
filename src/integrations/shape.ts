/** Whether a value has the shape that a schema asks for: input of actions, and answers of other systems. */
import Ajv, { type ValidateFunction } from 'ajv';
import type { Static, TSchema } from 'typebox';

const ajv = new Ajv.default({ strict: false, validateSchema: false });
/** A schema is compiled when it is first asked for: most commands never carry an action out. */
const compiled = new WeakMap<TSchema, ValidateFunction>();

/** @returns what does not fit, e.g. `/replicas must be integer`; undefined when the value fits. */
export function mismatch(schema: TSchema, value: unknown): string | undefined {
  let check = compiled.get(schema);
  if (!check) {
    check = ajv.compile(schema);
    compiled.set(schema, check);
  }
  if (check(value)) return undefined;
  return ajv.errorsText(check.errors, { dataVar: '' });
}

export function hasShape<Schema extends TSchema>(schema: Schema, value: unknown): value is Static<Schema> {
  return mismatch(schema, value) === undefined;
}
