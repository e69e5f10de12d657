/**
 * How incidents went, in figures: SQL only. Every figure counts the incidents opened within the window, without those
 * that were merged into another or were a false alarm (`effectiveness-queries.ts`).
 */
import { sql } from 'kysely';
import type { Queryable } from '../database/tables.ts';
import { type Share, shareOf } from '../incident/share.ts';
import { counts, endedByItself } from './effectiveness-queries.ts';

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
  const total = await rowsOf(db, question, undefined);
  const items = await rowsOf(db, question, question.by);
  const [all] = total;
  if (!all) throw new Error('An aggregate without groups has one row.');
  return {
    total: figuresOf(all),
    items: items.map((row) => ({ key: row.key ?? undefined, ...figuresOf(row) })),
  };
}

interface Row {
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

/** Seconds between two moments; a clock that was set back makes none negative. */
const seconds = (from: string, to: string) => `greatest(0, extract(epoch FROM i.${to} - i.${from}))::float8`;
const acknowledge = sql.raw(seconds('opened_at', 'acknowledged_at'));
const resolve = sql.raw(seconds('opened_at', 'resolved_at'));

async function rowsOf(db: Queryable, question: StatisticsQuestion, by: StatisticsBy | undefined): Promise<Row[]> {
  const { from, to, organization = null, limit } = question;
  // Of a reopened incident that is open, an earlier end does not count; of one that is over, the last does.
  const over = sql`i.state = 'Resolved'`;
  const inTime = sql`least(coalesce(i.acknowledged_at, i.resolved_at), coalesce(i.resolved_at, i.acknowledged_at)) <= i.respond_by`;
  const { rows } = await sql<Row>`
    WITH acted AS (
      SELECT r.incident_id, r.runbook, bool_or(r.reason = 'Verified') AS verified
      FROM run r WHERE r.acted_at IS NOT NULL AND r.incident_id IS NOT NULL AND r.state = 'Ended'
        AND r.created_at >= ${iso(from)}::timestamptz
      GROUP BY r.incident_id, r.runbook
    ), i AS (
      SELECT i.*, EXISTS (SELECT 1 FROM acted WHERE acted.incident_id = i.id) AS touched
      FROM incident i
      WHERE i.opened_at >= ${iso(from)}::timestamptz AND i.opened_at < ${iso(to)}::timestamptz AND ${counts}
        AND (${organization}::text IS NULL OR i.organization = ${organization})
    )
    SELECT ${keyOf(by)} AS key, count(*)::int AS incidents,
      count(i.acknowledged_at)::int AS acknowledged,
      avg(${acknowledge}) FILTER (WHERE i.acknowledged_at IS NOT NULL) AS acknowledge_mean,
      percentile_cont(0.5) WITHIN GROUP (ORDER BY ${acknowledge}) FILTER (WHERE i.acknowledged_at IS NOT NULL)
        AS acknowledge_median,
      count(*) FILTER (WHERE ${over})::int AS resolved,
      avg(${resolve}) FILTER (WHERE ${over}) AS resolve_mean,
      percentile_cont(0.5) WITHIN GROUP (ORDER BY ${resolve}) FILTER (WHERE ${over}) AS resolve_median,
      count(*) FILTER (WHERE ${inTime})::int AS in_time,
      count(*) FILTER (WHERE ${inTime} OR i.respond_by < ${iso(to)}::timestamptz)::int AS answerable,
      count(*) FILTER (WHERE i.resolved_how = 'Verified' AND ${by === 'runbook' ? sql`acted.verified` : sql`true`})::int
        AS fixed,
      count(*) FILTER (WHERE ${over} AND NOT i.touched)::int AS untouched,
      count(*) FILTER (WHERE ${endedByItself} AND NOT i.touched)::int AS healed
    FROM i ${by === 'runbook' ? sql`JOIN acted ON acted.incident_id = i.id` : sql``}
    ${by === undefined ? sql`` : sql`GROUP BY 1 ORDER BY incidents DESC, key LIMIT ${limit}`}`.execute(db);
  return rows;
}

function keyOf(by: StatisticsBy | undefined) {
  switch (by) {
    case 'type':
      return sql`i.type`;
    case 'runbook':
      return sql`acted.runbook`;
    case 'organization':
      return sql`i.organization`;
    case undefined:
      return sql`NULL::text`;
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
