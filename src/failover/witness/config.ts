/** Configuration of witnesses: one schema for the type, the validation and the reference. */
import Type, { type Static } from 'typebox';
import { KubernetesConfig } from '../../integrations/kubernetes/schema.ts';
import { secretProperties } from '../../integrations/secrets.ts';
import { publicKeyPattern } from '../keys.ts';

const strict = { additionalProperties: false } as const;
const maybe = Type.Optional;
const label = (description: string, example: string) =>
  Type.String({ description, pattern: '^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$', examples: [example] });
const url = (description: string, example: string) =>
  Type.String({ description, pattern: '^https?://[^\\s@]+$', maxLength: 2048, examples: [example] });
const file = (description: string, example: string) =>
  Type.String({ description, minLength: 1, maxLength: 4096, examples: [example] });
const authority = maybe(
  file('File with the certificate authority of the server (PEM).', '/etc/catalyst-sre/witness-ca.pem'),
);

const Http = Type.Object(
  {
    url: url('Address of a `catalyst-sre witness` or of the Cloudflare Worker.', 'https://witness.example'),
    caFile: authority,
  },
  { ...strict, description: 'Our own witness, or the Cloudflare Worker of deploy/witness-cloudflare.' },
);

const S3 = Type.Object(
  {
    url: url('Address of the store; the bucket is part of the path.', 'https://s3.eu-central-1.amazonaws.com'),
    bucket: Type.String({
      description: 'Bucket.',
      pattern: '^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$',
      examples: ['acme-leases'],
    }),
    region: Type.String({ description: 'Region for signatures.', minLength: 1, maxLength: 64, default: 'us-east-1' }),
    prefix: Type.String({
      description: 'Keys begin with it.',
      pattern: '^[A-Za-z0-9/_-]*$',
      maxLength: 200,
      default: 'failover/',
    }),
    ...secretProperties('accessKeyId', 'the access key id'),
    ...secretProperties('secretAccessKey', 'the secret access key'),
    caFile: authority,
  },
  { ...strict, description: 'A bucket of a store with conditional writes.' },
);

const Etcd = Type.Object(
  {
    url: url('Client URL of etcd 3.4 or newer.', 'https://etcd.third.example:2379'),
    prefix: Type.String({ description: 'Keys begin with it.', maxLength: 200, default: 'catalyst/failover/' }),
    username: maybe(
      Type.String({ description: 'User, where etcd has authentication on.', minLength: 1, maxLength: 256 }),
    ),
    ...secretProperties('password', 'its password'),
    caFile: authority,
    certFile: maybe(file('File with a client certificate (PEM).', '/etc/catalyst-sre/etcd.crt')),
    keyFile: maybe(file('File with its key (PEM).', '/etc/catalyst-sre/etcd.key')),
  },
  { ...strict, description: 'An etcd cluster in a third place.' },
);

const Kubernetes = Type.Object(
  {
    cluster: KubernetesConfig,
    namespace: label('Namespace of the Leases; it must exist.', 'catalyst-failover'),
  },
  { ...strict, description: 'A Lease per group in a third cluster.' },
);

const Postgres = Type.Object(
  { ...secretProperties('url', 'the PostgreSQL URL'), caFile: authority },
  { ...strict, description: 'A table in a PostgreSQL server in a third place: exactly one of urlFile, urlEnv.' },
);

const Dns = Type.Object(
  {
    server: Type.String({
      description: 'Address of the primary of the zone.',
      minLength: 1,
      maxLength: 300,
      examples: ['192.0.2.53'],
    }),
    zone: Type.String({
      description: 'Zone that holds the records.',
      pattern: '^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$',
      maxLength: 200,
      examples: ['lease.example'],
    }),
    keyName: Type.String({
      description: 'Name of the TSIG key, hmac-sha256.',
      minLength: 1,
      maxLength: 253,
      examples: ['hz-fsn'],
    }),
    ...secretProperties('keySecret', 'its secret in base64'),
  },
  { ...strict, description: 'The primary of a DNS zone, by RFC 2136.' },
);

/** The stores by the key that names them in a configuration. */
const stores = {
  http: maybe(Http),
  s3: maybe(S3),
  etcd: maybe(Etcd),
  kubernetes: maybe(Kubernetes),
  postgres: maybe(Postgres),
  dns: maybe(Dns),
};
export const storeKinds = Object.keys(stores) as readonly (keyof typeof stores)[];

export const WitnessConfig = Type.Object(
  { name: label('Name of the witness, as groups refer to it.', 'cloudflare'), ...stores },
  { ...strict, description: `A witness: exactly one of ${storeKinds.join(', ')}.` },
);
export type WitnessConfig = Static<typeof WitnessConfig>;

/** What signs for this region: spread into the configuration of the controller. */
export const regionKeyProperties = secretProperties(
  'privateKey',
  'the private key of this region (catalyst-sre witness key)',
);

/** For `catalyst-sre witness check`: the part of a controller's configuration that is about witnesses. */
export const WitnessCheckConfig = Type.Object(
  {
    region: label('Name of this region.', 'hz-fsn-rtz-prod'),
    ...regionKeyProperties,
    witnesses: Type.Array(WitnessConfig, {
      description: 'One witness, or three for a majority.',
      minItems: 1,
      maxItems: 16,
    }),
  },
  { description: 'Witnesses and the key of this region. A configuration of catalyst-sre failover is one.' },
);
export type WitnessCheckConfig = Static<typeof WitnessCheckConfig>;

const Region = Type.Object(
  {
    name: label('Name of the region.', 'hz-fsn-rtz-prod'),
    publicKey: Type.String({
      description: 'Its public key, as `catalyst-sre witness key` prints it.',
      pattern: publicKeyPattern,
    }),
    groups: maybe(
      Type.Array(label('A failover group.', 'orders'), {
        description: 'Groups it may read and write; without this all.',
        maxItems: 10_000,
      }),
    ),
  },
  { ...strict, description: 'A region that may come in.' },
);

/** For `catalyst-sre witness`: our own service. */
export const WitnessServiceConfig = Type.Object(
  {
    regions: Type.Array(Region, { description: 'Who may come in.', minItems: 1, maxItems: 1_000 }),
    maxClockSkewSeconds: Type.Integer({
      description: 'How far the clocks of a region and of the witness may be apart.',
      minimum: 1,
      maximum: 86_400,
      default: 300,
    }),
    tls: maybe(
      Type.Object(
        {
          certFile: file('File with the certificate and its chain (PEM).', '/etc/catalyst-sre/witness.crt'),
          keyFile: file('File with its key (PEM).', '/etc/catalyst-sre/witness.key'),
        },
        { ...strict, description: 'TLS. Without it plain HTTP: for loopback, or behind something that encrypts.' },
      ),
    ),
  },
  { ...strict, description: 'Configuration of catalyst-sre witness.' },
);
export type WitnessServiceConfig = Static<typeof WitnessServiceConfig>;

/** What holds between the fields of witnesses, as sentences; empty when all is well. */
export function witnessProblems(witnesses: readonly WitnessConfig[]): string[] {
  const problems: string[] = [];
  const names = witnesses.map(({ name }) => name);
  for (const [i, name] of names.entries())
    if (names.indexOf(name) !== i) problems.push(`The name "${name}" is used for two witnesses.`);
  const places = new Map<string, string>();
  for (const witness of witnesses) {
    const given = storeKinds.filter((kind) => witness[kind] !== undefined);
    if (given.length !== 1)
      problems.push(
        `Witness "${witness.name}" needs exactly one of ${storeKinds.join(', ')}${given.length === 0 ? '' : `, and has ${given.join(' and ')}`}.`,
      );
    problems.push(...storeProblems(witness));
    const place = placeOf(witness);
    const other = place === undefined ? undefined : places.get(place);
    if (other !== undefined)
      problems.push(
        `Witnesses "${other}" and "${witness.name}" are one and the same (${place}): when it fails, both do.`,
      );
    if (place !== undefined) places.set(place, witness.name);
  }
  return problems;
}

function storeProblems({ name, http, s3, etcd, postgres, dns }: WitnessConfig): string[] {
  const problems: string[] = [];
  const secret = (config: Readonly<Record<string, unknown>>, key: string) => {
    if ((config[`${key}File`] === undefined) === (config[`${key}Env`] === undefined))
      problems.push(`Witness "${name}" needs exactly one of ${key}File, ${key}Env.`);
  };
  for (const config of [http, s3, etcd]) {
    const at = config && new URL(config.url);
    if (at && at.protocol === 'http:' && !['127.0.0.1', '[::1]', 'localhost'].includes(at.hostname))
      problems.push(
        `Witness "${name}" is reached over plain HTTP, so that whoever is in between could say that the lease is held: use https.`,
      );
    if (at && config === http && at.pathname !== '/')
      problems.push(`Witness "${name}" has a path in its url; only scheme, host and port belong there.`);
  }
  if (s3) for (const key of ['accessKeyId', 'secretAccessKey']) secret(s3, key);
  if (postgres) secret(postgres, 'url');
  if (dns) secret(dns, 'keySecret');
  if (etcd?.username !== undefined) secret(etcd, 'password');
  if (etcd && (etcd.certFile === undefined) !== (etcd.keyFile === undefined))
    problems.push(`Witness "${name}" needs both certFile and keyFile, or neither.`);
  return problems;
}

/** What two witnesses may not share, where it can be told from the configuration. */
function placeOf({ http, s3, etcd, dns }: WitnessConfig): string | undefined {
  const config = http ?? s3 ?? etcd;
  if (config) return new URL(config.url).host;
  return dns?.server;
}
