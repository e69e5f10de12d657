import assert from 'node:assert/strict';
import { after, beforeEach, describe, test } from 'node:test';
import { openTestDatabase } from '../../test/open-test-database.ts';
import { VirtualClock } from '../clock.ts';
import type { OpenDatabase } from '../database/open.ts';
import { CatalystError } from '../errors.ts';
import { bearer, createFixture, type Fixture, loginOver, startApi } from './api-fixture.ts';
import type { Api } from './fastify.ts';
import type { Oidc } from './session/oidc.ts';
import type { Grant } from './session/session.ts';
import { csrfHeader } from './session-routes.ts';

const database: OpenDatabase = await openTestDatabase();
const clock = new VirtualClock(Date.UTC(2026, 0, 5, 12));
let f: Fixture;
let app: Api;
beforeEach(async () => {
  await app?.close();
  f = createFixture();
  app = await startApi(f, { clock, login: loginOver(database.db, { clock }) });
});
after(async () => {
  await app.close();
  await database.close();
});

type Answer = Awaited<ReturnType<Api['inject']>>;

interface Browser {
  cookie: string;
  csrf: string;
  call(
    method: 'GET' | 'POST',
    url: string,
    more?: { body?: unknown; headers?: Record<string, string> },
  ): Promise<Answer>;
}

/** A browser in which the person is logged in. */
async function browserOf(person: string, grants: Grant[]): Promise<Browser> {
  const { session, secret } = await loginOver(database.db, { clock }).sessions.begin({
    person,
    grants,
    method: 'Oidc',
  });
  const cookie = `catalyst-sre=${secret}`;
  return {
    cookie,
    csrf: session.csrf,
    call: (method, url, { body, headers = {} } = {}) =>
      app.inject({
        method,
        url,
        headers: {
          cookie,
          ...(method === 'POST' ? { [csrfHeader]: session.csrf, 'sec-fetch-site': 'same-origin' } : {}),
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(body === undefined ? {} : { payload: JSON.stringify(body) }),
      }),
  };
}

const acmeAdmin: Grant = { role: 'org-admin', organization: 'acme' };
const recorded = async () =>
  (await database.db.selectFrom('record').select(['kind', 'sentence']).orderBy('seq').execute()).map((row) => row);

describe('one-time links', () => {
  const makeLink = async () =>
    (
      await app.inject({
        method: 'POST',
        url: '/api/v1/login-links',
        headers: { ...bearer('root'), 'content-type': 'application/json' },
        payload: '{"person":"mira"}',
      })
    ).json() as { path: string };

  test('a link logs in once, with the role of who made it, and all of it is on record', async () => {
    const { path } = await makeLink();
    const first = await app.inject({ url: path, headers: { 'sec-fetch-site': 'none' } });
    assert.equal(first.statusCode, 303);
    assert.equal(first.headers.location, '/');
    const cookie = String(first.headers['set-cookie']);
    assert.match(cookie, /^catalyst-sre=[\w-]{32}; Max-Age=28800; Path=\/; HttpOnly; SameSite=Lax$/);
    const session = await app.inject({ url: '/api/v1/session', headers: { cookie: cookie.split(';')[0] ?? '' } });
    assert.equal(session.json().person, 'user/mira');
    assert.equal(session.json().role, 'sovereign-admin');

    const second = await app.inject({ url: path });
    assert.equal(second.headers.location, '/?login=LinkUsed');
    assert.equal(second.headers['set-cookie'], undefined);
    const kinds = (await recorded()).map((entry) => entry.kind);
    assert.deepEqual(kinds.slice(-2), ['access.linkMade', 'access.loggedIn']);
  });

  test('a page of another site cannot log a browser in, and an old link is worth nothing', async () => {
    const { path } = await makeLink();
    const foreign = await app.inject({ url: path, headers: { 'sec-fetch-site': 'cross-site' } });
    assert.equal(foreign.headers.location, '/?login=LinkUsed');
    await clock.advance(60 * 60_000);
    assert.equal((await app.inject({ url: path })).headers.location, '/?login=LinkUsed');
  });

  test('two that open a link at once: one of them is in', async () => {
    const { path } = await makeLink();
    const answers = await Promise.all([1, 2, 3].map(() => app.inject({ url: path })));
    assert.equal(answers.filter((answer) => answer.headers.location === '/').length, 1);
  });
});

describe('a session', () => {
  test('reads by its cookie, and changes only with the second word, from the console itself', async () => {
    const mira = await browserOf('user/mira', [acmeAdmin]);
    assert.equal((await mira.call('GET', '/api/v1/incidents/i1')).statusCode, 200);
    const url = '/api/v1/incidents/i1/acknowledge';
    for (const headers of [
      { [csrfHeader]: '' },
      { [csrfHeader]: 'x'.repeat(32) },
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
    ]) {
      const answer = await mira.call('POST', url, { headers });
      assert.equal(answer.statusCode, 403, JSON.stringify(headers));
    }
    assert.deepEqual(f.commands, []);
    assert.equal((await mira.call('POST', url)).statusCode, 200);
    assert.deepEqual(f.commands, ['acknowledge i1 user/mira']);
  });

  test('shows the slice of its Organization and nothing else', async () => {
    const mira = await browserOf('user/mira', [acmeAdmin]);
    assert.equal((await mira.call('GET', '/api/v1/incidents/i2')).statusCode, 404);
    assert.equal((await mira.call('GET', '/api/v1/record/verify')).statusCode, 403);
  });

  test('has one role at a time, and takes no role its person does not have', async () => {
    const both = await browserOf('user/mira', [acmeAdmin, { role: 'security-officer' }]);
    const before = (await both.call('GET', '/api/v1/session')).json();
    assert.equal(before.role, 'security-officer');
    assert.equal((await both.call('POST', '/api/v1/incidents/i1/acknowledge')).statusCode, 403);
    const taken = await both.call('POST', '/api/v1/session/role', { body: acmeAdmin });
    assert.equal(taken.json().role, 'org-admin');
    assert.equal((await both.call('POST', '/api/v1/incidents/i1/acknowledge')).statusCode, 200);
    for (const body of [
      { role: 'sovereign-admin' },
      { role: 'org-admin', organization: 'globex' },
      { role: 'org-admin' },
    ])
      assert.equal((await both.call('POST', '/api/v1/session/role', { body })).statusCode, 403);
  });

  test('ends by itself when nobody uses it, when its time is over, and when the person logs out', async () => {
    const status = async ({ call }: Browser) => (await call('GET', '/api/v1/session')).statusCode;
    const idle = await browserOf('user/idle', [acmeAdmin]);
    await clock.advance(3_599_000);
    assert.equal(await status(idle), 200);
    await clock.advance(3_599_000);
    assert.equal(await status(idle), 200, 'it was used in between');
    await clock.advance(3_600_000);
    assert.equal(await status(idle), 401);

    const busy = await browserOf('user/busy', [acmeAdmin]);
    for (let half = 1; half < 16; half++) {
      await clock.advance(1_800_000);
      assert.equal(await status(busy), 200);
    }
    await clock.advance(1_800_000);
    assert.equal(await status(busy), 401);

    const leaving = await browserOf('user/leaving', [acmeAdmin]);
    const out = await leaving.call('POST', '/api/v1/session/end');
    assert.equal(out.statusCode, 200);
    assert.match(String(out.headers['set-cookie']), /catalyst-sre=;/);
    assert.equal(await status(leaving), 401);
  });

  test('does not speak for a bearer token, nor a token for it', async () => {
    const { cookie } = await browserOf('user/mira', [{ role: 'sovereign-admin' }]);
    const wrong = await app.inject({ url: '/api/v1/alerts', headers: { cookie, authorization: 'Bearer wrong' } });
    assert.equal(wrong.statusCode, 401);
    const token = await app.inject({ url: '/api/v1/session', headers: bearer('root') });
    assert.equal(token.statusCode, 409);
  });

  test('its secret is stored nowhere, and no answer repeats it', async () => {
    const mira = await browserOf('user/mira', [acmeAdmin]);
    const secret = mira.cookie.split('=')[1] ?? '';
    const rows = JSON.stringify([
      await database.db.selectFrom('session').selectAll().execute(),
      await database.db.selectFrom('record').selectAll().execute(),
    ]);
    assert.ok(!rows.includes(secret));
    assert.ok(!(await mira.call('GET', '/api/v1/session')).body.includes(secret));
  });

  test('cookies that are no session are answered as none', async () => {
    for (const cookie of [
      'catalyst-sre=',
      'catalyst-sre=%00',
      `catalyst-sre=${'a'.repeat(4000)}`,
      ';;=;',
      'catalyst-sre',
    ])
      assert.equal((await app.inject({ url: '/api/v1/alerts', headers: { cookie } })).statusCode, 401, cookie);
  });
});

describe('a provider that fails', () => {
  const withOidc = async (oidc: Oidc) => {
    await app.close();
    app = await startApi(f, {
      clock,
      login: loginOver(database.db, { clock, oidc, links: false, publicUrl: 'https://sre.example' }),
    });
  };
  const attempt = { state: 's', nonce: 'n', verifier: 'v' };
  const works: Oidc = {
    begin: async () => ({ url: 'https://keycloak.example/auth', attempt }),
    finish: async () => ({ ok: true, person: 'user/mira', grants: [acmeAdmin] }),
  };
  const begin = async (to = '/incidents') => {
    const answer = await app.inject({ url: `/auth/login?to=${encodeURIComponent(to)}` });
    return String(answer.headers['set-cookie']).split(';')[0] ?? '';
  };
  const back = (cookie: string) => app.inject({ url: '/auth/callback?code=c&state=s', headers: { cookie } });

  test('behind https the cookie is bound to the host, and the person lands where they wanted to go', async () => {
    await withOidc(works);
    const answer = await back(await begin());
    assert.equal(answer.headers.location, '/incidents');
    const cookies = [answer.headers['set-cookie']].flat().map(String);
    assert.ok(
      cookies.some((cookie) =>
        /^__Host-catalyst-sre=[\w-]{32};.*Path=\/; HttpOnly; Secure; SameSite=Lax$/.test(cookie),
      ),
    );
  });

  test('only the browser that began can finish, once, and in time', async () => {
    await withOidc(works);
    assert.equal((await back('')).headers.location, '/?login=Expired');
    assert.equal((await back('__Host-catalyst-sre-login=guess')).headers.location, '/?login=Expired');
    const cookie = await begin();
    assert.equal((await back(cookie)).headers.location, '/incidents');
    assert.equal((await back(cookie)).headers.location, '/?login=Expired');
    const late = await begin();
    await clock.advance(10 * 60_000);
    assert.equal((await back(late)).headers.location, '/?login=Expired');
  });

  test('it sends people nowhere else', async () => {
    await withOidc(works);
    for (const to of ['//evil.example', '/\\evil.example', 'https://evil.example', '/ok\r\nSet-Cookie: a=b'])
      assert.equal((await app.inject({ url: `/auth/login?to=${encodeURIComponent(to)}` })).statusCode, 400, to);
  });

  test('refusals and outages come back to the console with their reason, and nothing is opened', async () => {
    const cases = [
      [{ ...works, finish: async () => ({ ok: false, sentence: 'mira has no role.' }) }, 'NoRole'],
      [{ ...works, finish: () => Promise.reject(new CatalystError('Unauthenticated', 'access_denied')) }, 'Refused'],
      [{ ...works, finish: () => Promise.reject(new CatalystError('Unavailable', 'away')) }, 'Unavailable'],
    ] as [Oidc, string][];
    for (const [oidc, reason] of cases) {
      await withOidc(oidc);
      const answer = await back(await begin());
      assert.equal(answer.headers.location, `/?login=${reason}`);
      assert.ok(!String(answer.headers['set-cookie'] ?? '').includes('__Host-catalyst-sre='));
    }
    await withOidc({ ...works, begin: () => Promise.reject(new CatalystError('Unavailable', 'away')) });
    assert.equal((await app.inject({ url: '/auth/login' })).headers.location, '/?login=Unavailable');
  });
});

test('who asks too often waits, and alerts never do', async () => {
  await app.close();
  app = await startApi(f, { clock, requestsPerMinute: 3, login: loginOver(database.db, { clock }) });
  const answers = [];
  for (let i = 0; i < 5; i++) answers.push(await app.inject({ url: '/api/v1/alerts', headers: bearer('root') }));
  assert.deepEqual(
    answers.map((answer) => answer.statusCode),
    [200, 200, 200, 429, 429],
  );
  assert.ok(Number(answers[4]?.headers['retry-after']) > 0);
  assert.equal(answers[4]?.json().code, 'TooManyRequests');
  assert.equal((await app.inject({ url: '/api/v1/alerts', headers: bearer('officer') })).statusCode, 200);
  for (let i = 0; i < 10; i++) {
    const delivery = await app.inject({
      method: 'POST',
      url: '/hooks/alertmanager',
      headers: bearer('am'),
      payload: '{}',
    });
    assert.equal(delivery.statusCode, 200);
  }
  const logins = [];
  for (let i = 0; i < 61; i++) logins.push((await app.inject({ url: `/auth/link/${'a'.repeat(32)}` })).statusCode);
  assert.equal(logins.at(-1), 429);
});

test('who reads what not everybody may is noted before they have it', async () => {
  await app.close();
  const noted: string[] = [];
  app = await startApi(f, { clock, noteRead: async ({ id }, what) => void noted.push(`${id} ${what}`) });
  await app.inject({ url: '/api/v1/record', headers: bearer('officer') });
  await app.inject({ url: '/api/v1/deadletters', headers: bearer('acme-viewer') });
  await app.inject({ url: '/api/v1/record', headers: bearer('acme-viewer') });
  assert.deepEqual(noted, ['token/officer the record', 'token/acme-viewer deliveries that cannot be read']);
});

test('a stream ends with the session that opened it, and with no other', async () => {
  const origin = await app.listen({ host: '127.0.0.1', port: 0 });
  const leaving = await browserOf('user/mira', [{ role: 'sovereign-admin' }]);
  const staying = await browserOf('user/jo', [acmeAdmin]);
  const left = new AbortController();
  const follow = ({ cookie }: Browser) =>
    fetch(`${origin}/api/v1/stream`, { headers: { cookie }, signal: left.signal });
  const [ending, other] = [await follow(leaving), await follow(staying)];
  let stays = true;
  const open = other.text().then(
    () => {
      stays = false;
    },
    () => {},
  );
  await leaving.call('POST', '/api/v1/session/end', { body: {} });
  await clock.advance(15_000);
  assert.match(await ending.text(), /event: ended\ndata: \{"sentence":"The session has ended/);
  assert.ok(stays);
  left.abort();
  await open;
});
