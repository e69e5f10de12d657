/** Statements on a real PostgreSQL that come again: prepared once a connection, and never at the cost of a right answer. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sql } from 'kysely';
import { connectPostgres } from '../../src/database/postgres.ts';
import type { Database } from '../../src/database/tables.ts';
import { findPostgres } from '../../testbed/postgres.ts';
import { describeReal, sharedPostgres } from '../../testbed/real.ts';

/** One connection, so that all that is asked meets the same statements. */
async function withDatabase(work: (db: Database) => Promise<void>): Promise<void> {
  const url = await (await sharedPostgres()).createDatabase();
  const { db, intake } = await connectPostgres({ url, poolSize: 1 });
  try {
    await work(db);
  } finally {
    await db.destroy();
    await intake.destroy();
  }
}

/** Plans made for any parameters and for the given ones, by the text of the statement. */
async function prepared(db: Database, part: string) {
  const { rows } = await sql<{ generic_plans: number; custom_plans: number }>`
    SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE statement LIKE ${`%${part}%`}
      AND statement NOT LIKE '%pg_prepared_statements%'`.execute(db);
  return rows;
}

async function times(count: number, ask: (n: number) => Promise<unknown>): Promise<void> {
  for (let n = 0; n < count; n++) await ask(n);
}

describeReal('statements on PostgreSQL', findPostgres, () => {
  test('what comes for the third time is prepared, what is made up for an occasion is not', async () => {
    await withDatabase(async (db) => {
      const double = (n: number) => sql<{ twice: number }>`SELECT ${n}::int * 2 AS twice`.execute(db);
      await times(2, double);
      assert.deepEqual(await prepared(db, 'twice'), []);
      await times(4, double);
      const [statement, ...others] = await prepared(db, 'twice');
      assert.deepEqual(others, []);
      assert.equal(Number(statement?.generic_plans) + Number(statement?.custom_plans), 4);
      assert.deepEqual((await double(21)).rows, [{ twice: 42 }]);
    });
  });

  test('values of every kind come back the same, prepared or not', async () => {
    await withDatabase(async (db) => {
      const at = new Date('2026-03-29T01:30:00.123Z');
      const answers = [];
      for (let n = 0; n < 5; n++) {
        const { rows } = await sql`
          SELECT ${null}::text AS nothing, ${'ß "\\ \u{1F6A8}'}::text AS text, ${9_007_199_254_740_991}::bigint AS number,
            ${at}::timestamptz AS time, ${['a', 'b']}::text[] AS list, ${JSON.stringify({ a: [1] })}::json AS object,
            ${Buffer.from([0, 255])}::bytea AS bytes`.execute(db);
        answers.push(rows);
      }
      const expected = [
        {
          nothing: null,
          text: 'ß "\\ \u{1F6A8}',
          number: 9_007_199_254_740_991,
          time: at,
          list: ['a', 'b'],
          object: { a: [1] },
          bytes: Buffer.from([0, 255]),
        },
      ];
      for (const rows of answers) assert.deepEqual(rows, expected);
    });
  });

  test('a statement that failed is right the next time, and so is the transaction after it', async () => {
    await withDatabase(async (db) => {
      const part = (divisor: number) => sql<{ part: number }>`SELECT 10 / ${divisor}::int AS part`.execute(db);
      await times(4, () => part(2));
      await assert.rejects(part(0), { code: '22012' });
      assert.deepEqual((await part(5)).rows, [{ part: 2 }]);
      await assert.rejects(
        db.transaction().execute(async (tx) => {
          await sql`CREATE TABLE never (a int)`.execute(tx);
          await sql`SELECT 10 / ${0}::int AS part`.execute(tx);
        }),
        { code: '22012' },
      );
      const { rows } = await sql<{ there: boolean }>`SELECT to_regclass('never') IS NOT NULL AS there`.execute(db);
      assert.deepEqual(rows, [{ there: false }]);
    });
  });

  test('a table that a newer version has changed is read as it is now, after one refusal', async () => {
    await withDatabase(async (db) => {
      await sql`CREATE TABLE changing AS SELECT 1 AS a`.execute(db);
      const all = () => sql`SELECT * FROM changing`.execute(db);
      await times(4, all);
      await sql`ALTER TABLE changing ADD COLUMN b text DEFAULT 'new'`.execute(db);
      await assert.rejects(all(), { code: '0A000' });
      assert.deepEqual((await all()).rows, [{ a: 1, b: 'new' }]);
      await times(5, all);
    });
  });
});
