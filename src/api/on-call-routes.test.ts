import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { bearer, createFixture, startApi } from './api-fixture.ts';
import type { Api } from './fastify.ts';

let app: Api;
before(async () => {
  app = await startApi(createFixture());
});
after(() => app.close());

const get = (url: string, who = 'root') => app.inject({ method: 'GET', url, headers: bearer(who) });
const names = async (who: string) =>
  ((await get('/api/v1/on-call', who)).json().items as { name: string }[]).map(({ name }) => name);

test('an Organization sees its own schedules and those of the Sovereign, and nothing else by any door', async () => {
  assert.deepEqual(await names('root'), ['sre', 'shop', 'lab']);
  assert.deepEqual(await names('acme-viewer'), ['sre', 'shop']);
  for (const path of ['lab', 'lab/shifts', 'lab.ics', 'none', 'none.ics']) {
    const answer = await get(`/api/v1/on-call/${path}`, 'acme-admin');
    assert.equal(answer.statusCode, 404, path);
    assert.match(answer.json().hint, /GET \/api\/v1\/on-call/);
  }
  for (const path of ['shop', 'shop/shifts', 'shop.ics']) {
    assert.equal((await get(`/api/v1/on-call/${path}`, 'acme-viewer')).statusCode, 200, path);
    const other = await get(`/api/v1/on-call/${path}?organization=globex`, 'acme-viewer');
    assert.equal(other.statusCode, 403, path);
    assert.equal((await get(`/api/v1/on-call/${path}`, 'am')).statusCode, 403, path);
    assert.equal((await app.inject(`/api/v1/on-call/${path}`)).statusCode, 401, path);
  }
  assert.equal((await get('/api/v1/on-call/lab?organization=globex')).json().organization, 'globex');
  assert.equal((await get('/api/v1/on-call/lab?organization=acme')).statusCode, 404);
});

test('times are RFC 3339', async () => {
  const { person, until, next } = (await get('/api/v1/on-call/sre')).json();
  assert.deepEqual(
    [person, until, next],
    ['mira', '2026-01-05T13:00:00.000Z', { person: 'jo', by: 'week', from: '2026-01-05T13:00:00.000Z' }],
  );
});

test('shifts are given for four weeks, or for a range of four months at most', async () => {
  const shifts = async (query: string) => {
    const answer = await get(`/api/v1/on-call/sre/shifts${query}`);
    return answer.statusCode === 200 ? answer.json().items[0] : answer.json().code;
  };
  const { from, to } = await shifts('');
  assert.equal(Date.parse(to) - Date.parse(from), 28 * 86_400_000);
  assert.equal((await shifts('?from=2026-01-05T00:00:00Z')).to, '2026-02-02T00:00:00.000Z');
  assert.equal((await shifts('?from=2026-01-01T00:00:00Z&to=2026-05-05T00:00:00Z')).to, '2026-05-05T00:00:00.000Z');
  for (const wrong of [
    '?from=2026-01-01T00:00:00Z&to=2026-05-05T00:00:01Z',
    '?from=2026-01-05T00:00:00Z&to=2026-01-05T00:00:00Z',
    '?from=2026-01-05T00:00:00Z&to=2026-01-04T00:00:00Z',
    '?from=yesterday',
    '?from=2026-01-05',
    '?to=0000-01-01T00:00:00Z',
    '?more=1',
  ])
    assert.equal(await shifts(wrong), 'BadRequest', wrong);
});

test('a calendar is text/calendar, with a file name', async () => {
  const answer = await get('/api/v1/on-call/sre.ics?person=mira');
  assert.equal(answer.headers['content-type'], 'text/calendar; charset=utf-8');
  assert.equal(answer.headers['content-disposition'], 'attachment; filename="sre.ics"');
  assert.match(answer.body, /^BEGIN:VCALENDAR\r\nX-OF:sre mira\r\n/);
});
