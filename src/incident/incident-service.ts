/** What people do to incidents: one transaction each, with its entry in the record. */
import type { RecordEntry } from '../audit/record.ts';
import { appendRecord } from '../audit/record-store.ts';
import type { Clock } from '../clock.ts';
import type { Database, Tx } from '../database/tables.ts';
import { type EscalationPorts, escalateNow } from './escalation.ts';
import type { Incident } from './incident.ts';
import { acknowledge, type ByPage, type Command, type Commanded, note, resolve } from './incident-command.ts';
import type { IncidentTypes } from './incident-types.ts';
import { type MergeCommand, merge, type SplitCommand, split } from './merge.ts';

/** Who does it, to which incident, seen in which version. */
export type Request = Omit<Command, 'now'>;

export interface IncidentService {
  /**
   * @throws CatalystError NotFound; Conflict when the incident has changed since `expectedVersion`; InvalidState when it is
   * resolved, or another one was first.
   */
  acknowledge(request: Request & { by?: ByPage | undefined }): Promise<Incident>;
  note(request: Request & { text: string }): Promise<Incident>;
  /** @throws CatalystError InvalidState while an alert still fires, unless `force` is set with a reason. */
  resolve(
    request: Request & { reason?: string | undefined; force?: boolean | undefined; falseAlarm?: boolean | undefined },
  ): Promise<Incident>;
  /** Takes the next step of its policy now. */
  escalate(request: Request & { comment?: string | undefined }): Promise<Incident>;
  /** @returns the one that goes on. @throws CatalystError as `merge.ts` says */
  merge(request: Omit<MergeCommand, 'now'>): Promise<Incident>;
  /** @returns the new one. @throws CatalystError as `merge.ts` says */
  split(request: Omit<SplitCommand, 'now'>): Promise<Incident>;
}

export interface IncidentServicePorts {
  db: Database;
  clock: Clock;
  escalation: EscalationPorts;
  types: IncidentTypes;
  /** Called when entries of the record were committed: whoever follows it need not wait. */
  committed?(): void;
}

export function createIncidentService({
  db,
  clock,
  escalation,
  types,
  committed,
}: IncidentServicePorts): IncidentService {
  const carryOut = async <R extends Request>(
    work: (tx: Tx, command: R & Pick<Command, 'now'>) => Promise<Commanded>,
    request: R,
  ) => {
    const done = await db.transaction().execute(async (tx) => {
      const { incident, entries } = await work(tx, { ...request, now: clock.now() });
      await appendRecord(tx, entries satisfies RecordEntry[]);
      return incident;
    });
    committed?.();
    return done;
  };
  return {
    acknowledge: (request) => carryOut(acknowledge, request),
    note: (request) => carryOut(note, request),
    resolve: (request) => carryOut(resolve, request),
    escalate: (request) => carryOut((tx, command) => escalateNow(tx, command, escalation), request),
    merge: (request) => carryOut((tx, command) => merge(tx, command, types), request),
    split: (request) => carryOut((tx, command) => split(tx, command, types), request),
  };
}
