/**
 * Commits the entries of runs. Those that a run decides in one breath, and those of all runs that come while a commit is
 * under way, share one: every commit waits for the disk and for the head of the record, and a storm of runs would otherwise
 * stand in line for both.
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
  /** What else is committed with the entries: pages, the state of incidents. Returns entries for the record. */
  onEntries(tx: Tx, entries: readonly NextEntry[]): Promise<RecordEntry[]>;
  /** For metrics, logs and traces; after the commit, for which it waited so many ms; must not throw. */
  observe(run: RunInHand, entry: Entry, committedIn: number): void;
}

/** The next entry of a run, and what is committed with it. */
export interface NextEntry {
  run: RunInHand;
  /** Its number in the journal, counted from 1. */
  number: number;
  entry: Entry;
  attachment: Attachment | undefined;
}

export interface JournalWriter {
  /**
   * Resolves when the entry is committed. Entries of a run that are handed over one after the other are committed in that
   * order, and none of them without those before it.
   * @throws ClaimLost, StaleRun; or the database's error, after which the entry may stand or not: the journal says
   */
  append(run: RunInHand, row: ClaimedRun, entry: Entry, attachment: Attachment | undefined): Promise<void>;
}

/** A run whose row was changed by someone else between reading and writing: read it again. */
export class StaleRun extends Error {}
/** The claim went to another process. */
export class ClaimLost extends Error {}

/** Entries of one run that are committed together or not at all. */
interface Stretch {
  run: RunInHand;
  row: ClaimedRun;
  entries: NextEntry[];
  change: RunChange;
}

/** @param keyPassedOn called after the commit by which a run that waited for the concurrency key of another came to be due */
export function createJournalWriter(ports: JournalWriterPorts, keyPassedOn: () => void): JournalWriter {
  /** What the next commit takes along, by run. */
  const waiting = new Map<string, { stretch: Stretch; written: Promise<void> }>();
  const commits = createBatch<Stretch>(async (stretches) => {
    for (const stretch of stretches)
      if (waiting.get(stretch.run.id)?.stretch === stretch) waiting.delete(stretch.run.id);
    const passedOn = await ports.db.transaction().execute((tx) => writeAll(tx, [...stretches].sort(byIncident)));
    if (passedOn) keyPassedOn();
  });

  async function writeAll(tx: Tx, stretches: readonly Stretch[]): Promise<boolean> {
    const appends = stretches.map(({ row, entries, change }) => ({
      run: row,
      entries: entries.map(({ entry }) => entry),
      change,
    }));
    const appended = await appendEntries(tx, appends);
    for (const { run, row, entries } of stretches) {
      const written = appended.byRun.get(run.id);
      if (!written) throw new ClaimLost(`Another process has taken over run ${run.id}.`);
      if (written.number !== entries.at(-1)?.number) throw new StaleRun();
      // Merged or split since it was taken in hand: what it does belongs to the incident it is in now.
      if (run.incident && written.incidentId !== run.incident.id)
        Object.assign(run, (await ports.contexts([{ alertId: row.alertId, incidentId: written.incidentId }], tx))[0]);
      for (const { entry, attachment } of entries) {
        if (attachment?.approval) await insertApproval(tx, run.id, { ...attachment.approval, requestedAt: entry.at });
        if (attachment?.expires) await expireApproval(tx, attachment.expires.approvalId, entry.at);
      }
    }
    const records = await ports.onEntries(
      tx,
      stretches.flatMap(({ entries }) => entries),
    );
    // Last: whoever appends to the record next waits from here on.
    await appendRecord(tx, records);
    return appended.keyPassedOn;
  }

  return {
    async append(run, row, entry, attachment) {
      const began = ports.clock.monotonic();
      const next: NextEntry = { run, number: run.state.entries + 1, entry, attachment };
      let joined = waiting.get(run.id);
      if (!joined) {
        const stretch: Stretch = { run, row, entries: [], change: {} };
        joined = { stretch, written: commits.add(stretch) };
        waiting.set(run.id, joined);
      }
      joined.stretch.entries.push(next);
      Object.assign(joined.stretch.change, changeBy(run, entry));
      await joined.written;
      ports.observe(run, entry, ports.clock.monotonic() - began);
    },
  };
}

/** Replicas that end runs of the same incidents at the same time lock them in the same order. */
function byIncident(one: Stretch, other: Stretch): number {
  const key = ({ run }: Stretch) => `${run.incident?.id ?? ''}/${run.id}`;
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
