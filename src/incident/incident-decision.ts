/** What an incident is made of, and when it is over. Pure. */
import { createHash } from 'node:crypto';
import type { Alert, Episode } from '../alert/alert.ts';
import type { Incident, IncidentState, Severity } from './incident.ts';
import { isWorse } from './incident.ts';
import { type IncidentTypeMatch, label } from './incident-types.ts';

/** Where something happens: read out of the labels, the same for every alert with the same cause. */
export type Scope = readonly (readonly [label: string, value: string])[];

/** Labels that name a workload, the closest first. `job` is not among them: in Prometheus it names a scrape configuration. */
const workloadLabels = [
  'deployment',
  'statefulset',
  'daemonset',
  'cronjob',
  'job_name',
  'service',
  'pod',
  'node',
  'instance',
];

/** The scope of an alert: the labels its type names, or cluster, namespace and the workload. Labels it lacks are left out. */
export function scopeOf(labels: Alert['labels'], scope: readonly string[] | undefined): Scope {
  if (scope) return present(labels, scope);
  const workload = present(labels, workloadLabels)[0];
  const where = present(labels, ['cluster', 'namespace']);
  if (!workload) return where;
  return [...where, workload[0] === 'pod' ? (['workload', podOwner(workload[1])] as const) : workload];
}

function present(labels: Alert['labels'], names: readonly string[]): Scope {
  return names.map((name) => [name, label(labels, name)] as const).filter(([, value]) => value !== '');
}

/** Kubernetes draws generated names from these characters only (`SafeEncodeString`): no vowels, nothing that looks alike. */
const generated = '[bcdfghjklmnpqrstvwxz2456789]';
const replicaSetPod = new RegExp(`^(.+)-${generated}{6,10}-${generated}{5}$`);
/** A CronJob's Job is named after the minute it was due, counted since the epoch. */
const cronJobPod = new RegExp(`^(.+)-\\d{8,9}-${generated}{5}$`);
const generatedPod = new RegExp(`^(.+)-${generated}{5}$`);
const ordinalPod = /^(.+)-\d{1,4}$/;

/** The workload's name in the name of a pod: of a CronJob, a Deployment, a StatefulSet, a DaemonSet or Job. */
export function podOwner(pod: string): string {
  return (
    (cronJobPod.exec(pod) ?? replicaSetPod.exec(pod) ?? ordinalPod.exec(pod) ?? generatedPod.exec(pod))?.[1] ?? pod
  );
}

/** Longer keys are hashed: an index entry of PostgreSQL holds 2,704 bytes, and a label may be longer. */
const readableKey = 512;

/** Equal for alerts that belong together: Organization, type and scope. Two Organizations never share one. */
export function correlationKey(organization: string | undefined, type: string, scope: Scope): string {
  const key = JSON.stringify([organization ?? null, type, scope]);
  return key.length <= readableKey ? key : `sha256:${createHash('sha256').update(key).digest('hex')}`;
}

/** `OpenBao sealed: catalyst-system, hz-fsn-rtz-prod` */
export function titleOf(match: IncidentTypeMatch, scope: Scope): string {
  // A title is read at a glance; the labels are in the alerts.
  const where = scope
    .map(([, value]) => value)
    .join(', ')
    .slice(0, 200)
    .toWellFormed();
  return where ? `${match.title}: ${where}` : match.title;
}

/** Names an alert, whenever it fires, among the keys that lead to an incident. Never equal to a correlation key. */
export function seriesKey({ organization, source, fingerprint }: Episode): string {
  return JSON.stringify(['series', organization ?? null, source, fingerprint]);
}

export type Correlation =
  | { kind: 'Open'; key: string; scope: Scope; sentence: string }
  | { kind: 'Join'; key: string; incident: Incident; raisedTo: Severity | undefined; sentence: string };

/**
 * Whether an alert opens an incident or joins an open one, and why.
 *
 * @param open the open incidents that could be meant, by correlation key
 * @param led the open incident a person has led such alerts to, by a merge or a split, and why
 */
export function correlateAlert(
  alert: Pick<Alert, 'name' | 'labels' | 'organization'>,
  match: IncidentTypeMatch,
  open: ReadonlyMap<string, Incident>,
  led?: { incident: Incident; sentence: string },
): Correlation {
  const scope = scopeOf(alert.labels, match.scope);
  const key = correlationKey(alert.organization, match.type, scope);
  const where = scope.map(([name, value]) => `${name} ${value}`).join(', ') || 'no labels that say where';
  const incident = led?.incident ?? open.get(key);
  if (!incident) {
    const why = match.known ? `is recognised as ${match.type}` : 'has no incident type';
    return {
      kind: 'Open',
      key,
      scope,
      sentence: `${alert.name} ${why}, and no incident of this kind is open for ${where}.`,
    };
  }
  const raisedTo = isWorse(match.severity, incident.severity) ? match.severity : undefined;
  return {
    kind: 'Join',
    key,
    incident,
    raisedTo,
    sentence: led?.sentence ?? `${alert.name} shares the type ${match.type} and ${where}.`,
  };
}

/** The state an incident goes back to when it turns out not to be over. */
export function unsettledState(incident: Pick<Incident, 'acknowledgedAt'>): IncidentState {
  return incident.acknowledgedAt === undefined ? 'Open' : 'Acknowledged';
}

/**
 * How long reports that an alert fires are put up with after its incident was resolved: twice Alertmanager's default
 * group_interval of 5 minutes, in which it may still send what it knew before.
 */
export const settleTime = 10 * 60_000;

/**
 * What a report that an alert still fires means for its resolved incident. Its source may be slow: facts are asked first,
 * once it has had the time to say so.
 */
export function decideStillReported(
  incident: Pick<Incident, 'resolvedAt' | 'resolvedHow'>,
  now: number,
): { kind: 'Leave' } | { kind: 'CheckAt'; at: number } | { kind: 'Reopen'; sentence: string } {
  if (incident.resolvedHow === 'Forced') return { kind: 'Leave' };
  const settled = (incident.resolvedAt ?? now) + settleTime;
  if (now < settled) return { kind: 'CheckAt', at: settled };
  const minutes = Math.round((now - (incident.resolvedAt ?? now)) / 60_000);
  return { kind: 'Reopen', sentence: `It was reported as firing ${minutes} minutes after the incident was resolved.` };
}

/**
 * Twice, at least this far apart: an alert's state is empty for a moment when Prometheus restarts, and a rule that
 * flaps is off between two evaluations. Thirty seconds hold an evaluation at the usual interval of 15 to 30 s.
 */
export const clearFor = 30_000;

/** How often an incident is asked about when nothing new is heard: a "resolved" can be lost, or withheld by a silence. */
export const recheckAfter = 15 * 60_000;

export interface CheckAnswer {
  alertName: string;
  answer: 'firing' | 'notFiring' | 'silenced' | 'unknown';
  sentence: string;
}

export type CheckOutcome = 'StillFiring' | 'Unknown' | 'ClearOnce' | 'Clear';

export interface CheckDecision {
  outcome: CheckOutcome;
  sentence: string;
  /** When to ask again; undefined when there is nothing left to ask. */
  checkAt: number | undefined;
  clearSince: number | undefined;
}

/** What the answers about all alerts of an incident mean. */
export function decideCheck(
  clearSince: number | undefined,
  answers: readonly CheckAnswer[],
  now: number,
): CheckDecision {
  const again = { checkAt: now + recheckAfter, clearSince: undefined };
  const firing = answers.filter((a) => a.answer === 'firing');
  if (firing[0]) {
    const others = firing.length > 1 ? `, and ${firing.length - 1} more` : '';
    return {
      outcome: 'StillFiring',
      ...again,
      sentence: `${firing[0].alertName} still fires${others}: ${firing[0].sentence}`,
    };
  }
  const unclear = answers.filter((a) => a.answer !== 'notFiring');
  if (unclear[0]) {
    const { alertName, answer, sentence } = unclear[0];
    const what = answer === 'silenced' ? `${alertName} is silenced` : `Whether ${alertName} still fires is not known`;
    return { outcome: 'Unknown', ...again, sentence: `${what}: ${sentence}` };
  }
  if (answers.length === 0)
    return {
      outcome: 'Unknown',
      ...again,
      sentence: 'It has no alerts that could be asked about; a person resolves it.',
    };
  const all =
    answers.length === 1 ? `${answers[0]?.alertName} does not fire` : `None of its ${answers.length} alerts fires`;
  if (clearSince === undefined)
    return {
      outcome: 'ClearOnce',
      clearSince: now,
      checkAt: now + clearFor,
      sentence: `${all}; it is asked once more.`,
    };
  if (now - clearSince < clearFor)
    return {
      outcome: 'ClearOnce',
      clearSince,
      checkAt: clearSince + clearFor,
      sentence: `${all}; it is asked once more.`,
    };
  const seconds = Math.round((now - clearSince) / 1000);
  return { outcome: 'Clear', clearSince, checkAt: undefined, sentence: `${all}, as found twice, ${seconds} s apart.` };
}
