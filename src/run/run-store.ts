/** SQL of runs, and nothing else. Claims are by the database's clock, so that replicas need not agree on the time. */
import { sql } from 'kysely';
import type { Mode } from '../catalog/kinds/runbook.ts';
import type { Queryable, Tx } from '../database/tables.ts';
import type { Json } from '../integrations/contract.ts';
import type { Entry, OutcomeName, PlannedStep } from './journal.ts';
import type { Reason } from './reasons.ts';

export type RunTrigger =
  | { kind: 'alert'; alertName: string; fingerprint: string; startsAt: number }
  | { kind: 'incident'; incidentId: string; type: string }
  | { kind: 'schedule'; cron: string; timeZone: string; localTime: string }
  | { kind: 'manual'; by: string; reason: string };

export interface NewRun {
  id: string;
  runbook: string;
  organization: string | undefined;
  /** The resource as it stood: the version this run executes, whatever happens to the catalog. */
  document: unknown;
  trigger: RunTrigger;
  dedupeKey: string;
  alertId: string | undefined;
  incidentId: string | undefined;
  mode: Mode;
  inputs: Record<string, Json>;
  requestedBy: string;
  sentence: string;
  createdAt: number;
  traceparent: string | undefined;
}

/** Inserts the runs whose dedupe key is new. @returns the ids of those that were. */
export async function insertRuns(tx: Tx, runs: readonly NewRun[]): Promise<Set<string>> {
  const inserted = new Set<string>();
  // Fifteen columns a row; PostgreSQL takes at most 65,535 parameters in a statement.
  for (let i = 0; i < runs.length; i += 1000) {
    const rows = await tx
      .insertInto('run')
      .values(runs.slice(i, i + 1000).map(rowOf))
      .onConflict((conflict) => conflict.column('dedupe_key').doNothing())
      .returning('id')
      .execute();
    for (const row of rows) inserted.add(row.id);
  }
  return inserted;
}

function rowOf(run: NewRun) {
  return {
    id: run.id,
    runbook: run.runbook,
    organization: run.organization ?? null,
    document: JSON.stringify(run.document),
    trigger: JSON.stringify(run.trigger),
    dedupe_key: run.dedupeKey,
    alert_id: run.alertId ?? null,
    incident_id: run.incidentId ?? null,
    mode: run.mode,
    inputs: JSON.stringify(run.inputs),
    requested_by: run.requestedBy,
    state: 'Pending' as const,
    sentence: run.sentence,
    created_at: new Date(run.createdAt),
    wake_at: new Date(run.createdAt),
    traceparent: run.traceparent ?? null,
  };
}

/** A run this process may work on until its claim ends. */
export interface ClaimedRun {
  id: string;
  runbook: string;
  organization: string | undefined;
  /** Only of a run nobody has worked on yet; of others `readDocuments` has it, and who works on them mostly knows it. */
  document: unknown;
  mode: Mode;
  inputs: Record<string, Json>;
  alertId: string | undefined;
  incidentId: string | undefined;
  createdAt: number;
  actedAt: number | undefined;
  cancelRequestedBy: string | undefined;
  observedAt: number | undefined;
  traceparent: string | undefined;
  /** Fencing token: every write of the run names it. */
  epoch: number;
  entries: number;
}

export interface Claimant {
  /** Name of this process, unique among all that ever ran. */
  engine: string;
  /** How long a claim lasts unless it is extended, ms. */
  claimFor: number;
}

/** Claims runs that are due and that nobody holds, oldest first. */
export async function claimDueRuns(
  db: Queryable,
  { engine, claimFor }: Claimant,
  now: number,
  limit: number,
): Promise<ClaimedRun[]> {
  const rows = await db
    .updateTable('run')
    .set({
      claimed_by: engine,
      claimed_until: inMilliseconds(claimFor),
      claim_epoch: sql<number>`claim_epoch + 1`,
      // From here on, the epoch in wake_at means that somebody asked while the run was held.
      wake_at: new Date(now),
    })
    .where('id', 'in', (due) =>
      due
        .selectFrom('run')
        .select('id')
        .where('wake_at', '<=', new Date(now))
        .where((where) =>
          where.or([where('claimed_until', 'is', null), where('claimed_until', '<', sql<Date>`clock_timestamp()`)]),
        )
        .orderBy('wake_at')
        .limit(limit)
        .forUpdate()
        .skipLocked(),
    )
    .returning([
      'id',
      'runbook',
      'organization',
      sql<unknown>`CASE WHEN entries = 0 THEN document END`.as('document'),
      'mode',
      'inputs',
      'alert_id',
      'incident_id',
      'created_at',
      'acted_at',
      'cancel_requested_by',
      'observed_at',
      'traceparent',
      'claim_epoch',
      'entries',
    ])
    .execute();
  return rows.map((row) => ({
    id: row.id,
    runbook: row.runbook,
    organization: row.organization ?? undefined,
    document: row.document ?? undefined,
    mode: row.mode,
    inputs: row.inputs as Record<string, Json>,
    alertId: row.alert_id ?? undefined,
    incidentId: row.incident_id ?? undefined,
    createdAt: row.created_at.getTime(),
    actedAt: row.acted_at?.getTime(),
    cancelRequestedBy: row.cancel_requested_by ?? undefined,
    observedAt: row.observed_at?.getTime(),
    traceparent: row.traceparent ?? undefined,
    epoch: row.claim_epoch,
    entries: row.entries,
  }));
}

/** A moment so many milliseconds from now, by the database's clock. */
function inMilliseconds(ms: number) {
  return sql<Date>`clock_timestamp() + ${ms} * interval '1 millisecond'`;
}

/** Makes the claims on these runs last. @returns the ids that are still ours. */
export async function extendClaims(
  db: Queryable,
  { engine, claimFor }: Claimant,
  ids: readonly string[],
): Promise<Set<string>> {
  if (ids.length === 0) return new Set();
  const rows = await db
    .updateTable('run')
    .set({ claimed_until: inMilliseconds(claimFor) })
    .where('id', '=', sql<string>`ANY(${[...ids]}::text[])`)
    .where('claimed_by', '=', engine)
    .returning('id')
    .execute();
  return new Set(rows.map((row) => row.id));
}

/** Frees every claim, whoever holds it. Only for a database that no other process can have open. */
export async function freeAllClaims(db: Queryable): Promise<void> {
  await db
    .updateTable('run')
    .set({ claimed_by: null, claimed_until: null })
    .where('claimed_until', 'is not', null)
    .execute();
}

/** A moment in ms since the epoch, as SQL takes it. */
function time(ms: number | undefined): string | null {
  return ms === undefined ? null : new Date(ms).toISOString();
}

/** What becomes of a run when who worked on it lets go of it. */
export interface Release {
  id: string;
  epoch: number;
  /** Undefined when it has ended. */
  wakeAt: number | undefined;
  /** What it waits for; undefined leaves what stands there. */
  sentence: string | undefined;
  observedAt: number | undefined;
}

/** Hands runs back until their `wakeAt`. */
export async function releaseRuns(db: Queryable, releases: readonly Release[]): Promise<void> {
  const column = <T>(of: (release: Release) => T) => releases.map(of);
  // An approval or a cancellation that came while a run was held set its wake_at to the epoch: it must not be slept over.
  await sql`
    UPDATE run SET
      claimed_by = NULL,
      claimed_until = NULL,
      wake_at = CASE WHEN run.wake_at = 'epoch'::timestamptz AND freed.wake_at IS NOT NULL THEN run.wake_at ELSE freed.wake_at END,
      sentence = COALESCE(freed.sentence, run.sentence),
      observed_at = COALESCE(freed.observed_at, run.observed_at)
    FROM unnest(
      ${column(({ id }) => id)}::text[],
      ${column(({ epoch }) => epoch)}::bigint[],
      ${column(({ wakeAt }) => time(wakeAt))}::timestamptz[],
      ${column(({ sentence }) => sentence ?? null)}::text[],
      ${column(({ observedAt }) => time(observedAt))}::timestamptz[]
    ) AS freed (id, epoch, wake_at, sentence, observed_at)
    WHERE run.id = freed.id AND run.claim_epoch = freed.epoch`.execute(db);
}

/** Wakes a run at once, also when someone holds it right now. */
export async function wakeRun(tx: Tx, runId: string, changes: { cancelRequestedBy?: string } = {}): Promise<boolean> {
  const row = await tx
    .updateTable('run')
    .set({
      wake_at: new Date(0),
      ...(changes.cancelRequestedBy === undefined ? {} : { cancel_requested_by: changes.cancelRequestedBy }),
    })
    .where('id', '=', runId)
    .where('state', '<>', 'Ended')
    .returning('id')
    .executeTakeFirst();
  return row !== undefined;
}

/** When the next run is due, ms since the epoch. Runs held by others do not count until their claim ends. */
export async function nextWake(db: Queryable): Promise<number | undefined> {
  const row = await db
    .selectFrom('run')
    .select((select) => select.fn.min('wake_at').as('wake_at'))
    .where('wake_at', 'is not', null)
    .where((where) =>
      where.or([where('claimed_until', 'is', null), where('claimed_until', '<', sql<Date>`clock_timestamp()`)]),
    )
    .executeTakeFirst();
  return row?.wake_at ? new Date(row.wake_at).getTime() : undefined;
}

export async function readEntries(db: Queryable, runId: string): Promise<Entry[]> {
  return (await readJournals(db, [runId])).get(runId) ?? [];
}

/** The entries of these runs, in their order; nothing for a run that has none. */
export async function readJournals(db: Queryable, runIds: readonly string[]): Promise<Map<string, Entry[]>> {
  const rows = await db
    .selectFrom('run_entry')
    .select(['run_id', 'at', 'kind', 'data'])
    .where('run_id', '=', sql<string>`ANY(${[...runIds]}::text[])`)
    .orderBy('run_id')
    .orderBy('seq')
    .execute();
  const journals = new Map<string, Entry[]>();
  for (const row of rows) {
    const { sentence, ...data } = row.data as { sentence: string };
    const entry = { at: row.at.getTime(), kind: row.kind, sentence, data } as unknown as Entry;
    const journal = journals.get(row.run_id);
    if (journal) journal.push(entry);
    else journals.set(row.run_id, [entry]);
  }
  return journals;
}

/** The documents these runs execute, as they stood when the runs were made. */
export async function readDocuments(db: Queryable, runIds: readonly string[]): Promise<Map<string, unknown>> {
  const rows = await db
    .selectFrom('run')
    .select(['id', 'document'])
    .where('id', '=', sql<string>`ANY(${[...runIds]}::text[])`)
    .execute();
  return new Map(rows.map(({ id, document }) => [id, document]));
}

/** The commit of the document a run executes; undefined where its source has none. */
export async function readRevision(db: Queryable, runId: string): Promise<string | undefined> {
  const { rows } = await sql<{ revision: string | null }>`
    SELECT document #>> '{provenance,revision}' AS revision FROM run WHERE id = ${runId}`.execute(db);
  return rows[0]?.revision ?? undefined;
}

/** What an entry changes in the run's row. */
export interface RunChange {
  state?: 'Pending' | 'AwaitingApproval' | 'Running' | 'RollingBack' | 'Ended';
  targetKey?: string;
  actedAt?: number;
  ended?: { outcome: OutcomeName; reason: Reason; at: number };
}

/** Who writes: the process that holds the claim, or a person whose decision goes in between. */
export type Writer = { id: string; epoch: number | 'any' };

/** Entries of one run, in their order, and what they change in its row. */
export interface Append {
  run: Writer;
  entries: readonly Entry[];
  change: RunChange;
}

/** Of a run whose entries were appended. */
export interface Appended {
  /** Of its last entry, counted from 1. */
  number: number;
  /** The run belongs to now. */
  incidentId: string | undefined;
}

/**
 * Appends entries to so many runs and moves their rows along, where the claim still holds.
 * @param appends of each run at most one
 * @returns by run, nothing for one that has ended or is no longer this process's; and whether a run that has ended left its
 * concurrency key to one that waits for it, which is now due
 */
export async function appendEntries(
  tx: Tx,
  appends: readonly Append[],
): Promise<{ byRun: Map<string, Appended>; keyPassedOn: boolean }> {
  const ended = appends.filter(({ change }) => change.ended).map(({ run }) => run.id);
  const keyPassedOn = ended.length > 0 && (await wakeNextInLine(tx, ended));
  const moves = appends.map(({ run, entries, change }) => ({
    id: run.id,
    epoch: run.epoch === 'any' ? null : run.epoch,
    count: entries.length,
    sentence: entries.at(-1)?.sentence,
    state: change.state,
    target_key: change.targetKey,
    acted_at: time(change.actedAt),
    ends: change.ended !== undefined,
    outcome: change.ended?.outcome,
    reason: change.ended?.reason,
    ended_at: time(change.ended?.at),
  }));
  const items = appends.flatMap(({ run, entries }) =>
    entries.map((entry, index) => ({
      id: run.id,
      // Counted back from the last: its number is known when the row has moved.
      before_last: entries.length - 1 - index,
      at: time(entry.at),
      kind: entry.kind,
      data: JSON.stringify({ sentence: entry.sentence, ...entry.data }),
    })),
  );
  // One statement, as it is the most frequent of all; what is null stays as it is. The ids stand in it a second time, as the
  // planner guesses a hundred rows of any JSON and would rather read the whole table.
  const { rows } = await sql<{ id: string; entries: number; incident_id: string | null }>`
    WITH move AS (
      SELECT * FROM json_to_recordset(${JSON.stringify(moves)}::json) AS m(id text, epoch bigint, count int, sentence text,
        state text, target_key text, acted_at timestamptz, ends boolean, outcome text, reason text, ended_at timestamptz)
    ), moved AS (
      UPDATE run SET
        entries = run.entries + move.count,
        sentence = move.sentence,
        state = COALESCE(move.state, run.state),
        target_key = COALESCE(move.target_key, run.target_key),
        acted_at = COALESCE(move.acted_at, run.acted_at),
        outcome = COALESCE(move.outcome, run.outcome),
        reason = COALESCE(move.reason, run.reason),
        ended_at = COALESCE(move.ended_at, run.ended_at),
        wake_at = CASE WHEN move.ends THEN NULL ELSE run.wake_at END,
        lock_key = CASE WHEN move.ends THEN NULL ELSE run.lock_key END,
        waits_for = CASE WHEN move.ends THEN NULL ELSE run.waits_for END
      FROM move
      WHERE run.id = move.id AND run.id = ANY(${appends.map(({ run }) => run.id)}::text[]) AND run.state <> 'Ended'
        AND (move.epoch IS NULL OR run.claim_epoch = move.epoch)
      RETURNING run.id, run.entries, run.incident_id
    ), written AS (
      INSERT INTO run_entry (run_id, seq, at, kind, data)
      SELECT item.id, moved.entries - item.before_last, item.at, item.kind, item.data::json
      FROM json_to_recordset(${JSON.stringify(items)}::json) AS item(id text, before_last int, at timestamptz, kind text, data text)
      JOIN moved ON moved.id = item.id
    )
    SELECT id, entries, incident_id FROM moved`.execute(tx);
  const byRun = new Map(
    rows.map((row) => [row.id, { number: Number(row.entries), incidentId: row.incident_id ?? undefined }]),
  );
  return { byRun, keyPassedOn };
}

/** Takes the concurrency key for the run. @returns false while another run has it; the run is then woken when that one ends. */
export async function takeLock(db: Queryable, run: { id: string; epoch: number }, key: string): Promise<boolean> {
  try {
    const row = await db
      .updateTable('run')
      .set({
        lock_key: sql<string | null>`CASE WHEN ${heldByAnother(run.id, key)} THEN NULL ELSE ${key} END`,
        waits_for: sql<string | null>`CASE WHEN ${heldByAnother(run.id, key)} THEN ${key} ELSE NULL END`,
      })
      .where('id', '=', run.id)
      .where('claim_epoch', '=', run.epoch)
      .returning('lock_key')
      .executeTakeFirst();
    return row?.lock_key === key;
  } catch (error) {
    // Two runs at once: the unique index let one through.
    if (error instanceof Error && 'code' in error && error.code === '23505') return false;
    throw error;
  }
}

/** Whether a run holds this concurrency key right now. */
export async function isKeyHeld(db: Queryable, key: string): Promise<boolean> {
  const row = await db.selectFrom('run').select('id').where('lock_key', '=', key).executeTakeFirst();
  return row !== undefined;
}

function heldByAnother(id: string, key: string) {
  return sql<boolean>`EXISTS (SELECT 1 FROM run AS other WHERE other.lock_key = ${key} AND other.id <> ${id})`;
}

/** Wakes, for each of these runs, the one that has waited longest for the key it holds. */
async function wakeNextInLine(tx: Tx, runIds: readonly string[]): Promise<boolean> {
  const { numAffectedRows } = await sql`
    UPDATE run SET wake_at = 'epoch'::timestamptz WHERE id IN (
      SELECT DISTINCT ON (holder.id) waiting.id
      FROM run AS waiting JOIN run AS holder ON holder.lock_key = waiting.waits_for
      WHERE holder.id = ANY(${[...runIds]}::text[]) AND waiting.state = 'Pending'
      ORDER BY holder.id, waiting.created_at
    )`.execute(tx);
  return (numAffectedRows ?? 0n) > 0n;
}

/** Runs of a runbook on a target that acted, newest first; only so many as limits can ask for. */
export async function readHistory(
  db: Queryable,
  of: { runbook: string; target: string; except: string; since: number },
): Promise<{ actedAt: number; endedAt: number | undefined }[]> {
  const rows = await db
    .selectFrom('run')
    .select(['acted_at', 'ended_at'])
    .where('runbook', '=', of.runbook)
    .where('target_key', '=', of.target)
    .where('id', '<>', of.except)
    .where('acted_at', '>', new Date(of.since))
    .orderBy('acted_at', 'desc')
    .limit(1000)
    .execute();
  return rows.map((row) => ({ actedAt: row.acted_at?.getTime() ?? 0, endedAt: row.ended_at?.getTime() }));
}

export async function insertApproval(
  tx: Tx,
  runId: string,
  approval: {
    id: string;
    step: number;
    role: string;
    plan: readonly PlannedStep[];
    planDigest: string;
    requestedAt: number;
    expiresAt: number;
  },
): Promise<void> {
  await tx
    .insertInto('approval')
    .values({
      id: approval.id,
      run_id: runId,
      step: approval.step,
      role: approval.role,
      plan: JSON.stringify(approval.plan),
      plan_digest: approval.planDigest,
      requested_at: new Date(approval.requestedAt),
      expires_at: new Date(approval.expiresAt),
      state: 'Pending',
    })
    .execute();
}
