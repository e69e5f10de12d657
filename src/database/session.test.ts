/** Statements that are prepared: once, for a time, and never at the cost of a right answer. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { PGlite } from '@electric-sql/pglite';
import fc from 'fast-check';
import { databaseImage } from '../../test/fresh-database.ts';
import { Session } from './session.ts';

const session = new Session(await PGlite.create({ loadDataDir: await databaseImage() }));
after(() => session.close());

interface PreparedRow {
  name: string;
  statement: string;
}

const prepared = async (text: string) =>
  (await session.query<PreparedRow>('SELECT name, statement FROM pg_prepared_statements')).rows.filter(
    ({ statement }) => statement === text,
  );
const times = async (count: number, ask: (n: number) => Promise<unknown>) => {
  for (let n = 0; n < count; n++) await ask(n);
};

test('what is asked once is not kept, what comes again is prepared once', async () => {
  const text = 'SELECT $1::int + 1 AS more';
  await session.query(text, [1]);
  assert.equal((await prepared(text)).length, 0);
  await times(5, (n) => session.query(text, [n]));
  assert.equal((await prepared(text)).length, 1);
  assert.deepEqual((await session.query(text, [41])).rows, [{ more: 42 }]);
  assert.deepEqual((await session.query(text, [41], { rowMode: 'array' })).rows, [[42]]);
});

test('a plan is thought of again after two hundred uses', async () => {
  const text = 'SELECT $1::int AS n';
  await times(10, (n) => session.query(text, [n]));
  const [first] = await prepared(text);
  await times(200, (n) => session.query(text, [n]));
  const [second, ...others] = await prepared(text);
  assert.deepEqual(others, [], 'the one before is gone');
  assert.notEqual(second?.name, first?.name);
});

test('a table that changes is read as it is now', async () => {
  await session.query('CREATE TABLE changing (a int)');
  await session.query('INSERT INTO changing VALUES (1)');
  await times(4, () => session.query('SELECT * FROM changing'));
  await session.query("ALTER TABLE changing ADD COLUMN b text DEFAULT 'new'");
  assert.deepEqual((await session.query('SELECT * FROM changing')).rows, [{ a: 1, b: 'new' }]);
  await session.query('ALTER TABLE changing ALTER COLUMN a TYPE text');
  assert.deepEqual((await session.query('SELECT * FROM changing')).rows, [{ a: '1', b: 'new' }]);
});

test('a statement that failed is right the next time, prepared or not', async () => {
  const text = 'SELECT 10 / $1::int AS part';
  await times(3, () => session.query(text, [2]));
  await assert.rejects(session.query(text, [0]), { code: '22012' });
  assert.deepEqual((await session.query(text, [5])).rows, [{ part: 2 }]);
  await assert.rejects(session.query('SELECT nonsense'), { code: '42703' });
  await assert.rejects(session.query(text, ['x']), { code: '22P02' });
  assert.deepEqual((await session.query(text, [1])).rows, [{ part: 10 }]);
});

test('what was prepared in a transaction that is rolled back goes on, and the transaction is not', async () => {
  await session.query('CREATE TABLE kept (n int)');
  const text = 'INSERT INTO kept VALUES ($1)';
  const transaction = await session.begin();
  const { affectedRows } = await transaction.query(text, [1]);
  assert.equal(affectedRows, 1);
  await transaction.query(text, [2]);
  await transaction.query(text, [3]);
  await transaction.rollback();
  await session.query(text, [4]);
  assert.deepEqual((await session.query('SELECT n FROM kept')).rows, [{ n: 4 }]);
});

test('a commit after a failed statement says that nothing was committed, and the next one begins anew', async () => {
  const transaction = await session.begin();
  await transaction.query('INSERT INTO kept VALUES (5)');
  await assert.rejects(transaction.query('SELECT 1 / 0'), { code: '22012' });
  await assert.rejects(transaction.query('SELECT 1'), { code: '25P02' });
  await assert.rejects(transaction.commit(), { code: '25P02' });
  const next = await session.begin();
  await next.query('INSERT INTO kept VALUES (6)');
  await next.commit();
  assert.deepEqual((await session.query('SELECT n FROM kept ORDER BY n')).rows, [{ n: 4 }, { n: 6 }]);
});

test('only so many statements are kept', async () => {
  for (const _ of [1, 2]) await times(600, (n) => session.query(`SELECT ${n} AS n`));
  await session.query('SELECT 0');
  const { rows } = await session.query<{ count: number }>('SELECT count(*)::int AS count FROM pg_prepared_statements');
  assert.ok((rows[0]?.count ?? 0) <= 500, `${rows[0]?.count} statements`);
});

test('however many ask at once, in whatever order, each has its own answer', async () => {
  const asked = fc.record({ columns: fc.integer({ min: 1, max: 6 }), fails: fc.boolean(), value: fc.string() });
  await fc.assert(
    fc.asyncProperty(fc.array(asked, { maxLength: 30 }), async (all) => {
      const answers = await Promise.allSettled(
        all.map(({ columns, fails, value }) => {
          const names = Array.from({ length: columns }, (_, n) => `$1::text AS c${n}`).join(', ');
          return session.query<Record<string, string>>(`SELECT ${names}, 1 / $2::int AS one`, [
            value.replaceAll('\0', ''),
            fails ? 0 : 1,
          ]);
        }),
      );
      for (const [index, { columns, fails, value }] of all.entries()) {
        const answer = answers[index];
        assert.equal(answer?.status, fails ? 'rejected' : 'fulfilled');
        if (answer?.status !== 'fulfilled') continue;
        const expected = Array.from({ length: columns }, (_, n) => [`c${n}`, value.replaceAll('\0', '')]);
        assert.deepEqual(answer.value.rows, [{ ...Object.fromEntries(expected), one: 1 }]);
      }
    }),
    { numRuns: 60 },
  );
});
