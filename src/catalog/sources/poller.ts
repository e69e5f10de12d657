/** Reads again and again: after a wait, or at once when asked. Rounds never overlap. */
import type { Clock } from '../../clock.ts';

export interface PollerOptions {
  clock: Clock;
  /**
   * One reading. Returns the wait until the next one in ms, or undefined to wait until asked. Must not throw; the signal
   * is aborted by `stop`.
   */
  round(signal: AbortSignal): Promise<number | undefined>;
}

export interface Poller {
  /** Begins; resolves after the first round, or when stopped before. */
  start(): Promise<void>;
  /** Resolves when a round that began after this call has ended, or when stopped. Starts nothing before `start`. */
  refresh(): Promise<void>;
  /** Resolves when no round runs any more. */
  stop(): Promise<void>;
}

export function createPoller({ clock, round }: PollerOptions): Poller {
  const stopping = new AbortController();
  /** Resolves those who asked for the next round. */
  let next = Promise.withResolvers<void>();
  let asked = false;
  let wake = () => {};
  let running: Promise<void> | undefined;

  async function run() {
    while (!stopping.signal.aborted) {
      const current = next;
      next = Promise.withResolvers();
      asked = false;
      const wait = await round(stopping.signal);
      current.resolve();
      if (!asked) await pause(wait);
    }
    next.resolve();
  }

  async function pause(ms: number | undefined) {
    const over = new AbortController();
    const signal = AbortSignal.any([stopping.signal, over.signal]);
    const woken = new Promise<void>((resolve) => {
      wake = resolve;
      signal.addEventListener('abort', () => resolve(), { once: true });
    });
    if (stopping.signal.aborted) return;
    const slept = ms === undefined ? woken : clock.sleep(ms, signal).catch(() => {});
    await Promise.race([woken, slept]);
    over.abort();
  }

  return {
    start() {
      const first = next.promise;
      running ??= run();
      return first;
    },
    async refresh() {
      if (running === undefined || stopping.signal.aborted) return;
      const { promise } = next;
      asked = true;
      wake();
      await promise;
    },
    async stop() {
      stopping.abort();
      await running;
    },
  };
}
