/** What people do to incidents: one transaction each, with its entry in the record. */
import type { RecordEntry } from '../audit/record.ts';
import { appendRecord } from '../audit/record-store.ts';
import type { Clock } from '../clock.ts';
import type { Database, Tx } from '../database/tables.ts';
import { type EscalationPorts, escalateNow } from './escalation.ts';
import type { Incident } from './incident.ts';
import { acknowledge, type ByPage, type Command, type Commanded, note, resolve } from './incident-command.ts';

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
  resolve(request: Request & { reason?: string | undefined; force?: boolean | undefined }): Promise<Incident>;
  /** Takes the next step of its policy now. */
  escalate(request: Request & { comment?: string | undefined }): Promise<Incident>;
}

export function createIncidentService(ports: {
  db: Database;
  clock: Clock;
  escalation: EscalationPorts;
}): IncidentService {
  const { db, clock, escalation } = ports;
  const carryOut = async <R extends Request>(
    work: (tx: Tx, command: R & Command) => Promise<Commanded>,
    request: R,
  ) => {
    return db.transaction().execute(async (tx) => {
      const { incident, entries } = await work(tx, { ...request, now: clock.now() });
      await appendRecord(tx, entries satisfies RecordEntry[]);
      return incident;
    });
  };
  return {
    acknowledge: (request) => carryOut(acknowledge, request),
    note: (request) => carryOut(note, request),
    resolve: (request) => carryOut(resolve, request),
    escalate: (request) => carryOut((tx, command) => escalateNow(tx, command, escalation), request),
  };
}
