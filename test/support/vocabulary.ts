/**
 * Small stand-ins for facts and actions of the integrations, with their names and nearly their shapes, so that the catalog
 * is tested without any integration and with every kind of input.
 */
import Type, { type TObject, type TProperties } from 'typebox';
import type { Vocabulary } from '../../src/check/check.ts';
import type { ActionDefinition, Effect, FactDefinition, FactType, Json } from '../../src/integrations/contract.ts';

/** Answers of the facts by call, `openbao.status.sealed` or `prometheus.query("up")`; what is missing cannot be read. */
export type Answers = Readonly<Record<string, Json>>;

function fact(name: string, returns: FactType, example: Json, parameters?: string[]): [string, FactDefinition] {
  const definition: FactDefinition = {
    name,
    description: name,
    returns,
    example,
    read: () => Promise.reject(new Error('no answers were given')),
    ...(parameters
      ? {
          parameters: parameters.map((p) => {
            const [parameter = '', type = 'string'] = p.split(':');
            return { name: parameter, type: type as FactType, description: parameter };
          }),
        }
      : {}),
  };
  return [name, definition];
}

const facts = new Map([
  fact('openbao.status.sealed', 'bool', false),
  fact('openbao.status.sealedPods', 'int', 0),
  fact('openbao.unseal.shamir.shares.available', 'bool', true),
  fact('openbao.reachable', 'bool', true),
  fact('spire.server.healthy', 'bool', true),
  fact('prometheus.query', 'double', 0.5, ['expr']),
  fact('prometheus.queryOr', 'double', 0.5, ['expr', 'default:double']),
  fact('prometheus.count', 'int', 0, ['expr']),
  fact('alertmanager.firing', 'bool', true, ['fingerprint']),
  fact('alertmanager.silenced', 'bool', false, ['fingerprint']),
  fact('kubernetes.reachable', 'bool', true),
  fact('kubernetes.deployment', 'map<string, dyn>', { replicas: 3 }, ['namespace', 'name']),
  fact('kubernetes.pod', 'map<string, dyn>', { phase: 'Running' }, ['namespace', 'name']),
  fact('kubernetes.podsReady', 'int', 3, ['namespace', 'selector']),
  fact('kubernetes.pods', 'list<dyn>', [], ['namespace', 'selector']),
  fact('gitea.reachable', 'bool', true),
  fact('budget.spentRatio', 'double', 0.4, ['organization']),
]);

const text = (description: string) => Type.String({ description, minLength: 1 });
const optional = <T extends Parameters<typeof Type.Optional>[0]>(schema: T) => Type.Optional(schema);

interface Shape {
  effects: Effect[];
  positional?: string[];
  input: TProperties;
  example: string;
  undo?: boolean;
}

function action(name: string, { effects, positional, input, example, undo }: Shape): [string, ActionDefinition] {
  const schema: TObject = Type.Object(input, { additionalProperties: false });
  const definition: ActionDefinition = {
    name,
    description: name,
    input: schema,
    example,
    effects,
    effect: () => effects[0] ?? 'ReadOnly',
    idempotent: true,
    describe: () => name,
    capture: () => Promise.resolve(null),
    execute: () => Promise.resolve({ sentence: `${name} was done.`, result: null }),
    happened: () => Promise.resolve({ answer: 'unknown', sentence: 'Nobody knows.' }),
    ...(positional ? { positional } : {}),
    ...(undo ? { undo: (input) => ({ action: name, input }) } : {}),
  };
  return [name, definition];
}

const object = { kind: text('Kind.'), namespace: text('Namespace.'), name: text('Name.') };
const objectWords = ['kind', 'namespace', 'name'];
const replicas = Type.Union([Type.Integer({ minimum: 0 }), Type.String({ pattern: '^[+-][0-9]+$' })]);

const actions = new Map([
  action('kubernetes scale', {
    effects: ['ScaleUp', 'ScaleDown'],
    positional: objectWords,
    input: { ...object, replicas, max: optional(Type.Integer({ minimum: 1 })) },
    example: 'kubernetes scale Deployment shop cart --replicas +1 --max 10',
    undo: true,
  }),
  action('kubernetes restart', {
    effects: ['Restart'],
    positional: objectWords,
    input: object,
    example: 'kubernetes restart Deployment shop cart',
  }),
  action('kubernetes delete pod', {
    effects: ['Delete'],
    positional: ['namespace', 'name'],
    input: { namespace: object.namespace, name: object.name },
    example: 'kubernetes delete pod shop cart-0',
  }),
  action('kubernetes evict pod', {
    effects: ['Restart', 'Delete'],
    positional: ['namespace', 'name'],
    input: { namespace: object.namespace, name: object.name },
    example: 'kubernetes evict pod shop cart-0',
  }),
  action('kubernetes rollback deployment', {
    effects: ['Rollback'],
    positional: ['namespace', 'name'],
    input: { namespace: object.namespace, name: object.name, revision: optional(Type.Integer({ minimum: 1 })) },
    example: 'kubernetes rollback deployment shop cart --revision 3',
    undo: true,
  }),
  action('kubernetes patch', {
    effects: ['Change'],
    positional: objectWords,
    input: { ...object, patch: Type.Record(Type.String(), Type.Unknown()) },
    example: 'kubernetes patch Deployment shop cart',
    undo: true,
  }),
  action('kubernetes run job', {
    effects: ['Change'],
    positional: ['namespace', 'name'],
    input: { namespace: object.namespace, name: object.name, job: Type.Record(Type.String(), Type.Unknown()) },
    example: 'kubernetes run job shop rebuild',
  }),
  action('openbao operator unseal', {
    effects: ['Change'],
    input: { autoShamir: optional(Type.Boolean({ description: 'With the shares at hand.' })) },
    example: 'openbao operator unseal --auto-shamir',
  }),
  action('alertmanager silence', {
    effects: ['Notify'],
    input: { for: text('How long.'), comment: optional(text('Why.')) },
    example: 'alertmanager silence --for 10m',
  }),
  action('gitea dispatch', {
    effects: ['Change'],
    positional: ['repository', 'workflow'],
    input: {
      repository: text('ORG/REPO.'),
      workflow: text('File.'),
      ref: Type.String({ default: 'main' }),
      inputs: optional(Type.Record(Type.String(), Type.String())),
    },
    example: 'gitea dispatch acme/platform renew.yaml --ref main',
  }),
  action('http request', {
    effects: ['Change'],
    positional: ['method', 'url'],
    input: {
      method: Type.Union([Type.Literal('GET'), Type.Literal('POST'), Type.Literal('PUT'), Type.Literal('DELETE')]),
      url: Type.String({ pattern: '^https?://' }),
      header: optional(Type.Array(Type.String())),
      body: optional(Type.Unknown()),
    },
    example: 'http request POST https://example.org/',
  }),
  action('notify page', {
    effects: ['Notify'],
    input: { message: text('What to say.') },
    example: 'notify page --message "look"',
  }),
]);

/** The planned vocabulary, with facts answered from `answers`. */
export function vocabulary(answers: Answers = {}): Vocabulary {
  const answered = [...facts].map(([name, definition]): [string, FactDefinition] => [
    name,
    {
      ...definition,
      read: (_context, args) => {
        const call = definition.parameters ? `${name}(${args.map((a) => JSON.stringify(a)).join(', ')})` : name;
        const answer = answers[call];
        return answer === undefined ? Promise.reject(new Error(`${call} has no answer`)) : Promise.resolve(answer);
      },
    },
  ]);
  return { facts: new Map(answered), actions };
}
