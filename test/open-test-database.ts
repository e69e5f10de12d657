/**
 * A database for one test file: embedded and in memory, or, where CATALYST_TEST_POSTGRES holds the URL of a server on
 * which databases may be created, a new one there that is dropped at the end.
 */
import { randomBytes } from 'node:crypto';
import { type OpenDatabase, openDatabase } from '../src/database/open.ts';
import { databaseImage } from './fresh-database.ts';

export interface TestDatabase extends OpenDatabase {
  /** URL of the database, where it is on a server. */
  url?: string;
}

export async function openTestDatabase(): Promise<TestDatabase> {
  const server = process.env.CATALYST_TEST_POSTGRES;
  if (!server) return openDatabase({ kind: 'memory', image: await databaseImage() });
  const name = `catalyst_test_${randomBytes(6).toString('hex')}`;
  await administer(server, `CREATE DATABASE ${name}`);
  const url = new URL(server);
  url.pathname = `/${name}`;
  const open = await openDatabase({ kind: 'postgres', url: url.href, poolSize: 16 });
  return {
    ...open,
    url: url.href,
    close: async () => {
      await open.close();
      await administer(server, `DROP DATABASE ${name} WITH (FORCE)`);
    },
  };
}

async function administer(server: string, statement: string): Promise<void> {
  const { default: pg } = await import('pg');
  const client = new pg.Client({ connectionString: server });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}
