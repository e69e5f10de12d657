/**
 * From what happened to what is done about it: for every delivered alert either a run or the typed reason why not. The
 * last of the three steps that share the transaction of a batch of deliveries (see `alert/processor.ts`).
 */
import { sql } from 'kysely';
import type { RecordEntry } from '../audit/record.ts';
import type { CompiledRunbook } from '../catalog/compiled-runbook.ts';
import type { Mode } from '../catalog/kinds/runbook.ts';
import type { Tx } from '../database/tables.ts';
import { strictestMode } from './prepare.ts';
import type { Reason } from './reasons.ts';
import { insertRuns, type NewRun } from './run-store.ts';

/** One report of an alert, as far as dispatch cares (`EpisodeChange` of the alert room fits). */
export interface ReportedAlert {
  kind: 'Fired' | Exclude<Reason, 'RunStarted'>;
  sentence: string;
  deliveryId: number;
  alert: {
    id: string;
    name: string;
    organization: string | undefined;
    fingerprint: string;
    labels: Readonly<Record<string, string>>;
    startsAt: number;
    incidentId: string | undefined;
    traceparent: string | undefined;
  };
}

/** An incident that has just been opened. */
export interface OpenedIncident {
  id: string;
  type: string;
  organization: string | undefined;
}

/** A runbook that was looked at and what came of it. */
export interface Considered {
  runbook: string;
  reason: Reason;
  sentence: string;
}

export interface DispatchPorts {
  matchAlert(
    labels: Readonly<Record<string, string>>,
    organization: string | undefined,
  ): { chosen: CompiledRunbook | undefined; considered: Considered[] };
  /** Every runbook an incident of this type starts. */
  matchIncident(type: string, organization: string | undefined): readonly CompiledRunbook[];
  /** The strictest of the Sovereign's and the Organization's mode, and the mode of a runbook that names none. */
  policy(organization: string | undefined): { mode: Mode; defaultRunbookMode: Mode };
  newId(): string;
}

export interface Dispatched {
  /** Runs that were created. */
  runs: number;
  entries: RecordEntry[];
}

interface Decision {
  report: ReportedAlert;
  outcome: 'RunStarted' | 'NotActed';
  reason: Reason;
  sentence: string;
  runbook: string | undefined;
  run: NewRun | undefined;
  considered: Considered[];
}

export async function dispatch(
  tx: Tx,
  { reports, incidents }: { reports: readonly ReportedAlert[]; incidents: readonly OpenedIncident[] },
  ports: DispatchPorts,
  now: number,
): Promise<Dispatched> {
  const decisions = reports.map((report) => decide(report, ports, now));
  const fromIncidents = incidents.flatMap((incident) => runsForIncident(incident, ports, now));
  const wanted = [...decisions.flatMap((decision) => (decision.run ? [decision.run] : [])), ...fromIncidents];
  const created = await insertRuns(tx, wanted);
  for (const decision of decisions) {
    // Only a firing that was taken for new a second time comes here, and the dedupe key has caught it.
    if (decision.run && !created.has(decision.run.id)) notAgain(decision);
  }
  await insertDecisions(tx, decisions, now);
  const runs = wanted.filter((run) => created.has(run.id));
  return {
    runs: runs.length,
    entries: [...decisions.map((decision) => decisionEntry(decision, now)), ...runs.map(runEntry)],
  };
}

function decide(report: ReportedAlert, ports: DispatchPorts, now: number): Decision {
  const { alert } = report;
  if (report.kind !== 'Fired') {
    return {
      report,
      outcome: 'NotActed',
      reason: report.kind,
      sentence: report.sentence,
      runbook: undefined,
      run: undefined,
      considered: [],
    };
  }
  const { chosen, considered } = ports.matchAlert(alert.labels, alert.organization);
  if (!chosen) {
    const sentence = `No runbook is triggered by ${alert.name}.`;
    return {
      report,
      outcome: 'NotActed',
      reason: 'NoRunbook',
      sentence,
      runbook: undefined,
      run: undefined,
      considered,
    };
  }
  const name = chosen.resource.metadata.name;
  const run = newRun(chosen, ports, now, {
    organization: alert.organization,
    trigger: { kind: 'alert', alertName: alert.name, fingerprint: alert.fingerprint, startsAt: alert.startsAt },
    dedupeKey: `alert/${alert.id}/${name}`,
    alertId: alert.id,
    incidentId: alert.incidentId,
    requestedBy: 'alertmanager',
    sentence: `${alert.name} fired.`,
    traceparent: alert.traceparent,
  });
  return {
    report,
    outcome: 'RunStarted',
    reason: 'RunStarted',
    sentence: `${alert.name} started ${name} in the mode ${run.mode}.`,
    runbook: name,
    run,
    considered,
  };
}

function runsForIncident(incident: OpenedIncident, ports: DispatchPorts, now: number): NewRun[] {
  return ports.matchIncident(incident.type, incident.organization).map((runbook) =>
    newRun(runbook, ports, now, {
      organization: incident.organization,
      trigger: { kind: 'incident', incidentId: incident.id, type: incident.type },
      dedupeKey: `incident/${incident.id}/${runbook.resource.metadata.name}`,
      alertId: undefined,
      incidentId: incident.id,
      requestedBy: 'engine',
      sentence: `An incident of type ${incident.type} was opened.`,
      traceparent: undefined,
    }),
  );
}

/** A run of a runbook with the mode that policy leaves it. */
export function newRun(
  runbook: CompiledRunbook,
  ports: Pick<DispatchPorts, 'policy' | 'newId'>,
  now: number,
  cause: Pick<
    NewRun,
    'organization' | 'trigger' | 'dedupeKey' | 'alertId' | 'incidentId' | 'requestedBy' | 'sentence' | 'traceparent'
  >,
): NewRun {
  const { mode, defaultRunbookMode } = ports.policy(cause.organization);
  return {
    ...cause,
    id: ports.newId(),
    runbook: runbook.resource.metadata.name,
    document: runbook.resource,
    mode: strictestMode([mode, runbook.mode ?? defaultRunbookMode]),
    inputs: defaultInputs(runbook),
    createdAt: now,
  };
}

/** What a run that nobody started by hand gets: the declared defaults. */
function defaultInputs(runbook: CompiledRunbook): NewRun['inputs'] {
  const declared = Object.entries(runbook.resource.spec.inputs ?? {});
  return Object.fromEntries(
    declared.flatMap(([name, input]) => (input.default === undefined ? [] : [[name, input.default]])),
  );
}

function notAgain(decision: Decision) {
  decision.outcome = 'NotActed';
  decision.reason = 'AlreadyRan';
  decision.sentence = `${decision.runbook} has already run for this firing.`;
  decision.run = undefined;
}

async function insertDecisions(tx: Tx, decisions: readonly Decision[], now: number): Promise<void> {
  if (decisions.length === 0) return;
  const rows = JSON.stringify(
    decisions.map(({ report, outcome, reason, sentence, runbook, run, considered }) => ({
      delivery_id: report.deliveryId,
      alert_id: report.alert.id,
      outcome,
      reason,
      sentence,
      runbook,
      run_id: run?.id,
      considered,
    })),
  );
  await sql`
    INSERT INTO decision (at, delivery_id, alert_id, outcome, reason, sentence, runbook, run_id, considered)
    SELECT ${new Date(now).toISOString()}::timestamptz, delivery_id, alert_id, outcome, reason, sentence, runbook, run_id,
      considered
    FROM json_to_recordset(${rows}::json) AS r(delivery_id bigint, alert_id text, outcome text, reason text, sentence text,
      runbook text, run_id text, considered jsonb)`.execute(tx);
}

function decisionEntry({ report, outcome, reason, sentence, runbook, run }: Decision, now: number): RecordEntry {
  const { alert, deliveryId } = report;
  return {
    at: now,
    kind: 'decision.made',
    actor: 'engine',
    organization: alert.organization,
    alertId: alert.id,
    incidentId: alert.incidentId,
    runId: run?.id,
    sentence,
    data: { outcome, reason, deliveryId, runbook: runbook ?? null },
  };
}

export function runEntry(run: NewRun): RecordEntry {
  return {
    at: run.createdAt,
    kind: 'run.created',
    actor: run.requestedBy,
    organization: run.organization,
    alertId: run.alertId,
    incidentId: run.incidentId,
    runId: run.id,
    sentence: `A run of ${run.runbook} was created in the mode ${run.mode}: ${run.sentence}`,
    data: { runbook: run.runbook, mode: run.mode, trigger: run.trigger },
  };
}
