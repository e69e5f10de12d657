/**
 * An alert as Catalyst SRE keeps it: one episode, from the start of one firing to its end. What a source says about it
 * arrives in deliveries, late, twice and in any order; the episode is what they are all about.
 */
import type { Labels } from './payload.ts';

/** Source of the alerts that our own checks over facts raise. No token can be named so. */
export const factSource = 'engine/facts';

export type AlertState =
  /** The source's last word is that it fires. */
  | 'Firing'
  /** The source reported it resolved, or the alert's own expression was found not to fire any more. A hint, not a proof. */
  | 'Resolved'
  /** A later firing of the same alert began before anyone said that this one was over. */
  | 'Superseded';

/** What identifies an episode and says where it stands: all that deciding needs. Times are milliseconds since the epoch. */
export interface Episode {
  id: string;
  source: string;
  organization: string | undefined;
  fingerprint: string;
  /** The start as it was first reported: with source, Organization and fingerprint the identity. Never changes. */
  startsAt: number;
  /** The earliest start reported since; Alertmanager keeps the earliest of overlapping reports. */
  earliestStart: number;
  /** When it ended, as far as anyone said. Kept when the episode is reopened. */
  endsAt: number | undefined;
  state: AlertState;
  /** When it was first taken as firing, and so became the reason to act; undefined when only its end was ever heard of. */
  firedAt: number | undefined;
  firstSeen: number;
  lastSeen: number;
  /** How often it was reported. */
  deliveries: number;
  incidentId: string | undefined;
}

/** An episode with everything the source tells about the alert. */
export interface Alert extends Episode {
  name: string;
  labels: Labels;
  annotations: Labels;
  generatorUrl: string;
  externalUrl: string;
  traceparent: string | undefined;
}

/** What one report did to an episode; also the reason of a decision not to act. */
export const changeKinds = [
  /** A firing nobody has acted on: the only kind that starts anything. Once in the life of an episode. */
  'Fired',
  /** Said again: repeat_interval, the copy of another replica, the group sent once more after a restart. */
  'Repeat',
  /** It fires again with the same start after it was reported resolved: the resolve was false. */
  'Reopened',
  /** The source says it is over. */
  'ResolvedReported',
  /** The end of an episode whose firing was never delivered: recorded, nothing to act on. */
  'ResolvedUnknown',
  /** A later firing began while this episode was still open: its "resolved" got lost. */
  'Superseded',
  /** A late copy about an episode that is over, while a later one is open. */
  'Stale',
] as const;
export type ChangeKind = (typeof changeKinds)[number];

/** What one report in one delivery changed. */
export interface EpisodeChange {
  kind: ChangeKind;
  /** One sentence, the same in record, API and console. */
  sentence: string;
  /**
   * The alert as it stands after the whole batch: a firing whose end was read in the same batch shows as Resolved here.
   */
  alert: Alert;
  deliveryId: number;
}
