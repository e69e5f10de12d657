import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type App, startApp } from '../../src/app/app.ts';
import { checkConfig } from '../../src/app/config.ts';
import { IntegrationsConfig } from '../../src/integrations/all.ts';
import { createLog } from '../../src/telemetry/log.ts';
import { furnish } from '../fresh-database.ts';
import { CookieJar, type OpenIdProvider, startOpenIdProvider } from '../integrations/openid-provider.ts';

/** Handbook §1: the personas log in at the Sovereign's Keycloak; here a certified provider with the same claims. */
let provider: OpenIdProvider;
let app: App;
let directory: string;

before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'login-journey-'));
  await furnish(join(directory, 'data'));
  const port = await freePort();
  const publicUrl = `http://127.0.0.1:${port}`;
  const secret = 'a-client-secret-of-the-test';
  await writeFile(join(directory, 'secret'), secret);
  provider = await startOpenIdProvider({
    client: { id: 'catalyst-sre', secret, redirectUri: `${publicUrl}/auth/callback` },
    people: { mira: ['sre-admins', 'officers'], jo: ['acme-viewers'], eve: ['somebody-else'] },
  });
  const checked = checkConfig(
    JSON.stringify({
      listen: `127.0.0.1:${port}`,
      publicUrl,
      dataDir: join(directory, 'data'),
      sovereign: { name: 'pocket' },
      organizations: [{ name: 'acme', namespaces: ['acme-*'] }],
      login: {
        oidc: {
          issuer: provider.issuer,
          clientId: 'catalyst-sre',
          clientSecretFile: join(directory, 'secret'),
          grants: [
            { value: 'sre-admins', role: 'sovereign-admin' },
            { value: 'officers', role: 'security-officer' },
            { value: 'acme-viewers', role: 'org-viewer', organization: 'acme' },
          ],
        },
      },
    }),
    'the test',
    IntegrationsConfig,
  );
  assert.deepEqual(checked.problems, []);
  if (!('config' in checked)) return;
  app = await startApp({
    config: checked.config,
    environment: {},
    version: 'test',
    log: createLog({ level: 'silent' }),
  });
});
after(async () => {
  await app?.stop();
  await provider?.close();
  await rm(directory, { recursive: true, force: true });
});

test('a sovereign-admin logs in at the provider, works, takes another role, and logs out', async () => {
  const { location, jar } = await provider.logIn(`${app.url}/auth/login?to=/incidents`, 'mira');
  assert.equal(location, '/incidents');
  const session = await read(jar, '/api/v1/session');
  assert.equal(session.person, 'user/mira');
  assert.equal(session.role, 'sovereign-admin');
  assert.deepEqual(session.grants, [{ role: 'sovereign-admin' }, { role: 'security-officer' }]);
  assert.equal((await jar.fetch(`${app.url}/api/v1/record/verify`)).status, 200);

  const change = (path: string, body?: object, csrf = session.csrf as string) =>
    jar.fetch(`${app.url}${path}`, {
      method: 'POST',
      headers: { 'x-catalyst-sre-csrf': csrf, ...(body ? { 'content-type': 'application/json' } : {}) },
      ...(body ? { body: JSON.stringify(body) } : {}),
    });
  assert.equal((await change('/api/v1/catalog/refresh', { repository: 'acme/runbooks' }, 'guessed')).status, 403);
  assert.equal((await change('/api/v1/catalog/refresh', { repository: 'acme/runbooks' })).status, 202);
  assert.equal((await change('/api/v1/session/role', { role: 'security-officer' })).status, 200);
  assert.equal((await change('/api/v1/catalog/refresh', { repository: 'acme/runbooks' })).status, 403);
  assert.equal((await change('/api/v1/session/end')).status, 200);
  assert.equal((await jar.fetch(`${app.url}/api/v1/session`)).status, 401);
});

test('a viewer of an Organization sees its slice only', async () => {
  const { jar } = await provider.logIn(`${app.url}/auth/login`, 'jo');
  const session = await read(jar, '/api/v1/session');
  assert.deepEqual([session.role, session.organization], ['org-viewer', 'acme']);
  assert.equal((await jar.fetch(`${app.url}/api/v1/record`)).status, 403);
  assert.equal((await jar.fetch(`${app.url}/api/v1/incidents`)).status, 200);
});

test('who has no role is turned away, with the reason, and has no session', async () => {
  const { location, jar } = await provider.logIn(`${app.url}/auth/login`, 'eve');
  assert.equal(location, '/?login=NoRole');
  assert.equal((await jar.fetch(`${app.url}/api/v1/session`)).status, 401);
});

test("an attacker's code in somebody's browser opens nothing", async () => {
  // The attacker stops before the callback, and sends its address to another browser.
  const attacker = new CookieJar();
  const begun = await attacker.fetch(`${app.url}/auth/login`);
  const state = new URL(begun.headers.get('location') ?? '').searchParams.get('state');
  const victim = new CookieJar();
  const answer = await victim.fetch(`${app.url}/auth/callback?code=stolen&state=${state}`);
  assert.equal(answer.headers.get('location'), '/?login=Expired');
  // In their own browser a code that the provider did not give is refused by the provider.
  const own = await attacker.fetch(`${app.url}/auth/callback?code=invented&state=${state}`);
  assert.equal(own.headers.get('location'), '/?login=Refused');
});

test('logins and logouts are on record, and no secret is', async () => {
  const rows = await app.database.db.selectFrom('record').select(['kind', 'sentence', 'data']).orderBy('seq').execute();
  const sentences = rows.filter((row) => row.kind.startsWith('access.')).map((row) => row.sentence);
  assert.ok(sentences.includes('user/mira logged in at the OpenID provider.'), sentences.join(' '));
  assert.ok(sentences.includes('user/mira acts as security-officer from now on.'));
  assert.ok(sentences.includes('user/mira logged out.'));
  assert.ok(!JSON.stringify(rows).includes('a-client-secret-of-the-test'));
});

async function read(jar: CookieJar, path: string): Promise<Record<string, unknown>> {
  const answer = await jar.fetch(`${app.url}${path}`);
  assert.equal(answer.status, 200);
  return (await answer.json()) as Record<string, unknown>;
}

/** The provider has to know the product's address before the product starts. */
async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve));
  const { port } = probe.address() as AddressInfo;
  await new Promise((resolve) => probe.close(resolve));
  return port;
}
