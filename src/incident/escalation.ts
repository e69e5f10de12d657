/**
 * Takes the steps of escalation: those that are due, as one step of a loop, and the next one when a person asks for it.
 * The pages of a step are written in the transaction that remembers it, so that nobody is paged twice and no page is
 * forgotten.
 */
import type { RecordEntry } from '../audit/record.ts';
import { appendRecord } from '../audit/record-store.ts';
import type { Clock } from '../clock.ts';
import type { Database, Tx } from '../database/tables.ts';
import { heldBackUntil } from './cause-decision.ts';
import {
  decideEscalation,
  deliverWithin,
  type EscalationMove,
  type EscalationStep,
  type EscalationTarget,
} from './escalation-decision.ts';
import type { Incident } from './incident.ts';
import { type Command, type Commanded, load, refuseResolved } from './incident-command.ts';
import { incidentEntry } from './incident-entry.ts';
import { getIncident, lockEscalations, runningClocks, saveIncidents } from './incident-store.ts';
import type { ResponseStopwatch } from './response-stopwatch.ts';

export interface EscalationPorts {
  db: Database;
  clock: Clock;
  stopwatch: ResponseStopwatch;
  /** The policy of an incident; undefined where none is declared. */
  policyOf(
    incident: Pick<Incident, 'severity' | 'organization'>,
  ): { name: string; steps: readonly EscalationStep[] } | undefined;
  /** Receivers a target means at a moment: those of whoever is on call, or the receiver itself. */
  receiversOf(target: EscalationTarget, organization: string | undefined, at: number): TargetReceivers;
  /** Who is told where no policy says so, or it reaches nobody. */
  defaultReceiver: string;
  /** Writes a page into the outbox, once per key. */
  page(tx: Tx, page: EscalationPage, now: number): Promise<RecordEntry[]>;
  /** Whether a page about the incident with the prefix was delivered. */
  reached(tx: Tx, incidentId: string, keyPrefix: string): Promise<boolean>;
}

export interface TargetReceivers {
  receivers: readonly string[];
  /** Why there are none, as a sentence. */
  gap?: string | undefined;
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
  const due = ports.stopwatch.due(await runningClocks(ports.db));
  if (due.length === 0) return 0;
  return ports.db.transaction().execute(async (tx) => {
    const incidents = await lockEscalations(tx, due, atOnce);
    const entries: RecordEntry[] = [];
    const changed: Incident[] = [];
    for (const incident of incidents) changed.push(await escalateOne(tx, incident, ports, entries));
    await saveIncidents(tx, changed);
    await appendRecord(tx, entries);
    return incidents.length;
  });
}

/**
 * A person asks for the next step now, whether its time has come or not, and whether anybody is on it or not. Where the
 * policy has no step left, or there is none, the default receiver is told.
 *
 * @throws CatalystError NotFound; Conflict when the incident has changed since `expectedVersion`; InvalidState when it is resolved
 */
export async function escalateNow(
  tx: Tx,
  command: Command & { comment?: string | undefined },
  ports: EscalationPorts,
): Promise<Commanded> {
  const incident = await load(tx, command);
  refuseResolved(incident);
  const policy = ports.policyOf(incident);
  const steps = policy?.steps ?? [];
  const step = incident.escalationStep < steps.length ? incident.escalationStep : undefined;
  const time = ports.stopwatch.timeOf(incident);
  const why = `${command.actor} asks for you${command.comment ? `: ${command.comment}` : '.'}`;
  const told = await tellStep(tx, incident, { step: step ?? `asked-${incident.version}`, steps, why }, ports);
  const taken = step === undefined ? incident.escalationStep : step + 1;
  const goesOn = taken < steps.length;
  const next: Incident = {
    ...incident,
    escalationStep: taken,
    steppedAt: step === undefined ? incident.steppedAt : time,
    // Whether it reaches somebody is looked at also where somebody is on it already.
    escalateAt: goesOn ? Math.min(incident.escalateAt ?? Infinity, time + deliverWithin) : incident.escalateAt,
    version: incident.version + 1,
  };
  await saveIncidents(tx, [next]);
  const what = step === undefined ? 'No step is left' : `Step ${step + 1} of ${policy?.name} was taken`;
  const comment = command.comment ? ` (${command.comment})` : '';
  const entry = incidentEntry(next, {
    at: command.now,
    kind: 'incident.escalated',
    actor: command.actor,
    sentence: `${command.actor} asked for the next step${comment}. ${what}: ${areTold(told.receivers)}${told.gaps}`,
    data: {
      step: step ?? null,
      policy: policy?.name ?? null,
      receivers: told.receivers,
      reason: command.comment ?? null,
    },
  });
  return { incident: next, entries: [...told.entries, entry] };
}

async function escalateOne(
  tx: Tx,
  incident: Incident,
  ports: EscalationPorts,
  entries: RecordEntry[],
): Promise<Incident> {
  const time = ports.stopwatch.timeOf(incident);
  const cause = incident.causedBy === undefined ? undefined : await getIncident(tx, incident.causedBy);
  const heldBack = heldBackUntil(incident, cause, time);
  if (heldBack !== undefined) return { ...incident, escalateAt: Math.min(heldBack, time + lookAgainAfter) };
  const policy = ports.policyOf(incident);
  const steps = policy?.steps ?? [];
  const last = incident.escalationStep - 1;
  const move = decideEscalation(
    steps,
    {
      clockFrom: incident.clockFrom,
      respondBy: incident.respondBy,
      acknowledged: incident.acknowledgedAt !== undefined,
      step: incident.escalationStep,
      ranOut: incident.escalatedAt !== undefined,
      lastStepAt: last < 0 ? undefined : incident.steppedAt,
      reached: last >= 0 && (await ports.reached(tx, incident.id, `${cycleOf(incident)}/${last}/`)),
    },
    time,
  );
  entries.push(...(await tell(tx, incident, { policy: policy?.name, steps, move }, ports)));
  const taken = move.take.length > 0 || move.ranOut;
  return {
    ...incident,
    escalationStep: incident.escalationStep + move.take.length,
    steppedAt: move.take.length > 0 ? time : incident.steppedAt,
    escalateAt: move.next,
    ...(move.ranOut ? { escalatedAt: ports.clock.now() } : {}),
    version: incident.version + (taken ? 1 : 0),
  };
}

interface Telling {
  policy: string | undefined;
  steps: readonly EscalationStep[];
  move: EscalationMove;
}

async function tell(
  tx: Tx,
  incident: Incident,
  { policy, steps, move }: Telling,
  ports: EscalationPorts,
): Promise<RecordEntry[]> {
  const { take, ranOut, unreached } = move;
  const by = new Date(incident.respondBy).toISOString();
  const why = ranOut
    ? `Nobody acknowledged it by ${by}.`
    : `It is to be acknowledged by ${by}.${unreached ? ' The one before you could not be reached.' : ''}`;
  const entries: RecordEntry[] = [];
  const all = new Set<string>();
  const early = unreached ? ', early, because the step before reached nobody' : '';
  for (const step of take) {
    const told = await tellStep(tx, incident, { step, steps, why }, ports);
    for (const receiver of told.receivers) all.add(receiver);
    const sentence = `Step ${step + 1} of ${policy} was taken${early}: ${areTold(told.receivers)}${told.gaps}`;
    const data = { step, policy: policy ?? null, receivers: told.receivers };
    entries.push(...told.entries, escalated(incident, sentence, data, ports.clock.now()));
  }
  if (!ranOut) return entries;
  if (all.size === 0) {
    const told = await tellStep(tx, incident, { step: 'late', steps, why }, ports);
    for (const receiver of told.receivers) all.add(receiver);
    entries.push(...told.entries);
  }
  const receivers = [...all];
  const sentence = `Nobody acknowledged this ${incident.severity} by ${by}; ${areTold(receivers)}`;
  return [...entries, escalated(incident, sentence, { respondBy: by, receivers }, ports.clock.now())];
}

/** Writes the pages of a step; of one that is none of the policy's, for the default receiver. */
async function tellStep(
  tx: Tx,
  incident: Incident,
  { step, steps, why }: { step: number | string; steps: readonly EscalationStep[]; why: string },
  ports: EscalationPorts,
): Promise<{ receivers: string[]; gaps: string; entries: RecordEntry[] }> {
  const now = ports.clock.now();
  const targets = typeof step === 'number' ? (steps[step]?.notify ?? []) : [];
  const meant = targets.map((target) => ports.receiversOf(target, incident.organization, now));
  const receivers = [...new Set(meant.flatMap((target) => target.receivers))];
  // A schedule with a hole in it must not be why nobody comes.
  if (receivers.length === 0) receivers.push(ports.defaultReceiver);
  const entries: RecordEntry[] = [];
  for (const receiver of receivers) {
    const page = {
      dedupeKey: `${cycleOf(incident)}/${step}/${receiver}`,
      receiver,
      severity: incident.severity,
      subject: `${incident.severity} ${incident.title}`,
      body: why,
      organization: incident.organization,
      incidentId: incident.id,
    };
    entries.push(...(await ports.page(tx, page, now)));
  }
  return { receivers, gaps: meant.map(({ gap }) => (gap ? ` ${gap}` : '')).join(''), entries };
}

/** A reopened incident calls people again: its clock is part of the key of its pages. */
function cycleOf({ id, clockFrom }: Incident): string {
  return `incident/${id}/${clockFrom}`;
}

function areTold(receivers: readonly string[]): string {
  return `${receivers.join(', ')} ${receivers.length === 1 ? 'is' : 'are'} told.`;
}

function escalated(incident: Incident, sentence: string, data: RecordEntry['data'], at: number): RecordEntry {
  return incidentEntry(incident, { at, kind: 'incident.escalated', actor: 'engine', sentence, data });
}
