/** Episodes in the database. SQL only; a batch of any size is a fixed number of statements. */
import { type SelectQueryBuilder, sql } from 'kysely';
import type { AlertTable, Queryable, Tables, Tx } from '../database/tables.ts';
import type { Alert, AlertState, Episode } from './alert.ts';
import type { Labels } from './payload.ts';

/**
 * How many of the newest episodes of an alert are looked at. One that is older is found only by its exact start, or when
 * it is still open; eight cover an alert that flaps at every group_interval for more than half an hour of late copies.
 */
const episodesKnown = 8;

export interface EpisodeKey {
  source: string;
  organization: string | undefined;
  fingerprint: string;
  startsAt: number | undefined;
}

const episodeColumns = [
  'alert.id',
  'alert.source',
  'alert.organization',
  'alert.fingerprint',
  'alert.starts_at',
  'alert.earliest_start',
  'alert.ends_at',
  'alert.state',
  'alert.fired_at',
  'alert.first_seen',
  'alert.last_seen',
  'alert.deliveries',
  'alert.incident_id',
] as const;
const columnList = sql.raw(episodeColumns.join(', '));

type EpisodeRow = Pick<
  { [K in keyof AlertTable]: AlertTable[K] extends { __select__: infer S } ? S : AlertTable[K] },
  | 'id'
  | 'source'
  | 'organization'
  | 'fingerprint'
  | 'starts_at'
  | 'earliest_start'
  | 'ends_at'
  | 'state'
  | 'fired_at'
  | 'first_seen'
  | 'last_seen'
  | 'deliveries'
  | 'incident_id'
>;

/**
 * The known episodes of all alerts named: the newest few of each and, where there are more than those, the open one and
 * the ones with exactly the start given.
 */
export async function findEpisodes(tx: Tx, keys: readonly EpisodeKey[]): Promise<Episode[]> {
  if (keys.length === 0) return [];
  const newest = await sql<EpisodeRow>`
    SELECT ${columnList}
    FROM (SELECT DISTINCT source, organization, fingerprint FROM ${recordset(keys)}) w
    CROSS JOIN LATERAL (
      SELECT * FROM alert a
      WHERE a.source = w.source AND coalesce(a.organization, '') = w.organization AND a.fingerprint = w.fingerprint
      ORDER BY a.starts_at DESC LIMIT ${episodesKnown}
    ) alert`.execute(tx);
  const counts = new Map<string, number>();
  for (const row of newest.rows) counts.set(seriesOf(row), (counts.get(seriesOf(row)) ?? 0) + 1);
  const crowded = keys.filter((key) => (counts.get(seriesOf(key)) ?? 0) >= episodesKnown);
  if (crowded.length === 0) return newest.rows.map(episodeOf);
  const older = await sql<EpisodeRow>`
    SELECT DISTINCT ${columnList}
    FROM ${recordset(crowded)}
    JOIN alert ON alert.source = w.source AND coalesce(alert.organization, '') = w.organization
      AND alert.fingerprint = w.fingerprint AND (alert.state = 'Firing' OR alert.starts_at = w.starts_at)`.execute(tx);
  return [...newest.rows, ...older.rows].map(episodeOf);
}

function recordset(keys: readonly EpisodeKey[]) {
  const rows = JSON.stringify(
    keys.map((key) => ({
      source: key.source,
      organization: key.organization ?? '',
      fingerprint: key.fingerprint,
      starts_at: iso(key.startsAt),
    })),
  );
  return sql`json_to_recordset(${rows}::json)
    AS w(source text, organization text, fingerprint text, starts_at timestamptz)`;
}

/** The alert an episode is one firing of. */
function seriesOf(key: { source: string; organization: string | null | undefined; fingerprint: string }): string {
  return JSON.stringify([key.source, key.organization ?? '', key.fingerprint]);
}

/** Writes new episodes. */
export async function insertAlerts(tx: Tx, alerts: readonly Alert[]): Promise<void> {
  if (alerts.length === 0) return;
  const rows = JSON.stringify(
    alerts.map((alert) => ({
      ...standingOf(alert),
      ...toldOf(alert),
      source: alert.source,
      organization: alert.organization,
      fingerprint: alert.fingerprint,
      name: alert.name,
      labels: alert.labels,
      starts_at: iso(alert.startsAt),
      first_seen: iso(alert.firstSeen),
      traceparent: alert.traceparent,
    })),
  );
  await sql`
    INSERT INTO alert (id, source, organization, fingerprint, name, labels, annotations, generator_url, external_url,
      starts_at, earliest_start, ends_at, state, fired_at, first_seen, last_seen, deliveries, traceparent)
    SELECT id, source, organization, fingerprint, name, labels, annotations, generator_url, external_url,
      starts_at, earliest_start, ends_at, state, fired_at, first_seen, last_seen, deliveries, traceparent
    FROM json_to_recordset(${rows}::json) AS r(id text, source text, organization text, fingerprint text, name text,
      labels jsonb, annotations jsonb, generator_url text, external_url text, starts_at timestamptz,
      earliest_start timestamptz, ends_at timestamptz, state text, fired_at timestamptz, first_seen timestamptz,
      last_seen timestamptz, deliveries integer, traceparent text)`.execute(tx);
}

/**
 * Changes where known episodes stand and, for those that are given as alerts, what their source tells beside the labels:
 * annotations hold values, and links follow the source when it moves.
 */
export async function updateEpisodes(tx: Tx, episodes: readonly (Episode | Alert)[]): Promise<void> {
  if (episodes.length === 0) return;
  const rows = JSON.stringify(
    episodes.map((episode) => ({ ...standingOf(episode), ...('annotations' in episode ? toldOf(episode) : {}) })),
  );
  await sql`
    UPDATE alert SET earliest_start = r.earliest_start, ends_at = r.ends_at, state = r.state, fired_at = r.fired_at,
      last_seen = r.last_seen, deliveries = r.deliveries, annotations = coalesce(r.annotations, alert.annotations),
      generator_url = coalesce(r.generator_url, alert.generator_url),
      external_url = coalesce(r.external_url, alert.external_url)
    FROM json_to_recordset(${rows}::json) AS r(id text, earliest_start timestamptz, ends_at timestamptz, state text,
      fired_at timestamptz, last_seen timestamptz, deliveries integer, annotations jsonb, generator_url text,
      external_url text)
    WHERE alert.id = r.id`.execute(tx);
}

function standingOf(episode: Episode) {
  return {
    id: episode.id,
    earliest_start: iso(episode.earliestStart),
    ends_at: iso(episode.endsAt),
    state: episode.state,
    fired_at: iso(episode.firedAt),
    last_seen: iso(episode.lastSeen),
    deliveries: episode.deliveries,
  };
}

function toldOf(alert: Alert) {
  return { annotations: alert.annotations, generator_url: alert.generatorUrl, external_url: alert.externalUrl };
}

/** Says which incident each alert belongs to. */
export async function linkAlerts(tx: Tx, links: readonly { alertId: string; incidentId: string }[]): Promise<void> {
  if (links.length === 0) return;
  await sql`
    UPDATE alert SET incident_id = l."incidentId"
    FROM json_to_recordset(${JSON.stringify(links)}::json) AS l("alertId" text, "incidentId" text)
    WHERE alert.id = l."alertId"`.execute(tx);
}

/**
 * Takes alerts as over because their own expression was found not to fire any more. Only those still Firing change.
 *
 * @param at when that was found, ms since the epoch
 */
export async function closeAlerts(tx: Tx, alertIds: readonly string[], at: number): Promise<void> {
  if (alertIds.length === 0) return;
  await tx
    .updateTable('alert')
    .set({ state: 'Resolved', ends_at: new Date(at) })
    .where('state', '=', 'Firing')
    .where('id', '=', sql<string>`ANY(${[...alertIds]}::text[])`)
    .execute();
}

export async function getAlert(db: Queryable, id: string): Promise<Alert | undefined> {
  return (await getAlerts(db, [id])).get(id);
}

/** The alerts with these ids, by id; nothing for an id there is no alert of. */
export async function getAlerts(db: Queryable, ids: readonly string[]): Promise<Map<string, Alert>> {
  if (ids.length === 0) return new Map();
  const rows = await selectAlerts(db)
    .where('alert.id', '=', sql<string>`ANY(${[...ids]}::text[])`)
    .execute();
  return new Map(rows.map((row) => [row.id, alertOf(row)]));
}

/** Every alert of these incidents, the newest start first. */
export async function alertsOfIncidents(db: Queryable, incidentIds: readonly string[]): Promise<Alert[]> {
  if (incidentIds.length === 0) return [];
  const rows = await selectAlerts(db)
    .where('alert.incident_id', '=', sql<string>`ANY(${[...incidentIds]}::text[])`)
    .orderBy('alert.starts_at', 'desc')
    .orderBy('alert.id')
    .execute();
  return rows.map(alertOf);
}

/** The labels of the first alert of each incident. */
export async function firstLabels(db: Queryable, incidentIds: readonly string[]): Promise<Map<string, Labels>> {
  const { rows } = await sql<{ incident_id: string; labels: Labels }>`
    SELECT DISTINCT ON (incident_id) incident_id, labels FROM alert
    WHERE incident_id = ANY(${[...incidentIds]}::text[]) ORDER BY incident_id, starts_at, id`.execute(db);
  return new Map(rows.map(({ incident_id, labels }) => [incident_id, labels]));
}

/** How many alerts of each incident still fire, as their sources say. */
export async function countFiring(db: Queryable, incidentIds: readonly string[]): Promise<Map<string, number>> {
  if (incidentIds.length === 0) return new Map();
  const rows = await db
    .selectFrom('alert')
    .select((e) => ['incident_id', e.fn.countAll<number>().as('count')])
    .where('incident_id', '=', sql<string>`ANY(${[...incidentIds]}::text[])`)
    .where('state', '=', 'Firing')
    .groupBy('incident_id')
    .execute();
  return new Map(rows.flatMap((row) => (row.incident_id === null ? [] : [[row.incident_id, Number(row.count)]])));
}

export interface AlertFilter {
  state?: AlertState;
  name?: string;
  /** Only this Organization's. */
  organization?: string;
  incidentId?: string;
  /** The last one already seen. */
  before?: { lastSeen: number; id: string };
  limit: number;
}

/** Alerts, the last heard of first. */
export async function listAlerts(db: Queryable, filter: AlertFilter): Promise<Alert[]> {
  let query = selectAlerts(db).orderBy('alert.last_seen', 'desc').orderBy('alert.id', 'desc').limit(filter.limit);
  if (filter.state !== undefined) query = query.where('alert.state', '=', filter.state);
  if (filter.name !== undefined) query = query.where('alert.name', '=', filter.name);
  if (filter.organization !== undefined) query = query.where('alert.organization', '=', filter.organization);
  if (filter.incidentId !== undefined) query = query.where('alert.incident_id', '=', filter.incidentId);
  if (filter.before) {
    const { lastSeen, id } = filter.before;
    query = query.where(sql<boolean>`(alert.last_seen, alert.id) < (${iso(lastSeen)}::timestamptz, ${id})`);
  }
  return (await query.execute()).map(alertOf);
}

/** What was decided about an alert, and why. */
export interface AlertDecision {
  id: number;
  /** Milliseconds since the epoch. */
  at: number;
  deliveryId: number | undefined;
  outcome: 'RunStarted' | 'NotActed';
  reason: string;
  sentence: string;
  runbook: string | undefined;
  runId: string | undefined;
  considered: unknown;
}

/** The decisions about an alert, the newest first. */
export async function decisionsOf(db: Queryable, alertId: string, limit: number): Promise<AlertDecision[]> {
  const rows = await db
    .selectFrom('decision')
    .selectAll()
    .where('alert_id', '=', alertId)
    .orderBy('id', 'desc')
    .limit(limit)
    .execute();
  return rows.map((row) => ({
    id: row.id,
    at: row.at.getTime(),
    deliveryId: row.delivery_id ?? undefined,
    outcome: row.outcome,
    reason: row.reason,
    sentence: row.sentence,
    runbook: row.runbook ?? undefined,
    runId: row.run_id ?? undefined,
    considered: row.considered,
  }));
}

function selectAlerts(db: Queryable) {
  return db
    .selectFrom('alert')
    .select(episodeColumns)
    .select([
      'alert.name',
      'alert.labels',
      'alert.annotations',
      'alert.generator_url',
      'alert.external_url',
      'alert.traceparent',
    ]);
}

type AlertRow = ReturnType<typeof selectAlerts> extends SelectQueryBuilder<Tables, 'alert', infer Row> ? Row : never;

function alertOf(row: AlertRow): Alert {
  return {
    ...episodeOf(row),
    name: row.name,
    labels: row.labels as Labels,
    annotations: row.annotations as Labels,
    generatorUrl: row.generator_url,
    externalUrl: row.external_url,
    traceparent: row.traceparent ?? undefined,
  };
}

function episodeOf(row: EpisodeRow): Episode {
  return {
    id: row.id,
    source: row.source,
    organization: row.organization ?? undefined,
    fingerprint: row.fingerprint,
    startsAt: row.starts_at.getTime(),
    earliestStart: row.earliest_start.getTime(),
    endsAt: row.ends_at?.getTime(),
    state: row.state,
    firedAt: row.fired_at?.getTime(),
    firstSeen: row.first_seen.getTime(),
    lastSeen: row.last_seen.getTime(),
    deliveries: row.deliveries,
    incidentId: row.incident_id ?? undefined,
  };
}

function iso<T extends number | undefined>(at: T): T extends number ? string : string | undefined {
  return (at === undefined ? undefined : new Date(at).toISOString()) as T extends number ? string : string | undefined;
}
