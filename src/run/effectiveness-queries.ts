/** How well runbooks did: SQL only. */
import { sql } from 'kysely';
import type { Queryable } from '../database/tables.ts';

/** What became of the incidents of a type. */
export interface TypeHistory {
  /** Incidents in which no run acted, and those among them that ended by themselves. */
  untouched: number;
  endedByThemselves: number;
  /** By runbook: incidents in which it acted, and those it fixed, verified. */
  runbooks: ReadonlyMap<string, { acted: number; fixed: number }>;
}

export interface TypeQuestion {
  type: string;
  /** Only this Organization's incidents; undefined for the whole Sovereign's. */
  organization: string | undefined;
  /** Only incidents opened since, milliseconds since the epoch. */
  since: number;
}

/** An incident that ended by itself: found to be over, with nobody on it and no run having acted. */
export const endedByItself = sql<boolean>`(i.resolved_how = 'Checked' AND i.acknowledged_at IS NULL)`;
/** Merged incidents and false alarms are no incidents of their own. */
export const counts = sql<boolean>`(i.resolved_how IS NULL OR i.resolved_how NOT IN ('Merged', 'FalseAlarm'))`;
const runActed = sql<boolean>`EXISTS (SELECT 1 FROM run r WHERE r.incident_id = i.id AND r.acted_at IS NOT NULL)`;

export async function readTypeHistory(db: Queryable, question: TypeQuestion): Promise<TypeHistory> {
  const { type, organization = null, since } = question;
  const from = new Date(since).toISOString();
  const mine = sql`i.type = ${type} AND i.opened_at >= ${from}::timestamptz AND ${counts}
    AND (${organization}::text IS NULL OR i.organization = ${organization})`;
  const untouched = await sql<{ untouched: number; ended: number }>`
    SELECT count(*)::int AS untouched, count(*) FILTER (WHERE ${endedByItself})::int AS ended
    FROM incident i WHERE ${mine} AND i.state = 'Resolved' AND NOT ${runActed}`.execute(db);
  const runbooks = await sql<{ runbook: string; acted: number; fixed: number }>`
    SELECT r.runbook, count(DISTINCT i.id)::int AS acted,
      count(DISTINCT i.id) FILTER (WHERE r.reason = 'Verified')::int AS fixed
    FROM incident i JOIN run r ON r.incident_id = i.id
    WHERE ${mine} AND r.acted_at IS NOT NULL AND r.state = 'Ended'
    GROUP BY r.runbook`.execute(db);
  return {
    untouched: untouched.rows[0]?.untouched ?? 0,
    endedByThemselves: untouched.rows[0]?.ended ?? 0,
    runbooks: new Map(runbooks.rows.map(({ runbook, acted, fixed }) => [runbook, { acted, fixed }])),
  };
}

/** One of the last runs of a runbook. Times are milliseconds since the epoch. */
export interface PastRun {
  id: string;
  state: string;
  outcome: string | undefined;
  reason: string | undefined;
  sentence: string;
  createdAt: number;
  actedAt: number | undefined;
  endedAt: number | undefined;
}

/** The last runs of each of these runbooks, newest first. */
export async function readLastRuns(
  db: Queryable,
  question: { runbooks: readonly string[]; organization: string | undefined; each: number },
): Promise<Map<string, PastRun[]>> {
  const { runbooks, organization = null, each } = question;
  const { rows } = await sql<{
    runbook: string;
    id: string;
    state: string;
    outcome: string | null;
    reason: string | null;
    sentence: string;
    created_at: Date;
    acted_at: Date | null;
    ended_at: Date | null;
  }>`
    SELECT r.* FROM unnest(${[...runbooks]}::text[]) AS wanted(name) CROSS JOIN LATERAL (
      SELECT runbook, id, state, outcome, reason, sentence, created_at, acted_at, ended_at FROM run
      WHERE runbook = wanted.name AND (${organization}::text IS NULL OR organization = ${organization})
      ORDER BY id DESC LIMIT ${each}
    ) r ORDER BY r.id DESC`.execute(db);
  const byRunbook = new Map<string, PastRun[]>(runbooks.map((name) => [name, []]));
  for (const row of rows)
    byRunbook.get(row.runbook)?.push({
      id: row.id,
      state: row.state,
      outcome: row.outcome ?? undefined,
      reason: row.reason ?? undefined,
      sentence: row.sentence,
      createdAt: row.created_at.getTime(),
      actedAt: row.acted_at?.getTime(),
      endedAt: row.ended_at?.getTime(),
    });
  return byRunbook;
}

/** The targets a runbook has looked at in an incident. */
export async function readTargets(db: Queryable, incidentId: string): Promise<{ runbook: string; target: string }[]> {
  const rows = await db
    .selectFrom('run')
    .select(['runbook', 'target_key'])
    .distinct()
    .where('incident_id', '=', incidentId)
    .where('target_key', 'is not', null)
    .execute();
  return rows.map(({ runbook, target_key }) => ({ runbook, target: target_key ?? '' }));
}
