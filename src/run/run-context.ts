/**
 * What stands around a run: the alert and incident it is about when it is taken in hand, and what is committed with each
 * entry of its journal beside the run itself: the record, the incident, the page.
 */
import { getAlerts } from '../alert/alert-store.ts';
import type { RecordEntry, RecordKind } from '../audit/record.ts';
import type { Queryable, Tx } from '../database/tables.ts';
import type { Severity } from '../incident/incident.ts';
import { resolveVerified } from '../incident/incident-command.ts';
import { getIncident, getIncidents } from '../incident/incident-store.ts';
import type { Json } from '../integrations/contract.ts';
import type { Entry } from './journal.ts';
import type { NextEntry } from './journal-writer.ts';
import type { RunInHand } from './run-in-hand.ts';

/** The alert and the incident of each run, as expressions see them. */
export async function readContexts(
  db: Queryable,
  runs: readonly { alertId: string | undefined; incidentId: string | undefined }[],
): Promise<Pick<RunInHand, 'alert' | 'incident'>[]> {
  const named = (ids: (string | undefined)[]) => [...new Set(ids.filter((id) => id !== undefined))];
  // One after the other: within a transaction there is one connection.
  const alerts = await getAlerts(db, named(runs.map(({ alertId }) => alertId)));
  const incidents = await getIncidents(db, named(runs.map(({ incidentId }) => incidentId)));
  return runs.map(({ alertId = '', incidentId = '' }) => {
    const alert = alerts.get(alertId);
    const incident = incidents.get(incidentId);
    return {
      alert: alert && {
        id: alert.id,
        name: alert.name,
        fingerprint: alert.fingerprint,
        labels: alert.labels,
        annotations: alert.annotations,
        generatorUrl: alert.generatorUrl,
        startsAt: alert.startsAt,
      },
      incident: incident && { id: incident.id, type: incident.type, severity: incident.severity },
    };
  });
}

/** Writes a page into the outbox. */
export type CreatePage = (
  tx: Tx,
  page: {
    dedupeKey: string;
    severity: Severity;
    subject: string;
    body: string;
    organization: string | undefined;
    incidentId: string | undefined;
    runId: string;
  },
  now: number,
) => Promise<RecordEntry[]>;

/** Commits what entries mean outside of their runs. Returns what the record says about them, in their order. */
export async function commitAround(
  tx: Tx,
  nexts: readonly NextEntry[],
  createPage: CreatePage,
): Promise<RecordEntry[]> {
  const resolved = await resolveFixed(tx, nexts);
  const entries: RecordEntry[] = [];
  for (const next of nexts) {
    const { run, number, entry, attachment } = next;
    entries.push(recordOf(run, number, entry));
    if (attachment?.page && !(await isRepaired(tx, run, entry))) {
      const page = {
        ...attachment.page,
        dedupeKey: `run/${run.id}/${entry.kind}`,
        severity: run.incident?.severity ?? 'P3',
        organization: run.organization,
        incidentId: run.incident?.id,
        runId: run.id,
      };
      entries.push(...(await createPage(tx, page, entry.at)));
    }
    entries.push(...(resolved.get(next) ?? []));
  }
  return entries;
}

/** Only a fix that was verified ends an incident: "done" is not "fixed". */
async function resolveFixed(tx: Tx, nexts: readonly NextEntry[]): Promise<Map<NextEntry, RecordEntry[]>> {
  const fixes = nexts.flatMap((next) => {
    const { run, entry } = next;
    if (entry.kind !== 'Ended' || entry.data.reason !== 'Verified' || !run.incident) return [];
    const fix = {
      incidentId: run.incident.id,
      runId: run.id,
      alertIds: run.alert ? [run.alert.id] : [],
      sentence: verification(run),
      evidence: { runbook: run.runbook.resource.metadata.name },
      now: entry.at,
    };
    return [{ next, fix }];
  });
  const commanded = await resolveVerified(
    tx,
    fixes.map(({ fix }) => fix),
  );
  return new Map(fixes.map(({ next }, index) => [next, commanded[index]?.entries ?? []]));
}

/**
 * Several alerts of one fault start several runs: one repairs it, and the others, which did nothing, must not call anybody
 * about what is repaired. Of a mitigated incident the response clock goes on: should the rest of its alerts not end, people
 * are called by its escalation.
 */
async function isRepaired(tx: Tx, run: RunInHand, entry: Entry): Promise<boolean> {
  if (entry.kind !== 'Ended' || entry.data.outcome !== 'Refused' || !run.incident) return false;
  const incident = await getIncident(tx, run.incident.id);
  return incident?.state === 'Mitigated' || (incident?.state === 'Resolved' && incident.resolvedHow !== 'Forced');
}

/** What the last verification said. */
function verification(run: RunInHand): string {
  const verified = run.runbook.steps.flatMap((step, index) =>
    step.kind === 'verify' ? [run.state.steps.steps[index]?.sentence ?? ''] : [],
  );
  return verified.filter((sentence) => sentence !== '').at(-1) ?? 'The fix was verified.';
}

const recordKinds: Partial<Record<Entry['kind'], RecordKind>> = {
  Ended: 'run.ended',
  ApprovalRequested: 'approval.requested',
  ApprovalDecided: 'approval.decided',
};

function recordOf(run: RunInHand, number: number, entry: Entry): RecordEntry {
  return {
    at: entry.at,
    kind: recordKinds[entry.kind] ?? 'run.entry',
    actor: 'engine',
    organization: run.organization,
    alertId: run.alert?.id,
    incidentId: run.incident?.id,
    runId: run.id,
    sentence: entry.sentence,
    data: {
      entry: number,
      kind: entry.kind,
      runbook: run.runbook.resource.metadata.name,
      ...summaryOf(entry),
    },
  };
}

/** The part of an entry that people follow live; all of it stands in the journal. */
function summaryOf(entry: Entry): { [key: string]: Json } {
  switch (entry.kind) {
    case 'Prepared':
      return { plan: entry.data.plan.map((step) => step.sentence), mode: entry.data.mode };
    case 'StepStarted':
      return { phase: entry.data.phase, step: entry.data.index, action: entry.data.action, effect: entry.data.effect };
    case 'StepSucceeded':
    case 'StepFailed':
    case 'StepSkipped':
    case 'StepAsked':
      return { phase: entry.data.phase, step: entry.data.index };
    case 'VerifyStarted':
    case 'VerifyHolds':
    case 'VerifyBroke':
    case 'WaitStarted':
      return { step: entry.data.index };
    case 'ApprovalRequested':
      return { approvalId: entry.data.approvalId, role: entry.data.role, planDigest: entry.data.planDigest };
    case 'Ended':
      return { outcome: entry.data.outcome, reason: entry.data.reason };
    default:
      return {};
  }
}
