/** Incidents in the database. SQL only. */
import { type Selectable, sql } from 'kysely';
import type { IncidentTable, Queryable, Tx } from '../database/tables.ts';
import type { Incident, IncidentState, Severity } from './incident.ts';
import type { RunningClock } from './response-stopwatch.ts';

/**
 * The incidents with these ids and the open ones with these correlation keys or of these types, locked until the transaction ends, in the
 * order of their ids so that two transactions never wait for each other.
 */
export async function lockIncidents(
  tx: Tx,
  wanted: { ids?: readonly string[]; openKeys?: readonly string[]; openTypes?: readonly string[] },
): Promise<Incident[]> {
  const { ids = [], openKeys = [], openTypes = [] } = wanted;
  if (ids.length === 0 && openKeys.length === 0 && openTypes.length === 0) return [];
  const rows = await tx
    .selectFrom('incident')
    .selectAll()
    .where((e) =>
      e.or([
        e('id', '=', sql<string>`ANY(${[...ids]}::text[])`),
        e.and([e('state', '<>', 'Resolved'), e('correlation_key', '=', sql<string>`ANY(${[...openKeys]}::text[])`)]),
        ...(openTypes.length === 0
          ? []
          : [e.and([e('state', '<>', 'Resolved'), e('type', '=', sql<string>`ANY(${[...openTypes]}::text[])`)])]),
      ]),
    )
    .orderBy('id')
    .forUpdate()
    .execute();
  return rows.map(incidentOf);
}

/** Writes new and changed incidents, each once, with one statement. */
export async function saveIncidents(tx: Tx, incidents: readonly Incident[]): Promise<void> {
  if (incidents.length === 0) return;
  const rows = JSON.stringify(incidents.map(rowOf));
  await sql`
    INSERT INTO incident SELECT * FROM json_populate_recordset(NULL::incident, ${rows}::json)
    ON CONFLICT (id) DO UPDATE SET
      severity = excluded.severity, state = excluded.state, acknowledged_at = excluded.acknowledged_at,
      acknowledged_by = excluded.acknowledged_by, mitigated_at = excluded.mitigated_at,
      resolved_at = excluded.resolved_at, resolved_by = excluded.resolved_by, resolved_how = excluded.resolved_how,
      resolution = excluded.resolution, clock_from = excluded.clock_from, respond_by = excluded.respond_by,
      escalated_at = excluded.escalated_at, escalate_at = excluded.escalate_at,
      escalation_step = excluded.escalation_step, stepped_at = excluded.stepped_at,
      check_at = excluded.check_at, check_outcome = excluded.check_outcome, check_sentence = excluded.check_sentence,
      clear_since = excluded.clear_since, version = excluded.version, merged_into = excluded.merged_into,
      caused_by = excluded.caused_by, caused_by_sentence = excluded.caused_by_sentence`.execute(tx);
}

/** Which incidents these keys lead to; see the table `incident_alias`. */
export async function readAliases(tx: Tx, keys: readonly string[]): Promise<Map<string, string>> {
  if (keys.length === 0) return new Map();
  const rows = await tx
    .selectFrom('incident_alias')
    .selectAll()
    .where('key', '=', sql<string>`ANY(${[...keys]}::text[])`)
    .execute();
  return new Map(rows.map(({ key, incident_id }) => [key, incident_id]));
}

/** From now on these keys lead to the incident. */
export async function addAliases(tx: Tx, keys: readonly string[], incidentId: string): Promise<void> {
  await sql`
    INSERT INTO incident_alias (key, incident_id) SELECT DISTINCT k, ${incidentId} FROM unnest(${[...keys]}::text[]) AS k
    ON CONFLICT (key) DO UPDATE SET incident_id = excluded.incident_id`.execute(tx);
}

/** What led to one incident leads to another: keys, and the incidents that were merged into it before. */
export async function moveAliases(tx: Tx, from: string, to: string): Promise<void> {
  await tx.updateTable('incident').set({ merged_into: to }).where('merged_into', '=', from).execute();
  await tx.updateTable('incident_alias').set({ incident_id: to }).where('incident_id', '=', from).execute();
}

/** Locks the runs of incidents; before the incidents, as the engine does. */
export async function lockRunsOf(tx: Tx, incidentIds: readonly string[]): Promise<void> {
  await tx
    .selectFrom('run')
    .select('id')
    .where('incident_id', '=', sql<string>`ANY(${[...incidentIds]}::text[])`)
    .orderBy('id')
    .forUpdate()
    .execute();
}

/** Puts the runs of one incident into another; they are shown with both. @returns how many there are */
export async function moveRuns(tx: Tx, from: string, to: string): Promise<number> {
  await sql`
    INSERT INTO incident_run (incident_id, run_id)
    SELECT ${from}, id FROM run WHERE incident_id = ${from}
    UNION SELECT ${to}, run_id FROM incident_run WHERE incident_id = ${from}
    ON CONFLICT DO NOTHING`.execute(tx);
  const moved = await tx
    .updateTable('run')
    .set({ incident_id: to })
    .where('incident_id', '=', from)
    .executeTakeFirstOrThrow();
  return Number(moved.numUpdatedRows);
}

/** Puts the runs about these alerts into another incident; they are shown with both. @returns how many there are */
export async function moveRunsOfAlerts(
  tx: Tx,
  { from, to, alertIds }: { from: string; to: string; alertIds: readonly string[] },
): Promise<number> {
  const { rows } = await sql`
    WITH moved AS (
      UPDATE run SET incident_id = ${to}
      WHERE incident_id = ${from} AND alert_id = ANY(${[...alertIds]}::text[]) RETURNING id
    )
    INSERT INTO incident_run (incident_id, run_id) SELECT ${from}, id FROM moved
    ON CONFLICT (incident_id, run_id) DO UPDATE SET run_id = excluded.run_id RETURNING run_id`.execute(tx);
  return rows.length;
}

/**
 * Takes incidents whose alerts are to be asked about, by moving their time to `claimedUntil`: whoever asks next, and
 * whoever comes after a crash, finds them only then.
 */
export async function claimChecks(
  db: Queryable,
  options: { now: number; claimedUntil: number; limit: number },
): Promise<Incident[]> {
  const due = db
    .selectFrom('incident')
    .select('id')
    .where('check_at', '<=', new Date(options.now))
    .orderBy('check_at')
    .limit(options.limit)
    .forUpdate()
    .skipLocked();
  const rows = await db
    .updateTable('incident')
    .set({ check_at: new Date(options.claimedUntil) })
    .where('id', 'in', due)
    .returningAll()
    .execute();
  return rows.map(incidentOf);
}

/** Every response clock that runs. They are few: a clock stops when somebody answers, and when it has run out. */
export async function runningClocks(db: Queryable): Promise<RunningClock[]> {
  const rows = await db
    .selectFrom('incident')
    .select(['id', 'clock_from', 'escalate_at'])
    .where('escalate_at', 'is not', null)
    .execute();
  return rows.flatMap(({ id, clock_from, escalate_at }) =>
    escalate_at ? [{ id, clockFrom: clock_from.getTime(), escalateAt: escalate_at.getTime() }] : [],
  );
}

/** Of these incidents those that are still to be looked at, locked; the most overdue first. */
export async function lockEscalations(tx: Tx, ids: readonly string[], limit: number): Promise<Incident[]> {
  const rows = await tx
    .selectFrom('incident')
    .selectAll()
    .where('id', '=', sql<string>`ANY(${[...ids]}::text[])`)
    .where('escalate_at', 'is not', null)
    .orderBy('escalate_at')
    .limit(limit)
    .forUpdate()
    .skipLocked()
    .execute();
  return rows.map(incidentOf);
}

export async function getIncident(db: Queryable, id: string): Promise<Incident | undefined> {
  return (await getIncidents(db, [id])).get(id);
}

/** The incidents with these ids, by id; nothing for an id there is no incident of. */
export async function getIncidents(db: Queryable, ids: readonly string[]): Promise<Map<string, Incident>> {
  if (ids.length === 0) return new Map();
  const rows = await db
    .selectFrom('incident')
    .selectAll()
    .where('id', '=', sql<string>`ANY(${[...ids]}::text[])`)
    .execute();
  return new Map(rows.map((row) => [row.id, incidentOf(row)]));
}

/** The incidents that were merged into this one. */
export async function listMerged(db: Queryable, into: string): Promise<Incident[]> {
  const rows = await db.selectFrom('incident').selectAll().where('merged_into', '=', into).orderBy('id').execute();
  return rows.map(incidentOf);
}

export interface IncidentFilter {
  state?: IncidentState;
  /** True: every state but Resolved. */
  open?: boolean;
  severity?: Severity;
  type?: string;
  /** Only this Organization's. */
  organization?: string;
  /** The last one already seen. */
  before?: { openedAt: number; id: string };
  limit: number;
}

/** Incidents, the last opened first. */
export async function listIncidents(db: Queryable, filter: IncidentFilter): Promise<Incident[]> {
  let query = db
    .selectFrom('incident')
    .selectAll()
    .orderBy('opened_at', 'desc')
    .orderBy('id', 'desc')
    .limit(filter.limit);
  if (filter.state !== undefined) query = query.where('state', '=', filter.state);
  if (filter.open) query = query.where('state', '<>', 'Resolved');
  if (filter.severity !== undefined) query = query.where('severity', '=', filter.severity);
  if (filter.type !== undefined) query = query.where('type', '=', filter.type);
  if (filter.organization !== undefined) query = query.where('organization', '=', filter.organization);
  if (filter.before) {
    const { openedAt, id } = filter.before;
    query = query.where(sql<boolean>`(opened_at, id) < (${new Date(openedAt).toISOString()}::timestamptz, ${id})`);
  }
  return (await query.execute()).map(incidentOf);
}

function incidentOf(row: Selectable<IncidentTable>): Incident {
  return {
    id: row.id,
    organization: row.organization ?? undefined,
    type: row.type,
    title: row.title,
    severity: row.severity,
    state: row.state,
    correlationKey: row.correlation_key,
    openedAt: row.opened_at.getTime(),
    acknowledgedAt: row.acknowledged_at?.getTime(),
    acknowledgedBy: row.acknowledged_by ?? undefined,
    mitigatedAt: row.mitigated_at?.getTime(),
    resolvedAt: row.resolved_at?.getTime(),
    resolvedBy: row.resolved_by ?? undefined,
    resolvedHow: row.resolved_how ?? undefined,
    resolution: row.resolution ?? undefined,
    clockFrom: row.clock_from.getTime(),
    respondBy: row.respond_by.getTime(),
    escalatedAt: row.escalated_at?.getTime(),
    escalateAt: row.escalate_at?.getTime(),
    escalationStep: row.escalation_step,
    steppedAt: row.stepped_at?.getTime(),
    checkAt: row.check_at?.getTime(),
    checkOutcome: row.check_outcome ?? undefined,
    checkSentence: row.check_sentence ?? undefined,
    clearSince: row.clear_since?.getTime(),
    version: row.version,
    mergedInto: row.merged_into ?? undefined,
    splitFrom: row.split_from ?? undefined,
    causedBy: row.caused_by ?? undefined,
    causedBySentence: row.caused_by_sentence ?? undefined,
  };
}

function rowOf(incident: Incident): Record<keyof IncidentTable, string | number | undefined> {
  return {
    id: incident.id,
    organization: incident.organization,
    type: incident.type,
    title: incident.title,
    severity: incident.severity,
    state: incident.state,
    correlation_key: incident.correlationKey,
    opened_at: iso(incident.openedAt),
    acknowledged_at: iso(incident.acknowledgedAt),
    acknowledged_by: incident.acknowledgedBy,
    mitigated_at: iso(incident.mitigatedAt),
    resolved_at: iso(incident.resolvedAt),
    resolved_by: incident.resolvedBy,
    resolved_how: incident.resolvedHow,
    resolution: incident.resolution,
    clock_from: iso(incident.clockFrom),
    respond_by: iso(incident.respondBy),
    escalated_at: iso(incident.escalatedAt),
    escalate_at: iso(incident.escalateAt),
    escalation_step: incident.escalationStep,
    stepped_at: iso(incident.steppedAt),
    check_at: iso(incident.checkAt),
    check_outcome: incident.checkOutcome,
    check_sentence: incident.checkSentence,
    clear_since: iso(incident.clearSince),
    version: incident.version,
    merged_into: incident.mergedInto,
    split_from: incident.splitFrom,
    caused_by: incident.causedBy,
    caused_by_sentence: incident.causedBySentence,
  };
}

function iso(at: number | undefined): string | undefined {
  return at === undefined ? undefined : new Date(at).toISOString();
}
