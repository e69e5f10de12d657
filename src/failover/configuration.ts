/** The configuration of `catalyst-sre failover`: one schema for the type, the validation and the reference. */
import Type, { type Static } from 'typebox';
import { KubernetesConfig } from '../integrations/kubernetes/schema.ts';
import { PrometheusConfig } from '../integrations/prometheus/schema.ts';
import { secretProperties } from '../integrations/secrets.ts';
import { logLevels } from '../telemetry/log.ts';

const strict = { additionalProperties: false } as const;
const maybe = Type.Optional;
const name = (description: string, example: string) =>
  Type.String({ description, pattern: '^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$', maxLength: 253, examples: [example] });
const path = (description: string, example: string) =>
  Type.String({ description, minLength: 1, maxLength: 4096, examples: [example] });
const address = (description: string, example: string, more: object = {}) =>
  Type.String({
    description,
    pattern: '^(\\[[0-9a-fA-F:]+\\]|[^:\\s]+):[0-9]{1,5}$',
    maxLength: 300,
    examples: [example],
    ...more,
  });

const Token = Type.Object(
  {
    name: name('Who uses it, as the record shows it. In mode Manual two different ones have to approve.', 'anna'),
    ...secretProperties('token', 'the token'),
  },
  { ...strict, description: 'A bearer token for status and commands: exactly one of tokenFile, tokenEnv.' },
);

const Password = Type.Object(
  { component: name('Name of the component.', 'cache'), ...secretProperties('password', 'its password') },
  { ...strict, description: 'The password of a component that is spoken to directly (Valkey).' },
);

export const baseProperties = {
  region: name('Cluster name of the region this runs in.', 'hz-fsn-rtz-prod'),
  listen: address('Where gates, metrics and the API are served.', '0.0.0.0:8480', { default: '127.0.0.1:8480' }),
  dataDir: path('Folder of the record; on a disk that outlives the pod.', '/var/lib/catalyst-sre-failover'),
  logLevel: Type.Unsafe<(typeof logLevels)[number]>(
    Type.String({ enum: [...logLevels], description: 'What is logged.', default: 'info' }),
  ),
  groups: Type.Array(path('File of FailoverGroup documents, beside this one or absolute.', 'groups/orders.yaml'), {
    description: 'Files with the groups this controller keeps. The same files in both regions.',
    minItems: 1,
    maxItems: 256,
  }),
  tokens: Type.Array(Token, { description: 'Who may ask and command.', maxItems: 64, default: [] }),
  passwords: Type.Array(Password, { description: 'Passwords of components.', maxItems: 64, default: [] }),
  kubernetes: maybe(KubernetesConfig),
  prometheus: maybe(PrometheusConfig),
};

const BaseConfiguration = Type.Object(baseProperties, strict);
export type BaseConfiguration = Static<typeof BaseConfiguration>;
