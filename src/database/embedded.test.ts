/** The embedded database from the main thread's end: values, errors, transactions, and that nobody waits for a statement. */
import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { after, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { sql } from 'kysely';
import { temporaryDirectory } from '../../testbed/process.ts';
import { furnish } from './empty-database.ts';
import { isConnectionError, openDatabase } from './open.ts';

const directory = temporaryDirectory('embedded');
const { db, intake, tidy, close } = await openDatabase({ kind: 'embedded', directory: directory.path });
after(async () => {
  await close();
  directory.remove();
});

test('values come through as they were: bytes, JSON, times, numbers, text of every kind', async () => {
  const text = 'ä 日本 \u{1F600} \u0001 "quoted" \\';
  const { rows } = await sql<Record<string, unknown>>`
    SELECT ${Buffer.from([0, 255, 7])}::bytea AS bytes, ${JSON.stringify({ a: [1, null] })}::jsonb AS json,
           ${new Date(1_795_000_000_123).toISOString()}::timestamptz AS time, 9007199254740991::bigint AS big,
           ${text}::text AS text, ${null}::text AS nothing`.execute(db);
  const row = rows[0] as Record<string, unknown>;
  assert.deepEqual([...(row.bytes as Uint8Array)], [0, 255, 7]);
  assert.deepEqual(row.json, { a: [1, null] });
  assert.equal((row.time as Date).getTime(), 1_795_000_000_123);
  assert.equal(row.big, Number.MAX_SAFE_INTEGER);
  assert.equal(row.text, text);
  assert.equal(row.nothing, null);
});

test('an error is PostgreSQL’s, with its SQLSTATE, and harms nobody else', async () => {
  await assert.rejects(sql`SELECT 1 / 0`.execute(db), (error: Error & { code?: string }) => {
    assert.equal(error.code, '22012');
    assert.match(error.message, /division by zero/);
    assert.equal(isConnectionError(error), false);
    return true;
  });
  assert.equal((await sql`SELECT 1`.execute(db)).rows.length, 1);
});

test('a transaction is whole or nothing, and one that failed in the middle leaves the next one free', async () => {
  await sql`CREATE TABLE counted (n int)`.execute(db);
  const insert = (n: number, fail: boolean) =>
    db.transaction().execute(async (tx) => {
      await sql`INSERT INTO counted VALUES (${n})`.execute(tx);
      if (fail) throw new Error('changed its mind');
    });
  await insert(1, false);
  await assert.rejects(insert(2, true), /changed its mind/);
  await assert.rejects(
    db.transaction().execute((tx) => sql`INSERT INTO counted VALUES ('x')`.execute(tx)),
    /invalid input syntax/,
  );
  await insert(3, false);
  assert.deepEqual((await sql<{ n: number }>`SELECT n FROM counted ORDER BY n`.execute(intake)).rows, [
    { n: 1 },
    { n: 3 },
  ]);
});

test('a statement of the intake waits for the transaction under way and sees nothing half', async () => {
  const seen: string[] = [];
  let reading: Promise<unknown> = Promise.resolve();
  await db.transaction().execute(async (tx) => {
    await sql`UPDATE counted SET n = n + 10`.execute(tx);
    reading = sql<{ n: number }>`SELECT n FROM counted ORDER BY n`.execute(intake).then(({ rows }) => {
      seen.push(`read ${rows.map((row) => row.n)}`);
    });
    await sql`UPDATE counted SET n = n + 10`.execute(tx);
    seen.push('about to commit');
  });
  await reading;
  assert.deepEqual(seen, ['about to commit', 'read 21,23']);
});

test('the process goes on with other work while a statement is carried out', async () => {
  let turns = 0;
  let done = false;
  const counting = sql`SELECT count(*) FROM generate_series(1, 2000000)`.execute(db).finally(() => {
    done = true;
  });
  while (!done) {
    await setImmediate();
    turns++;
  }
  await counting;
  // On the main thread the statement would be one turn long; here there is a turn for each hand's breadth of time.
  assert.ok(turns > 20, `${turns} turns of the event loop`);
});

test('closed, it refuses as a database that is away', async () => {
  const other = temporaryDirectory('embedded-closed');
  const opened = await openDatabase({ kind: 'embedded', directory: other.path });
  await opened.close();
  await assert.rejects(sql`SELECT 1`.execute(opened.db), (error) => isConnectionError(error));
  other.remove();
});

test('a first start copies an empty database, whole or not at all', async () => {
  const other = temporaryDirectory('embedded-first');
  // A process was killed while it copied.
  await mkdir(`${other.path}/postgres.new`);
  await writeFile(`${other.path}/postgres.new/PG_VERSION`, 'half of it');
  await furnish(`${other.path}/postgres`);
  assert.deepEqual(await readdir(other.path), ['postgres']);
  assert.equal(await readFile(`${other.path}/postgres/PG_VERSION`, 'utf8'), '18\n');
  await writeFile(`${other.path}/postgres/ours`, '');
  await furnish(`${other.path}/postgres`);
  assert.ok((await readdir(`${other.path}/postgres`)).includes('ours'), 'what is there is left alone');
  const opened = await openDatabase({ kind: 'embedded', directory: other.path });
  assert.equal((await opened.db.selectFrom('run').selectAll().execute()).length, 0);
  await opened.close();
  other.remove();
});

test('a directory that holds no database of ours is refused with what to do, and is left alone', async () => {
  const other = temporaryDirectory('embedded-broken');
  await mkdir(`${other.path}/postgres`);
  await writeFile(`${other.path}/postgres/PG_VERSION`, 'not a version\n');
  await assert.rejects(
    openDatabase({ kind: 'embedded', directory: other.path }),
    (error: Error & { hint?: string }) => {
      assert.match(error.message, /does not open/);
      assert.match(error.hint ?? '', /--data-dir/);
      return true;
    },
  );
  assert.equal(await readFile(`${other.path}/postgres/PG_VERSION`, 'utf8'), 'not a version\n');
  other.remove();
});

test('tidying tells the planner about the tables, and frees what was deleted', async () => {
  await sql`CREATE TABLE thing AS SELECT n, n % 3 AS kind FROM generate_series(1, 3000) AS n`.execute(db);
  const known = async () =>
    (await sql<{ count: number }>`SELECT count(*)::int AS count FROM pg_stats WHERE tablename = 'thing'`.execute(db))
      .rows[0]?.count;
  assert.equal(await known(), 0);
  await tidy();
  assert.equal(await known(), 2);
  await sql`DELETE FROM thing`.execute(db);
  await tidy();
  const { rows } = await sql<{ size: number }>`SELECT pg_relation_size('thing')::int AS size`.execute(db);
  assert.equal(rows[0]?.size, 0);
  await sql`DROP TABLE thing`.execute(db);
});
