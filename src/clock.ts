/**
 * Time, passed in. Nothing below `app/` reads the machine's clock or sets a timer of its own, so that a test can hold
 * time still, move it, or let it jump.
 */
export interface Clock {
  /** Wall-clock time in milliseconds since the epoch: for what people read and what other systems compare. */
  now(): number;
  /** Milliseconds that only ever grow, from an arbitrary start: for measuring how long something took. */
  monotonic(): number;
  /** Resolves after `ms` milliseconds; rejects with the signal's reason when aborted first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/**
 * Why a wait is given up that somebody no longer waits for. An abort without a reason has the platform make an error with a
 * stack, which costs more than the wait and is read by nobody.
 */
export const noLongerWaited = Symbol('no longer waited for');

/** The machine's clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep: (ms, signal) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const timer = setTimeout(() => {
        signal?.removeEventListener('abort', onAbort);
        resolve();
      }, ms);
      const onAbort = () => {
        clearTimeout(timer);
        reject(signal?.reason);
      };
      signal?.addEventListener('abort', onAbort, { once: true });
    }),
};

/** A clock that moves only when told to; sleepers wake in the order of their due times. */
export class VirtualClock implements Clock {
  #now: number;
  readonly #start: number;
  #sleepers: { due: number; wake: () => void }[] = [];

  constructor(start: number = Date.UTC(2026, 0, 5, 12)) {
    this.#now = start;
    this.#start = start;
  }

  now(): number {
    return this.#now;
  }

  monotonic(): number {
    return this.#now - this.#start;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const onAbort = () => {
        this.#sleepers = this.#sleepers.filter((s) => s !== sleeper);
        reject(signal?.reason);
      };
      const wake = () => {
        signal?.removeEventListener('abort', onAbort);
        resolve();
      };
      const sleeper = { due: this.#now + ms, wake };
      this.#sleepers.push(sleeper);
      signal?.addEventListener('abort', onAbort, { once: true });
    });
  }

  /** Moves time forward by `ms`, waking every sleeper that falls due on the way. */
  async advance(ms: number): Promise<void> {
    const until = this.#now + ms;
    for (;;) {
      const next = this.#sleepers.filter((s) => s.due <= until).sort((a, b) => a.due - b.due)[0];
      if (!next) break;
      this.#sleepers = this.#sleepers.filter((s) => s !== next);
      this.#now = Math.max(this.#now, next.due);
      next.wake();
      // Let whoever woke run, and perhaps go back to sleep, before time moves on.
      await new Promise((resolve) => setImmediate(resolve));
    }
    this.#now = until;
  }

  /** Due time of the earliest sleeper in milliseconds since the epoch, or undefined when nobody sleeps. */
  nextDue(): number | undefined {
    return this.#sleepers.length === 0 ? undefined : Math.min(...this.#sleepers.map((s) => s.due));
  }
}
