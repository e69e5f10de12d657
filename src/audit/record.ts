/**
 * The record: append-only, hash-chained, written in the transaction of the change it describes. It is also the timeline
 * of an incident and the event stream: one truth, read three ways.
 */
import { createHash } from 'node:crypto';
import type { Json } from '../integrations/contract.ts';

/** Every kind of entry, in one place. `<noun>.<what happened>`; never renamed. */
export const recordKinds = [
  'alert.fired',
  'alert.reopened',
  'alert.resolvedReported',
  'alert.superseded',
  'decision.made',
  'delivery.deadLettered',
  'incident.opened',
  'incident.alertJoined',
  'incident.acknowledged',
  'incident.noted',
  'incident.checked',
  'incident.mitigated',
  'incident.resolved',
  'incident.reopened',
  'incident.escalated',
  'incident.severityChanged',
  'incident.merged',
  'incident.split',
  'incident.caused',
  'run.created',
  'run.entry',
  'run.ended',
  'run.cancelRequested',
  'approval.requested',
  'approval.decided',
  'page.created',
  'page.delivered',
  'page.failed',
  'catalog.changed',
  'catalog.problem',
  'schedule.missed',
  'access.loggedIn',
  'access.loggedOut',
  'access.roleTaken',
  'access.linkMade',
  'access.linkKeyReplaced',
  /** Somebody read what not everybody may: the record itself, or deliveries to the byte. */
  'access.read',
  'drill.started',
  'drill.ended',
] as const;
export type RecordKind = (typeof recordKinds)[number];

/** What happened, as the writer knows it. */
export interface RecordEntry {
  at: number;
  kind: RecordKind;
  /** Who: `engine`, `alertmanager`, `catalog`, `token/<name>`, `user/<name>`, or `receiver/<name>` by the link of a page. */
  actor: string;
  organization?: string | undefined;
  alertId?: string | undefined;
  incidentId?: string | undefined;
  runId?: string | undefined;
  /** One sentence, past tense. */
  sentence: string;
  /** Never holds a secret. */
  data: Json;
}

/** An entry as it stands in the chain. */
export interface RecordedEntry extends RecordEntry {
  /** Counts from 1 without a gap; the event id of the stream. */
  seq: number;
  previousHash: string;
  hash: string;
}

/** SHA-256 (hex) over the previous hash and every field, each with its length, so that no two entries read the same. */
export function hashEntry(
  previousHash: string,
  seq: number,
  entry: Omit<RecordEntry, 'data'>,
  dataText: string,
): string {
  const hash = createHash('sha256');
  const fields = [
    previousHash,
    String(seq),
    new Date(entry.at).toISOString(),
    entry.kind,
    entry.actor,
    entry.organization ?? '',
    entry.alertId ?? '',
    entry.incidentId ?? '',
    entry.runId ?? '',
    entry.sentence,
    dataText,
  ];
  for (const field of fields) hash.update(`${Buffer.byteLength(field)}:${field}\n`);
  return hash.digest('hex');
}
