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
/**
 * Where runs acted since `from`: a row for each incident and runbook, with whether one has ended and whether one fixed it.
 * A run is made after its incident was opened, so that those of incidents since then are all among them. Everything it
 * reads stands in the index `run_acted`.
 */
export function actedSince(from: string) {
  return sql`
    /* Its end is what gives a run a reason. */
    SELECT r.incident_id, r.runbook, bool_or(r.reason IS NOT NULL) AS ended,
      coalesce(bool_or(r.reason = 'Verified'), false) AS verified
    FROM run r
    WHERE r.acted_at IS NOT NULL AND r.created_at >= ${from}::timestamptz AND r.incident_id IS NOT NULL
    GROUP BY r.incident_id, r.runbook`;
}

export async function readTypeHistory(db: Queryable, question: TypeQuestion): Promise<TypeHistory> {
  const { type, organization = null, since } = question;
  const from = new Date(since).toISOString();
  const { rows } = await sql<{
    runbook: string | null;
    acted: number;
    fixed: number;
    untouched: number;
    ended: number;
  }>`
    WITH acted AS (${actedSince(from)})
    SELECT acted.runbook, count(*) FILTER (WHERE acted.ended)::int AS acted,
      count(*) FILTER (WHERE acted.verified)::int AS fixed,
      count(*) FILTER (WHERE i.state = 'Resolved')::int AS untouched,
      count(*) FILTER (WHERE ${endedByItself} AND i.state = 'Resolved')::int AS ended
    FROM incident i LEFT JOIN acted ON acted.incident_id = i.id
    WHERE i.type = ${type} AND i.opened_at >= ${from}::timestamptz AND ${counts}
      AND (${organization}::text IS NULL OR i.organization = ${organization})
    GROUP BY acted.runbook`.execute(db);
  const alone = rows.find(({ runbook }) => runbook === null);
  return {
    untouched: alone?.untouched ?? 0,
    endedByThemselves: alone?.ended ?? 0,
    runbooks: new Map(
      rows.flatMap(({ runbook, acted, fixed }) =>
        runbook === null || acted === 0 ? [] : [[runbook, { acted, fixed }] as const],
      ),
    ),
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
      /* As a range of one: so its index alone gives the order, and rows of other runbooks are not passed over. */
      WHERE runbook BETWEEN wanted.name AND wanted.name AND (${organization}::text IS NULL OR organization = ${organization})
      ORDER BY runbook, id DESC LIMIT ${each}
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
