/**
 * One step of a loop: takes the steps of escalation that are due, each with its pages in the transaction that remembers
 * it, so that nobody is paged twice and no page is forgotten.
 */
import type { RecordEntry } from '../audit/record.ts';
import { appendRecord } from '../audit/record-store.ts';
import type { Clock } from '../clock.ts';
import type { Database, Tx } from '../database/tables.ts';
import { heldBackUntil } from './cause-decision.ts';
import { decideEscalation, type EscalationStep, type EscalationTarget } from './escalation-decision.ts';
import type { Incident } from './incident.ts';
import { incidentEntry } from './incident-entry.ts';
import { getIncident, lockEscalations, saveIncidents } from './incident-store.ts';

export interface EscalationPorts {
  db: Database;
  clock: Clock;
  /** The policy of an incident; undefined where none is declared. */
  policyOf(incident: Incident): { name: string; steps: readonly EscalationStep[] } | undefined;
  /** Receivers a target means at a moment: whoever is on call, or the receiver itself. Empty where nobody is on call. */
  receiversOf(target: EscalationTarget, organization: string | undefined, at: number): string[];
  /** Who is told where no policy says so, or it reaches nobody. */
  defaultReceiver: string;
  /** Writes a page into the outbox, once per key. */
  page(tx: Tx, page: EscalationPage, now: number): Promise<RecordEntry[]>;
  /** When the last page of an incident's escalation was written, and whether one with the prefix was delivered. */
  pagesOf(tx: Tx, keyPrefix: string): Promise<{ lastWrittenAt: number | undefined; reached: boolean }>;
}

export interface EscalationPage {
  dedupeKey: string;
  receiver: string;
  severity: string;
  subject: string;
  body: string;
  organization: string | undefined;
  incidentId: string;
}

/** Incidents of one round; the loop comes again at once while there are more. */
const atOnce = 50;

/** How soon it is noticed that a cause has ended and what follows from it has not, ms. */
const lookAgainAfter = 60_000;

/** @returns how many incidents were looked at */
export async function escalateDue(ports: EscalationPorts): Promise<number> {
  const now = ports.clock.now();
  return ports.db.transaction().execute(async (tx) => {
    const due = await lockEscalations(tx, now, atOnce);
    const entries: RecordEntry[] = [];
    const changed: Incident[] = [];
    for (const incident of due) changed.push(await escalateOne(tx, incident, ports, entries, now));
    await saveIncidents(tx, changed);
    await appendRecord(tx, entries);
    return due.length;
  });
}

async function escalateOne(
  tx: Tx,
  incident: Incident,
  ports: EscalationPorts,
  entries: RecordEntry[],
  now: number,
): Promise<Incident> {
  const cause = incident.causedBy === undefined ? undefined : await getIncident(tx, incident.causedBy);
  const heldBack = heldBackUntil(incident, cause, now);
  if (heldBack !== undefined) return { ...incident, escalateAt: Math.min(heldBack, now + lookAgainAfter) };
  const policy = ports.policyOf(incident);
  const steps = policy?.steps ?? [];
  // A reopened incident calls people again: its clock is part of the key.
  const cycle = `incident/${incident.id}/${incident.clockFrom}`;
  const last = incident.escalationStep - 1;
  const { lastWrittenAt, reached } =
    last < 0 ? { lastWrittenAt: undefined, reached: false } : await ports.pagesOf(tx, `${cycle}/${last}/`);
  const move = decideEscalation(
    steps,
    {
      clockFrom: incident.clockFrom,
      respondBy: incident.respondBy,
      step: incident.escalationStep,
      ranOut: incident.escalatedAt !== undefined,
      lastStepAt: lastWrittenAt,
      reached,
    },
    now,
  );
  const told = await tell(tx, incident, { cycle, policy: policy?.name, steps, ...move }, ports, now);
  entries.push(...told.entries);
  if (move.ranOut) entries.push(ranOutEntry(incident, told.receivers, now));
  const taken = move.take.length > 0 || move.ranOut;
  return {
    ...incident,
    escalationStep: incident.escalationStep + move.take.length,
    escalateAt: move.next,
    ...(move.ranOut ? { escalatedAt: now } : {}),
    version: incident.version + (taken ? 1 : 0),
  };
}

interface Telling {
  cycle: string;
  policy: string | undefined;
  steps: readonly EscalationStep[];
  take: readonly number[];
  ranOut: boolean;
  unreached: boolean;
}

async function tell(
  tx: Tx,
  incident: Incident,
  { cycle, policy, steps, take, ranOut, unreached }: Telling,
  ports: EscalationPorts,
  now: number,
): Promise<{ receivers: string[]; entries: RecordEntry[] }> {
  const entries: RecordEntry[] = [];
  const all = new Set<string>();
  const write = async (receiver: string, step: number | 'late') => {
    all.add(receiver);
    const why = ranOut
      ? `Nobody acknowledged it by ${new Date(incident.respondBy).toISOString()}.`
      : `It is to be acknowledged by ${new Date(incident.respondBy).toISOString()}.${unreached ? ' The one before you could not be reached.' : ''}`;
    const page = {
      dedupeKey: `${cycle}/${step}/${receiver}`,
      receiver,
      severity: incident.severity,
      subject: `${incident.severity} ${incident.title}`,
      body: why,
      organization: incident.organization,
      incidentId: incident.id,
    };
    entries.push(...(await ports.page(tx, page, now)));
  };
  for (const index of take) {
    const receivers = new Set(
      (steps[index]?.notify ?? []).flatMap((target) => ports.receiversOf(target, incident.organization, now)),
    );
    // A schedule with a hole in it must not be why nobody comes.
    if (receivers.size === 0) receivers.add(ports.defaultReceiver);
    for (const receiver of receivers) await write(receiver, index);
    entries.push(stepEntry(incident, { index, policy, receivers: [...receivers], unreached }, now));
  }
  if (ranOut && all.size === 0) await write(ports.defaultReceiver, 'late');
  return { receivers: [...all], entries };
}

function stepEntry(
  incident: Incident,
  step: { index: number; policy: string | undefined; receivers: string[]; unreached: boolean },
  now: number,
): RecordEntry {
  const early = step.unreached ? ', early, because the step before reached nobody' : '';
  return incidentEntry(incident, {
    at: now,
    kind: 'incident.escalated',
    actor: 'engine',
    sentence: `Step ${step.index + 1} of ${step.policy} was taken${early}: ${step.receivers.join(', ')} ${step.receivers.length === 1 ? 'is' : 'are'} told.`,
    data: { step: step.index, policy: step.policy ?? null, receivers: step.receivers },
  });
}

function ranOutEntry(incident: Incident, receivers: string[], now: number): RecordEntry {
  return incidentEntry(incident, {
    at: now,
    kind: 'incident.escalated',
    actor: 'engine',
    sentence: `Nobody acknowledged this ${incident.severity} by ${new Date(incident.respondBy).toISOString()}; ${receivers.join(', ')} ${receivers.length === 1 ? 'is' : 'are'} told.`,
    data: { respondBy: new Date(incident.respondBy).toISOString(), receivers },
  });
}
