/**
 * What people do with runs: start, approve, reject, cancel. One transaction per method; the engine is woken after.
 */
import { appendRecord } from '../audit/record-store.ts';
import type { CompiledRunbook } from '../catalog/compiled-runbook.ts';
import type { Clock } from '../clock.ts';
import type { Database, Queryable, Tx } from '../database/tables.ts';
import { CatalystError } from '../errors.ts';
import type { Json } from '../integrations/contract.ts';
import type { Entry } from './journal.ts';
import { appendEntries, insertRuns, wakeRun } from './run-store.ts';

/** Someone who asks for something. */
export interface Actor {
  /** `token/ci`, `user/ada`: stands in the record. */
  name: string;
  role: string;
  /** The Organization whose slice they see; undefined sees the whole Sovereign. */
  organization: string | undefined;
}

export interface RunbookCatalog {
  find(name: string, organization: string | undefined): CompiledRunbook | undefined;
}

export interface RunServicePorts {
  db: Database;
  clock: Clock;
  newId(): string;
  catalog: RunbookCatalog;
  /** Tells the engine that something is due. */
  wake(): void;
}

export interface StartRequest {
  runbook: string;
  organization?: string;
  inputs: Record<string, Json>;
  /** Says what it would do and does nothing. */
  dryRun?: boolean;
  reason?: string;
  /** The incident it is for. */
  incidentId?: string;
  /** The alert it is for: its labels are what the runbook's expressions see. */
  alertId?: string;
  traceparent?: string;
}

/** Outranks every role a runbook may ask for. */
const sovereignAdmin = 'sovereign-admin';

export function createRunService(ports: RunServicePorts) {
  const { db, clock } = ports;

  /**
   * Starts a run by hand. A person who starts it has decided, so that Suggest counts as Automatic; Approval still asks a
   * second person.
   * @throws CatalystError NotFound, BadRequest
   */
  async function start(actor: Actor, request: StartRequest): Promise<{ runId: string }> {
    const about = await subjectOf(db, request, actor.organization);
    // What is done about an alert is done, and paid, for whoever's it is.
    const organization = actor.organization ?? request.organization ?? about.organization;
    const runbook = ports.catalog.find(request.runbook, organization);
    if (!runbook) {
      throw new CatalystError('NotFound', `There is no runbook ${request.runbook}.`, {
        hint: 'catalyst-sre get runbooks lists them.',
      });
    }
    const inputs = acceptInputs(runbook, request.inputs);
    const now = clock.now();
    const runId = ports.newId();
    const mode = request.dryRun ? 'Suggest' : runbook.mode === 'Approval' ? 'Approval' : 'Automatic';
    await db.transaction().execute(async (tx) => {
      await insertRuns(tx, [
        {
          id: runId,
          runbook: request.runbook,
          organization,
          document: runbook.resource,
          trigger: { kind: 'manual', by: actor.name, reason: request.reason ?? '' },
          dedupeKey: `manual/${runId}`,
          alertId: about.alertId,
          incidentId: about.incidentId,
          mode,
          inputs,
          requestedBy: actor.name,
          sentence: `${actor.name} started it${request.dryRun ? ' as a dry run' : ''}.`,
          createdAt: now,
          traceparent: request.traceparent,
        },
      ]);
      const sentence = `${actor.name} started ${request.runbook}${request.dryRun ? ' as a dry run' : ''}${request.reason ? `: ${request.reason}` : '.'}`;
      const ids = { organization, alertId: about.alertId, incidentId: about.incidentId, runId };
      await appendRecord(tx, [
        {
          at: now,
          kind: 'run.created',
          actor: actor.name,
          ...ids,
          sentence,
          data: { runbook: request.runbook, mode, inputs },
        },
      ]);
    });
    ports.wake();
    return { runId };
  }

  /**
   * Approves or rejects the plan a run waits with. The digest, when given, has to be the one of the plan that was shown.
   * @throws CatalystError NotFound, Forbidden, InvalidState, Conflict
   */
  async function decide(
    actor: Actor,
    runId: string,
    decision: { approve: boolean; comment: string; planDigest?: string },
  ): Promise<{ approvalId: string }> {
    const now = clock.now();
    const approvalId = await db.transaction().execute(async (tx) => {
      const run = await findRun(tx, actor, runId);
      const approval = await tx
        .selectFrom('approval')
        .selectAll()
        .where('run_id', '=', runId)
        .where('state', '=', 'Pending')
        .forUpdate()
        .executeTakeFirst();
      if (!approval || approval.expires_at.getTime() <= now)
        throw new CatalystError('InvalidState', `Run ${runId} does not wait for an approval.`);
      if (actor.role !== approval.role && actor.role !== sovereignAdmin) {
        throw new CatalystError('Forbidden', `This plan has to be approved by a ${approval.role}.`);
      }
      if (decision.approve && actor.name === run.requested_by) {
        throw new CatalystError('Forbidden', 'Who asked for a run cannot approve it.', {
          hint: 'Ask a second person.',
        });
      }
      if (decision.planDigest !== undefined && decision.planDigest !== approval.plan_digest) {
        throw new CatalystError('Conflict', 'The plan is not the one that was shown.', {
          hint: 'Look at the run again and decide on its plan.',
        });
      }
      const state = decision.approve ? 'Approved' : 'Rejected';
      const sentence = `${actor.name} ${decision.approve ? 'approved' : 'rejected'} the plan${decision.comment ? `: ${decision.comment}` : '.'}`;
      await tx
        .updateTable('approval')
        .set({ state, decided_by: actor.name, decided_at: new Date(now), comment: decision.comment })
        .where('id', '=', approval.id)
        .execute();
      const entry: Entry = {
        at: now,
        kind: 'ApprovalDecided',
        sentence,
        data: { step: approval.step, decision: state, by: actor.name, comment: decision.comment },
      };
      await appendEntries(tx, [{ run: { id: runId, epoch: 'any' }, entries: [entry], change: { state: 'Running' } }]);
      await wakeRun(tx, runId);
      const ids = {
        organization: run.organization ?? undefined,
        alertId: run.alert_id ?? undefined,
        incidentId: run.incident_id ?? undefined,
        runId,
      };
      const data = { approvalId: approval.id, decision: state, planDigest: approval.plan_digest };
      await appendRecord(tx, [{ at: now, kind: 'approval.decided', actor: actor.name, ...ids, sentence, data }]);
      return approval.id;
    });
    ports.wake();
    return { approvalId };
  }

  /** Asks the engine to stop the run at the next safe point. What was done stays done. */
  async function cancel(actor: Actor, runId: string, reason: string): Promise<void> {
    const now = clock.now();
    await db.transaction().execute(async (tx) => {
      const run = await findRun(tx, actor, runId);
      if (!(await wakeRun(tx, runId, { cancelRequestedBy: actor.name }))) {
        throw new CatalystError('InvalidState', `Run ${runId} has already ended.`);
      }
      const ids = {
        organization: run.organization ?? undefined,
        alertId: run.alert_id ?? undefined,
        incidentId: run.incident_id ?? undefined,
        runId,
      };
      const sentence = `${actor.name} asked to cancel the run${reason ? `: ${reason}` : '.'}`;
      await appendRecord(tx, [
        { at: now, kind: 'run.cancelRequested', actor: actor.name, ...ids, sentence, data: { reason } },
      ]);
    });
    ports.wake();
  }

  return { start, decide, cancel };
}

export type RunService = ReturnType<typeof createRunService>;

/** The run, if the actor may know of it. To others it does not exist. */
async function findRun(tx: Tx, actor: Actor, runId: string) {
  const run = await tx
    .selectFrom('run')
    .select(['organization', 'requested_by', 'alert_id', 'incident_id'])
    .where('id', '=', runId)
    .executeTakeFirst();
  if (!run || (actor.organization !== undefined && run.organization !== actor.organization)) {
    throw new CatalystError('NotFound', `There is no run ${runId}.`);
  }
  return run;
}

/** The alert and incident a run is about, as far as the actor may know of them. */
async function subjectOf(db: Queryable, request: StartRequest, visibleTo: string | undefined) {
  const { alertId, incidentId } = request;
  const seen = <T extends { organization: string | null }>(row: T | undefined, what: string) => {
    if (row && (visibleTo === undefined || row.organization === visibleTo)) return row;
    throw new CatalystError('NotFound', `There is no ${what}.`);
  };
  if (alertId !== undefined) {
    const found = await db
      .selectFrom('alert')
      .select(['organization', 'incident_id'])
      .where('id', '=', alertId)
      .executeTakeFirst();
    const alert = seen(found, `alert ${alertId}`);
    return {
      alertId,
      incidentId: incidentId ?? alert.incident_id ?? undefined,
      organization: alert.organization ?? undefined,
    };
  }
  if (incidentId === undefined) return { alertId, incidentId, organization: undefined };
  const found = await db
    .selectFrom('incident')
    .select(['organization', 'merged_into'])
    .where('id', '=', incidentId)
    .executeTakeFirst();
  const { organization, merged_into } = seen(found, `incident ${incidentId}`);
  // What is done for an incident that was merged is done for the one that goes on.
  return { alertId, incidentId: merged_into ?? incidentId, organization: organization ?? undefined };
}

/** Fills in defaults and refuses what the runbook does not declare. */
export function acceptInputs(runbook: CompiledRunbook, given: Record<string, Json>): Record<string, Json> {
  const declared = runbook.resource.spec.inputs ?? {};
  for (const name of Object.keys(given)) {
    if (Object.hasOwn(declared, name)) continue;
    const known = Object.keys(declared);
    throw new CatalystError('BadRequest', `The runbook has no input ${name}.`, {
      hint: known.length === 0 ? 'It takes none.' : `It takes ${known.join(', ')}.`,
    });
  }
  const inputs: Record<string, Json> = {};
  for (const [name, { type, default: fallback }] of Object.entries(declared)) {
    const value = Object.hasOwn(given, name) ? given[name] : fallback;
    if (value === undefined)
      throw new CatalystError('BadRequest', `The input ${name} is missing.`, {
        hint: `Give it with --set ${name}=VALUE.`,
      });
    inputs[name] = coerce(name, type, value);
  }
  return inputs;
}

/** `--set` gives text; whole numbers and booleans are read from it. */
function coerce(name: string, type: 'string' | 'int' | 'bool', value: Json): Json {
  if (type === 'string' && typeof value === 'string') return value;
  if (type === 'int') {
    const number = typeof value === 'string' && /^-?[0-9]+$/.test(value) ? Number(value) : value;
    if (Number.isSafeInteger(number)) return number;
  }
  if (type === 'bool') {
    if (typeof value === 'boolean') return value;
    if (value === 'true' || value === 'false') return value === 'true';
  }
  throw new CatalystError('BadRequest', `The input ${name} must be of type ${type}.`);
}
