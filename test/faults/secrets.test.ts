/**
 * Secrets stay where they are. Every integration gets a secret with a mark in it, and talks to a server that throws back
 * whatever it was sent, in every way a server can fail; the mark must show in nothing the product writes or answers.
 */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { sql } from 'kysely';
import { SMTPServer } from 'smtp-server';
import type { TSchema } from 'typebox';
import { systemClock } from '../../src/clock.ts';
import { createIntegrations, type IntegrationsConfig } from '../../src/integrations/all.ts';
import type { ActionDefinition, ActionInput, Json } from '../../src/integrations/contract.ts';
import { createSecrets } from '../../src/integrations/secrets.ts';
import { waitUntil } from '../../testbed/process.ts';
import { contextFor, type Handler, serve } from '../integrations/support.ts';
import { delivery, startProduct } from './in-process.ts';

/** In every secret, and nowhere else. No pattern of the scrubber knows it. */
const mark = 'Zq7vMark';
const secret = (of: string) => `${mark}-${of}-4f1c9a`;

/** How the server fails, one after the other. Each throws the request's headers back where it can. */
const failures: Handler[] = [
  ({ headers }) => [401, kubernetesSays(JSON.stringify(headers))],
  ({ headers }) => [403, { errors: [`permission denied for ${JSON.stringify(headers)}`] }],
  ({ headers }) => [422, { message: `no: ${String(headers.authorization)}`, error: String(headers.authorization) }],
  ({ headers }) => [500, JSON.stringify(`panic: ${JSON.stringify(headers)}`)],
  ({ headers }) => [429, kubernetesSays(String(headers.authorization)), { 'retry-after': '1' }],
  ({ headers }) => [200, `<html>${JSON.stringify(headers)}</html>`, { 'content-type': 'text/html' }],
  ({ headers }) => [302, '', { location: `http://127.0.0.1:1/?token=${String(headers.authorization)}` }],
  (_request, response) => void response.destroy(),
];
const kubernetesSays = (message: string) => ({ kind: 'Status', status: 'Failure', message, error: message });

function hostile() {
  let requests = 0;
  const seen = { marks: 0 };
  const server = serve((request, response) => {
    if (JSON.stringify(request.headers).includes(mark) || /basic/i.test(String(request.headers.authorization)))
      seen.marks += 1;
    return failures[requests++ % failures.length]?.(request, response);
  });
  return { server, seen };
}

/** A mail server that throws the password back. */
async function hostileMail() {
  const server = new SMTPServer({
    allowInsecureAuth: true,
    onAuth: ({ password }, _session, done) => done(new Error(`not with the password ${password}`)),
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: () => new Promise<void>((resolve) => server.close(resolve)),
  };
}

const environment = Object.fromEntries(
  ['KUBERNETES', 'PROMETHEUS', 'ALERTMANAGER', 'GITEA', 'HTTP', 'WEBHOOK', 'SMTP'].map((name) => [name, secret(name)]),
);

async function everything(url: string, smtpPort: number, directory: string): Promise<IntegrationsConfig> {
  const shares = join(directory, 'shares');
  await mkdir(shares, { recursive: true });
  for (const share of ['one', 'two']) await writeFile(join(shares, share), secret(`share-${share}`));
  const prometheus = join(directory, 'prometheus-token');
  await writeFile(prometheus, secret('prometheus-file'));
  return {
    kubernetes: { server: url, tokenEnv: 'KUBERNETES' },
    prometheus: { url, tokenFile: prometheus },
    alertmanager: { url, username: 'catalyst', passwordEnv: 'ALERTMANAGER' },
    openbao: { addresses: [url], sharesDirectory: shares },
    spire: { url },
    gitea: { url, tokenEnv: 'GITEA' },
    http: { hosts: { [new URL(url).host]: { headers: [{ name: 'X-Key', valueEnv: 'HTTP' }] } } },
    notify: {
      receivers: {
        oncall: { webhook: { url: `${url}/page`, tokenEnv: 'WEBHOOK' } },
        mail: {
          smtp: {
            host: '127.0.0.1',
            port: smtpPort,
            tls: 'None',
            username: 'catalyst',
            passwordEnv: 'SMTP',
            from: 'sre@example.com',
            to: ['oncall@example.com'],
          },
        },
      },
      defaultReceiver: 'oncall',
    },
    budget: { organizations: { acme: { limit: 1, query: 'up' } } },
  } as IntegrationsConfig;
}

async function temporary() {
  const path = await mkdtemp(join(tmpdir(), 'catalyst-sre-secrets-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

/** The mark itself, and as basic authentication and base64 hide it. */
function findMark(text: string): string | undefined {
  const encoded = Object.values(environment).flatMap((value) => [
    Buffer.from(value).toString('base64'),
    Buffer.from(`catalyst:${value}`).toString('base64'),
  ]);
  const found = [mark, ...encoded].find((one) => text.includes(one));
  if (found === undefined) return undefined;
  const at = text.indexOf(found);
  return text.slice(Math.max(0, at - 200), at + 60);
}

function sample(schema: TSchema & { examples?: unknown[]; anyOf?: TSchema[]; type?: string; const?: unknown }): Json {
  if (schema.examples?.[0] !== undefined) return schema.examples[0] as Json;
  if (schema.const !== undefined) return schema.const as Json;
  if (schema.anyOf?.[0]) return sample(schema.anyOf[0]);
  return schema.type === 'object' ? { alertname: 'x' } : schema.type === 'boolean' ? true : 'x';
}

function inputOf({ name, input }: ActionDefinition, url: string): ActionInput {
  const required = (input.required ?? []).map((key) => [key, sample(input.properties[key] as TSchema)]);
  return { ...Object.fromEntries(required), ...(name === 'http request' ? { url: `${url}/act` } : {}) };
}

test('no error of any fact, action or health check holds a secret, not even in its cause', async () => {
  await using directory = await temporary();
  const { server: starting, seen } = hostile();
  await using server = await starting;
  await using mail = await hostileMail();
  const secrets = createSecrets(environment);
  const integrations = createIntegrations(await everything(server.url, mail.port, directory.path), {
    secrets,
    clock: systemClock,
  });
  const context = () => contextFor('run/steps/0', undefined, AbortSignal.timeout(5_000));
  const said: string[] = [];
  const hear = async (what: string, work: () => Promise<unknown>) => {
    const heard = await work().catch((error: unknown) => error);
    said.push(`${what}: ${inspect(heard, { depth: 10, maxStringLength: null })}`);
  };
  try {
    for (let round = 0; round < failures.length; round++) {
      for (const { name, facts, actions, health } of integrations.all) {
        await hear(name, () => health(context()));
        for (const fact of facts) {
          const args = (fact.parameters ?? []).map(({ name: parameter, type }) =>
            parameter === 'url' ? `${server.url}/x` : type === 'double' ? 1 : 'x',
          );
          await hear(fact.name, () => fact.read(context(), args));
        }
        for (const action of actions) {
          const input = inputOf(action, server.url);
          const before = { uid: 'u', generation: 1, marker: null, replicas: 1, sealed: [], keys: [] };
          await hear(action.name, () => action.capture(context(), input));
          await hear(action.name, () => action.execute(context(), input, before));
          await hear(action.name, () => action.happened(context(), input, before));
        }
      }
    }
  } finally {
    await integrations.stop();
  }
  assert.ok(seen.marks > 100, `the server saw only ${seen.marks} secrets: it was not really asked`);
  assert.deepEqual(said.map(findMark).filter(Boolean), []);
});

test('no secret is in the log, the API, the metrics, the traces, the pages, or any row of the database', async () => {
  await using directory = await temporary();
  const { server: starting, seen } = hostile();
  await using server = await starting;
  await using mail = await hostileMail();
  const traces: string[] = [];
  await using collector = await serve(({ body }) => {
    traces.push(body);
    return [200, {}];
  });
  const otlpToken = join(directory.path, 'otlp-token');
  await writeFile(otlpToken, secret('otlp'));
  const gitToken = join(directory.path, 'git-token');
  await writeFile(gitToken, secret('git'));
  const pushSecret = join(directory.path, 'push-secret');
  await writeFile(pushSecret, secret('push'));
  const acts = [
    'kubernetes scale Deployment acme web --replicas +1 --max 6',
    'openbao operator unseal --auto-shamir',
    'gitea dispatch acme/runbooks remediate.yaml --ref main',
    'alertmanager silence --for 30m\n      with: {matchers: {alertname: x}}',
    'notify page Help --receiver mail',
    `http request POST ${server.url}/act`,
  ];
  const runbooks = acts.map(
    (run, i) => `
apiVersion: catalyst.openova.io/v1alpha1
kind: Runbook
metadata: {name: act-${i}}
spec:
  mode: Automatic
  triggers: [{alertName: Act${i}}]
  guards: {cooldown: 0s, maxRuns: {count: 1000, per: 1s}, concurrencyKey: "\${{ alert.fingerprint }}"}
  steps:
    - run: ${run}
      timeout: 3s
      retry: {attempts: 2, backoff: 100ms}
`,
  );
  await using product = await startProduct({
    runbooks: runbooks.join('---'),
    environment: { ...environment, ADMIN: secret('ADMIN-of-the-sovereign'), INTAKE: secret('INTAKE-of-alerts') },
    logLevel: 'debug',
    config: {
      integrations: await everything(server.url, mail.port, directory.path),
      telemetry: { logLevel: 'debug', otlp: { url: `${collector.url}/v1/traces`, tokenFile: otlpToken } },
      catalog: {
        sources: [
          { folder: 'RUNBOOKS' },
          {
            git: {
              repository: `${server.url}/acme/runbooks.git`,
              tokenFile: gitToken,
              webhookSecretFile: pushSecret,
            },
          },
        ],
      },
    },
  });
  const answers: string[] = [];
  const ask = async (answer: Promise<{ body: string }>) => void answers.push((await answer).body);
  for (let round = 0; round < 4; round++)
    for (const i of acts.keys()) assert.equal(await product.deliver(delivery(`Act${i}`, { namespace: 'acme' })), 200);
  await ask(product.post('/hooks/gitea', { repository: { full_name: 'acme/runbooks' } }));
  await ask(product.post('/api/v1/incidents/x/resolve', {}, secret('wrong-token-of-nobody')));
  const { db } = product.database;
  const open = () => db.selectFrom('run').select('id').where('state', '<>', 'Ended').execute();
  const all = acts.length * 4;
  await waitUntil('the end of every run', 90_000, async () => {
    const { count } = await db
      .selectFrom('run')
      .select((s) => s.fn.countAll<number>().as('count'))
      .executeTakeFirstOrThrow();
    return Number(count) === all && (await open()).length === 0;
  });
  for (const path of ['/readyz', '/metrics', '/openapi.json', '/api/v1/record', '/api/v1/whoami'])
    await ask(product.get(path));
  for (const noun of ['alerts', 'incidents', 'runs', 'decisions', 'approvals', 'pages', 'runbooks', 'deadletters']) {
    const list = await product.get(`/api/v1/${noun}`);
    answers.push(list.body);
    const items = (JSON.parse(list.body) as { items?: { id?: string; name?: string }[] }).items ?? [];
    for (const { id, name } of items.slice(0, 30)) await ask(product.get(`/api/v1/${noun}/${id ?? name}`));
  }
  const tables = await sql<{ name: string }>`
    SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'`.execute(db);
  const rows: string[] = [];
  for (const { name } of tables.rows) {
    const content = await sql<{ row: string }>`SELECT t::text AS row FROM ${sql.table(name)} t`.execute(db);
    rows.push(...content.rows.map(({ row }) => `${name}: ${row}`));
  }
  await product.stop();
  const pages = server.requests.filter(({ path }) => path === '/page').map(({ body }) => body);
  const places = { log: product.log, answers, rows, pages, traces };
  for (const [place, texts] of Object.entries(places)) {
    assert.ok(texts.length > 0, `${place}: nothing was seen`);
    assert.deepEqual(texts.map(findMark).filter(Boolean), [], place);
  }
  assert.ok(seen.marks > 20, `the server saw only ${seen.marks} secrets: it was not really asked`);
});
