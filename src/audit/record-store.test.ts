import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { sql } from 'kysely';
import { openTestDatabase } from '../../test/open-test-database.ts';
import type { OpenDatabase } from '../database/open.ts';
import type { RecordEntry } from './record.ts';
import { appendRecord, readRecord, searchRecord, verifyChain } from './record-store.ts';

let database: OpenDatabase;
before(async () => {
  database = await openTestDatabase();
});
after(() => database.close());

const entry = (sentence: string): RecordEntry => ({
  at: Date.UTC(2026, 0, 1),
  kind: 'incident.noted',
  actor: 'token/test',
  incidentId: 'i1',
  sentence,
  data: { b: 1, a: ['ü', '\u0000', 1e21, 0.1] },
});

test('entries are chained in order and the chain verifies', async () => {
  await database.db.transaction().execute((tx) => appendRecord(tx, [entry('one'), entry('two')]));
  await database.db.transaction().execute((tx) => appendRecord(tx, [entry('three')]));

  const entries = await readRecord(database.db, { incidentId: 'i1', limit: 10 });
  assert.deepEqual(
    entries.map((e) => [e.seq, e.sentence]),
    [
      [1, 'one'],
      [2, 'two'],
      [3, 'three'],
    ],
  );
  assert.deepEqual(await verifyChain(database.db), { intact: true, entries: 3, head: entries[2]?.hash });
});

test('an entry of a transaction that rolls back was never there', async () => {
  await assert.rejects(
    database.db.transaction().execute(async (tx) => {
      await appendRecord(tx, [entry('lost')]);
      throw new Error('rolled back');
    }),
  );
  assert.equal((await verifyChain(database.db)).entries, 3);
});

test('many transactions at once, some of which roll back, make one chain', async () => {
  const before = (await verifyChain(database.db)).entries;
  const outcomes = await Promise.allSettled(
    Array.from({ length: 60 }, (_, n) =>
      database.db.transaction().execute(async (tx) => {
        await appendRecord(tx, [entry(`first of ${n}`), entry(`second of ${n}`)]);
        if (n % 5 === 0) throw new Error('rolled back');
      }),
    ),
  );
  const kept = outcomes.filter(({ status }) => status === 'fulfilled').length;
  assert.equal(kept, 48);
  const chain = await verifyChain(database.db);
  assert.equal(chain.intact, true);
  assert.equal(chain.entries, before + 2 * kept);
});

test('an entry that somebody else appends meanwhile is what the next one follows', async () => {
  await database.db.transaction().execute((tx) => appendRecord(tx, [entry('ours')]));
  await database.db.transaction().execute((tx) => appendRecord(tx, [entry('ours again')]));
  const other = await openTestDatabase();
  try {
    // Another chain: what is remembered of ours is of no use there, and what it ends in is of none here.
    await other.db.transaction().execute((tx) => appendRecord(tx, [entry('theirs')]));
    assert.deepEqual([(await verifyChain(other.db)).intact, (await verifyChain(other.db)).entries], [true, 1]);
  } finally {
    await other.close();
  }
  await database.db.transaction().execute((tx) => appendRecord(tx, [entry('ours after all')]));
  assert.equal((await verifyChain(database.db)).intact, true);
});

test('the database refuses to change or delete an entry', async () => {
  await assert.rejects(database.db.deleteFrom('record').execute(), /append-only/);
  await assert.rejects(database.db.updateTable('record').set({ sentence: 'x' }).execute(), /append-only/);
});

test('a changed entry, a missing entry and a cut-off end are all found', async () => {
  const tamper = async (statement: string, expected: RegExp) => {
    await assert.rejects(
      database.db.transaction().execute(async (tx) => {
        await sql`ALTER TABLE record DISABLE TRIGGER record_append_only`.execute(tx);
        await sql.raw(statement).execute(tx);
        const verdict = await verifyChain(tx);
        assert.equal(verdict.intact, false);
        assert.match(verdict.intact ? '' : verdict.sentence, expected);
        throw new Error('undo the tampering');
      }),
      /undo the tampering/,
    );
  };
  await tamper(`UPDATE record SET sentence = 'nothing happened' WHERE seq = 2`, /Entry 2 was changed/);
  await tamper(`UPDATE record SET data = '{"a":1}' WHERE seq = 1`, /Entry 1 was changed/);
  await tamper(`DELETE FROM record WHERE seq = 2`, /Entry 2 is missing/);
  const end = (await verifyChain(database.db)).entries;
  await tamper(`DELETE FROM record WHERE seq = ${end}`, /cut off/);
});

test('a search goes through a long record look by look, both ways, and finds each entry once', async () => {
  const { db, close } = await openTestDatabase();
  const told = Array.from({ length: 11_000 }, (_, n) => ({
    ...entry(n % 4_000 === 0 ? `Needle ${n}` : 'hay'),
    organization: n === 4_000 ? 'acme' : undefined,
  }));
  await db.transaction().execute((tx) => appendRecord(tx, told));
  const found = async (filter: Omit<Parameters<typeof searchRecord>[1], 'limit'>, limit = 10) => {
    const seqs: number[] = [];
    let looks = 0;
    for (let after: number | undefined; looks < 10; looks++) {
      const look = await searchRecord(db, { ...filter, limit, ...(after === undefined ? {} : { after }) });
      seqs.push(...look.entries.map(({ seq }) => seq));
      after = look.next;
      if (after === undefined) break;
    }
    return { seqs, looks: looks + 1 };
  };
  assert.deepEqual(await found({ text: 'nEEDle' }), { seqs: [1, 4_001, 8_001], looks: 3 });
  assert.deepEqual(await found({ text: 'needle', order: 'desc' }), { seqs: [8_001, 4_001, 1], looks: 3 });
  assert.deepEqual((await found({ text: 'needle' }, 1)).seqs, [1, 4_001, 8_001], 'a full page goes on where it ended');
  assert.deepEqual(await found({ text: 'needle', organization: 'acme' }), { seqs: [4_001], looks: 1 });
  assert.deepEqual((await found({ text: 'no such thing' })).seqs, []);
  assert.equal((await searchRecord(db, { text: '%', limit: 1 })).entries.length, 0, 'a text, not a pattern');
  const [data] = (await searchRecord(db, { text: 'needle 0', limit: 1 })).entries;
  assert.deepEqual(data, (await readRecord(db, { limit: 1 }))[0]);
  await close();
});
