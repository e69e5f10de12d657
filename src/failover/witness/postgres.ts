/**
 * PostgreSQL as a witness: one row per group, written by one statement that names the version it replaces. The server must
 * be one that loses no commit: a single one with fsync on, or one whose standbys are synchronous.
 */
import type { Pool, PoolConfig } from 'pg';
import { CatalystError, messageOf } from '../../errors.ts';
import { readLease, writableText } from './lease-text.ts';
import type { CasAnswer, Witness, WitnessRead } from './witness.ts';

export interface PostgresWitnessOptions {
  name: string;
  /** `postgres://user:password@host/database`; asked for when a connection is made. */
  url: () => Promise<string>;
  tls?: () => Promise<{ ca: string }>;
}

/** Longer than any renewal waits; what the caller's own limit leaves behind is cancelled by the server. */
const statementTimeoutMs = 5_000;
/** One for what is going on and one for a retry beside it. */
const connections = 2;

const table = `CREATE TABLE IF NOT EXISTS catalyst_lease (
  "group" text PRIMARY KEY, epoch bigint NOT NULL, seq bigint NOT NULL, lease text NOT NULL, written_at timestamptz NOT NULL)`;
/** clock_timestamp(): the time of the write, not of the start of its transaction. */
const insert = `INSERT INTO catalyst_lease VALUES ($1, $2, $3, $4, clock_timestamp()) ON CONFLICT DO NOTHING`;
const update = `UPDATE catalyst_lease SET epoch = $2, seq = $3, lease = $4, written_at = clock_timestamp()
  WHERE "group" = $1 AND epoch = $5 AND seq = $6`;
const select = `SELECT lease, extract(epoch FROM clock_timestamp() - written_at) * 1000 AS age_ms FROM catalyst_lease WHERE "group" = $1`;

export function createPostgresWitness(options: PostgresWitnessOptions): Witness {
  const { name } = options;
  const system = `witness ${name} (PostgreSQL)`;
  let pool: Promise<Pool> | undefined;
  const open = (): Promise<Pool> => {
    pool ??= connect(options).catch((error: unknown) => {
      pool = undefined;
      throw error;
    });
    return pool;
  };
  const query = async (text: string, values: unknown[], signal: AbortSignal) => {
    try {
      return await withSignal(signal, async () => (await open()).query(text, values));
    } catch (error) {
      if (error instanceof CatalystError) throw error;
      throw new CatalystError('UpstreamUnavailable', `${system} did not answer: ${messageOf(error)}`, {
        cause: error,
        certain: false,
      });
    }
  };
  const read = async (group: string, signal: AbortSignal): Promise<WitnessRead> => {
    const [row] = (await query(select, [group], signal)).rows as { lease: string; age_ms: string }[];
    if (row === undefined) return { lease: undefined, expired: undefined };
    const lease = readLease(system, group, row.lease);
    return { lease, expired: Number(row.age_ms) > lease.ttlMs };
  };
  return {
    name,
    read: (group, { signal }) => read(group, signal),
    compareAndSet: async (group, expect, next, { signal }): Promise<CasAnswer> => {
      const text = writableText(group, expect, next);
      const values = [group, next.epoch, next.seq, text];
      const { rowCount } =
        expect === undefined
          ? await query(insert, values, signal)
          : await query(update, [...values, expect.epoch, expect.seq], signal);
      if (rowCount === 1) return { result: 'applied' };
      return { result: 'conflict', current: (await read(group, signal)).lease };
    },
    close: async () => (await pool?.catch(() => undefined))?.end(),
  };
}

/** What must be so for a commit to be one that nothing forgets. */
const durability = `SELECT pg_is_in_recovery() AS standby, current_setting('fsync') AS fsync,
  current_setting('synchronous_commit') AS commit, to_regclass('catalyst_lease') IS NOT NULL AS ready`;

/** A pool that has checked that it speaks to a primary which commits to disk; the table is made once. */
async function connect({ url, tls }: PostgresWitnessOptions): Promise<Pool> {
  const { default: pg } = await import('pg');
  const config: PoolConfig = {
    connectionString: await url(),
    max: connections,
    connectionTimeoutMillis: statementTimeoutMs,
    // An abandoned statement must not be left waiting: its row lock would hold up the next renewal.
    statement_timeout: statementTimeoutMs,
    lock_timeout: statementTimeoutMs,
    application_name: 'catalyst-sre witness',
    // A role or database may have it off for speed; a lease that a crash forgets is held twice.
    options: '-c synchronous_commit=on -c default_transaction_isolation=read\\ committed',
    ...(tls === undefined ? {} : { ssl: await tls() }),
  };
  const pool = new pg.Pool(config);
  pool.on('error', () => {});
  pool.on('connect', (client) => client.on('error', () => {}));
  try {
    const { rows } = await pool.query(durability);
    const { standby, fsync, commit, ready } = rows[0] as {
      standby: boolean;
      fsync: string;
      commit: string;
      ready: boolean;
    };
    if (standby) throw unfit('is a standby, which shows the past', 'Point the witness at the primary.');
    if (fsync === 'off' || commit === 'off')
      throw unfit('forgets commits in a crash', 'Turn fsync on, and leave synchronous_commit out of the URL.');
    if (!ready) await pool.query(table).catch(unlessMadeMeanwhile);
    return pool;
  } catch (error) {
    await pool.end().catch(() => {});
    throw error;
  }
}

function unfit(what: string, hint: string): CatalystError {
  return new CatalystError('UpstreamRefused', `The PostgreSQL of the witness ${what}.`, { hint });
}

/** Two clients that make the table at once: PostgreSQL tells one of them so (23505, 42P07). */
function unlessMadeMeanwhile(error: unknown): void {
  const { code } = error as { code?: string };
  if (code !== '23505' && code !== '42P07') throw error;
}

/** Gives up waiting when the caller does; the statement goes on, and its outcome is unknown. */
async function withSignal<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  signal.throwIfAborted();
  let giveUp = (): void => {};
  const abandoned = new Promise<never>((_resolve, reject) => {
    giveUp = () => reject(signal.reason);
    signal.addEventListener('abort', giveUp, { once: true });
  });
  try {
    return await Promise.race([work(), abandoned]);
  } finally {
    signal.removeEventListener('abort', giveUp);
  }
}
