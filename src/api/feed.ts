/**
 * The record as a live feed: one loop reads it for all followers, woken when entries are added and each second besides.
 * The newest entries stay in memory; a follower that is further behind reads the database until it has caught up. The
 * record's numbers have no gap, so neither has the feed. What is done for each follower and entry is kept to a promise:
 * hundreds of tabs wait for the same entry.
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

/** One reader's place in the feed. */
export interface Follower {
  /** The number behind which it goes on. */
  readonly position: number;
  /** What came behind the position, which moves on; waits until there is something, or `nudge`. Undefined once it is stopped. */
  next(): Promise<readonly RecordedEntry[] | undefined>;
  stop(): void;
}

export class Feed {
  readonly #record: TheRecord;
  readonly #clock: Clock;
  readonly #onError: (error: unknown) => void;
  readonly #bells = new Set<Bell>();
  readonly #unsubscribe: () => void;
  #kept: RecordedEntry[] = [];
  #head = 0;
  #running = false;
  #stop = new AbortController();
  #nap: AbortController | undefined;
  #dirty = false;
  /** A follower could not read, and waits to be told. */
  #failed = false;

  constructor(record: TheRecord, wakeup: Wakeup, clock: Clock, onError: (error: unknown) => void) {
    this.#record = record;
    this.#clock = clock;
    this.#onError = onError;
    this.#unsubscribe = wakeup.subscribe(() => {
      this.#dirty = true;
      this.#nap?.abort();
    });
  }

  /** Follows the record behind this entry. */
  follow(start: number): Follower {
    const bell = new Bell();
    const isOver = () => this.#stop.signal.aborted || !this.#bells.has(bell);
    let position = start;
    this.#bells.add(bell);
    if (!this.#running) void this.#run();
    return {
      get position() {
        return position;
      },
      next: async () => {
        while (!isOver()) {
          bell.silence();
          const entries = await this.#behind(position);
          position = entries.at(-1)?.seq ?? position;
          if (entries.length > 0 || (await bell.rings()) === 'nudge') return entries;
        }
        return undefined;
      },
      stop: () => {
        this.#bells.delete(bell);
        bell.ring('news');
      },
    };
  }

  /** Lets every follower that waits go on, though there is nothing new. */
  nudge(): void {
    for (const bell of this.#bells) bell.ring('nudge');
  }

  /** Number of the newest entry, for a client that wants only what comes. */
  head(): Promise<number> {
    return this.#record.head();
  }

  stop(): void {
    this.#unsubscribe();
    this.#stop.abort(new Error('The server is stopping.'));
    this.#nap?.abort();
    this.#tellAll();
  }

  /** Entries behind a position that can be had now: from memory, or a page from the database. */
  async #behind(position: number): Promise<readonly RecordedEntry[]> {
    const oldest = this.#kept[0]?.seq ?? this.#head + 1;
    if (position + 1 >= oldest) return this.#kept.slice(position + 1 - oldest);
    try {
      return await this.#record.read({ after: position, limit: pageSize });
    } catch {
      // The loop meets the same, says so, and tells all when it is over.
      this.#failed = true;
      return [];
    }
  }

  /** Runs while somebody follows. Begins at the end: what lies before is read by those who need it. */
  async #run(): Promise<void> {
    this.#running = true;
    this.#kept = [];
    try {
      this.#head = await this.#record.head();
    } catch (error) {
      this.#onError(error);
    }
    this.#tellAll();
    while (!this.#stop.signal.aborted) {
      const full = await this.#look();
      if (full) continue;
      if (this.#bells.size === 0) break;
      if (!this.#dirty) await this.#doze();
    }
    // In the same turn as the last look at the followers: whoever comes next starts a new loop.
    this.#running = false;
  }

  /** Reads one page; true when there may be more. */
  async #look(): Promise<boolean> {
    this.#dirty = false;
    try {
      const entries = await this.#record.read({ after: this.#head, limit: pageSize });
      const last = entries.at(-1);
      if (last) {
        this.#head = last.seq;
        this.#kept = [...this.#kept, ...entries].slice(-keptEntries);
      }
      if (last || this.#failed) this.#tellAll();
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

  #tellAll(): void {
    this.#failed = false;
    for (const bell of this.#bells) bell.ring('news');
  }
}

/** What one follower waits at. A ring is not lost when it comes while the follower reads. */
class Bell {
  #rung: 'news' | 'nudge' | undefined;
  #wake: (() => void) | undefined;

  ring(why: 'news' | 'nudge'): void {
    this.#rung = why;
    this.#wake?.();
  }

  silence(): void {
    this.#rung = undefined;
  }

  async rings(): Promise<'news' | 'nudge' | undefined> {
    if (this.#rung === undefined)
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    return this.#rung;
  }
}
