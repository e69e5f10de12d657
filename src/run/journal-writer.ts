/**
 * Commits the entries of runs. Those that come while a commit is under way share the next one: every commit waits for the
 * disk and for the head of the record, and a storm of runs would otherwise stand in line for both.
 */
import type { RecordEntry } from '../audit/record.ts';
import { appendRecord } from '../audit/record-store.ts';
import type { Clock } from '../clock.ts';
import type { Database, Tx } from '../database/tables.ts';
import { createBatch } from './batch.ts';
import type { Attachment } from './executor.ts';
import type { Entry } from './journal.ts';
import type { RunInHand } from './run-in-hand.ts';
import { targetKey } from './run-in-hand.ts';
import { appendEntries, type ClaimedRun, insertApproval, type RunChange } from './run-store.ts';

export interface JournalWriterPorts {
  db: Database;
  clock: Clock;
  /** The alert and incident of each run, as expressions see them. */
  contexts(
    runs: readonly Pick<ClaimedRun, 'alertId' | 'incidentId'>[],
    tx?: Tx,
  ): Promise<readonly Pick<RunInHand, 'alert' | 'incident'>[]>;
  /** What else is committed with an entry: pages, the incident's state. Returns entries for the record. */
  onEntry(tx: Tx, run: RunInHand, entry: Entry, attachment: Attachment | undefined): Promise<RecordEntry[]>;
  /** For metrics, logs and traces; after the commit, for which it waited so many ms; must not throw. */
  observe(run: RunInHand, entry: Entry, committedIn: number): void;
}

/** The next entry of a run, and what is committed with it. */
export interface NextEntry {
  run: RunInHand;
  row: ClaimedRun;
  entry: Entry;
  attachment: Attachment | undefined;
}

export interface JournalWriter {
  /**
   * Resolves when the entry is committed.
   * @throws ClaimLost, StaleRun; or the database's error, after which the entry may stand or not: the journal says
   */
  append(next: NextEntry): Promise<void>;
}

/** A run whose row was changed by someone else between reading and writing: read it again. */
export class StaleRun extends Error {}
/** The claim went to another process. */
export class ClaimLost extends Error {}

export function createJournalWriter(ports: JournalWriterPorts): JournalWriter {
  const commits = createBatch<NextEntry>((entries) =>
    ports.db.transaction().execute((tx) => writeAll(tx, [...entries].sort(byIncident))),
  );

  async function writeAll(tx: Tx, entries: readonly NextEntry[]) {
    const appended = await appendEntries(
      tx,
      entries.map(({ run, row, entry }) => ({ run: row, entry, change: changeBy(run, entry) })),
    );
    const records: RecordEntry[] = [];
    for (const next of entries) {
      const { run, row, entry, attachment } = next;
      const written = appended.get(run.id);
      if (!written) throw new ClaimLost(`Another process has taken over run ${run.id}.`);
      if (written.number !== run.state.entries + 1) throw new StaleRun();
      // Merged or split since it was taken in hand: what it does belongs to the incident it is in now.
      if (run.incident && written.incidentId !== run.incident.id)
        Object.assign(run, (await ports.contexts([{ alertId: row.alertId, incidentId: written.incidentId }], tx))[0]);
      if (attachment?.approval) await insertApproval(tx, run.id, { ...attachment.approval, requestedAt: entry.at });
      if (attachment?.expires) await expireApproval(tx, attachment.expires.approvalId, entry.at);
      records.push(...(await ports.onEntry(tx, run, entry, attachment)));
    }
    // Last: whoever appends to the record next waits from here on.
    await appendRecord(tx, records);
  }

  return {
    async append(next) {
      const began = ports.clock.monotonic();
      await commits.add(next);
      ports.observe(next.run, next.entry, ports.clock.monotonic() - began);
    },
  };
}

/** Replicas that end runs of the same incidents at the same time lock them in the same order. */
function byIncident(one: NextEntry, other: NextEntry): number {
  const key = ({ run }: NextEntry) => `${run.incident?.id ?? ''}/${run.id}`;
  return key(one) < key(other) ? -1 : 1;
}

async function expireApproval(tx: Tx, id: string, at: number) {
  const row = await tx
    .updateTable('approval')
    .set({ state: 'Expired', decided_at: new Date(at), decided_by: 'engine' })
    .where('id', '=', id)
    .where('state', '=', 'Pending')
    .returning('id')
    .executeTakeFirst();
  // A person was quicker: their decision stands, and the journal has it.
  if (!row) throw new StaleRun();
}

function changeBy(run: RunInHand, entry: Entry): RunChange {
  switch (entry.kind) {
    case 'Prepared':
      return { state: 'Running', targetKey: targetKey(run, entry.data.target ?? undefined) };
    case 'ApprovalRequested':
      return { state: 'AwaitingApproval' };
    case 'ApprovalDecided':
      return { state: 'Running' };
    case 'StepStarted':
      return run.state.actedAt === undefined ? { actedAt: entry.at } : {};
    case 'RollbackStarted':
      return { state: 'RollingBack' };
    case 'Ended':
      return { state: 'Ended', ended: { outcome: entry.data.outcome, reason: entry.data.reason, at: entry.at } };
    default:
      return {};
  }
}
