/** The ports that are nothing but queries, over the one database. The composition root adds the services'. */
import { readRecord, recordHead, searchRecord, verifyChain } from '../audit/record-store.ts';
import type { Clock } from '../clock.ts';
import type { OpenDatabase } from '../database/open.ts';
import { messageOf } from '../errors.ts';
import {
  findApproval,
  findDecision,
  findPage,
  findRun,
  listApprovals,
  listDecisions,
  listPages,
  listRuns,
  readJournal,
} from '../run/run-queries.ts';
import { createIdempotencyKeys } from './idempotency-store.ts';
import type { ApiPorts, Wakeup } from './ports.ts';

export type DatabasePorts = Pick<
  ApiPorts,
  'runs' | 'decisions' | 'approvals' | 'pages' | 'record' | 'idempotencyKeys' | 'health'
>;

export function createDatabasePorts(database: OpenDatabase, clock: Clock): DatabasePorts {
  const { db } = database;
  return {
    runs: {
      list: (request, filter) => listRuns(db, request, filter),
      find: (id, organization) => findRun(db, id, organization),
      journal: (runId, { after, limit }) => readJournal(db, runId, after, limit),
    },
    decisions: {
      list: (request, filter) => listDecisions(db, request, filter),
      find: (id, organization) => findDecision(db, id, organization),
    },
    approvals: {
      list: (request, filter) => listApprovals(db, request, filter),
      find: (id, organization) => findApproval(db, id, organization),
    },
    pages: {
      list: (request, filter) => listPages(db, request, filter),
      find: (id, organization) => findPage(db, id, organization),
    },
    record: {
      read: (filter) => readRecord(db, filter),
      search: (filter) => searchRecord(db, filter),
      head: () => recordHead(db),
      verify: (signal) => verifyChain(db, { signal }),
    },
    idempotencyKeys: createIdempotencyKeys(db, clock),
    health: {
      check: async () => {
        try {
          await database.ping();
          return { ready: true, checks: [{ name: 'database', healthy: true, sentence: 'The database answers.' }] };
        } catch (error) {
          return { ready: false, checks: [{ name: 'database', healthy: false, sentence: messageOf(error) }] };
        }
      },
    },
  };
}

/** A wake-up inside one process: whoever has committed entries calls `wake`. Other processes are found by looking each second. */
export function createWakeup(): Wakeup & { wake(): void } {
  const listeners = new Set<() => void>();
  return {
    wake: () => {
      for (const listener of [...listeners]) listener();
    },
    subscribe: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
