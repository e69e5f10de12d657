import assert from 'node:assert/strict';
import { after, beforeEach, test } from 'node:test';
import { databaseImage } from '../../test/fresh-database.ts';
import { openDatabase } from '../database/open.ts';
import { CatalystError } from '../errors.ts';
import { createMetrics } from '../telemetry/meter.ts';
import { isAllowed, permissions, roles } from './access.ts';
import { bearer, createFixture, type Fixture, loginOver, routesOf, startApi, tokens } from './api-fixture.ts';
import type { Api } from './fastify.ts';

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

// --- access ----------------------------------------------------------------------------------------------------------

const publicPaths = new Set(['/livez', '/readyz', '/hooks/gitea']);

test('without a token, or with a wrong one, every route but the public ones is closed', async () => {
  for (const route of routesOf(app)) {
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
      assert.equal(answer.json().detail, 'The bearer token or the session is missing or not known.');
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
    'link.make': () => ['POST', '/api/v1/login-links', { person: 'mira' }],
    'drill.start': () => ['POST', '/api/v1/drills/openbao-sealed'],
    deliver: () => ['POST', '/hooks/alertmanager', {}],
    metrics: () => ['GET', '/metrics'],
  };
  const metrics = createMetrics({ version: '1' });
  const database = await openDatabase({ kind: 'memory', image: await databaseImage() });
  const strict = await startApi(f, { metrics, metricsNeedToken: true, login: loginOver(database.db) });
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
  await database.close();
  await metrics.stop();
});

test("an Organization sees its own slice: lists are filtered, and others' items are not found", async () => {
  for (const noun of ['alerts', 'deadletters', 'incidents', 'runs', 'approvals']) {
    const mine = (await get(`/api/v1/${noun}`, 'acme-viewer')).json().items as { organization?: string }[];
    assert.ok(mine.length > 0);
    assert.deepEqual([...new Set(mine.map((item) => item.organization))], ['acme'], noun);
    const all = (await get(`/api/v1/${noun}`)).json().items as { organization?: string }[];
    assert.ok(all.some((item) => item.organization !== 'acme'));
  }
  for (const url of [
    'alerts/a2',
    'incidents/i2',
    'incidents/i2/timeline',
    'incidents/i2/runbooks',
    'incidents/i2/review',
    'runs/r2',
    'runs/r2/journal',
    'approvals/p2',
    'runbooks/secret-plan',
  ])
    assert.equal((await get(`/api/v1/${url}`, 'acme-viewer')).statusCode, 404, url);
  for (const url of ['incidents/i2/acknowledge', 'runs/r2/cancel', 'runs/r3/cancel', 'runbooks/secret-plan/runs'])
    assert.equal((await post(`/api/v1/${url}`, 'acme-admin')).statusCode, 404, url);
  // Neither end of a merge may be somebody else's.
  assert.equal((await post('/api/v1/incidents/i1/merge', 'acme-admin', { into: 'i2' })).statusCode, 404);
  assert.equal((await post('/api/v1/incidents/i2/merge', 'acme-admin', { into: 'i1' })).statusCode, 404);
  assert.equal((await post('/api/v1/incidents/i2/split', 'acme-admin', { alerts: ['a2'] })).statusCode, 404);
  assert.deepEqual(f.commands, []);
});

test('the record is read from its end as well, page by page', async () => {
  f.record.append({ organization: 'acme' }, {}, { organization: 'acme' });
  const seqs = async (query: string, who = 'root') => {
    const { items, next } = (await get(`/api/v1/record?${query}`, who)).json();
    return [items.map(({ seq }: { seq: number }) => seq), next];
  };
  assert.deepEqual(await seqs('order=desc&limit=2'), [[3, 2], '2']);
  assert.deepEqual(await seqs('order=desc&limit=2&after=2'), [[1], undefined]);
  assert.deepEqual(await seqs('order=desc', 'acme-admin'), [[3, 1], undefined]);
  assert.deepEqual(await seqs('limit=2'), [[1, 2], '2']);
  assert.equal((await get('/api/v1/record?order=up')).statusCode, 400);
  assert.equal((await get('/api/v1/record?text=')).statusCode, 400);
});

test('the record is searched, within the slice of who asks, and goes on where the search was', async () => {
  f.record.append({ sentence: 'Needle', organization: 'acme' }, { sentence: 'hay' }, { sentence: 'a needle' });
  const found = async (query: string, who?: string) => {
    const { items, next } = (await get(`/api/v1/record?${query}`, who)).json();
    return { seqs: items.map((entry: { seq: number }) => entry.seq), next };
  };
  assert.deepEqual(await found('text=needle&order=desc&limit=1'), { seqs: [3], next: '3' });
  assert.deepEqual(await found('text=needle&order=desc&limit=1&after=3'), { seqs: [1], next: undefined });
  assert.deepEqual(await found('text=needle', 'acme-admin'), { seqs: [1], next: undefined });
});

test('the draft of a review is Markdown', async () => {
  const { body, headers } = await get('/api/v1/incidents/i1/review', 'acme-viewer');
  assert.equal(body, '# Review: OpenBao is sealed\n');
  assert.equal(headers['content-type'], 'text/markdown; charset=utf-8');
});

test('statistics are of the slice of who asks', async () => {
  assert.equal((await get('/api/v1/statistics/incidents')).json().total.incidents, 3);
  assert.equal((await get('/api/v1/statistics/incidents?by=runbook', 'acme-viewer')).json().total.incidents, 1);
  for (const query of ['window=0s', 'window=2000d', 'window=x', 'by=person', 'organization=globex'])
    assert.equal((await get(`/api/v1/statistics/incidents?${query}`, 'acme-viewer')).statusCode, 400, query);
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
  const merged = await post('/api/v1/incidents/i1/merge', 'root', { into: 'i3', version: 1 });
  assert.equal(merged.json().id, 'i3', 'the answer is the one that goes on');
  assert.equal((await post('/api/v1/incidents/i1/split', 'root', { alerts: ['a1'], title: 'Other' })).statusCode, 200);
  assert.equal((await post('/api/v1/incidents/i1/split', 'root', { alerts: [] })).statusCode, 400);
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
    'merge i1 token/root i3 1',
    'split i1 token/root a1 Other',
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

test('/livez never asks anybody, /readyz does', async () => {
  let asked = 0;
  f.ports.health.check = async () => {
    asked += 1;
    return { ready: false, checks: [{ name: 'database', healthy: false, sentence: 'It is away.' }] };
  };
  assert.equal((await app.inject('/livez')).statusCode, 200);
  assert.equal(asked, 0);
  const ready = await app.inject('/readyz');
  assert.deepEqual([ready.statusCode, ready.json().ready, asked], [503, false, 1]);
});
