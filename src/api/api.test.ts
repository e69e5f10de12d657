import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, beforeEach, test } from 'node:test';
import { Ajv } from 'ajv';
import formats from 'ajv-formats';
import fc from 'fast-check';
import { VirtualClock } from '../clock.ts';
import { CatalystError, errorCodes } from '../errors.ts';
import { createMetrics } from '../telemetry/meter.ts';
import { createTracing } from '../telemetry/trace.ts';
import { isAllowed, permissions, roles } from './access.ts';
import { bearer, createFixture, type Fixture, startApi, tokens } from './api-fixture.ts';
import type { Api } from './fastify.ts';
import { openApiDocument } from './openapi.ts';

let f: Fixture;
let app: Api;
beforeEach(async () => {
  await app?.close();
  f = createFixture();
  app = await startApi(f);
});
after(() => app.close());

const get = (url: string, who = 'root') => app.inject({ method: 'GET', url, headers: bearer(who) });
const post = (url: string, who: string, body?: unknown, headers: Record<string, string> = {}) =>
  app.inject({
    method: 'POST',
    url,
    headers: { ...bearer(who), ...headers, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
    ...(body === undefined ? {} : { payload: JSON.stringify(body) }),
  });

// --- the door of alerts ---------------------------------------------------------------------------------------------

test('a delivery is taken as it came, whatever it is, and answered 200 after the commit', async () => {
  for (const [payload, type] of [
    ['{"version":"4"}', 'application/json'],
    ['not json at all', 'text/plain'],
    ['\u0000\u0001', 'application/octet-stream'],
    ['{', 'nonsense'],
  ] as const) {
    const answer = await app.inject({
      method: 'POST',
      url: '/hooks/alertmanager',
      headers: { ...bearer('am'), 'content-type': type },
      payload,
    });
    assert.equal(answer.statusCode, 200, `${type}: ${answer.body}`);
    assert.deepEqual(answer.json(), {});
    assert.equal(Buffer.from(f.deliveries.at(-1)?.body ?? []).toString(), payload);
  }
  assert.equal(
    (await app.inject({ method: 'POST', url: '/hooks/alertmanager/', headers: bearer('am') })).statusCode,
    200,
  );
  assert.equal(f.deliveries.at(-1)?.body.length, 0, 'an empty body is kept, too');
  assert.equal(f.deliveries.at(-1)?.source, 'am');
});

test('what cannot be committed is a 503, never a 4xx: Alertmanager tries only 5xx again', async () => {
  const pgAway = Object.assign(new Error('connect ECONNREFUSED 10.0.0.1:5432'), { code: 'ECONNREFUSED' });
  for (const error of [new CatalystError('Unavailable', 'The database does not answer.'), pgAway]) {
    f.fail.intake = error;
    const answer = await app.inject({
      method: 'POST',
      url: '/hooks/alertmanager',
      headers: bearer('am'),
      payload: 'x',
    });
    assert.equal(answer.statusCode, 503);
    assert.equal(answer.json().code, 'Unavailable');
    assert.match(String(answer.headers['content-type']), /^application\/problem\+json/);
    assert.ok(!answer.body.includes('10.0.0.1'));
  }
  f.fail.intake = new Error('a bug');
  const bug = await app.inject({ method: 'POST', url: '/hooks/alertmanager', headers: bearer('am'), payload: 'x' });
  assert.equal(bug.statusCode, 500);
  assert.ok(!bug.body.includes('a bug'));
});

test('a commit that hangs is a 503 while Alertmanager still listens', async () => {
  f.ports.intake.accept = () => new Promise(() => {});
  const hanging = await startApi(f, { hooks: { deliveryBytes: 1024, pushSecrets: [], commitLimitMs: 30 } });
  const answer = await hanging.inject({
    method: 'POST',
    url: '/hooks/alertmanager',
    headers: bearer('am'),
    payload: '{}',
  });
  await hanging.close();
  assert.deepEqual([answer.statusCode, answer.json().code], [503, 'Unavailable']);
});

test('the path of the handbook is the same door; :org is the Organization', async () => {
  const deliver = (org: string, who: string) =>
    app.inject({
      method: 'POST',
      url: `/api/v1/repos/${org}/runbooks/actions/dispatches`,
      headers: bearer(who),
      payload: '{}',
    });
  assert.equal((await deliver('acme', 'am')).statusCode, 200);
  assert.equal((await deliver('acme', 'acme-am')).statusCode, 200);
  assert.equal((await deliver('system', 'am')).statusCode, 200);
  assert.equal((await deliver('globex', 'acme-am')).statusCode, 403);
  assert.deepEqual(
    f.deliveries.map((d) => d.organization),
    ['acme', 'acme', undefined],
  );
  await app.inject({ method: 'POST', url: '/hooks/alertmanager', headers: bearer('acme-am'), payload: '{}' });
  assert.equal(f.deliveries.at(-1)?.organization, 'acme');
});

test('a delivery beyond the limit is TooLarge, and deliveries are counted by outcome', async () => {
  const metrics = createMetrics({ version: '1' });
  const counting = await startApi(f, { metrics });
  const deliver = (headers: Record<string, string>, payload: string) =>
    counting.inject({ method: 'POST', url: '/hooks/alertmanager', headers, payload });

  assert.equal((await deliver(bearer('am'), '{}')).statusCode, 200);
  const large = await deliver(bearer('am'), 'x'.repeat(1024 * 1024 + 1));
  assert.equal(large.statusCode, 413);
  assert.equal(large.json().code, 'TooLarge');
  assert.equal((await deliver({}, '{}')).statusCode, 401);

  const text = (await counting.inject({ method: 'GET', url: '/metrics' })).body;
  await counting.close();
  await metrics.stop();
  for (const outcome of ['Accepted', 'TooLarge', 'Unauthenticated'])
    assert.ok(text.includes(`catalyst_sre_deliveries_total{outcome="${outcome}"} 1`), outcome);
  assert.match(
    text,
    /http_server_request_duration_seconds_count\{http_request_method="POST",http_route="\/hooks\/alertmanager",http_response_status_code="200"\} 1/,
  );
});

test('the trace of a delivery is handed on', async () => {
  const tracing = await createTracing({ version: '1' });
  const traced = await startApi(f, { tracing });
  const parent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
  await traced.inject({
    method: 'POST',
    url: '/hooks/alertmanager',
    headers: { ...bearer('am'), traceparent: parent },
    payload: '{}',
  });
  await traced.close();
  await tracing.stop();
  assert.match(
    f.deliveries[0]?.traceparent ?? '',
    /^00-0af7651916cd43dd8448eb211c80319c-(?!b7ad6b7169203331)[0-9a-f]{16}-01$/,
  );
});

test('a push event is taken only with the signature of its repository', async () => {
  const push = (repository: string, secret: string, change: (body: string) => string = (b) => b) => {
    const body = JSON.stringify({ repository: { full_name: repository } });
    const signature = createHmac('sha256', secret).update(body).digest('hex');
    return app.inject({
      method: 'POST',
      url: '/hooks/gitea',
      headers: { 'content-type': 'application/json', 'x-gitea-event': 'push', 'x-gitea-signature': signature },
      payload: change(body),
    });
  };
  assert.equal((await push('acme/runbooks', 'acme-secret')).statusCode, 202);
  assert.equal((await push('acme/runbooks', 'wrong')).statusCode, 401);
  assert.equal((await push('acme/runbooks', 'acme-secret', (b) => `${b} `)).statusCode, 401);
  assert.equal((await push('system/runbooks', 'acme-secret')).statusCode, 403, 'the secret of another repository');
  const bare = await app.inject({ method: 'POST', url: '/hooks/gitea', payload: '{}' });
  assert.equal(bare.statusCode, 401);
  assert.deepEqual(f.refreshed, ['acme/runbooks']);
});

// --- access ----------------------------------------------------------------------------------------------------------

/** Every route the server has, as method and path with parameters filled in. */
function routes(): { method: 'GET' | 'POST'; path: string; url: string }[] {
  const { paths } = openApiDocument(app) as unknown as { paths: Record<string, Record<string, unknown>> };
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => ({
      method: method.toUpperCase() as 'GET' | 'POST',
      path,
      url: path
        .replace('{org}', 'acme')
        .replace('{repo}', 'runbooks')
        .replace('{seq}', '1')
        .replace('{name}', 'restart-shop')
        .replace(
          '{id}',
          path.includes('/runs')
            ? 'r1'
            : path.includes('alerts')
              ? 'a1'
              : path.includes('decisions')
                ? '1'
                : path.includes('approvals')
                  ? 'p1'
                  : 'i1',
        ),
    })),
  );
}

const publicPaths = new Set(['/livez', '/readyz', '/hooks/gitea']);

test('without a token, or with a wrong one, every route but the public ones is closed', async () => {
  for (const route of routes()) {
    if (publicPaths.has(route.path)) continue;
    for (const headers of [
      {},
      { authorization: 'Bearer wrong' },
      { authorization: 'Basic cm9vdDpyb290' },
      { authorization: 'Bearer ' },
    ]) {
      const answer = await app.inject({ method: route.method, url: route.url, headers });
      assert.equal(answer.statusCode, 401, `${route.method} ${route.path}`);
      assert.equal(answer.json().code, 'Unauthenticated');
    }
  }
});

test('each role can do what the table says, and nothing else', async () => {
  const attempt: Record<(typeof permissions)[number], () => ['GET' | 'POST', string, unknown?]> = {
    read: () => ['GET', '/api/v1/alerts'],
    'incident.act': () => ['POST', '/api/v1/incidents/i1/acknowledge'],
    'run.start': () => ['POST', '/api/v1/runbooks/restart-shop/runs'],
    'run.approve': () => ['POST', '/api/v1/runs/r1/reject'],
    'run.cancel': () => ['POST', '/api/v1/runs/r1/cancel'],
    'record.read': () => ['GET', '/api/v1/record'],
    'record.verify': () => ['GET', '/api/v1/record/verify'],
    'catalog.refresh': () => ['POST', '/api/v1/catalog/refresh', { repository: 'acme/runbooks' }],
    deliver: () => ['POST', '/hooks/alertmanager', {}],
    metrics: () => ['GET', '/metrics'],
  };
  const metrics = createMetrics({ version: '1' });
  const strict = await startApi(f, { metrics, metricsNeedToken: true });
  for (const token of tokens) {
    if (token.organization === 'globex') continue;
    for (const permission of permissions) {
      const [method, url, body] = attempt[permission]();
      const answer = await strict.inject({
        method,
        url,
        headers: { ...bearer(token.name), ...(body ? { 'content-type': 'application/json' } : {}) },
        ...(body ? { payload: JSON.stringify(body) } : {}),
      });
      const allowed = isAllowed(token.role, permission);
      assert.equal(
        answer.statusCode < 300,
        allowed,
        `${token.role} ${permission}: ${answer.statusCode} ${answer.body}`,
      );
      if (!allowed) assert.equal(answer.json().code, 'Forbidden');
    }
  }
  assert.ok(roles.includes('billing-admin'));
  await strict.close();
  await metrics.stop();
});

test("an Organization sees its own slice: lists are filtered, and others' items are not found", async () => {
  for (const noun of ['alerts', 'incidents', 'runs', 'approvals']) {
    const mine = (await get(`/api/v1/${noun}`, 'acme-viewer')).json().items as { organization?: string }[];
    assert.ok(mine.length > 0);
    assert.deepEqual([...new Set(mine.map((item) => item.organization))], ['acme'], noun);
    const all = (await get(`/api/v1/${noun}`)).json().items as { organization?: string }[];
    assert.ok(all.some((item) => item.organization === 'globex'));
  }
  for (const url of [
    'alerts/a2',
    'incidents/i2',
    'incidents/i2/timeline',
    'runs/r2',
    'runs/r2/journal',
    'approvals/p2',
    'runbooks/secret-plan',
  ])
    assert.equal((await get(`/api/v1/${url}`, 'acme-viewer')).statusCode, 404, url);
  for (const url of ['incidents/i2/acknowledge', 'runs/r2/cancel', 'runs/r3/cancel', 'runbooks/secret-plan/runs'])
    assert.equal((await post(`/api/v1/${url}`, 'acme-admin')).statusCode, 404, url);
  assert.deepEqual(f.commands, []);
});

test("the Sovereign's runbooks can be read by an Organization, but not run", async () => {
  const names = (await get('/api/v1/runbooks', 'acme-viewer')).json().items.map((r: { name: string }) => r.name);
  assert.deepEqual(names, ['openbao-sealed', 'restart-shop']);
  assert.equal((await post('/api/v1/runbooks/openbao-sealed/runs', 'acme-admin')).statusCode, 403);
  assert.equal((await post('/api/v1/runbooks/openbao-sealed/runs', 'root')).statusCode, 201);
});

test('whoami tells the role and what it may do', async () => {
  const who = (await get('/api/v1/whoami', 'acme-dev')).json();
  assert.deepEqual(who, {
    id: 'token/acme-dev',
    role: 'org-developer',
    organization: 'acme',
    permissions: ['read', 'incident.act', 'run.start'],
    version: '0.0.0-test',
  });
});

// --- commands --------------------------------------------------------------------------------------------------------

test('commands reach their service with who asked', async () => {
  assert.equal((await post('/api/v1/incidents/i1/acknowledge', 'acme-dev', { comment: 'on it' })).statusCode, 200);
  assert.equal((await post('/api/v1/incidents/i1/resolve', 'root', { resolution: 'unsealed' })).statusCode, 200);
  assert.equal((await post('/api/v1/incidents/i1/notes', 'root', { text: 'looking' })).statusCode, 200);
  assert.equal((await post('/api/v1/runs/r1/approve', 'root', { planDigest: 'abc' })).statusCode, 200);
  assert.equal((await post('/api/v1/runs/r1/approve', 'acme-admin')).statusCode, 403);
  assert.equal((await post('/api/v1/runs/r1/cancel', 'acme-admin')).statusCode, 200);
  const started = await post('/api/v1/runbooks/restart-shop/runs', 'acme-dev', { inputs: { count: 2 }, dryRun: true });
  assert.equal(started.statusCode, 201);
  assert.equal(started.json().organization, 'acme');
  assert.deepEqual(f.commands, [
    'acknowledge i1 token/acme-dev on it',
    'resolve i1 token/root unsealed',
    'note i1 token/root looking',
    'approve r1 token/root abc',
    'cancel r1 token/acme-admin',
    'start restart-shop token/acme-dev {"count":2} dry',
  ]);
});

test('the same Idempotency-Key acts once and gives the same answer; with another request it is refused', async () => {
  const key = { 'idempotency-key': 'k1' };
  const first = await post('/api/v1/runbooks/restart-shop/runs', 'root', { organization: 'acme' }, key);
  const again = await post('/api/v1/runbooks/restart-shop/runs', 'root', { organization: 'acme' }, key);
  assert.deepEqual([first.statusCode, again.statusCode], [201, 201]);
  assert.equal(first.body, again.body);
  assert.equal(again.headers['idempotency-replayed'], 'true');
  assert.equal(f.commands.length, 1);

  const other = await post('/api/v1/runbooks/restart-shop/runs', 'root', { organization: 'acme', dryRun: true }, key);
  assert.equal(other.statusCode, 422);
  assert.equal(other.json().code, 'IdempotencyKeyReused');
  assert.equal((await post('/api/v1/runs/r1/cancel', 'acme-admin', undefined, key)).statusCode, 200, 'another caller');
});

test('an answer that says "try again" is not kept, one that says no is', async () => {
  const key = { 'idempotency-key': 'k2' };
  f.fail.command = new CatalystError('Unavailable', 'The database does not answer.');
  assert.equal((await post('/api/v1/runs/r1/cancel', 'root', undefined, key)).statusCode, 503);
  f.fail.command = new CatalystError('RefusedByGuard', 'Cooling down.', { details: { reason: 'Cooldown' } });
  const refused = await post('/api/v1/runs/r1/cancel', 'root', undefined, key);
  assert.equal(refused.statusCode, 409);
  assert.deepEqual(refused.json().details, { reason: 'Cooldown' });
  delete f.fail.command;
  const replayed = await post('/api/v1/runs/r1/cancel', 'root', undefined, key);
  assert.equal(replayed.body, refused.body);
  assert.match(String(replayed.headers['content-type']), /problem\+json/);
});

// --- reading ---------------------------------------------------------------------------------------------------------

test('lists are paged by cursor and filtered', async () => {
  const first = (await get('/api/v1/runs?limit=2')).json();
  assert.deepEqual(
    first.items.map((r: { id: string }) => r.id),
    ['r1', 'r2'],
  );
  const second = (await get(`/api/v1/runs?limit=2&after=${first.next}`)).json();
  assert.deepEqual(
    second.items.map((r: { id: string }) => r.id),
    ['r3'],
  );
  assert.equal('next' in second, false);
  assert.equal((await get('/api/v1/runs?state=Ended')).json().items.length, 0);
  assert.equal((await get('/api/v1/runs?state=Running&nonsense=1')).statusCode, 400);
});

test('the record is read in pages, as timeline, by number, and verified', async () => {
  f.record.append(
    { incidentId: 'i1', organization: 'acme' },
    { incidentId: 'i2', organization: 'globex' },
    { incidentId: 'i1', organization: 'acme' },
  );
  const page = (await get('/api/v1/record?limit=2')).json();
  assert.deepEqual([page.items.length, page.next], [2, '2']);
  assert.equal((await get(`/api/v1/record?limit=2&after=${page.next}`)).json().items[0].seq, 3);
  assert.deepEqual(
    (await get('/api/v1/incidents/i1/timeline', 'acme-viewer')).json().items.map((e: { seq: number }) => e.seq),
    [1, 3],
  );
  assert.deepEqual(
    (await get('/api/v1/record', 'acme-admin')).json().items.map((e: { seq: number }) => e.seq),
    [1, 3],
  );
  assert.equal((await get('/api/v1/record/2')).json().seq, 2);
  assert.equal((await get('/api/v1/record/2', 'acme-admin')).statusCode, 404);
  assert.deepEqual((await get('/api/v1/record/verify', 'officer')).json(), {
    intact: true,
    entries: 3,
    head: f.record.entries[2]?.hash,
  });
});

test('/livez never asks anybody, /readyz does and has a limit', async () => {
  const clock = new VirtualClock();
  let asked = 0;
  f.ports.health.check = () => {
    asked += 1;
    return new Promise(() => {});
  };
  const slow = await startApi(f, { clock });
  assert.equal((await slow.inject('/livez')).statusCode, 200);
  assert.equal(asked, 0);
  const ready = slow.inject('/readyz');
  while (clock.nextDue() === undefined) await new Promise((resolve) => setImmediate(resolve));
  await clock.advance(1_000);
  assert.equal((await ready).statusCode, 503);
  assert.equal((await ready).json().ready, false);
  await slow.close();
});

// --- errors ----------------------------------------------------------------------------------------------------------

test('every error is a problem with a stable code, and tells neither stack nor secret', async () => {
  f.fail.command = new Error('boom at postgres://admin:hunter2@db/x');
  const cases: [Awaited<ReturnType<typeof get>>, number, keyof typeof errorCodes][] = [
    [await get('/nowhere'), 404, 'NotFound'],
    [await get('/api/v1/alerts/none'), 404, 'NotFound'],
    [await get('/api/v1/alerts?limit=0'), 400, 'BadRequest'],
    [await get('/api/v1/alerts?limit=many'), 400, 'BadRequest'],
    [await get('/api/v1/record/x'), 400, 'BadRequest'],
    [
      await app.inject({
        method: 'POST',
        url: '/api/v1/incidents/i1/resolve',
        headers: { ...bearer('root'), 'content-type': 'application/json' },
        payload: '{',
      }),
      400,
      'InvalidBody',
    ],
    [await post('/api/v1/incidents/i1/resolve', 'root'), 400, 'BadRequest'],
    [await post('/api/v1/incidents/i1/resolve', 'root', { resolution: 3 }), 400, 'BadRequest'],
    [await post('/api/v1/incidents/i1/resolve', 'root', { resolution: 'x', more: 1 }), 400, 'BadRequest'],
    [await post('/api/v1/incidents/i1/resolve', 'root', { resolution: 'x' }), 500, 'Internal'],
    [
      await app.inject({
        method: 'POST',
        url: '/api/v1/incidents/i1/resolve',
        headers: { ...bearer('root'), 'content-type': 'text/html' },
        payload: 'x',
      }),
      400,
      'BadRequest',
    ],
    [
      await app.inject({
        method: 'POST',
        url: '/api/v1/incidents/i1/resolve',
        headers: { ...bearer('root'), 'content-type': 'application/json' },
        payload: '{"__proto__":{"admin":true},"resolution":"x"}',
      }),
      400,
      'InvalidBody',
    ],
    [
      await app.inject({
        method: 'POST',
        url: '/api/v1/incidents/i1/resolve',
        headers: { ...bearer('root'), 'content-type': 'application/json' },
        payload: '{"constructor":{"prototype":{"x":1}},"resolution":"x"}',
      }),
      400,
      'InvalidBody',
    ],
    [await post('/api/v1/incidents/i1/notes', 'root', { text: 'x'.repeat(2 * 1024 * 1024) }), 413, 'TooLarge'],
  ];
  for (const [answer, status, code] of cases) {
    const problem = answer.json();
    assert.equal(answer.statusCode, status, answer.body);
    assert.equal(problem.code, code, answer.body);
    assert.equal(problem.status, status);
    assert.match(String(answer.headers['content-type']), /^application\/problem\+json/);
    assert.ok(problem.detail.length > 10 && problem.instance.startsWith('/'));
    assert.ok(!/hunter2|node_modules|\.ts:|at Object/.test(answer.body), answer.body);
    assert.equal(problem.requestId, answer.headers['x-request-id']);
  }
});

test('answers carry the security headers and no CORS', async () => {
  const { headers } = await app.inject({
    method: 'GET',
    url: '/livez',
    headers: { origin: 'https://evil.example', 'x-request-id': 'abc-1' },
  });
  assert.equal(headers['x-content-type-options'], 'nosniff');
  assert.equal(headers['x-frame-options'], 'DENY');
  assert.match(String(headers['content-security-policy']), /default-src 'none'/);
  assert.equal(headers['access-control-allow-origin'], undefined);
  assert.equal(headers['x-request-id'], 'abc-1');
  const odd = await app.inject({ method: 'GET', url: '/livez', headers: { 'x-request-id': 'a b<script>' } });
  assert.notEqual(odd.headers['x-request-id'], 'a b<script>');
});

test('no request makes the server fail: any path, method, query and body gets a clear answer', async () => {
  // The stream has no end that inject could wait for; it has tests of its own.
  const urls = routes()
    .map((route) => route.url)
    .filter((url) => url !== '/api/v1/stream');
  const part = fc.oneof(
    fc.string({ maxLength: 40 }),
    fc.constantFrom('__proto__', 'constructor', '..', '%00', '%', '\u2028', 'a'.repeat(300)),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom('GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'HEAD'),
      fc.oneof(
        fc.constantFrom(...urls),
        fc.array(part, { maxLength: 4 }).map((parts) => `/${parts.map(encodeURIComponent).join('/')}`),
      ),
      fc.dictionary(part, part, { maxKeys: 3 }),
      fc.oneof(fc.json(), fc.string(), fc.constantFrom('{"__proto__":1}', '[]', 'null', '')),
      fc.constantFrom('application/json', 'text/plain', 'application/json; charset=utf-16', ''),
      async (method, path, query, payload, type) => {
        const answer = await app.inject({
          method: method as 'GET',
          url: `${path}?${new URLSearchParams(query)}`,
          headers: { ...bearer('root'), ...(type ? { 'content-type': type } : {}) },
          ...(method === 'GET' || method === 'HEAD' ? {} : { payload }),
        });
        assert.ok(answer.statusCode < 500, `${method} ${path} ${answer.statusCode} ${answer.body}`);
        if (answer.statusCode >= 400 && method !== 'HEAD') assert.ok(answer.json().code in errorCodes);
      },
    ),
    { numRuns: 300 },
  );
});

test('a client cannot hold the server: headers, requests, silence and connections have limits', () => {
  const { headersTimeout, requestTimeout, timeout, maxConnections } = app.server;
  assert.deepEqual([headersTimeout, requestTimeout, timeout, maxConnections], [10_000, 60_000, 60_000, 1_000]);
});

test('the console is served to everybody, with a policy of its own; everything else stays as it is', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'console-'));
  await mkdir(join(folder, 'assets'));
  await writeFile(join(folder, 'index.html'), '<!doctype html><title>Catalyst SRE</title>');
  await writeFile(join(folder, 'assets', 'app-1a2b.js'), 'export {};');
  const served = await startApi(f, { consoleDirectory: folder });
  const page = await served.inject('/');
  assert.equal(page.statusCode, 200);
  assert.match(page.body, /Catalyst SRE/);
  assert.match(String(page.headers['content-security-policy']), /^default-src 'self'/);
  assert.equal(page.headers['cache-control'], 'no-cache');
  assert.match(String((await served.inject('/assets/app-1a2b.js')).headers['cache-control']), /immutable/);
  assert.equal((await served.inject('/api/v1/alerts')).statusCode, 401);
  for (const url of ['/none', '/../package.json', '/%2e%2e/package.json', '/assets/'])
    assert.equal((await served.inject(url)).json().code, 'NotFound', url);
  await served.close();
  await rm(folder, { recursive: true });
});

// --- the contract ----------------------------------------------------------------------------------------------------

type SchemaNode = {
  description?: string;
  properties?: Record<string, SchemaNode>;
  items?: SchemaNode;
  anyOf?: SchemaNode[];
  additionalProperties?: SchemaNode | boolean;
};

test('every field, parameter and operation in OpenAPI is described', () => {
  const document = openApiDocument(app) as unknown as {
    openapi: string;
    paths: Record<string, Record<string, Record<string, unknown>>>;
  };
  assert.equal(document.openapi, '3.1.0');
  const missing: string[] = [];
  const visit = (schema: SchemaNode | undefined, where: string) => {
    for (const [name, property] of Object.entries(schema?.properties ?? {})) {
      if (!property.description) missing.push(`${where}.${name}`);
      visit(property, `${where}.${name}`);
    }
    if (schema?.items) visit(schema.items, `${where}[]`);
    for (const part of schema?.anyOf ?? []) visit(part, where);
  };
  const ids: string[] = [];
  const { components } = openApiDocument(app) as unknown as { components: { schemas: Record<string, SchemaNode> } };
  for (const [name, schema] of Object.entries(components.schemas)) visit(schema, name);
  assert.ok('Problem' in components.schemas && 'Run' in components.schemas);
  for (const [path, methods] of Object.entries(document.paths))
    for (const [method, operation] of Object.entries(methods)) {
      const where = `${method} ${path}`;
      ids.push(String(operation.operationId));
      if (!operation.summary || !operation.operationId) missing.push(where);
      for (const parameter of (operation.parameters ?? []) as { name: string; description?: string }[])
        if (!parameter.description) missing.push(`${where} ${parameter.name}`);
      const bodies = [operation.requestBody, ...Object.values((operation.responses ?? {}) as object)] as {
        content?: Record<string, { schema: SchemaNode }>;
      }[];
      for (const body of bodies) for (const { schema } of Object.values(body?.content ?? {})) visit(schema, where);
    }
  assert.deepEqual(missing, []);
  assert.equal(new Set(ids).size, ids.length);
});

test('every answer of a read fits its schema in OpenAPI', async () => {
  f.record.append({ incidentId: 'i1', organization: 'acme' });
  const ajv = new Ajv({ strict: false });
  formats.default(ajv);
  const { paths, components } = openApiDocument(app) as unknown as {
    components: object;
    paths: Record<string, { get?: { responses: Record<string, { content?: Record<string, { schema: object }> }> } }>;
  };
  for (const route of routes()) {
    if (route.method !== 'GET' || route.path === '/api/v1/stream' || route.path.startsWith('/api/v1/pages/')) continue;
    const answer = await get(route.url);
    assert.equal(answer.statusCode, 200, route.url);
    const schema = paths[route.path]?.get?.responses['200']?.content?.['application/json']?.schema;
    assert.ok(schema, route.path);
    const validate = ajv.compile({ ...schema, components });
    assert.ok(validate(answer.json()), `${route.path}: ${ajv.errorsText(validate.errors)}`);
  }
});
