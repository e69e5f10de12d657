/** An incident: what people respond to. Alerts with the same cause, as far as labels can tell, share one. */
import { type Severity, severities } from '../catalog/kinds/incident-type.ts';

export type { Severity };

export type IncidentState =
  /** Nobody has said that they look at it. */
  | 'Open'
  | 'Acknowledged'
  /** A run verified its fix, and alerts of the incident that it did not cover still fire. */
  | 'Mitigated'
  | 'Resolved';

/** On whose word an incident was resolved. Never on a "resolved" of the alert's source alone. */
export type ResolvedHow =
  /** A run verified the fix. */
  | 'Verified'
  /** Every alert's own expression was found not to fire, twice. */
  | 'Checked'
  /** A person, when no alert fired any more. */
  | 'Person'
  /** A person, although alerts still fired: reports of these same firings do not reopen it. */
  | 'Forced'
  /** A person: another incident goes on in its place, with its alerts. */
  | 'Merged'
  /** A person: nothing was wrong. It does not count in statistics. */
  | 'FalseAlarm';

/** Times are milliseconds since the epoch. */
export interface Incident {
  id: string;
  organization: string | undefined;
  /** Name of the IncidentType, or the alert's name where none recognises it. */
  type: string;
  title: string;
  severity: Severity;
  state: IncidentState;
  correlationKey: string;
  openedAt: number;
  acknowledgedAt: number | undefined;
  acknowledgedBy: string | undefined;
  mitigatedAt: number | undefined;
  resolvedAt: number | undefined;
  resolvedBy: string | undefined;
  resolvedHow: ResolvedHow | undefined;
  /** Why it is taken as resolved, as a sentence. */
  resolution: string | undefined;
  /** Since when its response clock runs: when it was opened, or opened again. */
  clockFrom: number;
  /** By when somebody has to have acknowledged it (handbook §13.1). */
  respondBy: number;
  /** When the clock had run out. */
  escalatedAt: number | undefined;
  /** When the next step of escalation is due; undefined while somebody is on it, or nothing is left to do. */
  escalateAt: number | undefined;
  /** Steps of its EscalationPolicy that were taken. */
  escalationStep: number;
  /** When the last of them was taken; like `respondBy` and `escalateAt`, a time on the clock that runs from `clockFrom`. */
  steppedAt: number | undefined;
  /** When its alerts are asked about next. */
  checkAt: number | undefined;
  checkOutcome: string | undefined;
  /** What the last asking found; why it stays open. */
  checkSentence: string | undefined;
  /** Since when all its alerts are known not to fire. */
  clearSince: number | undefined;
  /** The incident that goes on in its place. */
  mergedInto: string | undefined;
  /** The incident its alerts were taken out of. */
  splitFrom: string | undefined;
  /** The incident it follows from. */
  causedBy: string | undefined;
  /** Why it is thought to follow from that one. */
  causedBySentence: string | undefined;
  /** Grows with each change people care about. */
  version: number;
}

/** True when `a` is worse than `b`. */
export function isWorse(a: Severity, b: Severity): boolean {
  return severities.indexOf(a) < severities.indexOf(b);
}
