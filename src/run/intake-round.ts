/**
 * One round of working through deliveries: what was said about alerts becomes episodes, incidents, runs and decisions, all
 * in one transaction. After a crash the deliveries are still pending, and nothing of the round happened.
 */
import { type LeftOut, processDeliveries } from '../alert/processor.ts';
import { appendRecord } from '../audit/record-store.ts';
import type { Database } from '../database/tables.ts';
import { correlate } from '../incident/correlate.ts';
import type { IncidentTypes } from '../incident/incident-types.ts';
import { type DispatchPorts, dispatch } from './dispatch.ts';

export interface IntakeRoundPorts extends DispatchPorts {
  db: Database;
  /** Deliveries of one round: enough that a storm is worked through in few commits, few enough that nobody is kept waiting. */
  limit: { count: number; bytes: number };
  types: IncidentTypes;
  /** Whose an alert is that a source of the whole Sovereign delivered. */
  organizationOf?: (labels: Readonly<Record<string, string>>) => string | undefined;
}

export interface IntakeRound {
  deliveries: number;
  /** Others are pending still. */
  more: boolean;
  deadLetters: number;
  firing: number;
  resolved: number;
  runs: number;
  reasons: string[];
  leftOut: LeftOut[];
}

export async function workThroughDeliveries(ports: IntakeRoundPorts, now: number): Promise<IntakeRound> {
  return ports.db.transaction().execute(async (tx) => {
    const processed = await processDeliveries(tx, {
      limit: ports.limit.count,
      bytes: ports.limit.bytes,
      now,
      ...(ports.organizationOf ? { organizationOf: ports.organizationOf } : {}),
    });
    const {
      touched,
      incidentOf,
      entries: incidentEntries,
    } = await correlate(tx, processed.changes, { types: ports.types, now });
    const reports = processed.changes.map((change) => ({
      ...change,
      alert: { ...change.alert, incidentId: incidentOf.get(change.alert.id) ?? change.alert.incidentId },
    }));
    const incidents = touched.flatMap(({ kind, incident }) => (kind === 'Opened' ? [incident] : []));
    const dispatched = await dispatch(tx, { reports, incidents }, ports, now);
    await appendRecord(tx, [...processed.entries, ...incidentEntries, ...dispatched.entries]);
    return {
      deliveries: processed.deliveries,
      more: processed.more,
      deadLetters: processed.deadLetters,
      firing: reports.filter((report) => report.alert.state === 'Firing').length,
      resolved: reports.filter((report) => report.alert.state === 'Resolved').length,
      runs: dispatched.runs,
      leftOut: processed.leftOut,
      reasons: reports.filter((report) => report.kind !== 'Fired').map((report) => report.kind),
    };
  });
}
