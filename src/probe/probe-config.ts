/** What `catalyst-sre probe` reads: one schema gives the type, the validation and the page. */
import Type, { type Static } from 'typebox';

const strict = { additionalProperties: false } as const;
const maybe = Type.Optional;
const duration = (description: string, more: { default?: string; examples?: string[] }) =>
  Type.String({ description, pattern: '^[0-9]+(ms|s|m|h)$', maxLength: 16, ...more });
const hostPort = (description: string, example: string) =>
  Type.String({
    description,
    pattern: '^(\\[[0-9a-fA-F:]+\\]|[^:\\s/]+):[0-9]{1,5}$',
    maxLength: 300,
    examples: [example],
  });
const caFile = maybe(
  Type.String({
    description: 'File with the certificates to trust in place of those of the system.',
    minLength: 1,
    maxLength: 4096,
    examples: ['/etc/catalyst-sre/ca.crt'],
  }),
);
const serverName = maybe(
  Type.String({
    description: 'Name the certificate has to be for. Default: the host.',
    minLength: 1,
    maxLength: 253,
    examples: ['console.example'],
  }),
);

const Http = Type.Object(
  {
    url: Type.String({
      description: 'Address, without credentials.',
      pattern: '^https?://[^\\s/@]+(/\\S*)?$',
      maxLength: 2048,
      examples: ['https://console.example/healthz'],
    }),
    method: Type.Enum(['GET', 'HEAD'], { description: 'Method.', default: 'GET' }),
    status: Type.Array(Type.Integer({ description: 'A status code.', minimum: 100, maximum: 599 }), {
      description: 'Status codes that are good; none for 200 to 299.',
      maxItems: 50,
      default: [],
      examples: [[200, 429]],
    }),
    redirects: Type.Enum(['Refuse', 'Follow'], {
      description:
        'Whether up to five redirects are followed, never from https to http. A redirect that is refused is an answer with its status.',
      default: 'Refuse',
    }),
    contains: maybe(
      Type.String({
        description: 'What the first mebibyte of the answer has to contain.',
        minLength: 1,
        maxLength: 1024,
        examples: ['"sealed":false'],
      }),
    ),
    caFile,
    serverName,
  },
  { ...strict, description: 'An HTTP request.' },
);

const Tls = Type.Object(
  {
    address: hostPort('Host and port.', 'mail.example:465'),
    caFile,
    serverName,
  },
  { ...strict, description: 'A TLS handshake: is the certificate trusted, for this name, and until when.' },
);

const Dns = Type.Object(
  {
    name: Type.String({ description: 'Name to resolve.', minLength: 1, maxLength: 253, examples: ['console.example'] }),
    type: Type.Enum(['A', 'AAAA', 'CNAME', 'MX', 'NS', 'TXT'], { description: 'Type of the records.', default: 'A' }),
    server: maybe(hostPort('Name server, by address. Default: those of the system.', '192.0.2.53:53')),
    expect: Type.Array(Type.String({ description: 'A record.', minLength: 1, maxLength: 1024 }), {
      description: 'Records of which at least one has to be answered; none for any.',
      maxItems: 100,
      default: [],
      examples: [['192.0.2.10']],
    }),
  },
  { ...strict, description: 'A DNS query.' },
);

const Target = Type.Object(
  {
    name: Type.String({
      description: 'Label target.',
      minLength: 1,
      maxLength: 253,
      examples: ['https://console'],
    }),
    job: Type.String({
      description: 'Label job, by which alerts find it; scrape with honor_labels.',
      pattern: '^[a-zA-Z0-9][-a-zA-Z0-9_.]*$',
      maxLength: 128,
      examples: ['console'],
    }),
    labels: Type.Record(
      Type.String({ pattern: '^[a-zA-Z_][a-zA-Z0-9_]*$' }),
      Type.String({ description: 'A value.', maxLength: 1024 }),
      { description: 'Further labels.', default: {}, maxProperties: 20, examples: [{ region: 'fsn' }] },
    ),
    interval: maybe(duration('Time between two probes. Default: that of all.', { examples: ['1h'] })),
    timeout: maybe(duration('Limit for one probe. Default: that of all.', { examples: ['10s'] })),
    http: maybe(Http),
    tls: maybe(Tls),
    dns: maybe(Dns),
  },
  { ...strict, description: 'What is probed: exactly one of http, tls, dns.' },
);

export const ProbeConfig = Type.Object(
  {
    interval: duration('Time between two probes of a target, at least 1s.', { default: '30s' }),
    timeout: duration('Limit for one probe, no longer than the interval.', { default: '5s' }),
    concurrency: Type.Integer({ description: 'Probes under way at a time.', minimum: 1, maximum: 100, default: 10 }),
    targets: Type.Array(Target, { description: 'What is probed.', minItems: 1, maxItems: 1000 }),
  },
  { ...strict, description: 'Configuration of catalyst-sre probe.' },
);

export type ProbeConfig = Static<typeof ProbeConfig>;
export type ProbeTarget = ProbeConfig['targets'][number];
export type HttpTarget = Static<typeof Http>;
export type TlsTarget = Static<typeof Tls>;
export type DnsTarget = Static<typeof Dns>;

/** Labels that are set by what is probed, or by Prometheus. */
const taken = new Set(['job', 'target', 'instance', '__name__']);

/** What a schema cannot say: a path and a sentence for each problem. */
export function problemsBetween(
  { targets, interval, timeout }: ProbeConfig,
  ms: (duration: string) => number,
): { path: (string | number)[]; sentence: string }[] {
  const problems: { path: (string | number)[]; sentence: string }[] = [];
  const seen = new Set<string>();
  for (const [at, target] of targets.entries()) {
    const say = (field: string, sentence: string) => problems.push({ path: ['targets', at, field], sentence });
    const kinds = (['http', 'tls', 'dns'] as const).filter((kind) => target[kind]);
    if (kinds.length !== 1) say('name', `The target ${target.name} needs exactly one of http, tls, dns.`);
    const key = `${target.job} ${target.name}`;
    if (seen.has(key)) say('name', `Two targets of the job ${target.job} are called ${target.name}.`);
    seen.add(key);
    for (const label of Object.keys(target.labels).filter((name) => taken.has(name) || name.startsWith('__')))
      say('labels', `The label ${label} is not free to choose.`);
    const every = ms(target.interval ?? interval);
    if (every < 1000) say('name', `The interval of ${target.name} is below a second.`);
    if (ms(target.timeout ?? timeout) > every)
      say('name', `The timeout of ${target.name} is longer than its interval.`);
  }
  return problems;
}
