/** What a CustomResourceDefinition says about its objects: pruning of unknown fields, defaults and validation. */
import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv';
import type { KubeObject, Tree } from './object.ts';
import { isTree } from './object.ts';
import type { ResourceType } from './resources.ts';
import { invalid } from './status.ts';

interface VersionSchema {
  schema: Tree | undefined;
  validate: ValidateFunction | undefined;
}

/** Schemas of the versions a definition serves. */
export class CustomSchema {
  readonly #versions = new Map<string, VersionSchema>();

  constructor(definition: KubeObject) {
    const spec = definition.spec as { versions?: { name: string; schema?: { openAPIV3Schema?: Tree } }[] };
    // Kubernetes' own keywords and formats (x-kubernetes-…, int64) are known to it and not to a JSON Schema validator.
    const ajv = new Ajv({ strict: false, allErrors: true, useDefaults: true, validateFormats: false, logger: false });
    for (const version of spec.versions ?? []) {
      const schema = version.schema?.openAPIV3Schema;
      this.#versions.set(version.name, { schema, validate: schema && ajv.compile(toJsonSchema(schema) as Tree) });
    }
  }

  /** Prunes and defaults the object in place; throws `Invalid` when it does not fit. */
  admit(type: ResourceType, object: KubeObject): void {
    const version = this.#versions.get(type.version);
    if (version?.schema) prune(object, version.schema, true);
    const validate: ((value: unknown) => unknown) & { errors?: ErrorObject[] | null } =
      version?.validate ?? (() => true);
    if (validate(object)) return;
    const errors = validate.errors ?? [];
    throw invalid(type.kind, type.group, object.metadata.name, errors.map(cause));
  }
}

/** OpenAPI's `nullable` and int-or-string, in JSON Schema's words. */
function toJsonSchema(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(toJsonSchema);
  if (!isTree(schema)) return schema;
  const result = Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, toJsonSchema(value)]));
  if (schema['x-kubernetes-int-or-string'] === true) delete result.type;
  if (schema.nullable === true && typeof schema.type === 'string') result.type = [schema.type, 'null'];
  delete result.nullable;
  return result;
}

function prune(value: unknown, schema: Tree, isRoot: boolean): void {
  if (Array.isArray(value)) {
    if (isTree(schema.items)) for (const item of value) prune(item, schema.items, false);
    return;
  }
  if (!isTree(value)) return;
  const properties = isTree(schema.properties) ? schema.properties : {};
  const additional = schema.additionalProperties;
  const keepsUnknown =
    schema['x-kubernetes-preserve-unknown-fields'] === true ||
    schema['x-kubernetes-embedded-resource'] === true ||
    additional === true;
  for (const [key, child] of Object.entries(value)) {
    if (isRoot && ['apiVersion', 'kind', 'metadata'].includes(key)) continue;
    const childSchema = properties[key] ?? (isTree(additional) ? additional : undefined);
    if (isTree(childSchema)) prune(child, childSchema, false);
    else if (!keepsUnknown) delete value[key];
  }
}

function cause(error: ErrorObject): { reason: string; message: string; field: string } {
  const path = error.instancePath
    .slice(1)
    .replace(/\/(\d+)/g, '[$1]')
    .replaceAll('/', '.');
  if (error.keyword === 'required') {
    const missing = String(error.params.missingProperty);
    return {
      reason: 'FieldValueRequired',
      message: 'Required value',
      field: path === '' ? missing : `${path}.${missing}`,
    };
  }
  const field = path === '' ? '<nil>' : path;
  if (error.keyword === 'enum') {
    const allowed = (error.params.allowedValues as unknown[]).map((value) => JSON.stringify(value)).join(', ');
    return { reason: 'FieldValueNotSupported', message: `Unsupported value: supported values: ${allowed}`, field };
  }
  const reason = error.keyword === 'type' ? 'FieldValueTypeInvalid' : 'FieldValueInvalid';
  return { reason, message: `Invalid value: ${error.message ?? error.keyword}`, field };
}
