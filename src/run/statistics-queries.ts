/**
 * How incidents went, in figures: SQL only. Every figure counts the incidents opened within the window, without those
 * that were merged into another or were a false alarm (`effectiveness-queries.ts`).
 */
import { type RawBuilder, sql } from 'kysely';
import type { Queryable } from '../database/tables.ts';
import { type Share, shareOf } from '../incident/share.ts';
import { actedSince, counts, endedByItself } from './effectiveness-queries.ts';

export const statisticsBy = ['type', 'runbook', 'organization'] as const;
export type StatisticsBy = (typeof statisticsBy)[number];

export interface StatisticsQuestion {
  by: StatisticsBy;
  /** Opened from this moment on and before that one, milliseconds since the epoch. */
  from: number;
  to: number;
  /** Only this Organization's; undefined for the whole Sovereign's. */
  organization: string | undefined;
  /** Rows at most, those with most incidents first. */
  limit: number;
}

/** Times in seconds; absent where nothing was counted. */
export interface Times {
  count: number;
  mean: number | undefined;
  median: number | undefined;
}

export interface IncidentFigures {
  incidents: number;
  /** From its opening to the first acknowledgement, of those somebody acknowledged: MTTA. */
  acknowledge: Times;
  /** From its opening to its end, of those that have ended: MTTR. */
  resolve: Times;
  /** Acknowledged or over by the time of §13.1, of those that were or whose time has run out. */
  inTime: Share;
  /** Of those that have ended, the ones a run fixed and verified. */
  fixedByAutomation: Share;
  /** Of those that have ended without a run having acted, the ones that ended by themselves. */
  selfHealing: Share;
}

export interface Statistics {
  /** Over all incidents of the question, each once. */
  total: IncidentFigures;
  /** One for each type, runbook or Organization. `key` is undefined for the Sovereign itself. */
  items: (IncidentFigures & { key: string | undefined })[];
}

export async function readStatistics(db: Queryable, question: StatisticsQuestion): Promise<Statistics> {
  const rows = await rowsOf(db, question);
  const total = rows.find(({ of_all }) => of_all);
  if (!total) throw new Error('An aggregate without groups has one row.');
  const items = rows.filter(({ of_all }) => !of_all);
  return { total: figuresOf(total), items: items.map((row) => ({ key: row.key ?? undefined, ...figuresOf(row) })) };
}

interface Row {
  /** The row over all incidents. */
  of_all: boolean;
  key: string | null;
  incidents: number;
  acknowledged: number;
  acknowledge_mean: number | null;
  acknowledge_median: number | null;
  resolved: number;
  resolve_mean: number | null;
  resolve_median: number | null;
  in_time: number;
  answerable: number;
  fixed: number;
  untouched: number;
  healed: number;
}

/** Seconds between two moments; a clock that was set back makes none negative. `date_part` is not numeric, and so is fast. */
const seconds = (from: string, to: string) =>
  sql.raw(`CASE WHEN i.${to} IS NOT NULL THEN greatest(0, date_part('epoch', i.${to} - i.${from})) END`);

/** One statement, so that the total and the rows are of one moment. */
async function rowsOf(db: Queryable, question: StatisticsQuestion): Promise<Row[]> {
  const { by, from, to, organization = null, limit } = question;
  // Of a reopened incident that is open, an earlier end does not count; of one that is over, the last does.
  const over = sql`i.state = 'Resolved'`;
  const inTime = sql`least(coalesce(i.acknowledged_at, i.resolved_at), coalesce(i.resolved_at, i.acknowledged_at)) <= i.respond_by`;
  const figures = (fixed: RawBuilder<unknown>) => sql`count(*)::int AS incidents,
      count(acknowledge)::int AS acknowledged, avg(acknowledge) AS acknowledge_mean,
      percentile_cont(0.5) WITHIN GROUP (ORDER BY acknowledge) AS acknowledge_median,
      count(resolve)::int AS resolved, avg(resolve) AS resolve_mean,
      percentile_cont(0.5) WITHIN GROUP (ORDER BY resolve) AS resolve_median,
      count(*) FILTER (WHERE in_time)::int AS in_time, count(*) FILTER (WHERE answerable)::int AS answerable,
      count(*) FILTER (WHERE ${fixed})::int AS fixed, count(*) FILTER (WHERE untouched)::int AS untouched,
      count(*) FILTER (WHERE healed)::int AS healed`;
  const { rows } = await sql<Row>`
    WITH acted AS (${actedSince(iso(from))}), i AS MATERIALIZED (
      SELECT i.id, i.type, i.organization, ${seconds('opened_at', 'acknowledged_at')} AS acknowledge,
        CASE WHEN ${over} THEN ${seconds('opened_at', 'resolved_at')} END AS resolve, ${inTime} AS in_time,
        ${inTime} OR i.respond_by < ${iso(to)}::timestamptz AS answerable, i.resolved_how = 'Verified' AS fixed,
        ${over} AND touched.incident_id IS NULL AS untouched,
        ${endedByItself} AND touched.incident_id IS NULL AS healed
      FROM incident i LEFT JOIN (SELECT DISTINCT incident_id FROM acted) touched ON touched.incident_id = i.id
      WHERE i.opened_at >= ${iso(from)}::timestamptz AND i.opened_at < ${iso(to)}::timestamptz AND ${counts}
        AND (${organization}::text IS NULL OR i.organization = ${organization})
    )
    SELECT true AS of_all, NULL AS key, ${figures(sql`fixed`)} FROM i
    UNION ALL (
      SELECT false, ${keyOf(by)} AS key, ${figures(by === 'runbook' ? sql`fixed AND acted.verified` : sql`fixed`)}
      FROM i ${by === 'runbook' ? sql`JOIN acted ON acted.incident_id = i.id AND acted.ended` : sql``}
      GROUP BY 2 ORDER BY incidents DESC, key LIMIT ${limit}
    )`.execute(db);
  return rows;
}

function keyOf(by: StatisticsBy) {
  switch (by) {
    case 'type':
      return sql`i.type`;
    case 'runbook':
      return sql`acted.runbook`;
    case 'organization':
      return sql`i.organization`;
  }
}

function figuresOf(row: Row): IncidentFigures {
  return {
    incidents: row.incidents,
    acknowledge: timesOf(row.acknowledged, row.acknowledge_mean, row.acknowledge_median),
    resolve: timesOf(row.resolved, row.resolve_mean, row.resolve_median),
    inTime: shareOf(row.in_time, row.answerable),
    fixedByAutomation: shareOf(row.fixed, row.resolved),
    selfHealing: shareOf(row.healed, row.untouched),
  };
}

function timesOf(count: number, mean: number | null, median: number | null): Times {
  return { count, mean: mean ?? undefined, median: median ?? undefined };
}

function iso(at: number): string {
  return new Date(at).toISOString();
}
