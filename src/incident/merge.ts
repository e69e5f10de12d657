/** Merging and splitting incidents, in the caller's transaction. The record is appended by the caller, last. */
import type { Alert } from '../alert/alert.ts';
import { alertsOfIncidents, countFiring, linkAlerts } from '../alert/alert-store.ts';
import { holdProcessing } from '../alert/processor.ts';
import type { Tx } from '../database/tables.ts';
import { CatalystError } from '../errors.ts';
import { newIncident } from './correlate.ts';
import { type Incident, isWorse } from './incident.ts';
import { type Command, type Commanded, loadSeen, refuseResolved } from './incident-command.ts';
import { scopeOf, seriesKey, titleOf } from './incident-decision.ts';
import { incidentEntry } from './incident-entry.ts';
import {
  addAliases,
  lockIncidents,
  lockRunsOf,
  moveAliases,
  moveRuns,
  moveRunsOfAlerts,
  saveIncidents,
} from './incident-store.ts';
import type { IncidentTypes } from './incident-types.ts';
import { clockOfSplit, mergedSource, mergedTarget, mergeObstacle, remainderOf } from './merge-decision.ts';
import { respondBy } from './response-clock.ts';

export type MergeCommand = Command & {
  into: string;
  /** The version of the other one the caller saw. */
  expectedIntoVersion?: number | undefined;
};

/**
 * Merges an incident into another one: its alerts and runs go over, and later deliveries of alerts of its kind with them.
 * @throws CatalystError NotFound, Conflict, BadRequest, InvalidState
 */
export async function merge(tx: Tx, command: MergeCommand, types: IncidentTypes): Promise<Commanded> {
  const { incidentId, into, actor, now } = command;
  const both = await lockForMove(tx, [incidentId, into]);
  const source = await loadSeen(tx, both, { ...command, incidentId });
  refuseResolved(source);
  const target = await loadSeen(tx, both, {
    ...command,
    incidentId: into,
    expectedVersion: command.expectedIntoVersion,
  });
  const obstacle = mergeObstacle(source, target);
  if (obstacle) throw new CatalystError(obstacle.code, obstacle.sentence, { details: { incidentId, into } });
  const firing = (await countFiring(tx, [incidentId])).get(incidentId) ?? 0;
  const alerts = await alertsOfIncidents(tx, [incidentId]);
  const next = mergedTarget({ source, target, firing, calendar: types.calendarFor(target.organization), now });
  const ended = mergedSource(source, next, actor, now);
  // First what ends: two open ones cannot have one key.
  await saveIncidents(tx, [ended]);
  await saveIncidents(tx, [next]);
  await linkAlerts(
    tx,
    alerts.map(({ id }) => ({ alertId: id, incidentId: into })),
  );
  const runs = await moveRuns(tx, incidentId, into);
  await moveAliases(tx, incidentId, into);
  await addAliases(tx, [source.correlationKey], into);
  const data = { source: incidentId, target: into, alerts: alerts.length, firing, runs };
  const counted = `${said(alerts.length, 'alert')} and ${said(runs, 'run')}`;
  const was = `${source.severity} "${source.title}"`;
  const entries = [
    incidentEntry(ended, {
      at: now,
      kind: 'incident.merged',
      actor,
      sentence: `${actor} merged it into ${into}, ${next.severity} "${next.title}", with ${counted}.`,
      data,
    }),
    incidentEntry(next, {
      at: now,
      kind: 'incident.merged',
      actor,
      sentence: `${actor} merged ${incidentId}, ${was}, into it, with ${counted}.`,
      data,
    }),
  ];
  if (next.severity !== target.severity)
    entries.push(
      incidentEntry(next, {
        at: now,
        kind: 'incident.severityChanged',
        actor,
        sentence: `Its severity was raised from ${target.severity} to ${next.severity} by ${incidentId}.`,
        data: { from: target.severity, to: next.severity },
      }),
    );
  return { incident: next, entries };
}

export type SplitCommand = Command & { alertIds: readonly string[]; title?: string | undefined };

/** Takes alerts out of an incident into a new one. @throws CatalystError NotFound, Conflict, BadRequest, InvalidState */
export async function split(tx: Tx, command: SplitCommand, types: IncidentTypes): Promise<Commanded> {
  const { incidentId, actor, now } = command;
  const incident = await loadSeen(tx, await lockForMove(tx, [incidentId]), command);
  refuseResolved(incident);
  const all = await alertsOfIncidents(tx, [incidentId]);
  const moved = pick(all, command.alertIds);
  const made = splitOff(incident, moved, command, types);
  const left = all.filter((alert) => !moved.includes(alert) && alert.state === 'Firing').length;
  const rest = remainderOf(incident, left, now);
  await saveIncidents(tx, [rest, made]);
  await linkAlerts(
    tx,
    moved.map(({ id }) => ({ alertId: id, incidentId: made.id })),
  );
  const runs = await moveRunsOfAlerts(tx, { from: incidentId, to: made.id, alertIds: moved.map(({ id }) => id) });
  await addAliases(tx, moved.map(seriesKey), made.id);
  const names = [...new Set(moved.map(({ name }) => name))].slice(0, 5).join(', ');
  const data = { source: incidentId, target: made.id, alertIds: moved.slice(0, 100).map(({ id }) => id), runs };
  const entry = (of: Incident, sentence: string) =>
    incidentEntry(of, { at: now, kind: 'incident.split', actor, sentence, data });
  return {
    incident: made,
    entries: [
      entry(rest, `${actor} split ${said(moved.length, 'alert')} off into ${made.id}, "${made.title}": ${names}.`),
      entry(
        made,
        `${made.severity} ${made.title}: opened. ${actor} split ${said(moved.length, 'alert')} off from ${incidentId}, "${incident.title}": ${names}. Its clock runs since ${new Date(made.clockFrom).toISOString()}, when the first of them fired.`,
      ),
    ],
  };
}

/** The new incident: of the type and severity of its worst alert. */
function splitOff(
  incident: Incident,
  moved: readonly Alert[],
  { title, now }: SplitCommand,
  types: IncidentTypes,
): Incident {
  const calendar = types.calendarFor(incident.organization);
  const matches = moved.map((alert) => ({ alert, match: types.forAlert(alert.labels, alert.organization) }));
  const worst = matches.reduce((a, b) => (isWorse(b.match.severity, a.match.severity) ? b : a));
  const { match, alert } = worst;
  const since = clockOfSplit(moved);
  const own = title?.trim() || titleOf(match, scopeOf(alert.labels, match.scope));
  const fresh = newIncident(incident.organization, match, { key: '', title: own, calendar }, now);
  return {
    ...fresh,
    // Only its own alerts lead to it: what else comes of their kind belongs to the incident they were taken out of.
    correlationKey: `split/${fresh.id}`,
    splitFrom: incident.id,
    openedAt: since,
    clockFrom: since,
    respondBy: respondBy(match.severity, since, calendar),
  };
}

function pick(all: readonly Alert[], wanted: readonly string[]): Alert[] {
  const known = new Map(all.map((alert) => [alert.id, alert]));
  const moved = [...new Set(wanted)].map((id) => {
    const alert = known.get(id);
    if (!alert) throw new CatalystError('BadRequest', `Alert ${id} does not belong to the incident.`);
    return alert;
  });
  if (moved.length === all.length)
    throw new CatalystError('BadRequest', 'These are all of its alerts; at least one has to stay.', {
      hint: 'To put them into another incident, merge it.',
    });
  return moved;
}

/**
 * In the order in which everybody locks: the processing of deliveries, runs, incidents.
 */
async function lockForMove(tx: Tx, ids: readonly string[]): Promise<Incident[]> {
  await holdProcessing(tx);
  await lockRunsOf(tx, ids);
  return lockIncidents(tx, { ids });
}

function said(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
