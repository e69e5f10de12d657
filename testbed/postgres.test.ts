import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Client } from 'pg';
import { findPostgres, type Postgres, startPostgres } from './postgres.ts';
import { describeReal, sharedPostgres } from './real.ts';

describeReal('real PostgreSQL', findPostgres, () => {
  let postgres: Postgres;
  before(async () => {
    postgres = await startPostgres();
  });
  after(() => postgres.stop());

  test('is version 15 and flushes to disk unless told not to', async () => {
    assert.match(await ask(postgres.url, 'SHOW server_version'), /^15\./);
    assert.equal(await ask(postgres.url, 'SHOW fsync'), 'on');
  });

  test('keeps databases apart', async () => {
    const [one, other] = [await postgres.createDatabase(), await postgres.createDatabase('o"ther')];
    await ask(one, 'CREATE TABLE note (text text)');
    assert.equal(await ask(one, `SELECT count(*)::text FROM pg_tables WHERE tablename = 'note'`), '1');
    assert.equal(await ask(other, `SELECT count(*)::text FROM pg_tables WHERE tablename = 'note'`), '0');
  });

  test('has every acknowledged row after kill -9, and breaks the connections of its clients', async () => {
    const url = await postgres.createDatabase();
    const client = new Client({ connectionString: url });
    const broken = new Promise<void>((resolve) => client.on('error', () => resolve()));
    await client.connect();
    await client.query('CREATE TABLE note (id int)');
    for (let id = 1; id <= 20; id += 1) await client.query('INSERT INTO note VALUES ($1)', [id]);
    await client.query('BEGIN; INSERT INTO note VALUES (21)');
    await postgres.crash();
    await broken;
    await assert.rejects(ask(url, 'SELECT 1'), /ECONNREFUSED/);
    await postgres.restart();
    assert.equal(await ask(url, 'SELECT count(*)::text FROM note'), '20', 'the open transaction is not among them');
  });

  test('is shared by the tests of a process that ask for that', async () => {
    const shared = await sharedPostgres();
    assert.equal(await sharedPostgres(), shared);
    assert.notEqual(shared.port, postgres.port);
    assert.equal(await ask(await shared.createDatabase(), 'SHOW fsync'), 'off');
  });

  test('takes settings, fsync off among them', async () => {
    const other = await startPostgres({ fsync: false, settings: { max_connections: '7' } });
    try {
      assert.equal(await ask(other.url, 'SHOW fsync'), 'off');
      assert.equal(await ask(other.url, 'SHOW max_connections'), '7');
    } finally {
      await other.stop();
    }
    await assert.rejects(ask(other.url, 'SELECT 1'), /ECONNREFUSED/);
  });

  test('a start that fails says why, in the words of the server', async () => {
    await assert.rejects(
      startPostgres({ settings: { max_connections: 'many' } }),
      /ended \(exit 1\)[\s\S]*max_connections/,
    );
  });
});

/** The first column of the first row; undefined behind a statement that gives none. */
async function ask(url: string, sql: string): Promise<string> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    const { rows } = await client.query({ text: sql, rowMode: 'array' });
    return rows[0]?.[0];
  } finally {
    await client.end();
  }
}
