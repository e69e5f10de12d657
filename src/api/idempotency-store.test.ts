import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openTestDatabase } from '../../test/open-test-database.ts';
import { VirtualClock } from '../clock.ts';
import type { OpenDatabase } from '../database/open.ts';
import { createIdempotencyKeys, purgeIdempotencyKeys } from './idempotency-store.ts';

let database: OpenDatabase;
before(async () => {
  database = await openTestDatabase();
});
after(() => database.close());

test('a key is claimed once, answered to the same request, refused to another', async () => {
  const keys = createIdempotencyKeys(database.db, new VirtualClock());
  assert.deepEqual(await keys.claim('token/a', 'k', 'd1'), { kind: 'claimed' });
  assert.deepEqual(await keys.claim('token/a', 'k', 'd1'), { kind: 'inProgress' });
  await keys.complete('token/a', 'k', { status: 201, body: { id: 'r1', list: [1] } });
  assert.deepEqual(await keys.claim('token/a', 'k', 'd1'), {
    kind: 'answered',
    status: 201,
    body: { id: 'r1', list: [1] },
  });
  assert.deepEqual(await keys.claim('token/a', 'k', 'd2'), { kind: 'otherRequest' });
  assert.deepEqual(await keys.claim('token/b', 'k', 'd2'), { kind: 'claimed' }, 'each caller has keys of its own');
});

test('of many at once exactly one claims the key', async () => {
  const keys = createIdempotencyKeys(database.db, new VirtualClock());
  const claims = await Promise.all(Array.from({ length: 10 }, () => keys.claim('token/a', 'race', 'd')));
  assert.deepEqual(claims.filter((claim) => claim.kind === 'claimed').length, 1);
  await keys.release('token/a', 'race');
  assert.equal((await keys.claim('token/a', 'race', 'd')).kind, 'claimed');
});

test('the claim of a process that died is taken over, and old keys are deleted', async () => {
  const clock = new VirtualClock();
  const keys = createIdempotencyKeys(database.db, clock);
  await keys.claim('token/a', 'dead', 'd');
  await clock.advance(59_000);
  assert.equal((await keys.claim('token/a', 'dead', 'd')).kind, 'inProgress');
  await clock.advance(2_000);
  assert.equal((await keys.claim('token/a', 'dead', 'd')).kind, 'claimed');
  await keys.complete('token/a', 'dead', { status: 200, body: {} });
  await clock.advance(25 * 3_600_000);
  assert.equal((await keys.claim('token/a', 'dead', 'other')).kind, 'claimed', 'after a day a key is free again');
  await clock.advance(25 * 3_600_000);
  assert.ok((await purgeIdempotencyKeys(database.db, clock.now())) >= 1);
});
