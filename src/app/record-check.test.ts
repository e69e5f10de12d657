import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { sql } from 'kysely';
import { openTestDatabase } from '../../test/open-test-database.ts';
import { appendRecord } from '../audit/record-store.ts';
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
  const check = createRecordCheck(db, { error: (...words: unknown[]) => void said.push(words) });
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
  const check = createRecordCheck(database.db, { error: () => assert.fail('nothing was found') });
  check.stop();
  await check.round();
  assert.equal(check.isBroken(), false);
});
