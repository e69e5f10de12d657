/**
 * What people and machines read about runs: SQL only. Lists are newest first; a page goes on after the id of the last
 * item of the one before, because ids sort by time and never change.
 */
import { type Selectable, sql } from 'kysely';
import type { ApprovalTable, DecisionTable, PageTable, Queryable, RunTable } from '../database/tables.ts';
import type { Json } from '../integrations/contract.ts';

/** Which part of a list, and whose. */
export interface ListRequest {
  limit: number;
  /** `next` of the page before: here the id of its last item; opaque to the API. */
  after?: string | undefined;
  /** Only what belongs to this Organization; undefined for the whole Sovereign. */
  organization?: string | undefined;
}

export interface ListPage<T> {
  items: T[];
  /** `after` of the next page; undefined on the last one. */
  next?: string | undefined;
}

export interface RunSummary {
  id: string;
  runbook: string;
  organization?: string | undefined;
  mode: RunTable['mode'];
  state: RunTable['state'];
  outcome?: string | undefined;
  reason?: string | undefined;
  /** What happened last, or in the end, as one sentence. */
  sentence: string;
  trigger: Json;
  inputs: Json;
  target?: string | undefined;
  alertId?: string | undefined;
  incidentId?: string | undefined;
  requestedBy: string;
  cancelRequestedBy?: string | undefined;
  createdAt: number;
  actedAt?: number | undefined;
  endedAt?: number | undefined;
}

export interface JournalEntry {
  seq: number;
  at: number;
  kind: string;
  data: Json;
}

export interface DecisionSummary {
  id: string;
  at: number;
  alertId: string;
  deliveryId?: number | undefined;
  outcome: DecisionTable['outcome'];
  reason: string;
  sentence: string;
  runbook?: string | undefined;
  runId?: string | undefined;
  /** Every runbook that was looked at, and why it was or was not taken. */
  considered: Json;
}

export interface ApprovalSummary {
  id: string;
  runId: string;
  runbook: string;
  organization?: string | undefined;
  /** Index of the step that asks, from 0. */
  step: number;
  /** Who may decide. */
  role: string;
  plan: Json;
  planDigest: string;
  state: ApprovalTable['state'];
  requestedAt: number;
  expiresAt: number;
  decidedBy?: string | undefined;
  decidedAt?: number | undefined;
  comment?: string | undefined;
}

export interface PageSummary {
  id: string;
  receiver: string;
  organization?: string | undefined;
  incidentId?: string | undefined;
  runId?: string | undefined;
  severity: string;
  subject: string;
  body: string;
  state: PageTable['state'];
  attempts: number;
  lastError?: string | undefined;
  createdAt: number;
  deliveredAt?: number | undefined;
}

export interface RunFilter {
  state?: RunTable['state'] | undefined;
  outcome?: string | undefined;
  runbook?: string | undefined;
  incidentId?: string | undefined;
  alertId?: string | undefined;
}

const runColumns = [
  'id',
  'runbook',
  'organization',
  'mode',
  'state',
  'outcome',
  'reason',
  'sentence',
  'trigger',
  'inputs',
  'target_key',
  'alert_id',
  'incident_id',
  'requested_by',
  'cancel_requested_by',
  'created_at',
  'acted_at',
  'ended_at',
] as const;

export async function listRuns(
  db: Queryable,
  request: ListRequest,
  filter: RunFilter = {},
): Promise<ListPage<RunSummary>> {
  let query = db
    .selectFrom('run')
    .select(runColumns)
    .orderBy('id', 'desc')
    .limit(request.limit + 1);
  if (request.after !== undefined) query = query.where('id', '<', request.after);
  if (request.organization !== undefined) query = query.where('organization', '=', request.organization);
  if (filter.state !== undefined) query = query.where('state', '=', filter.state);
  // Says the same to people, and names the index to the planner.
  if (filter.state !== undefined && filter.state !== 'Ended') query = query.where('ended_at', 'is', null);
  if (filter.outcome !== undefined) query = query.where('outcome', '=', filter.outcome as never);
  if (filter.runbook !== undefined) query = query.where('runbook', '=', filter.runbook);
  if (filter.incidentId !== undefined) query = query.where('id', 'in', runsShownWith(filter.incidentId));
  if (filter.alertId !== undefined) query = query.where('alert_id', '=', filter.alertId);
  return toPage(await query.execute(), request.limit, toRun);
}

/** Runs of an incident, and those that left it by a merge or a split. */
function runsShownWith(incidentId: string) {
  return sql<string>`(SELECT id FROM run WHERE incident_id = ${incidentId}
    UNION ALL SELECT run_id FROM incident_run WHERE incident_id = ${incidentId})`;
}

/** Undefined when there is none, or when it belongs to another Organization. */
export async function findRun(db: Queryable, id: string, organization?: string): Promise<RunSummary | undefined> {
  let query = db.selectFrom('run').select(runColumns).where('id', '=', id);
  if (organization !== undefined) query = query.where('organization', '=', organization);
  const row = await query.executeTakeFirst();
  return row && toRun(row);
}

/** The journal of a run from its beginning; a run has some dozens of entries. */
export async function readJournal(db: Queryable, runId: string, after = 0, limit = 1000): Promise<JournalEntry[]> {
  const rows = await db
    .selectFrom('run_entry')
    .select(['seq', 'at', 'kind', 'data'])
    .where('run_id', '=', runId)
    .where('seq', '>', after)
    .orderBy('seq')
    .limit(limit)
    .execute();
  return rows.map((row) => ({ seq: row.seq, at: row.at.getTime(), kind: row.kind, data: row.data as Json }));
}

export async function listDecisions(
  db: Queryable,
  request: ListRequest,
  filter: { alertId?: string | undefined; runId?: string | undefined } = {},
): Promise<ListPage<DecisionSummary>> {
  let query = db
    .selectFrom('decision')
    .selectAll('decision')
    .orderBy('decision.id', 'desc')
    .limit(request.limit + 1);
  // A decision belongs to whom its alert belongs to.
  if (request.organization !== undefined)
    query = query
      .innerJoin('alert', 'alert.id', 'decision.alert_id')
      .where('alert.organization', '=', request.organization);
  const after = toNumber(request.after);
  if (after !== undefined) query = query.where('decision.id', '<', after);
  if (filter.alertId !== undefined) query = query.where('decision.alert_id', '=', filter.alertId);
  if (filter.runId !== undefined) query = query.where('decision.run_id', '=', filter.runId);
  return toPage(await query.execute(), request.limit, toDecision);
}

export async function findDecision(
  db: Queryable,
  id: string,
  organization?: string,
): Promise<DecisionSummary | undefined> {
  const number = toNumber(id);
  if (number === undefined) return undefined;
  let query = db.selectFrom('decision').selectAll('decision').where('decision.id', '=', number);
  if (organization !== undefined)
    query = query.innerJoin('alert', 'alert.id', 'decision.alert_id').where('alert.organization', '=', organization);
  const row = await query.executeTakeFirst();
  return row && toDecision(row);
}

export async function listApprovals(
  db: Queryable,
  request: ListRequest,
  filter: { state?: ApprovalTable['state'] | undefined; runId?: string | undefined } = {},
): Promise<ListPage<ApprovalSummary>> {
  let query = selectApprovals(db)
    .orderBy('approval.id', 'desc')
    .limit(request.limit + 1);
  if (request.after !== undefined) query = query.where('approval.id', '<', request.after);
  if (request.organization !== undefined) query = query.where('run.organization', '=', request.organization);
  if (filter.state !== undefined) query = query.where('approval.state', '=', filter.state);
  if (filter.runId !== undefined) query = query.where('approval.run_id', '=', filter.runId);
  return toPage(await query.execute(), request.limit, toApproval);
}

export async function findApproval(
  db: Queryable,
  id: string,
  organization?: string,
): Promise<ApprovalSummary | undefined> {
  let query = selectApprovals(db).where('approval.id', '=', id);
  if (organization !== undefined) query = query.where('run.organization', '=', organization);
  const row = await query.executeTakeFirst();
  return row && toApproval(row);
}

export async function listPages(
  db: Queryable,
  request: ListRequest,
  filter: { state?: PageTable['state'] | undefined; incidentId?: string | undefined; runId?: string | undefined } = {},
): Promise<ListPage<PageSummary>> {
  let query = db
    .selectFrom('page')
    .selectAll()
    .orderBy('id', 'desc')
    .limit(request.limit + 1);
  if (request.after !== undefined) query = query.where('id', '<', request.after);
  if (request.organization !== undefined) query = query.where('organization', '=', request.organization);
  if (filter.state !== undefined) query = query.where('state', '=', filter.state);
  if (filter.incidentId !== undefined) query = query.where('incident_id', '=', filter.incidentId);
  if (filter.runId !== undefined) query = query.where('run_id', '=', filter.runId);
  return toPage(await query.execute(), request.limit, toPageSummary);
}

export async function findPage(db: Queryable, id: string, organization?: string): Promise<PageSummary | undefined> {
  let query = db.selectFrom('page').selectAll().where('id', '=', id);
  if (organization !== undefined) query = query.where('organization', '=', organization);
  const row = await query.executeTakeFirst();
  return row && toPageSummary(row);
}

function selectApprovals(db: Queryable) {
  return db
    .selectFrom('approval')
    .innerJoin('run', 'run.id', 'approval.run_id')
    .selectAll('approval')
    .select(['run.runbook', 'run.organization']);
}

/** One row more than asked for was read: it tells that there is a next page. */
function toPage<Row, Item extends { id: string }>(
  rows: readonly Row[],
  limit: number,
  toItem: (row: Row) => Item,
): ListPage<Item> {
  const items = rows.slice(0, limit).map(toItem);
  return rows.length > limit ? { items, next: items.at(-1)?.id } : { items };
}

/** Ids of decisions are counters; anything else finds nothing. */
function toNumber(id: string | undefined): number | undefined {
  return id !== undefined && /^[0-9]{1,15}$/.test(id) ? Number(id) : undefined;
}

function toRun(row: Pick<Selectable<RunTable>, (typeof runColumns)[number]>): RunSummary {
  return {
    id: row.id,
    runbook: row.runbook,
    organization: row.organization ?? undefined,
    mode: row.mode,
    state: row.state,
    outcome: row.outcome ?? undefined,
    reason: row.reason ?? undefined,
    sentence: row.sentence,
    trigger: row.trigger as Json,
    inputs: row.inputs as Json,
    target: row.target_key ?? undefined,
    alertId: row.alert_id ?? undefined,
    incidentId: row.incident_id ?? undefined,
    requestedBy: row.requested_by,
    cancelRequestedBy: row.cancel_requested_by ?? undefined,
    createdAt: row.created_at.getTime(),
    actedAt: row.acted_at?.getTime(),
    endedAt: row.ended_at?.getTime(),
  };
}

function toDecision(row: Selectable<DecisionTable>): DecisionSummary {
  return {
    id: String(row.id),
    at: row.at.getTime(),
    alertId: row.alert_id,
    deliveryId: row.delivery_id ?? undefined,
    outcome: row.outcome,
    reason: row.reason,
    sentence: row.sentence,
    runbook: row.runbook ?? undefined,
    runId: row.run_id ?? undefined,
    considered: row.considered as Json,
  };
}

function toApproval(
  row: Selectable<ApprovalTable> & { runbook: string; organization: string | null },
): ApprovalSummary {
  return {
    id: row.id,
    runId: row.run_id,
    runbook: row.runbook,
    organization: row.organization ?? undefined,
    step: row.step,
    role: row.role,
    plan: row.plan as Json,
    planDigest: row.plan_digest,
    state: row.state,
    requestedAt: row.requested_at.getTime(),
    expiresAt: row.expires_at.getTime(),
    decidedBy: row.decided_by ?? undefined,
    decidedAt: row.decided_at?.getTime(),
    comment: row.comment ?? undefined,
  };
}

function toPageSummary(row: Selectable<PageTable>): PageSummary {
  return {
    id: row.id,
    receiver: row.receiver,
    organization: row.organization ?? undefined,
    incidentId: row.incident_id ?? undefined,
    runId: row.run_id ?? undefined,
    severity: row.severity,
    subject: row.subject,
    body: row.body,
    state: row.state,
    attempts: row.attempts,
    lastError: row.last_error ?? undefined,
    createdAt: row.created_at.getTime(),
    deliveredAt: row.delivered_at?.getTime(),
  };
}
