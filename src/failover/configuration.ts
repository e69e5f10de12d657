/** The configuration of `catalyst-sre failover`: one schema for the type, the validation and the reference. */
import Type, { type Static } from 'typebox';
import { KubernetesConfig } from '../integrations/kubernetes/schema.ts';
import { PrometheusConfig } from '../integrations/prometheus/schema.ts';
import { secretProperties } from '../integrations/secrets.ts';
import { logLevels } from '../telemetry/log.ts';
import { PeerConfig, ResolversConfig } from './resolvers/config.ts';
import { regionKeyProperties, WitnessConfig, witnessProblems } from './witness/config.ts';
import { labelPattern } from './witness/lease-text.ts';

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
  {
    ...strict,
    description:
      'The password of a component that is spoken to directly: of Valkey; of ClickHouse, OpenSearch, Neo4j and Harbor as "user:password".',
  },
);

const GateKey = Type.Object(
  { group: name('Name of the group.', 'orders'), ...secretProperties('key', 'its keys, one a line') },
  {
    ...strict,
    description:
      'What gates of a group know their controller by (`catalyst-sre gate --key-file`). The first line signs; a gate takes an answer signed by any of its lines.',
  },
);

export const FailoverConfiguration = Type.Object(
  {
    region: Type.String({
      description: 'Cluster name of the region this runs in.',
      pattern: labelPattern.source,
      examples: ['hz-fsn-rtz-prod'],
    }),
    listen: address('Where gates, metrics and the API are served.', '0.0.0.0:8480', { default: '127.0.0.1:8480' }),
    dataDir: path('Folder of the record; on a disk that outlives the pod.', '/var/lib/catalyst-sre-failover'),
    logLevel: Type.Unsafe<(typeof logLevels)[number]>(
      Type.String({ enum: [...logLevels], description: 'What is logged.', default: 'info' }),
    ),
    groups: Type.Array(path('File of FailoverGroup documents, beside this one or absolute.', 'groups/orders.yaml'), {
      description: 'Files with the groups this controller keeps. The same files in both regions.',
      maxItems: 256,
      default: [],
    }),
    clusterGroups: maybe(
      Type.Object(
        { namespace: name('The one namespace whose FailoverGroups are kept.', 'catalyst-failover') },
        {
          ...strict,
          description:
            'Keeps the FailoverGroup objects of the cluster as well; the same objects in both regions. Their status is written, and never read.',
        },
      ),
    ),
    tokens: Type.Array(Token, { description: 'Who may ask and command.', maxItems: 64, default: [] }),
    passwords: Type.Array(Password, { description: 'Passwords of components.', maxItems: 64, default: [] }),
    gateKeys: Type.Array(GateKey, { description: 'Keys of gates.', maxItems: 256, default: [] }),
    ...regionKeyProperties,
    witnesses: Type.Array(WitnessConfig, {
      description: 'What keeps the leases, outside both regions.',
      minItems: 1,
      maxItems: 16,
    }),
    peer: maybe(PeerConfig),
    resolvers: maybe(ResolversConfig),
    kubernetes: maybe(KubernetesConfig),
    prometheus: maybe(PrometheusConfig),
  },
  { ...strict, title: 'Configuration of `catalyst-sre failover`' },
);
export type FailoverConfiguration = Static<typeof FailoverConfiguration>;

/** What holds between fields, by path: said in the words of the rule it breaks. */
export function configurationProblems(
  config: FailoverConfiguration,
): { path: (string | number)[]; sentence: string }[] {
  const problems: { path: (string | number)[]; sentence: string }[] = [];
  const signs = config.privateKeyFile !== undefined || config.privateKeyEnv !== undefined;
  for (const sentence of witnessProblems(config.witnesses)) problems.push({ path: ['witnesses'], sentence });
  if (!signs && config.witnesses.some(({ http }) => http !== undefined))
    problems.push({
      path: ['witnesses'],
      sentence: 'A witness of ours knows regions by their keys: set "privateKeyFile".',
    });
  if (config.peer && !signs)
    problems.push({ path: ['peer'], sentence: 'Messages to the peer are signed: set "privateKeyFile".' });
  if (config.resolvers && !config.peer)
    problems.push({ path: ['resolvers'], sentence: 'Resolvers are asked about the other region: set "peer".' });
  if (config.groups.length === 0 && !config.clusterGroups)
    problems.push({ path: ['groups'], sentence: 'There is nothing to keep: set "groups" or "clusterGroups".' });
  if (config.clusterGroups && !config.kubernetes)
    problems.push({
      path: ['clusterGroups'],
      sentence: 'Groups are to be read from the cluster, and no cluster is configured: set "kubernetes".',
    });
  if (config.peer?.region === config.region)
    problems.push({ path: ['peer', 'region'], sentence: 'The peer is this very region.' });
  for (const [i, token] of config.tokens.entries())
    if (Number('tokenFile' in token) + Number('tokenEnv' in token) !== 1)
      problems.push({ path: ['tokens', i], sentence: `Token ${token.name} needs exactly one of tokenFile, tokenEnv.` });
  for (const [i, key] of config.gateKeys.entries())
    if (Number('keyFile' in key) + Number('keyEnv' in key) !== 1)
      problems.push({
        path: ['gateKeys', i],
        sentence: `The key of ${key.group} needs exactly one of keyFile, keyEnv.`,
      });
  return problems;
}
