/** The shape of PGlite that Kysely's dialect asks for, and a transaction of it; and what both databases prepare. */
import type { PGliteDialectConfig } from 'kysely';

/** The statements that may be prepared. */
export const preparable = /^\s*(select|insert|update|delete|with)\b/i;

/** What Kysely's dialect asks of PGlite. */
export type PGliteForKysely = Extract<PGliteDialectConfig['pglite'], { waitReady: Promise<void> }>;
export type Query = PGliteForKysely['query'];

export interface SessionTransaction {
  query: Query;
  /** @throws an error of SQLSTATE 25P02 when a statement had failed, and with it all of the transaction */
  commit(): Promise<void>;
  rollback(): Promise<void>;
}

/** Commits when the callback resolves, rolls back when it rejects or asks for it. */
export async function inTransaction<T>(
  begin: () => Promise<SessionTransaction>,
  callback: (tx: Pick<SessionTransaction, 'query' | 'rollback'>) => Promise<T>,
): Promise<T> {
  const { query, commit, rollback } = await begin();
  let ended = false;
  const end = async (how: () => Promise<void>) => {
    if (ended) return;
    ended = true;
    await how();
  };
  try {
    const result = await callback({ query, rollback: () => end(rollback) });
    await end(commit);
    return result;
  } catch (error) {
    await end(rollback);
    throw error;
  }
}
