import assert from 'node:assert/strict';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { openTestDatabase } from '../../test/open-test-database.ts';
import { appendRecord } from '../audit/record-store.ts';
import { parseStream } from '../cli/client.ts';
import { systemClock } from '../clock.ts';
import type { OpenDatabase } from '../database/open.ts';
import { bearer, createFixture, type Fixture, startApi } from './api-fixture.ts';
import { createDatabasePorts, createWakeup } from './database-ports.ts';
import type { Api } from './fastify.ts';

/** The API over a real database: what the fakes of the other tests stand for. */
let database: OpenDatabase;
let f: Fixture;
let app: Api;
const wakeup = createWakeup();

before(async () => {
  database = await openTestDatabase();
  f = createFixture();
  Object.assign(f.ports, createDatabasePorts(database, systemClock), { wakeup });
  app = await startApi(f);
});
after(async () => {
  await app.close();
  await database.close();
});

const append = (sentence: string, organization?: string) =>
  database.db
    .transaction()
    .execute((tx) =>
      appendRecord(tx, [
        { at: Date.now(), kind: 'incident.noted', actor: 'engine', sentence, organization, data: { a: [1] } },
      ]),
    );

test('what was appended is read, streamed and verified', async () => {
  await append('one', 'acme');
  await append('two');
  const get = (url: string, who = 'root') => app.inject({ method: 'GET', url, headers: bearer(who) });
  assert.deepEqual(
    (await get('/api/v1/record')).json().items.map((e: { sentence: string }) => e.sentence),
    ['one', 'two'],
  );
  assert.equal((await get('/api/v1/record', 'acme-admin')).json().items.length, 1);
  assert.deepEqual((await get('/api/v1/record/verify')).json().entries, 2);
  assert.equal((await get('/readyz')).statusCode, 200);
  assert.deepEqual((await get('/api/v1/runs')).json(), { items: [] });

  await app.listen({ host: '127.0.0.1', port: 0 });
  const url = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}/api/v1/stream`;
  const stop = new AbortController();
  const response = await fetch(url, { headers: { ...bearer('root'), 'last-event-id': '1' }, signal: stop.signal });
  const seen: unknown[] = [];
  for await (const event of parseStream(response.body as ReadableStream<Uint8Array>)) {
    if (event.data === undefined) continue;
    seen.push([event.id, event.data.sentence]);
    if (event.id === 2) {
      await append('three');
      wakeup.wake();
    }
    if (event.id === 3) break;
  }
  stop.abort();
  assert.deepEqual(seen, [
    [2, 'two'],
    [3, 'three'],
  ]);
});

test('commands with the same key at the same time are carried out once', async () => {
  const send = () =>
    app.inject({
      method: 'POST',
      url: '/api/v1/incidents/i1/acknowledge',
      headers: { ...bearer('root'), 'idempotency-key': 'at-once' },
    });
  const answers = await Promise.all(Array.from({ length: 5 }, send));
  assert.equal(f.commands.length, 1);
  assert.ok(
    answers.every(({ statusCode }) => statusCode === 200 || statusCode === 503),
    'done, or "ask again"',
  );
  const again = await send();
  assert.equal(again.statusCode, 200);
  assert.equal(again.headers['idempotency-replayed'], 'true');
  assert.equal(f.commands.length, 1);
});
