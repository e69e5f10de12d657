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

const Witness = Type.Object(
  {
    name: name('Name of the witness, as groups call it.', 'worker'),
    http: maybe(
      Type.Object(
        {
          url: Type.String({
            description: 'Its URL.',
            pattern: '^https?://',
            maxLength: 2048,
            examples: ['https://witness.acme.example'],
          }),
          caFile: maybe(
            path('Certificate authority (PEM), where it is none of the system.', '/etc/catalyst-sre/witness-ca.pem'),
          ),
        },
        {
          ...strict,
          description: '`catalyst-sre witness`, or the Worker of `deploy/witness-cloudflare`. Needs identity.keyFile.',
        },
      ),
    ),
    etcd: maybe(
      Type.Object(
        {
          url: Type.String({
            description: 'Its client URL.',
            pattern: '^https?://',
            maxLength: 2048,
            examples: ['https://etcd.third.example:2379'],
          }),
          caFile: maybe(path('Certificate authority (PEM).', '/etc/catalyst-sre/etcd-ca.pem')),
          prefix: Type.String({
            description: 'Keys begin with it.',
            maxLength: 128,
            default: '/catalyst-sre/failover/',
          }),
        },
        { ...strict, description: 'etcd 3.4 or newer, outside both regions.' },
      ),
    ),
  },
  { ...strict, description: 'A witness: exactly one of http, etcd.' },
);

export const FailoverConfiguration = Type.Object(
  {
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
    witnesses: Type.Array(Witness, {
      description: 'What keeps the leases, outside both regions.',
      minItems: 1,
      maxItems: 16,
    }),
    identity: maybe(
      Type.Object(
        { keyFile: path('File with the Ed25519 private key of this region (PEM).', '/etc/catalyst-sre/region.pem') },
        { ...strict, description: 'Who this region is, to witnesses.' },
      ),
    ),
    kubernetes: maybe(KubernetesConfig),
    prometheus: maybe(PrometheusConfig),
  },
  { ...strict, title: 'Configuration of `catalyst-sre failover`' },
);
export type FailoverConfiguration = Static<typeof FailoverConfiguration>;
export type WitnessConfiguration = FailoverConfiguration['witnesses'][number];

/** What holds between fields, by path: said in the words of the rule it breaks. */
export function configurationProblems(
  config: FailoverConfiguration,
): { path: (string | number)[]; sentence: string }[] {
  const problems: { path: (string | number)[]; sentence: string }[] = [];
  const names = new Set<string>();
  for (const [i, witness] of config.witnesses.entries()) {
    const at = ['witnesses', i];
    if (names.has(witness.name))
      problems.push({ path: [...at, 'name'], sentence: `The name "${witness.name}" is used twice.` });
    names.add(witness.name);
    if (Number(witness.http !== undefined) + Number(witness.etcd !== undefined) !== 1)
      problems.push({ path: at, sentence: `Witness ${witness.name} needs exactly one of http, etcd.` });
    if (witness.http && config.identity === undefined)
      problems.push({
        path: at,
        sentence: `Witness ${witness.name} knows regions by their keys: set "identity.keyFile".`,
      });
  }
  for (const [i, token] of config.tokens.entries())
    if (Number('tokenFile' in token) + Number('tokenEnv' in token) !== 1)
      problems.push({ path: ['tokens', i], sentence: `Token ${token.name} needs exactly one of tokenFile, tokenEnv.` });
  return problems;
}
