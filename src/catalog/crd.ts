/**
 * CustomResourceDefinitions from the kinds' schemas. Kubernetes wants "structural" schemas: every node with a type, no
 * `const`, no `anyOf` that defines structure, no `additionalProperties: false`. No CEL rules, so that a 1.20 API server
 * takes them too; what a structural schema cannot say is said by the catalog, in the object's Ready condition.
 */
import type { TSchema } from 'typebox';
import { alertRuleKind } from './kinds/alert-rule.ts';
import { FailoverGroupStatus, failoverGroupKind } from './kinds/failover-group.ts';
import { runbookKind } from './kinds/runbook.ts';
import { serviceLevelObjectiveKind } from './kinds/service-level-objective.ts';
import { apiVersion, type Kind } from './resource.ts';
import { writeYaml } from './yaml-writer.ts';

/** The part of Kubernetes' JSONSchemaProps that is used. */
export interface StructuralSchema {
  description?: string;
  type?: string;
  format?: string;
  enum?: unknown[];
  pattern?: string;
  minLength?: number;
  maxLength?: number;
  minimum?: number;
  maximum?: number;
  minItems?: number;
  maxItems?: number;
  minProperties?: number;
  maxProperties?: number;
  properties?: Record<string, StructuralSchema>;
  required?: string[];
  items?: StructuralSchema;
  additionalProperties?: StructuralSchema;
  oneOf?: { required: string[] }[];
  'x-kubernetes-preserve-unknown-fields'?: true;
  'x-kubernetes-int-or-string'?: true;
  'x-kubernetes-list-type'?: 'map' | 'atomic';
  'x-kubernetes-list-map-keys'?: string[];
}

/** What is read of a JSON schema. */
interface JsonSchema {
  description?: string;
  type?: string;
  const?: unknown;
  enum?: unknown[];
  anyOf?: JsonSchema[];
  properties?: Record<string, JsonSchema>;
  required?: string[];
  items?: JsonSchema;
  patternProperties?: Record<string, JsonSchema>;
  additionalProperties?: JsonSchema | boolean;
}

/** Limits that mean the same in both. */
const limits = [
  ...(['pattern', 'minLength', 'maxLength', 'minimum', 'maximum', 'minItems', 'maxItems'] as const),
  ...(['minProperties', 'maxProperties'] as const),
];

/** The structural schema that accepts at least what the TypeBox schema accepts. */
export function toStructuralSchema(schema: TSchema): StructuralSchema {
  return structural(schema as JsonSchema);
}

function structural(schema: JsonSchema): StructuralSchema {
  const described = schema.description === undefined ? {} : { description: schema.description };
  if (schema.anyOf) return { ...described, ...union(schema.anyOf) };
  const values = 'const' in schema ? [schema.const] : schema.enum;
  if (values) return { ...described, type: typeof values[0], enum: values };
  if (schema.type === undefined) return { ...described, 'x-kubernetes-preserve-unknown-fields': true };
  const node: StructuralSchema = { ...described, type: schema.type };
  for (const limit of limits) if (limit in schema) Object.assign(node, { [limit]: schema[limit as keyof JsonSchema] });
  if (schema.items) node.items = structural(schema.items);
  if (schema.properties) {
    node.properties = Object.fromEntries(Object.entries(schema.properties).map(([k, v]) => [k, structural(v)]));
    if (schema.required?.length) node.required = [...schema.required];
  } else if (schema.type === 'object') node.additionalProperties = entriesOf(schema);
  return node;
}

/** A record's entries: the pattern of its keys cannot be said. */
function entriesOf(schema: JsonSchema): StructuralSchema {
  const [pattern] = Object.values(schema.patternProperties ?? {});
  const other = typeof schema.additionalProperties === 'object' ? schema.additionalProperties : undefined;
  return structural(pattern ?? other ?? {});
}

function union(branches: readonly JsonSchema[]): StructuralSchema {
  if (branches.every((b) => 'const' in b)) {
    const values = branches.map((b) => b.const);
    if (new Set(values.map((v) => typeof v)).size === 1) return { type: typeof values[0], enum: values };
  }
  const types = new Set(branches.map((b) => b.type));
  if (types.size === 1 && types.has('object') && branches.every((b) => b.properties)) return objectUnion(branches);
  const [only] = branches;
  if (types.size === 1 && only) return { ...structural(only) };
  if (types.size === 2 && types.has('integer') && types.has('string')) return { 'x-kubernetes-int-or-string': true };
  // A text or a list, say: there is no structural way to write that.
  return { 'x-kubernetes-preserve-unknown-fields': true };
}

/** One object with the fields of all branches, told apart by the first field each requires. */
function objectUnion(branches: readonly JsonSchema[]): StructuralSchema {
  const properties: Record<string, StructuralSchema> = {};
  for (const branch of branches)
    for (const [name, schema] of Object.entries(branch.properties ?? {})) properties[name] ??= structural(schema);
  const tags = branches.map((b) => b.required?.[0]).filter((t) => t !== undefined);
  const node: StructuralSchema = { type: 'object', properties };
  if (tags.length === branches.length && new Set(tags).size === tags.length)
    node.oneOf = tags.map((tag) => ({ required: [tag] }));
  return node;
}

/** A column of `kubectl get`; those with priority 1 only with `-o wide`. */
interface PrinterColumn {
  name: string;
  type: 'string' | 'date' | 'integer';
  jsonPath: string;
  description?: string;
  priority?: number;
}

const ready = (field: string) => `.status.conditions[?(@.type=="Ready")].${field}`;

interface ClusterKind {
  kind: Kind;
  columns: readonly PrinterColumn[];
  /** What its status says beside the conditions. */
  status?: TSchema;
}

/** Kinds that may live in a cluster, with the columns of theirs. */
const definitions: readonly ClusterKind[] = [
  {
    kind: runbookKind,
    columns: [{ name: 'Mode', type: 'string', jsonPath: '.spec.mode', description: 'How far it may go by itself.' }],
  },
  {
    kind: serviceLevelObjectiveKind,
    columns: [
      { name: 'Objective', type: 'string', jsonPath: '.spec.objective', description: 'Share that has to be good.' },
      { name: 'Service', type: 'string', jsonPath: '.spec.service', description: 'What it belongs to.' },
    ],
  },
  {
    kind: alertRuleKind,
    columns: [
      { name: 'Alert', type: 'string', jsonPath: '.spec.alert', description: 'Name of the alert.' },
      { name: 'Severity', type: 'string', jsonPath: '.spec.severity', description: 'Whom it wakes.' },
    ],
  },
  {
    kind: failoverGroupKind,
    status: FailoverGroupStatus,
    columns: [
      { name: 'Phase', type: 'string', jsonPath: '.status.phase', description: 'What it is in this region.' },
      { name: 'Holder', type: 'string', jsonPath: '.status.holder', description: 'Who holds the lease.' },
      { name: 'Epoch', type: 'integer', jsonPath: '.status.epoch', description: 'The newest epoch known here.' },
      { name: 'Mode', type: 'string', jsonPath: '.spec.mode', description: 'How far it may go by itself.' },
      { name: 'Regions', type: 'string', jsonPath: '.spec.regions', description: 'The two regions.', priority: 1 },
    ],
  },
];

/** Kinds the catalog may read from a cluster. FailoverGroup is not among them: the controllers read it, and say in its status what it is. */
export const clusterKinds: readonly Kind[] = definitions
  .map(({ kind }) => kind)
  .filter((kind) => kind !== failoverGroupKind);

const commonColumns: readonly PrinterColumn[] = [
  { name: 'Ready', type: 'string', jsonPath: ready('status'), description: 'Whether it is understood and in use.' },
  { name: 'Reason', type: 'string', jsonPath: ready('reason'), description: 'Why it is not.', priority: 1 },
  { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
];

const text = (description: string, maxLength: number): StructuralSchema => ({ description, type: 'string', maxLength });

const conditionSchema: StructuralSchema = {
  type: 'object',
  required: ['type', 'status', 'lastTransitionTime', 'reason', 'message'],
  properties: {
    type: text('Ready, or another of its kind.', 316),
    status: { description: 'True, False or Unknown.', type: 'string', enum: ['True', 'False', 'Unknown'] },
    observedGeneration: { description: 'Generation this was said of.', type: 'integer', format: 'int64', minimum: 0 },
    lastTransitionTime: { description: 'When status last changed.', type: 'string', format: 'date-time' },
    reason: text('One CamelCase word.', 1024),
    message: text('A sentence.', 32768),
  },
};

/** The fields a kind's status has of its own are all optional: a document that is refused has none of them. */
const statusSchema = (own: TSchema | undefined): StructuralSchema => ({
  description: 'What is made of it.',
  type: 'object',
  properties: {
    ...(own && toStructuralSchema(own).properties),
    observedGeneration: { description: 'Generation last looked at.', type: 'integer', format: 'int64', minimum: 0 },
    conditions: {
      description: 'Ready: whether it is understood and in use, and why not; others by kind.',
      type: 'array',
      maxItems: 16,
      items: conditionSchema,
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['type'],
    },
  },
});

/** The CustomResourceDefinition of a kind as an object. */
function crdOf({ kind, columns, status }: ClusterKind) {
  const [group = '', version = ''] = apiVersion.split('/');
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${kind.plural}.${group}`, labels: { 'app.kubernetes.io/part-of': 'catalyst-sre' } },
    spec: {
      group,
      names: {
        kind: kind.kind,
        listKind: `${kind.kind}List`,
        plural: kind.plural,
        singular: kind.kind.toLowerCase(),
        shortNames: [...kind.shortNames],
        categories: ['catalyst'],
      },
      scope: 'Namespaced',
      versions: [
        {
          name: version,
          served: true,
          storage: true,
          subresources: { status: {} },
          additionalPrinterColumns: [...columns, ...commonColumns],
          schema: {
            openAPIV3Schema: {
              description: kind.description,
              type: 'object',
              required: ['spec'],
              properties: {
                apiVersion: { type: 'string' },
                kind: { type: 'string' },
                metadata: { type: 'object' },
                spec: toStructuralSchema(kind.spec),
                status: statusSchema(status),
              },
            },
          },
        },
      ],
    },
  };
}

/** A file to be written. */
export interface RenderedFile {
  /** Relative to the directory chosen. */
  path: string;
  content: string;
}

/** One file for each CustomResourceDefinition, the same bytes whenever the kinds are the same. */
export function renderCrds(): RenderedFile[] {
  return definitions.map((definition) => {
    const { kind } = definition;
    const content = `# Generated by \`catalyst-sre render crds\` from src/catalog/kinds. Do not edit.\n${writeYaml(crdOf(definition))}`;
    return { path: `crd-${kind.plural}.yaml`, content };
  });
}
