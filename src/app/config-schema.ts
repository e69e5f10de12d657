/**
 * The server's configuration: one schema gives the type, the validation and the reference page. Unions are avoided on
 * purpose: "exactly one of" is checked in `config.ts`, where it can be said in a sentence.
 */
import Type, { type Static, type TObject } from 'typebox';
import { roles } from '../api/access.ts';
import { clusterKinds } from '../catalog/crd.ts';
import { modes } from '../catalog/kinds/runbook.ts';
import { logLevels } from '../telemetry/log.ts';

const maybe = Type.Optional;
const strict = { additionalProperties: false } as const;
const words = <const T extends readonly string[]>(values: T, description: string, more: object = {}) =>
  Type.Unsafe<T[number]>(Type.String({ enum: [...values], description, ...more }));
const name = (description: string, example: string) =>
  Type.String({ description, pattern: '^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$', maxLength: 253, examples: [example] });
const file = (description: string, example: string) =>
  Type.String({ description, minLength: 1, maxLength: 4096, examples: [example] });
const variable = (description: string, example: string) =>
  Type.String({ description, pattern: '^[A-Za-z_][A-Za-z0-9_]*$', maxLength: 128, examples: [example] });
const duration = (description: string, byDefault: string) =>
  Type.String({ description, pattern: '^([0-9]+(ms|s|m|h|d))+$', maxLength: 32, default: byDefault });

const clusterKindNames = clusterKinds.map(({ kind }) => kind);

const Database = Type.Object(
  {
    url: maybe(
      Type.String({
        description: 'PostgreSQL URL without a password, for peer or certificate authentication.',
        pattern: '^postgres(ql)?://[^:@/]*(@|/|$)|^postgres(ql)?://[^@/]*/',
        maxLength: 4096,
        examples: ['postgres://catalyst-sre@db.internal/catalyst_sre'],
      }),
    ),
    urlFile: maybe(file('File that holds the PostgreSQL URL with its password.', '/etc/catalyst-sre/database-url')),
    urlEnv: maybe(variable('Environment variable that holds the PostgreSQL URL with its password.', 'DATABASE_URL')),
    poolSize: Type.Integer({
      description: 'Connections to PostgreSQL, beside the two that taking deliveries in has to itself.',
      minimum: 2,
      maximum: 100,
      default: 10,
    }),
  },
  {
    ...strict,
    description:
      'PostgreSQL, by exactly one of url, urlFile, urlEnv. Without this the embedded database in dataDir is used: for one replica, for trying out and for the edge.',
  },
);

const Token = Type.Object(
  {
    name: name('Name of the token, as the record shows it.', 'alertmanager'),
    role: words(roles, 'What it may do; docs/reference/access.md has the table.', { examples: ['intake'] }),
    organization: maybe(name('The Organization whose slice it sees; without it the whole Sovereign.', 'acme')),
    tokenFile: maybe(file('File that holds the token.', '/etc/catalyst-sre/tokens/alertmanager')),
    tokenEnv: maybe(variable('Environment variable that holds the token.', 'ALERTMANAGER_TOKEN')),
  },
  { ...strict, description: 'A bearer token: exactly one of tokenFile, tokenEnv.' },
);

const Organization = Type.Object(
  {
    name: name('Name of the Organization.', 'acme'),
    namespaces: Type.Array(
      Type.String({ description: 'A namespace; a trailing * matches any ending.', maxLength: 253 }),
      {
        description: 'Namespaces of its Environments: where its runbooks may act.',
        maxItems: 1000,
        examples: [['acme-prod', 'acme-dev']],
      },
    ),
    mode: maybe(words(modes, 'How far anything of this Organization may go by itself; the strictest mode wins.')),
    budget: maybe(
      Type.Object(
        {
          monthly: Type.String({
            description:
              'Cost per month, a decimal number. At 80 % a warning is written, at 100 % scaling up is refused (handbook §4.3).',
            pattern: '^[0-9]+(\\.[0-9]{1,2})?$',
            maxLength: 20,
            examples: ['1200.00'],
          }),
        },
        { ...strict, description: 'Its budget.' },
      ),
    ),
  },
  { ...strict, description: 'An Organization.' },
);

const Git = Type.Object(
  {
    repository: Type.String({
      description: 'URL of the repository, without credentials.',
      minLength: 1,
      maxLength: 4096,
      examples: ['https://gitea.example/acme/runbooks.git'],
    }),
    ref: Type.String({ description: 'Branch or tag.', maxLength: 255, default: 'main' }),
    path: Type.String({ description: 'Folder inside the repository.', maxLength: 1024, default: '.' }),
    organization: maybe(name('The Organization whose repository it is; without it the Sovereign.', 'acme')),
    tokenFile: maybe(file('File that holds an access token for HTTPS.', '/etc/catalyst-sre/git-token')),
    interval: duration('How often it is looked at without a push event.', '5m'),
    webhookSecretFile: maybe(
      file('File that holds the secret of the push webhook at /hooks/gitea.', '/etc/catalyst-sre/push-secret'),
    ),
  },
  { ...strict, description: 'A Git repository.' },
);

const CatalogSource = Type.Object(
  {
    folder: maybe(file('A folder of this machine; subfolders included.', '/etc/catalyst-sre/runbooks')),
    git: maybe(Git),
    cluster: maybe(
      Type.Object(
        {
          kinds: Type.Array(words(clusterKindNames, 'A kind that has a definition.'), {
            description: 'Kinds to read; each needs its definition in the cluster, and a right of its own.',
            minItems: 1,
            uniqueItems: true,
            default: ['Runbook'],
          }),
          namespaces: Type.Array(Type.String({ description: 'A namespace.', maxLength: 253 }), {
            description: 'Namespaces to read; none for all.',
            maxItems: 1000,
            default: [],
          }),
        },
        { ...strict, description: 'The custom resources of the cluster.' },
      ),
    ),
  },
  { ...strict, description: 'Where documents come from: exactly one of folder, git, cluster.' },
);

const Oidc = Type.Object(
  {
    issuer: Type.String({
      description: 'Address of the provider, as its metadata says; plain HTTP only on this machine.',
      pattern: '^https?://[^\\s@?#]+$',
      maxLength: 2048,
      examples: ['https://keycloak.example/realms/catalyst'],
    }),
    clientId: Type.String({
      description: 'Client id at the provider.',
      minLength: 1,
      maxLength: 255,
      examples: ['catalyst-sre'],
    }),
    clientSecretFile: maybe(
      file('File that holds the client secret; without one it is a public client.', '/etc/catalyst-sre/oidc-secret'),
    ),
    scopes: Type.Array(
      Type.String({ description: 'A scope.', pattern: '^[\\x21\\x23-\\x5b\\x5d-\\x7e]+$', maxLength: 128 }),
      {
        description: 'Scopes to ask for; openid is among them.',
        default: ['openid', 'profile'],
        maxItems: 32,
        contains: { const: 'openid' },
      },
    ),
    usernameClaim: Type.String({
      description: 'Claim that names the person for good; where people can rename themselves, take sub.',
      minLength: 1,
      maxLength: 255,
      default: 'preferred_username',
    }),
    grantsClaim: Type.String({
      description: 'Dotted path of the claim that lists roles or groups; add it to the ID token or the user info.',
      minLength: 1,
      maxLength: 255,
      default: 'realm_access.roles',
    }),
    grants: Type.Array(
      Type.Object(
        {
          value: Type.String({
            description: 'A value of the claim.',
            minLength: 1,
            maxLength: 255,
            examples: ['/acme/admins'],
          }),
          role: words(roles, 'The role it gives.', { examples: ['org-admin'] }),
          organization: maybe(name('The Organization it is given for.', 'acme')),
        },
        { ...strict, description: 'Who has the value has the role.' },
      ),
      {
        description: 'Roles by the values of the claim. Who has none of them is refused.',
        minItems: 1,
        maxItems: 10_000,
      },
    ),
  },
  { ...strict, description: 'An OpenID provider such as Keycloak; publicUrl must be set.' },
);

const Login = Type.Object(
  {
    sessionFor: duration('Longest time a person stays logged in.', '8h'),
    idleFor: duration('A session nobody uses for so long has ended.', '1h'),
    links: Type.Boolean({
      description:
        'Whether catalyst-sre login makes one-time links: for one person and one machine, because whoever makes links can be two people.',
      default: false,
    }),
    oidc: maybe(Oidc),
  },
  { ...strict, description: 'How people log in with a browser.', default: {} },
);

const Telemetry = Type.Object(
  {
    logLevel: words(logLevels, 'How much is written to standard error.', { default: 'info' }),
    metricsNeedToken: Type.Boolean({
      description: 'Whether /metrics asks for a token with the role metrics or sovereign-admin.',
      default: false,
    }),
    otlp: maybe(
      Type.Object(
        {
          url: Type.String({
            description: 'OTLP/HTTP address for traces.',
            pattern: '^https?://',
            maxLength: 4096,
            examples: ['http://otel-collector:4318/v1/traces'],
          }),
          tokenFile: maybe(file('File that holds a bearer token to send along.', '/etc/catalyst-sre/otlp-token')),
          ratio: Type.Number({ description: 'Share of new traces that is sent.', minimum: 0, maximum: 1, default: 1 }),
        },
        { ...strict, description: 'Where traces are sent; without it nowhere.' },
      ),
    ),
  },
  { ...strict, description: 'What the product tells about itself.', default: {} },
);

const Limits = Type.Object(
  {
    deliveryBytes: Type.Integer({
      description: 'Largest delivery of alerts. Alertmanager never repeats a larger one, so be generous.',
      minimum: 65_536,
      maximum: 268_435_456,
      default: 33_554_432,
    }),
    connections: Type.Integer({
      description: 'Connections of the HTTP server at a time.',
      minimum: 10,
      maximum: 100_000,
      default: 1_000,
    }),
    requestsPerMinute: Type.Integer({
      description: 'Requests of one caller in a minute; deliveries of alerts do not count.',
      minimum: 60,
      maximum: 10_000_000,
      default: 6_000,
    }),
    concurrentRuns: Type.Integer({
      description:
        'Runs that a process works on at a time. Each mostly waits for other systems; those that only wait for a time, an approval or a verification do not count.',
      minimum: 1,
      maximum: 1_000,
      default: 64,
    }),
    takeOverAfter: duration(
      'How long a replica may give no sign of life before another takes over its runs; at least 3s.',
      '30s',
    ),
  },
  { ...strict, description: 'Limits that protect the process.', default: {} },
);

/**
 * The schema of the configuration file.
 *
 * @param integrations one optional property for each integration, composed by the composition root
 */
export function configSchema<I extends TObject>(integrations: I) {
  return Type.Object(
    {
      listen: Type.String({
        description: 'Address and port of the HTTP server; port 0 takes any.',
        pattern: '^(\\[[0-9a-fA-F:]+\\]|[^:\\s]+):[0-9]{1,5}$',
        maxLength: 300,
        default: '127.0.0.1:8080',
      }),
      publicUrl: maybe(
        Type.String({
          description:
            'Address under which people reach it. Without it pages have no links, and nobody can acknowledge by one.',
          pattern: '^https?://[^\\s@]+$',
          maxLength: 2048,
          examples: ['https://sre.example'],
        }),
      ),
      linkKeyFile: maybe(
        file(
          'File with the key that signs the links in pages and the addresses of on-call calendars, at least 32 characters; another key makes all of them worthless. Without one the database keeps a key for all replicas.',
          '/etc/catalyst-sre/link-key',
        ),
      ),
      dataDir: Type.String({
        description: 'Folder for the embedded database and working copies.',
        minLength: 1,
        maxLength: 4096,
        default: './.catalyst-sre',
      }),
      database: maybe(Database),
      tokens: Type.Array(Token, { description: 'Programs that may come in.', maxItems: 1000, default: [] }),
      login: Login,
      sovereign: Type.Object(
        {
          name: name('Name of the Sovereign.', 'hz-fsn'),
          mode: words(
            modes,
            'How far anything may go by itself; the strictest of Sovereign, Organization and Runbook wins.',
            {
              default: 'Suggest',
            },
          ),
        },
        { ...strict, description: 'The Sovereign it works for.' },
      ),
      organizations: Type.Array(Organization, { description: 'Its Organizations.', maxItems: 10_000, default: [] }),
      policy: Type.Object(
        {
          defaultRunbookMode: words(modes, 'Mode of a runbook that does not say.', { default: 'Suggest' }),
          confirmFiring: Type.Boolean({
            description: 'Whether an alert is asked to still fire before anything is done about it.',
            default: true,
          }),
        },
        { ...strict, description: 'What holds for everything.', default: {} },
      ),
      catalog: Type.Object(
        {
          sources: Type.Array(CatalogSource, {
            description: 'Later ones take precedence over earlier ones; the handbook comes first.',
            maxItems: 1000,
            default: [],
          }),
        },
        { ...strict, description: 'Where runbooks and the other documents come from.', default: {} },
      ),
      integrations: maybe(integrations),
      telemetry: Telemetry,
      limits: Limits,
    },
    { ...strict, description: 'Configuration of catalyst-sre serve.' },
  );
}

export type Config<I extends TObject = TObject> = Static<ReturnType<typeof configSchema<I>>>;
