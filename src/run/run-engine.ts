/**
 * The engine: claims runs that are due, carries each forward, and hands it back until it is due again. Claims are rows, so
 * that several replicas share one database; what a run is waiting for costs a row and nothing else.
 */
import { sql } from 'kysely';
import type { RecordEntry } from '../audit/record.ts';
import { appendRecord } from '../audit/record-store.ts';
import type { CompiledRunbook } from '../catalog/compiled-runbook.ts';
import type { Runbook } from '../catalog/kinds/runbook.ts';
import type { Clock } from '../clock.ts';
import type { Database, Tx } from '../database/tables.ts';
import { CatalystError, messageOf } from '../errors.ts';
import { type Attachment, advance, type ExecutorPorts } from './executor.ts';
import { type Entry, fold, type RunState } from './journal.ts';
import type { RunInHand } from './run-in-hand.ts';
import { targetKey } from './run-in-hand.ts';
import {
  appendEntry,
  type ClaimedRun,
  claimDueRuns,
  extendClaims,
  freeAllClaims,
  insertApproval,
  nextWake,
  type RunChange,
  readEntries,
  readHistory,
  releaseRun,
  takeLock,
} from './run-store.ts';
import type { World } from './world.ts';

export interface EnginePorts {
  db: Database;
  clock: Clock;
  world: World;
  /** Unique among all processes that ever used the database. */
  name: string;
  newId(): string;
  /** Throws CatalystError InvalidResource when this version cannot run the document. */
  compile(document: Runbook): CompiledRunbook;
  /** The alert and incident of a run, as expressions see them. */
  context(run: Pick<ClaimedRun, 'alertId' | 'incidentId'>, tx?: Tx): Promise<Pick<RunInHand, 'alert' | 'incident'>>;
  /** What else is committed with an entry: pages, the incident's state. Returns entries for the record. */
  onEntry(tx: Tx, run: RunInHand, entry: Entry, attachment: Attachment | undefined): Promise<RecordEntry[]>;
  /** For metrics, logs and traces; after the commit, which took so many ms; must not throw. */
  observe(run: RunInHand, entry: Entry, committedIn: number): void;
  onError(runId: string | undefined, error: unknown): void;
  confirmFiring: 'Required' | 'WhenPossible';
  /** True when no other process can have the database open: claims of a dead process need not be waited for. */
  alone: boolean;
}

export interface EngineOptions {
  /** Runs worked on at once. Each mostly waits for other systems; more than this only queues at the database. */
  concurrency?: number;
  /** How long a claim lasts without a sign of life, ms. A replica that dies delays its runs by so much. */
  claimFor?: number;
  /** How often the database is asked for runs that other replicas created or woke, ms. */
  pollEvery?: number;
}

export interface Engine {
  start(): Promise<void>;
  /** Finishes what is being done right now and claims nothing more. */
  stop(): Promise<void>;
  /** Something may be due: look now rather than at the next poll. */
  wake(): void;
}

/** A run whose row was changed by someone else between reading and writing: read it again. */
class StaleRun extends Error {}
/** The claim went to another process. */
class ClaimLost extends Error {}

export function createEngine(ports: EnginePorts, options: EngineOptions = {}): Engine {
  const concurrency = options.concurrency ?? 64;
  const claimFor = options.claimFor ?? 30_000;
  const pollEvery = options.pollEvery ?? 1_000;
  const claimant = { engine: ports.name, claimFor };
  const inHand = new Map<string, AbortController>();
  const working = new Set<Promise<void>>();
  const states = new StateCache();
  const failures = new Map<string, number>();
  const stopping = new AbortController();
  let wakeUp = () => {};
  let woken = false;
  let loop: Promise<void> | undefined;
  let heartbeat: Promise<void> | undefined;

  function wake() {
    woken = true;
    wakeUp();
  }

  async function run() {
    while (!stopping.signal.aborted) {
      woken = false;
      let claimed: ClaimedRun[] = [];
      try {
        const free = concurrency - inHand.size;
        if (free > 0) claimed = await claimDueRuns(ports.db, claimant, ports.clock.now(), free);
      } catch (error) {
        ports.onError(undefined, error);
        await pause(pollEvery);
        continue;
      }
      for (const row of claimed) begin(row);
      if (claimed.length === 0 && !woken) await pause(await untilNext());
    }
  }

  function begin(row: ClaimedRun) {
    const claim = new AbortController();
    inHand.set(row.id, claim);
    const work = workOn(row, claim).finally(() => {
      inHand.delete(row.id);
      working.delete(work);
      wake();
    });
    working.add(work);
  }

  async function untilNext(): Promise<number> {
    try {
      const next = await nextWake(ports.db);
      return next === undefined ? pollEvery : Math.min(pollEvery, Math.max(1, next - ports.clock.now()));
    } catch {
      return pollEvery;
    }
  }

  /** Waits so long, or until woken or stopped. */
  async function pause(ms: number) {
    if (woken || stopping.signal.aborted) return;
    const cancelled = new AbortController();
    const woke = new Promise<void>((resolve) => {
      wakeUp = resolve;
    });
    const slept = ports.clock.sleep(ms, AbortSignal.any([stopping.signal, cancelled.signal])).catch(() => {});
    await Promise.race([woke, slept]);
    cancelled.abort();
  }

  async function workOn(row: ClaimedRun, claim: AbortController): Promise<void> {
    let release = {
      wakeAt: undefined as number | undefined,
      sentence: undefined as string | undefined,
      observedAt: row.observedAt,
    };
    try {
      const run = await takeInHand(row);
      const executor = portsFor(run, row, claim.signal, release);
      const { wakeAt } = await advance(run, executor);
      release = { ...release, wakeAt, observedAt: executor.lastObserved };
      failures.delete(row.id);
      if (run.state.ended) states.drop(row.id);
    } catch (error) {
      states.drop(row.id);
      if (error instanceof ClaimLost || claim.signal.aborted) return;
      if (error instanceof StaleRun) release.wakeAt = ports.clock.now();
      else {
        const failed = (failures.get(row.id) ?? 0) + 1;
        failures.set(row.id, failed);
        // One second, doubled up to a minute: the run keeps its own limits and goes on when the world answers again.
        release.wakeAt = ports.clock.now() + Math.min(60_000, 1_000 * 2 ** Math.min(failed - 1, 6));
        release.sentence = `It waits: ${messageOf(error)}`;
        ports.onError(row.id, error);
      }
    }
    try {
      await releaseRun(ports.db, row, release);
    } catch (error) {
      // The claim ends by itself, and the run goes on from its journal.
      ports.onError(row.id, error);
    }
  }

  async function takeInHand(row: ClaimedRun): Promise<RunInHand> {
    const state = states.get(row.id, row.entries) ?? fold(await readEntries(ports.db, row.id));
    states.put(row.id, state);
    const document = row.document as Runbook;
    return {
      id: row.id,
      runbook: await compileOrEnd(row, document, state),
      organization: row.organization,
      mode: row.mode,
      inputs: row.inputs,
      createdAt: row.createdAt,
      cancelRequestedBy: row.cancelRequestedBy,
      traceparent: row.traceparent,
      state,
      ...(await ports.context(row)),
    };
  }

  /** A runbook that this version cannot run any more, e.g. after an upgrade, ends its run; it is never half understood. */
  async function compileOrEnd(row: ClaimedRun, document: Runbook, state: RunState): Promise<CompiledRunbook> {
    try {
      return ports.compile(document);
    } catch (error) {
      if (!(error instanceof CatalystError) || error.code !== 'InvalidResource') throw error;
      const acted = state.actedAt !== undefined;
      const sentence = `${error.message}${acted ? ' What it had begun must be looked at by a person.' : ''}`;
      const empty = { resource: document, steps: [], guards: {} } as unknown as CompiledRunbook;
      const run: RunInHand = { ...blank(row, state), runbook: empty };
      const entry: Entry = {
        at: ports.clock.now(),
        kind: 'Ended',
        sentence,
        data: { outcome: acted ? 'Unknown' : 'Refused', reason: 'RunbookInvalid', evidence: [] },
      };
      await commit(run, row, entry, { page: { subject: `${row.runbook}: cannot be run`, body: sentence } });
      throw new ClaimLost();
    }
  }

  function blank(row: ClaimedRun, state: RunState): Omit<RunInHand, 'runbook'> {
    const { id, organization, mode, inputs, createdAt, cancelRequestedBy } = row;
    return {
      id,
      organization,
      mode,
      inputs,
      createdAt,
      cancelRequestedBy,
      state,
      alert: undefined,
      incident: undefined,
    };
  }

  function portsFor(
    run: RunInHand,
    row: ClaimedRun,
    signal: AbortSignal,
    release: { sentence: string | undefined },
  ): ExecutorPorts {
    return {
      clock: ports.clock,
      world: ports.world,
      newId: ports.newId,
      confirmFiring: ports.confirmFiring,
      signal,
      lastObserved: row.observedAt,
      ...(row.traceparent === undefined ? {} : { traceparent: row.traceparent }),
      history: (target) => {
        const since = historySince(run.runbook, ports.clock.now());
        return readHistory(ports.db, { runbook: row.runbook, target, except: row.id, since });
      },
      lock: (key) => takeLock(ports.db, row, key),
      append: (entry, attachment) => commit(run, row, entry, attachment),
      note: (sentence) => {
        release.sentence = sentence;
      },
    };
  }

  async function commit(
    run: RunInHand,
    row: ClaimedRun,
    entry: Entry,
    attachment: Attachment | undefined,
  ): Promise<void> {
    const began = ports.clock.monotonic();
    await ports.db.transaction().execute(async (tx) => {
      const appended = await appendEntry(tx, row, entry, changeBy(run, entry));
      if (!appended) throw new ClaimLost(`Another process has taken over run ${run.id}.`);
      if (appended.number !== run.state.entries + 1) throw new StaleRun();
      // Merged or split since it was taken in hand: what it does belongs to the incident it is in now.
      if (run.incident && appended.incidentId !== run.incident.id)
        Object.assign(run, await ports.context({ alertId: row.alertId, incidentId: appended.incidentId }, tx));
      if (attachment?.approval) await insertApproval(tx, run.id, { ...attachment.approval, requestedAt: entry.at });
      if (attachment?.expires) await expireApproval(tx, attachment.expires.approvalId, entry.at);
      const records = await ports.onEntry(tx, run, entry, attachment);
      await appendRecord(tx, records);
    });
    ports.observe(run, entry, ports.clock.monotonic() - began);
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

  async function beat() {
    while (!stopping.signal.aborted || working.size > 0) {
      // A third of the claim's time: two signs of life may be lost before anyone takes over.
      await ports.clock.sleep(claimFor / 3, stopping.signal).catch(() => {});
      if (stopping.signal.aborted && working.size === 0) return;
      const sent = ports.clock.monotonic();
      const ids = [...inHand.keys()];
      try {
        const ours = await extendClaims(ports.db, claimant, ids);
        for (const id of ids) if (!ours.has(id)) inHand.get(id)?.abort(new ClaimLost());
        lastBeat = sent;
      } catch (error) {
        ports.onError(undefined, error);
        // Another process may claim our runs from now on: let go of everything we hold.
        if (ports.clock.monotonic() - lastBeat > claimFor * 0.8)
          for (const claim of inHand.values()) claim.abort(new ClaimLost());
      }
      if (stopping.signal.aborted)
        await Promise.race([Promise.allSettled([...working]), ports.clock.sleep(claimFor / 3)]);
    }
  }
  let lastBeat = ports.clock.monotonic();

  return {
    async start() {
      if (ports.alone) await freeAllClaims(ports.db);
      // One statement that needs the schema: a start against a database that is away fails here, not in the loop.
      await sql`SELECT 1`.execute(ports.db);
      lastBeat = ports.clock.monotonic();
      loop = run();
      heartbeat = beat();
    },
    async stop() {
      stopping.abort();
      wake();
      await loop;
      await Promise.allSettled([...working]);
      await heartbeat;
    },
    wake,
  };
}

/** Longest time a run can take that still counts for a cooldown: approvals and verifications are bounded by days. */
const longestRun = 2 * 24 * 3_600_000;

/** From when on earlier runs of a runbook can count for its guards. */
export function historySince({ guards }: CompiledRunbook, now: number): number {
  return now - Math.max(guards.cooldown, guards.maxRuns.per) - longestRun;
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

/** Journals of runs this process worked on lately, folded: a run that polls every second is not read from its first entry each time. */
class StateCache {
  readonly #states = new Map<string, RunState>();
  /** A folded journal takes a few kilobytes; two thousand of them stay below 20 MB. */
  readonly #limit = 2_000;

  get(id: string, entries: number): RunState | undefined {
    const state = this.#states.get(id);
    return state?.entries === entries ? state : undefined;
  }

  put(id: string, state: RunState) {
    this.#states.delete(id);
    this.#states.set(id, state);
    const oldest = this.#states.keys().next().value;
    if (this.#states.size > this.#limit && oldest !== undefined) this.#states.delete(oldest);
  }

  drop(id: string) {
    this.#states.delete(id);
  }
}
