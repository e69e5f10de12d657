/**
 * The engine: claims runs that are due, carries each forward, and hands it back until it is due again. Claims are rows, so
 * that several replicas share one database; what a run is waiting for costs a row and nothing else.
 */
import { sql } from 'kysely';
import type { CompiledRunbook } from '../catalog/compiled-runbook.ts';
import type { Runbook } from '../catalog/kinds/runbook.ts';
import { noLongerWaited } from '../clock.ts';
import { CatalystError, messageOf } from '../errors.ts';
import { createBatch } from './batch.ts';
import { advance, type ExecutorPorts } from './executor.ts';
import { type Entry, fold, type RunState } from './journal.ts';
import { ClaimLost, createJournalWriter, type JournalWriterPorts, StaleRun } from './journal-writer.ts';
import type { RunInHand } from './run-in-hand.ts';
import {
  type ClaimedRun,
  claimDueRuns,
  extendClaims,
  freeAllClaims,
  nextWake,
  type Release,
  readDocuments,
  readHistory,
  readJournals,
  releaseRuns,
  takeLock,
} from './run-store.ts';
import type { World } from './world.ts';

type Context = Pick<RunInHand, 'alert' | 'incident'>;

export interface EnginePorts extends JournalWriterPorts {
  world: World;
  /** Unique among all processes that ever used the database. */
  name: string;
  newId(): string;
  /** Throws CatalystError InvalidResource when this version cannot run the document. */
  compile(document: Runbook): CompiledRunbook;
  onError(runId: string | undefined, error: unknown): void;
  confirmFiring: 'Required' | 'WhenPossible';
  /** True when no other process can have the database open: claims of a dead process need not be waited for. */
  alone: boolean;
}

export interface EngineOptions {
  /** Runs worked on at once. Each mostly waits for other systems; more than this only queues at the database. */
  concurrency: number;
  /** How long a claim lasts without a sign of life, ms. A replica that dies delays its runs by so much. */
  claimFor: number;
  /** How often the database is asked for runs that other replicas created or woke, ms; default a second. */
  pollEvery?: number;
}

export interface Engine {
  start(): Promise<void>;
  /** Finishes what is being done right now and claims nothing more. */
  stop(): Promise<void>;
  /** Something may be due: look now rather than at the next poll. */
  wake(): void;
}

export function createEngine(ports: EnginePorts, { concurrency, claimFor, pollEvery = 1_000 }: EngineOptions): Engine {
  const claimant = { engine: ports.name, claimFor };
  const inHand = new Map<string, AbortController>();
  const working = new Set<Promise<void>>();
  const known = new KnownRuns();
  const journal = createJournalWriter(ports, wake);
  const releases = createBatch<Release>((batch) => releaseRuns(ports.db, batch));
  const failures = new Map<string, number>();
  const stopping = new AbortController();
  let wakeUp = () => {};
  let woken = false;
  /** When the next run is due that nobody holds, as far as this process knows, ms since the epoch. */
  let due = 0;
  /** When the database was last asked for that, on the monotonic clock. */
  let askedAt = Number.NEGATIVE_INFINITY;
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
      const free = concurrency - inHand.size;
      try {
        if (free > 0) claimed = await claimDueRuns(ports.db, claimant, ports.clock.now(), free);
      } catch (error) {
        ports.onError(undefined, error);
        await pause(pollEvery);
        continue;
      }
      if (claimed.length > 0) begin(claimed);
      // One that is let go of makes room and wakes the loop; with room left, all that were due are claimed.
      const full = inHand.size >= concurrency;
      if (full) await pause(pollEvery);
      else if (claimed.length < free) await untilNext();
    }
  }

  function begin(rows: readonly ClaimedRun[]) {
    const around = readAround(rows);
    // Each run meets the error itself when it needs what could not be read.
    around.catch(() => {});
    for (const row of rows) {
      const claim = new AbortController();
      inHand.set(row.id, claim);
      const work = workOn(row, claim, around).then((wakeAt) => {
        const wasFull = inHand.size >= concurrency;
        inHand.delete(row.id);
        working.delete(work);
        if (wasFull) wake();
        if (wakeAt === undefined || wakeAt >= due) return;
        due = wakeAt;
        // The loop has meant to sleep for longer.
        wakeUp();
      });
      working.add(work);
    }
  }

  /** Waits until a run is due or the loop is woken, and no longer than until the next poll. */
  async function untilNext() {
    if (due <= ports.clock.now() || untilPoll() <= 0) await askWhatIsDue();
    while (!woken && !stopping.signal.aborted) {
      const left = Math.min(due - ports.clock.now(), untilPoll());
      if (left <= 0) return;
      await pause(left);
    }
  }

  /** So long may pass before the database is asked for what other replicas made or woke, ms. */
  function untilPoll(): number {
    return askedAt + pollEvery - ports.clock.monotonic();
  }

  async function askWhatIsDue() {
    askedAt = ports.clock.monotonic();
    // From here on one that is let go of counts, which the answer may not know of yet.
    due = Number.POSITIVE_INFINITY;
    // A database that is away is asked again at the next poll.
    const next = await nextWake(ports.db).catch(() => undefined);
    // One that is due already and was not claimed is in another's hands at the moment.
    if (next !== undefined) due = Math.min(due, Math.max(next, ports.clock.now() + 1));
  }

  /** Waits so long, or until woken, stopped, or told of a run that is due sooner. */
  async function pause(ms: number) {
    if (woken || stopping.signal.aborted) return;
    const cancelled = new AbortController();
    const woke = new Promise<void>((resolve) => {
      wakeUp = resolve;
    });
    const slept = ports.clock.sleep(ms, AbortSignal.any([stopping.signal, cancelled.signal])).catch(() => {});
    await Promise.race([woke, slept]);
    cancelled.abort(noLongerWaited);
  }

  /** @returns when the run is due again, ms since the epoch; undefined when it is not known or it has ended. */
  async function workOn(row: ClaimedRun, claim: AbortController, around: Promise<Around>): Promise<number | undefined> {
    const release: Release = {
      id: row.id,
      epoch: row.epoch,
      wakeAt: undefined,
      sentence: undefined,
      observedAt: row.observedAt,
    };
    try {
      const run = await takeInHand(row, await around);
      const executor = portsFor(run, row, claim.signal, release);
      const { wakeAt } = await advance(run, executor);
      release.wakeAt = wakeAt === undefined ? undefined : inStep(wakeAt, ports.clock.now());
      release.observedAt = executor.lastObserved;
      failures.delete(row.id);
      if (run.state.ended) known.drop(row.id);
    } catch (error) {
      known.drop(row.id);
      if (error instanceof ClaimLost || claim.signal.aborted) return undefined;
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
      await releases.add(release);
    } catch (error) {
      // The claim ends by itself, and the run goes on from its journal.
      ports.onError(row.id, error);
    }
    return release.wakeAt;
  }

  /** What there is to read of runs that were claimed together: a number of statements that does not grow with theirs. */
  async function readAround(rows: readonly ClaimedRun[]): Promise<Around> {
    const unknown = rows.filter((row) => known.get(row) === undefined);
    const begun = unknown.filter(({ entries }) => entries > 0).map(({ id }) => id);
    const journals = begun.length > 0 ? await readJournals(ports.db, begun) : new Map<string, Entry[]>();
    const documents = begun.length > 0 ? await readDocuments(ports.db, begun) : new Map<string, unknown>();
    const contexts = await ports.contexts(rows);
    return { journals, documents, contexts: new Map(rows.map(({ id }, index) => [id, contexts[index]])) };
  }

  async function takeInHand(row: ClaimedRun, around: Around): Promise<RunInHand> {
    const state = known.get(row)?.state ?? fold(around.journals.get(row.id) ?? []);
    // Somebody decided in between, or what was known of it was let go: it is read anew.
    if (state.entries !== row.entries) throw new StaleRun();
    const document = (row.document ?? around.documents.get(row.id)) as Runbook;
    const runbook = known.get(row)?.runbook ?? (await compileOrEnd(row, document, state));
    known.put(row.id, { state, runbook });
    const { id, organization, mode, inputs, createdAt, cancelRequestedBy, traceparent } = row;
    const { alert, incident } = around.contexts.get(id) ?? {};
    return {
      id,
      runbook,
      organization,
      mode,
      inputs,
      createdAt,
      cancelRequestedBy,
      traceparent,
      state,
      alert,
      incident,
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
      const attachment = { page: { subject: `${row.runbook}: cannot be run`, body: sentence } };
      await journal.append(run, row, entry, attachment);
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

  function portsFor(run: RunInHand, row: ClaimedRun, signal: AbortSignal, release: Release): ExecutorPorts {
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
      append: (entry, attachment) => journal.append(run, row, entry, attachment),
      note: (sentence) => {
        release.sentence = sentence;
      },
    };
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

/** A wait from which on it does not matter when it ends up to a second late, ms. */
const longWait = 10_000;

/**
 * Runs with long to wait wake at whole seconds: those that wake together are claimed, read and handed back together, and a
 * thousand that look at a fact now and then cost a few statements a second.
 * @param wakeAt ms since the epoch
 */
function inStep(wakeAt: number, now: number): number {
  return wakeAt - now < longWait ? wakeAt : Math.ceil(wakeAt / 1_000) * 1_000;
}

/** Longest time a run can take that still counts for a cooldown: approvals and verifications are bounded by days. */
const longestRun = 2 * 24 * 3_600_000;

/** From when on earlier runs of a runbook can count for its guards. */
export function historySince({ guards }: CompiledRunbook, now: number): number {
  return now - Math.max(guards.cooldown, guards.maxRuns.per) - longestRun;
}

/** What was read about runs that were claimed together. */
interface Around {
  journals: ReadonlyMap<string, Entry[]>;
  documents: ReadonlyMap<string, unknown>;
  contexts: ReadonlyMap<string, Context | undefined>;
}

interface KnownRun {
  /** Its journal, folded. */
  state: RunState;
  runbook: CompiledRunbook;
}

/** Runs this process worked on lately: one that looks every second is not read from its first entry each time. */
class KnownRuns {
  readonly #runs = new Map<string, KnownRun>();
  /** A folded journal takes a few kilobytes; two thousand of them stay below 20 MB. */
  readonly #limit = 2_000;

  /** Undefined, too, when the journal has grown elsewhere since. */
  get({ id, entries }: { id: string; entries: number }): KnownRun | undefined {
    const run = this.#runs.get(id);
    return run?.state.entries === entries ? run : undefined;
  }

  put(id: string, run: KnownRun) {
    this.#runs.delete(id);
    this.#runs.set(id, run);
    const oldest = this.#runs.keys().next().value;
    if (this.#runs.size > this.#limit && oldest !== undefined) this.#runs.delete(oldest);
  }

  drop(id: string) {
    this.#runs.delete(id);
  }
}
