import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { sql } from 'kysely';
import { openTestDatabase } from '../../test/open-test-database.ts';
import { appendRecord } from '../audit/record-store.ts';
import { type Clock, systemClock } from '../clock.ts';
import type { OpenDatabase } from '../database/open.ts';
import { createRecordCheck } from './record-check.ts';

let database: OpenDatabase;
before(async () => {
  database = await openTestDatabase();
});
after(() => database.close());

test('a record that is changed behind our back is told in the log and in the metric, once looked at', async () => {
  const { db } = database;
  const said: unknown[][] = [];
  const check = createRecordCheck(db, systemClock, { error: (...words: unknown[]) => void said.push(words) });
  const entry = { at: 0, kind: 'incident.noted' as const, actor: 'token/test', sentence: 'one', data: {} };
  await db.transaction().execute((tx) => appendRecord(tx, [entry]));
  await check.round();
  assert.equal(check.isBroken(), false);

  await sql`ALTER TABLE record DISABLE TRIGGER record_append_only`.execute(db);
  await sql`UPDATE record SET sentence = 'nothing happened'`.execute(db);
  await check.round();
  assert.equal(check.isBroken(), true);
  assert.match(String(said[0]?.[1]), /Entry 1 was changed/);
});

test('a look that is broken off by a stop says nothing', async () => {
  const check = createRecordCheck(database.db, systemClock, { error: () => assert.fail('nothing was found') });
  check.stop();
  await check.round();
  assert.equal(check.isBroken(), false);
});

test('a look at a long record rests for longer than it works, so that people can read meanwhile', async () => {
  const { db, close } = await openTestDatabase();
  const entry = { at: 0, kind: 'incident.noted' as const, actor: 'token/test', sentence: 'one', data: {} };
  await db.transaction().execute((tx) => appendRecord(tx, Array(450).fill(entry)));
  let elapsed = 0;
  const rests: number[] = [];
  const clock: Clock = {
    ...systemClock,
    monotonic: () => (elapsed += 10),
    sleep: async (ms) => void rests.push(ms),
  };
  const check = createRecordCheck(db, clock, { error: () => assert.fail('nothing was changed') });
  await check.round();
  assert.deepEqual(rests, [40, 40]);
  await close();
});
