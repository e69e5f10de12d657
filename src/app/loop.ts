import { type Clock, noLongerWaited } from '../clock.ts';

export interface LoopOptions {
  /** Names it in logs and metrics. */
  name: string;
  /** Wait between two rounds that found nothing to do, ms. */
  every: number;
  clock: Clock;
  /** One round. Returns true when there may be more to do at once. */
  round(): Promise<boolean>;
  onError(name: string, error: unknown): void;
}

export interface Loop {
  /** There may be something to do: do not wait. */
  wake(): void;
  /** Resolves when the round under way has ended. */
  stop(): Promise<void>;
}

/** Longest wait after rounds that failed, ms: an outage of the database ends within a few seconds of its return. */
const longestBackoff = 5_000;

/** Runs rounds one after the other until stopped; a round that fails is tried again, later and later. */
export function startLoop({ name, every, clock, round, onError }: LoopOptions): Loop {
  const stopping = new AbortController();
  let woken = false;
  let wakeUp = () => {};
  let failures = 0;

  async function run() {
    while (!stopping.signal.aborted) {
      woken = false;
      let more = false;
      try {
        more = await round();
        failures = 0;
      } catch (error) {
        failures += 1;
        onError(name, error);
      }
      if (failures > 0) await wait(Math.min(longestBackoff, 100 * 2 ** failures), false);
      else if (!more) await wait(every, true);
    }
  }

  async function wait(ms: number, wakeable: boolean) {
    if (stopping.signal.aborted || (wakeable && woken)) return;
    const done = new AbortController();
    const woke = new Promise<void>((resolve) => {
      wakeUp = () => {
        if (wakeable) resolve();
      };
    });
    const slept = clock.sleep(ms, AbortSignal.any([stopping.signal, done.signal])).catch(() => {});
    await Promise.race([woke, slept]);
    done.abort(noLongerWaited);
  }

  const running = run();
  return {
    wake: () => {
      woken = true;
      wakeUp();
    },
    stop: async () => {
      stopping.abort();
      await running;
    },
  };
}
