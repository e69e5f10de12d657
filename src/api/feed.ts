/**
 * The record as a live feed: one loop reads it for all clients, woken when entries are added and each second besides.
 * The newest entries stay in memory; a client that is further behind reads the database until it has caught up. The
 * record's numbers have no gap, so neither has the feed.
 */
import type { RecordedEntry } from '../audit/record.ts';
import type { Clock } from '../clock.ts';
import type { TheRecord, Wakeup } from './ports.ts';

/** Entries in memory: some minutes of a busy Sovereign; a client behind them reads pages. */
const keptEntries = 2_000;
/** Entries per read of the database. */
const pageSize = 500;
/** How often the record is looked at when nobody says that something was added. */
const pollMs = 1_000;

export class Feed {
  readonly #record: TheRecord;
  readonly #clock: Clock;
  readonly #onError: (error: unknown) => void;
  readonly #waiters = new Set<() => void>();
  readonly #unsubscribe: () => void;
  #kept: RecordedEntry[] = [];
  #head = 0;
  #running = false;
  #stop = new AbortController();
  #nap: AbortController | undefined;
  #dirty = false;

  constructor(record: TheRecord, wakeup: Wakeup, clock: Clock, onError: (error: unknown) => void) {
    this.#record = record;
    this.#clock = clock;
    this.#onError = onError;
    this.#unsubscribe = wakeup.subscribe(() => {
      this.#dirty = true;
      this.#nap?.abort();
    });
  }

  /**
   * Entries after `position`, at least one; waits until there are. Rejects when the signal is aborted.
   */
  async after(position: number, signal: AbortSignal): Promise<readonly RecordedEntry[]> {
    for (;;) {
      signal.throwIfAborted();
      this.#stop.signal.throwIfAborted();
      const oldest = this.#kept[0]?.seq ?? this.#head + 1;
      if (position + 1 >= oldest) {
        const ready = this.#kept.slice(position + 1 - oldest);
        if (ready.length > 0) return ready;
      } else {
        const page = await this.#record.read({ after: position, limit: pageSize });
        if (page.length > 0) return page;
      }
      await this.#change(signal);
    }
  }

  /** Number of the newest entry, for a client that wants only what comes. */
  head(): Promise<number> {
    return this.#record.head();
  }

  stop(): void {
    this.#unsubscribe();
    this.#stop.abort(new Error('The server is stopping.'));
    this.#nap?.abort();
    this.#wakeAll();
  }

  /** Runs while somebody waits. Begins at the end: what lies before is read by those who need it. */
  async #run(): Promise<void> {
    this.#running = true;
    this.#kept = [];
    try {
      this.#head = await this.#record.head();
    } catch (error) {
      this.#onError(error);
    }
    this.#wakeAll();
    while (!this.#stop.signal.aborted) {
      const full = await this.#look();
      if (full) continue;
      if (this.#waiters.size === 0) break;
      if (!this.#dirty) await this.#doze();
    }
    // In the same turn as the last look at the waiters: whoever comes next starts a new loop.
    this.#running = false;
  }

  /** Reads one page; true when there may be more. */
  async #look(): Promise<boolean> {
    this.#dirty = false;
    try {
      const entries = await this.#record.read({ after: this.#head, limit: pageSize });
      const last = entries.at(-1);
      if (!last) return false;
      this.#head = last.seq;
      this.#kept = [...this.#kept, ...entries].slice(-keptEntries);
      this.#wakeAll();
      return entries.length === pageSize;
    } catch (error) {
      this.#onError(error);
      await this.#doze();
      return false;
    }
  }

  async #doze(): Promise<void> {
    this.#nap = new AbortController();
    await this.#clock.sleep(pollMs, AbortSignal.any([this.#nap.signal, this.#stop.signal])).catch(() => {});
  }

  #change(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        this.#waiters.delete(wake);
        signal.removeEventListener('abort', wake);
        resolve();
      };
      this.#waiters.add(wake);
      signal.addEventListener('abort', wake, { once: true });
      if (this.#stop.signal.aborted) wake();
      else if (!this.#running) void this.#run();
    });
  }

  #wakeAll(): void {
    for (const wake of [...this.#waiters]) wake();
  }
}
