/**
 * What people and runs do to an incident. Each function works in the caller's transaction and returns the entries for
 * the record, which the caller appends last; `incident-service.ts` wraps those a person calls.
 */
import { sql } from 'kysely';
import { countFiring } from '../alert/alert-store.ts';
import type { RecordEntry } from '../audit/record.ts';
import { lastOfIncident } from '../audit/record-store.ts';
import type { Tx } from '../database/tables.ts';
import { CatalystError } from '../errors.ts';
import type { Json } from '../integrations/contract.ts';
import type { Incident, ResolvedHow } from './incident.ts';
import { recheckAfter, settleTime } from './incident-decision.ts';
import { incidentEntry } from './incident-entry.ts';
import { lockIncidents, saveIncidents } from './incident-store.ts';

/** Who does what to which incident, and when. */
export interface Command {
  incidentId: string;
  /** `token/<name>`, `user/<name>`, `engine`. */
  actor: string;
  /** Milliseconds since the epoch. */
  now: number;
  /** The version the caller saw; a newer one makes the command fail instead of overwriting what they did not see. */
  expectedVersion?: number | undefined;
}

export interface Commanded {
  incident: Incident;
  entries: RecordEntry[];
}

/** By what somebody acknowledged an incident who did so without logging in. */
export interface ByPage {
  pageId: string;
}

/**
 * Somebody looks at it. Acknowledging again changes nothing.
 * @throws CatalystError InvalidState when another one was first, or it is resolved
 */
export async function acknowledge(tx: Tx, command: Command & { by?: ByPage | undefined }): Promise<Commanded> {
  const { actor, now, by } = command;
  // Whoever was first is said, also to somebody who saw an older version.
  const incident = await load(tx, { ...command, expectedVersion: undefined });
  refuseResolved(incident);
  if (incident.acknowledgedBy === actor) return { incident, entries: [] };
  if (incident.acknowledgedAt !== undefined) throw acknowledgedAlready(incident);
  await refuseUnseen(tx, incident, command);
  return change(tx, incident, command, {
    next: {
      // A mitigated incident stays so: that somebody looks at it takes nothing back.
      state: incident.state === 'Open' ? 'Acknowledged' : incident.state,
      acknowledgedAt: now,
      acknowledgedBy: actor,
      escalateAt: undefined,
    },
    kind: 'incident.acknowledged',
    sentence: by ? `${actor} acknowledged it, by the link of page ${by.pageId}.` : `${actor} acknowledged it.`,
    data: { minutes: Math.round((now - incident.openedAt) / 60_000), ...by },
  });
}

/** Characters of a note: a page of text. Longer logs belong where logs are kept. */
const noteLength = 10_000;

/** Adds words to the timeline, of an open incident or one that is over. */
export async function note(tx: Tx, command: Command & { text: string }): Promise<Commanded> {
  const text = command.text.trim();
  if (text === '') throw new CatalystError('BadRequest', 'The note is empty.');
  if (text.length > noteLength)
    throw new CatalystError('BadRequest', `The note has ${text.length} characters; the limit is ${noteLength}.`);
  const incident = await load(tx, command);
  return change(tx, incident, command, {
    next: {},
    kind: 'incident.noted',
    sentence: `${command.actor} noted: ${text}`,
    data: { text },
  });
}

/**
 * A person says that it is over. While an alert still fires, that takes `force` and a reason; reports of these same
 * firings then do not reopen it, a new firing opens a new incident.
 */
export async function resolve(
  tx: Tx,
  command: Command & { reason?: string | undefined; force?: boolean | undefined; falseAlarm?: boolean | undefined },
): Promise<Commanded> {
  const incident = await load(tx, command);
  refuseResolved(incident);
  const reason = command.reason?.trim() ?? '';
  const firing = (await countFiring(tx, [incident.id])).get(incident.id) ?? 0;
  if (firing > 0 && !command.force) {
    throw new CatalystError('InvalidState', `${firing} of its alerts still fire${firing === 1 ? 's' : ''}.`, {
      hint: 'Mend the cause, silence the alert, or resolve it with force and a reason.',
      details: { incidentId: incident.id, firing },
    });
  }
  if (firing > 0 && reason === '')
    throw new CatalystError('BadRequest', 'Resolving an incident whose alerts still fire needs a reason.');
  const what = command.falseAlarm ? 'resolved it as a false alarm' : 'resolved it';
  const sentence = reason === '' ? `${command.actor} ${what}.` : `${command.actor} ${what}: ${reason}`;
  const how = firing > 0 ? 'Forced' : command.falseAlarm ? 'FalseAlarm' : 'Person';
  return change(tx, incident, command, {
    next: resolution(command, how, sentence),
    kind: 'incident.resolved',
    sentence,
    data: { how, firing, reason },
  });
}

export interface VerifiedFix {
  incidentId: string;
  runId: string;
  /** The alerts the run was about: their fix is what was verified. */
  alertIds: readonly string[];
  /** What was verified, as a sentence. */
  sentence: string;
  /** The readings behind it. Never holds a secret. */
  evidence: Json;
  now: number;
}

/**
 * Runs verified their fixes. An incident is resolved when every alert of it that still fires, as its source says, is one
 * the run was about; otherwise it is mitigated, and asked about until the rest is over too. An incident that is resolved
 * already stays as it is. Once resolved it is asked about one last time: an alert that then still fires reopens it.
 *
 * Three statements, however many they are: runs that end together share a commit.
 * @returns what became of the incident of each fix, in their order
 */
export async function resolveVerified(tx: Tx, fixes: readonly VerifiedFix[]): Promise<Commanded[]> {
  if (fixes.length === 0) return [];
  const ids = [...new Set(fixes.map(({ incidentId }) => incidentId))];
  const incidents = new Map((await lockIncidents(tx, { ids })).map((incident) => [incident.id, incident]));
  const others = await firingBesides(tx, fixes);
  const changed = new Set<string>();
  const commanded = fixes.map((fix, index) => {
    const incident = incidents.get(fix.incidentId);
    if (!incident) throw new CatalystError('NotFound', `There is no incident ${fix.incidentId}.`);
    if (incident.state === 'Resolved') return { incident, entries: [] };
    const after = changedBy(
      incident,
      { actor: 'engine', now: fix.now },
      verifiedChange(incident, fix, others[index] ?? 0),
    );
    incidents.set(incident.id, after.incident);
    changed.add(incident.id);
    return after;
  });
  await saveIncidents(
    tx,
    [...incidents.values()].filter(({ id }) => changed.has(id)),
  );
  return commanded;
}

function verifiedChange(incident: Incident, fix: VerifiedFix, others: number): Change {
  const { runId, evidence } = fix;
  if (others === 0) {
    return {
      // The source has not said so yet: it is asked, once it has had the time to.
      next: {
        ...resolution({ actor: 'engine', now: fix.now }, 'Verified', fix.sentence),
        checkAt: fix.now + settleTime,
      },
      kind: 'incident.resolved',
      sentence: `Run ${runId} verified its fix: ${fix.sentence}`,
      data: { how: 'Verified', evidence },
      runId,
    };
  }
  return {
    next: {
      state: 'Mitigated',
      mitigatedAt: fix.now,
      checkAt: Math.min(incident.checkAt ?? Infinity, fix.now + recheckAfter),
    },
    kind: 'incident.mitigated',
    sentence: `Run ${runId} verified its fix: ${fix.sentence} ${others} other alerts of the incident still fire.`,
    data: { evidence, firing: others },
    runId,
  };
}

/** The fields of a resolved incident. */
export function resolution(
  { actor, now }: Pick<Command, 'actor' | 'now'>,
  how: ResolvedHow,
  sentence: string,
): Partial<Incident> {
  return {
    state: 'Resolved',
    resolvedAt: now,
    resolvedBy: actor,
    resolvedHow: how,
    resolution: sentence,
    escalateAt: undefined,
    checkAt: undefined,
    clearSince: undefined,
  };
}

/** The incident of a command, locked. @throws CatalystError NotFound, Conflict */
export async function load(tx: Tx, command: Command): Promise<Incident> {
  return loadSeen(tx, await lockIncidents(tx, { ids: [command.incidentId] }), command);
}

/**
 * The incident a command is about, out of those that were locked.
 * @throws CatalystError NotFound; Conflict, with who did what, when it is not the version the caller saw
 */
export async function loadSeen(tx: Tx, locked: readonly Incident[], command: Command): Promise<Incident> {
  const { incidentId } = command;
  const incident = locked.find(({ id }) => id === incidentId);
  if (!incident) throw new CatalystError('NotFound', `There is no incident ${incidentId}.`);
  await refuseUnseen(tx, incident, command);
  return incident;
}

async function refuseUnseen(tx: Tx, incident: Incident, { expectedVersion }: Command): Promise<void> {
  if (expectedVersion === undefined || expectedVersion === incident.version) return;
  const last = await lastOfIncident(tx, incident.id);
  const news = last ? ` ${new Date(last.at).toISOString()}, ${last.actor}: ${last.sentence}` : '';
  throw new CatalystError('Conflict', `Incident ${incident.id} has changed since you read it.${news}`, {
    hint: 'Read it again and decide again.',
    details: { expectedVersion, version: incident.version, ...(last ? { actor: last.actor, kind: last.kind } : {}) },
  });
}

interface Change {
  next: Partial<Incident>;
  kind: RecordEntry['kind'];
  sentence: string;
  data: Json;
  runId?: string;
}

async function change(tx: Tx, incident: Incident, command: Command, what: Change): Promise<Commanded> {
  const changed = changedBy(incident, command, what);
  await saveIncidents(tx, [changed.incident]);
  return changed;
}

function changedBy(
  incident: Incident,
  { actor, now }: Pick<Command, 'actor' | 'now'>,
  { next, kind, sentence, data, runId }: Change,
): Commanded {
  const changed = { ...incident, ...next, version: incident.version + 1 };
  return { incident: changed, entries: [incidentEntry(changed, { at: now, actor, kind, sentence, data, runId })] };
}

/** How many alerts of its incident still fire that each fix was not about, in the order of the fixes. */
async function firingBesides(
  tx: Tx,
  fixes: readonly Pick<VerifiedFix, 'incidentId' | 'alertIds'>[],
): Promise<number[]> {
  const rows = JSON.stringify(fixes.map(({ incidentId, alertIds }, index) => ({ index, incidentId, alertIds })));
  // Counted for each by the index of alerts: the planner guesses a hundred rows of any JSON, and would read the whole table.
  const counted = await sql<{ others: number }>`
    SELECT (
      SELECT count(*)::int FROM alert
      WHERE alert.incident_id = fix."incidentId" AND alert.state = 'Firing' AND NOT jsonb_exists(fix."alertIds", alert.id)
    ) AS others
    FROM json_to_recordset(${rows}::json) AS fix(index int, "incidentId" text, "alertIds" jsonb)
    ORDER BY fix.index`.execute(tx);
  return counted.rows.map(({ others }) => others);
}

/** @throws CatalystError InvalidState for a resolved incident, with who resolved it and how */
export function refuseResolved(incident: Incident): void {
  if (incident.state !== 'Resolved') return;
  const at = new Date(incident.resolvedAt ?? 0).toISOString();
  const how = incident.mergedInto === undefined ? 'resolved' : `merged into ${incident.mergedInto}`;
  throw new CatalystError('InvalidState', `The incident was ${how} at ${at} by ${incident.resolvedBy}.`, {
    details: { incidentId: incident.id, ...(incident.mergedInto ? { mergedInto: incident.mergedInto } : {}) },
  });
}

function acknowledgedAlready({ id, acknowledgedAt, acknowledgedBy, version }: Incident): CatalystError {
  const at = new Date(acknowledgedAt ?? 0).toISOString();
  return new CatalystError('InvalidState', `${acknowledgedBy} acknowledged it first, at ${at}.`, {
    hint: 'Somebody is on it. Ask for the next one to be called if they need help.',
    details: { incidentId: id, acknowledgedBy, acknowledgedAt: at, version },
  });
}
