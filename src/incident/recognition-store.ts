/** Where the checks that recognise incidents stand. SQL only. */
import { type Selectable, sql } from 'kysely';
import type { Database, Queryable, RecognitionTable, Tx } from '../database/tables.ts';
import type { RecognitionState } from './recognition-decision.ts';

export type NamedState = RecognitionState & { name: string; sentence?: string | undefined };

/** Takes checks that are due, by moving their time to `claimedUntil`: whoever comes next finds them only then. */
export async function claimRecognitions(
  db: Database,
  { names, now, claimedUntil, limit }: { names: readonly string[]; now: number; claimedUntil: number; limit: number },
): Promise<NamedState[]> {
  const wanted = sql`unnest(${[...names]}::text[])`;
  await sql`
    INSERT INTO recognition (name, next_at) SELECT n, ${new Date(now).toISOString()}::timestamptz FROM ${wanted} AS n
    WHERE NOT EXISTS (SELECT 1 FROM recognition WHERE name = n) ON CONFLICT DO NOTHING`.execute(db);
  const due = db
    .selectFrom('recognition')
    .select('name')
    .where('next_at', '<=', new Date(now))
    .where('name', 'in', [...names])
    .orderBy('next_at')
    .limit(limit)
    .forUpdate()
    .skipLocked();
  const rows = await db
    .updateTable('recognition')
    .set({ next_at: new Date(claimedUntil) })
    .where('name', 'in', due)
    .returningAll()
    .execute();
  return rows.map(stateOf);
}

/** @returns false when the claim that ended at `claimedUntil` was taken over */
export async function saveRecognition(
  tx: Tx,
  row: NamedState & { lookAt: number },
  claimedUntil: number,
): Promise<boolean> {
  const saved = await tx
    .updateTable('recognition')
    .set({
      next_at: new Date(row.lookAt),
      looked_at: date(row.lookedAt),
      holding_since: date(row.holdingSince),
      clear_since: date(row.clearSince),
      raised_at: date(row.raisedAt),
      sentence: row.sentence ?? null,
    })
    .where('name', '=', row.name)
    .where('next_at', '=', new Date(claimedUntil))
    .returning('name')
    .executeTakeFirst();
  return saved !== undefined;
}

export async function readRecognition(db: Queryable, name: string): Promise<NamedState | undefined> {
  const row = await db.selectFrom('recognition').selectAll().where('name', '=', name).executeTakeFirst();
  return row && stateOf(row);
}

function stateOf(row: Selectable<RecognitionTable>): NamedState {
  return {
    name: row.name,
    lookedAt: row.looked_at?.getTime(),
    holdingSince: row.holding_since?.getTime(),
    clearSince: row.clear_since?.getTime(),
    raisedAt: row.raised_at?.getTime(),
    sentence: row.sentence ?? undefined,
  };
}

function date(at: number | undefined): Date | null {
  return at === undefined ? null : new Date(at);
}
