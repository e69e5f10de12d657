/**
 * Opens the one database: PostgreSQL by URL, or PGlite (PostgreSQL in a thread of this process) in a data directory. Both run the
 * same migrations and the same queries.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Kysely, PGliteDialect, type PGliteDialectConfig, sql } from 'kysely';
import { type Migration, Migrator } from 'kysely/migration';
import { CatalystError, messageOf } from '../errors.ts';
import { lockDataDirectory } from './directory-lock.ts';
import { openEmbedded } from './embedded.ts';
import { furnish } from './empty-database.ts';
import * as spine from './migrations/0001-spine.ts';
import * as sessions from './migrations/0002-sessions.ts';
import * as escalation from './migrations/0003-escalation.ts';
import * as incidents from './migrations/0004-incidents.ts';
import * as onCall from './migrations/0005-on-call.ts';
import * as reading from './migrations/0006-reading.ts';
import { connectPostgres, type PostgresLocation } from './postgres.ts';
import type { Database, Tables } from './tables.ts';

/** Migrations in order. A released one is never edited. */
const migrations: Record<string, Migration> = {
  '0001-spine': spine,
  '0002-sessions': sessions,
  '0003-escalation': escalation,
  '0004-incidents': incidents,
  '0005-on-call': onCall,
  '0006-reading': reading,
};

export type DatabaseLocation =
  | ({ kind: 'postgres' } & PostgresLocation)
  /** A directory only this process uses. */
  | { kind: 'embedded'; directory: string }
  /** Gone with the process: for tests. `image` holds the files to begin with, as PGlite dumps them. */
  | { kind: 'memory'; image?: Blob };

export interface OpenDatabase {
  db: Database;
  /**
   * The same database for taking deliveries in, and for nothing else: what is asked here stands in no line with the engine's
   * work. On the embedded database it waits for the one transaction under way and goes next; on PostgreSQL it has
   * connections of its own.
   */
  intake: Database;
  kind: DatabaseLocation['kind'];
  /** Throws Unavailable when the database does not answer. */
  ping(): Promise<void>;
  /**
   * Gathers what the planner knows about the tables, and frees the space of old versions of rows. PostgreSQL does so by
   * itself; the embedded database has nothing that runs beside the one connection, and without this it sorts whole tables.
   */
  tidy(): Promise<void>;
  close(): Promise<void>;
}

/**
 * Opens the database and brings its schema up to date.
 *
 * @throws CatalystError Unavailable when it cannot be reached; Conflict when another process holds the data directory.
 */
export async function openDatabase(location: DatabaseLocation): Promise<OpenDatabase> {
  const open = location.kind === 'postgres' ? await startPostgres(location) : await startEmbedded(location);
  try {
    await migrate(open.db);
    return open;
  } catch (error) {
    await open.close();
    throw error;
  }
}

async function startPostgres(location: PostgresLocation): Promise<OpenDatabase> {
  const { db, intake } = await connectPostgres(location);
  return {
    db,
    intake,
    kind: 'postgres',
    ping: () => ping(db),
    tidy: async () => {},
    close: () => closeAll(db, intake),
  };
}

async function closeAll(...databases: readonly Database[]): Promise<void> {
  // One after the other: the two lines to the embedded database end in the same place, and the second finds it closed.
  for (const database of databases) await database.destroy();
}

async function startEmbedded(location: DatabaseLocation): Promise<OpenDatabase> {
  if (location.kind !== 'embedded') {
    // Only here: whoever has PostgreSQL does without PGlite's memory.
    const [{ PGlite }, { Session }] = await Promise.all([import('@electric-sql/pglite'), import('./session.ts')]);
    const pglite = await PGlite.create(
      location.kind === 'memory' && location.image ? { loadDataDir: location.image } : {},
    );
    const { db, intake } = linesTo(new Session(pglite));
    return {
      db,
      intake,
      kind: 'memory',
      ping: () => ping(db),
      tidy: () => tidy(db),
      close: () => closeAll(db, intake),
    };
  }
  await mkdir(location.directory, { recursive: true, mode: 0o700 });
  const lock = await lockDataDirectory(location.directory);
  try {
    const files = join(location.directory, 'postgres');
    await furnish(files);
    const { db, intake } = linesTo(await openEmbedded(files));
    return {
      db,
      intake,
      kind: 'embedded',
      ping: () => ping(db),
      tidy: () => tidy(db),
      close: async () => {
        await closeAll(db, intake);
        lock.release();
      },
    };
  } catch (error) {
    lock.release();
    throw new CatalystError(
      'Unavailable',
      `The embedded database in ${location.directory} does not open: ${messageOf(error)}`,
      {
        cause: error,
        hint: 'Move the directory away to start with an empty one, or give another with --data-dir.',
      },
    );
  }
}

/** PGlite does one thing at a time. Each of the two has at most one waiting in its line, so that they take turns. */
function linesTo(pglite: PGliteDialectConfig['pglite']): Pick<OpenDatabase, 'db' | 'intake'> {
  const line = () => new Kysely<Tables>({ dialect: new PGliteDialect({ pglite }) });
  return { db: line(), intake: line() };
}

async function tidy(db: Database): Promise<void> {
  const { rows } = await sql<{ name: string }>`
    SELECT format('%I', tablename) AS name FROM pg_tables WHERE schemaname = current_schema()`.execute(db);
  // One at a time, so that deliveries get in between: each takes some tenths of a second at most.
  for (const { name } of rows) await sql`VACUUM (ANALYZE) ${sql.raw(name)}`.execute(db);
}

async function ping(db: Database): Promise<void> {
  try {
    await sql`SELECT 1`.execute(db);
  } catch (error) {
    throw unavailable(error);
  }
}

async function migrate(db: Database): Promise<void> {
  const migrator = new Migrator({ db, provider: { getMigrations: async () => migrations } });
  const { error, results } = await migrator.migrateToLatest();
  if (!error) return;
  const failed = results?.find((result) => result.status === 'Error');
  if (isConnectionError(error)) throw unavailable(error);
  throw new CatalystError(
    'Internal',
    `The database schema cannot be brought up to date${failed ? ` (${failed.migrationName})` : ''}: ${messageOf(error)}`,
    {
      cause: error,
    },
  );
}

/** Class 08 is "connection exception", 57P0x "the server is going away", 53x00 "out of resources" (PostgreSQL, appendix A). */
const transientStates = /^(08|57P0|53)/;

/** True when the database was away, starting, stopping or out of connections: trying later can help. */
export function isConnectionError(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  if (transientStates.test(code) || /^(ECONN|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENOTFOUND|EAI_AGAIN|ENOENT)/.test(code))
    return true;
  return /timeout exceeded when trying to connect|Connection terminated|Client has encountered a connection error|driver has already been destroyed|PGlite is closed/i.test(
    error.message,
  );
}

/** The error a caller sees when the database is away. It names no host and no password. */
export function unavailable(cause: unknown): CatalystError {
  return new CatalystError('Unavailable', 'The database does not answer.', {
    cause,
    hint: 'Catalyst SRE goes on by itself as soon as the database is back.',
  });
}
