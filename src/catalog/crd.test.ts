import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { load } from 'js-yaml';
import Type from 'typebox';
import { renderCrds, type StructuralSchema, toStructuralSchema } from './crd.ts';

// biome-ignore lint/suspicious/noExplicitAny: a definition, asserted on field by field.
type Definition = any;

/** Keywords Kubernetes 1.20's JSONSchemaProps knows and a structural schema may use at any node. */
const allowed = new Set([
  ...['description', 'type', 'format', 'enum', 'pattern', 'minLength', 'maxLength', 'minimum', 'maximum', 'minItems'],
  ...['maxItems', 'minProperties', 'maxProperties', 'properties', 'required', 'items', 'additionalProperties', 'oneOf'],
  ...[
    'x-kubernetes-preserve-unknown-fields',
    'x-kubernetes-int-or-string',
    'x-kubernetes-list-type',
    'x-kubernetes-list-map-keys',
  ],
]);

/** The rules of structural schemas, as Kubernetes' documentation of CustomResourceDefinitions lists them. */
function assertStructural(node: StructuralSchema, path: string): void {
  for (const key of Object.keys(node)) assert.ok(allowed.has(key), `${path} has ${key}`);
  const free = node['x-kubernetes-preserve-unknown-fields'] || node['x-kubernetes-int-or-string'];
  assert.ok(node.type !== undefined || free, `${path} has no type`);
  assert.ok(!(node.properties && node.additionalProperties), `${path} has properties and additionalProperties`);
  if (node.type === 'array') assert.ok(node.items, `${path} has no items`);
  for (const branch of node.oneOf ?? []) assert.deepEqual(Object.keys(branch), ['required'], path);
  for (const name of node.required ?? []) assert.ok(node.properties?.[name], `${path} requires ${name}`);
  for (const [name, child] of Object.entries(node.properties ?? {})) assertStructural(child, `${path}.${name}`);
  if (node.items) assertStructural(node.items, `${path}[]`);
  if (node.additionalProperties) assertStructural(node.additionalProperties, `${path}{}`);
}

describe('the CRD of Runbook', () => {
  const [file] = renderCrds();
  const crd = load(file?.content ?? '') as Definition;
  const [version] = crd.spec.versions;

  it('has a structural schema', () => assertStructural(version.schema.openAPIV3Schema, 'Runbook'));

  it('shows mode, readiness and age, has a status with conditions, and belongs to the category catalyst', () => {
    const columns = version.additionalPrinterColumns.map((c: { name: string; priority?: number }) => [
      c.name,
      c.priority ?? 0,
    ]);
    assert.deepEqual(columns, [
      ['Mode', 0],
      ['Ready', 0],
      ['Reason', 1],
      ['Age', 0],
    ]);
    assert.deepEqual(version.subresources, { status: {} });
    const { conditions } = version.schema.openAPIV3Schema.properties.status.properties;
    assert.equal(conditions['x-kubernetes-list-type'], 'map');
    assert.deepEqual(conditions['x-kubernetes-list-map-keys'], ['type']);
    assert.equal(crd.metadata.name, 'runbooks.catalyst.openova.io');
    assert.deepEqual(
      [crd.spec.names.shortNames, crd.spec.names.categories, crd.spec.scope],
      [['rb'], ['catalyst'], 'Namespaced'],
    );
  });

  it('tells the four kinds of steps apart and leaves only the rollback and free values open', () => {
    const { spec } = version.schema.openAPIV3Schema.properties;
    const step = spec.properties.steps.items;
    assert.deepEqual(step.oneOf, [
      { required: ['run'] },
      { required: ['verify'] },
      { required: ['wait'] },
      { required: ['approve'] },
    ]);
    assert.deepEqual(spec.properties.mode.enum, ['Suggest', 'Approval', 'Automatic']);
    const open: string[] = [];
    const visit = (node: StructuralSchema, path: string): void => {
      if (node['x-kubernetes-preserve-unknown-fields']) open.push(path);
      for (const [name, child] of Object.entries(node.properties ?? {})) visit(child, `${path}.${name}`);
      if (node.items) visit(node.items, `${path}[]`);
      if (node.additionalProperties) visit(node.additionalProperties, `${path}{}`);
    };
    visit(spec, 'spec');
    assert.deepEqual(open, [
      'spec.inputs{}.default',
      'spec.steps[].with{}',
      'spec.steps[].undo.with{}',
      'spec.rollback',
    ]);
  });

  it('is the same bytes every time', () => assert.deepEqual(renderCrds(), renderCrds()));
});

describe('toStructuralSchema', () => {
  const cases: [string, Parameters<typeof toStructuralSchema>[0], StructuralSchema][] = [
    ['a literal', Type.Literal('a'), { type: 'string', enum: ['a'] }],
    ['int or string', Type.Union([Type.Integer(), Type.String()]), { 'x-kubernetes-int-or-string': true }],
    ['anything', Type.Unknown(), { 'x-kubernetes-preserve-unknown-fields': true }],
    [
      'a record',
      Type.Record(Type.String(), Type.Integer()),
      { type: 'object', additionalProperties: { type: 'integer' } },
    ],
    [
      'an object that takes nothing else',
      Type.Object({ a: Type.Optional(Type.Boolean()) }, { additionalProperties: false }),
      { type: 'object', properties: { a: { type: 'boolean' } } },
    ],
  ];
  for (const [what, schema, expected] of cases) it(what, () => assert.deepEqual(toStructuralSchema(schema), expected));
});

describe('the CRD of FailoverGroup', () => {
  const file = renderCrds().find(({ path }) => path === 'crd-failovergroups.yaml');
  const [version] = (load(file?.content ?? '') as Definition).spec.versions;

  it('has a status of its own beside the conditions, all of it optional, and shows it', () => {
    const { status } = version.schema.openAPIV3Schema.properties;
    assertStructural(version.schema.openAPIV3Schema, 'FailoverGroup');
    assert.deepEqual(Object.keys(status.properties).sort(), [
      ...['components', 'conditions', 'epoch', 'gates', 'holder', 'observedGeneration', 'phase'],
    ]);
    assert.equal(status.required, undefined);
    const paths = version.additionalPrinterColumns.map(({ jsonPath }: { jsonPath: string }) => jsonPath);
    for (const path of ['.status.phase', '.status.holder', '.status.epoch']) assert.ok(paths.includes(path), path);
  });
});
