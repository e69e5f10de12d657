/** Probes every target at its interval, a bounded number at a time, and remembers what was found. */
import type { Clock } from '../clock.ts';
import type { ProbeConfig, ProbeTarget } from './probe-config.ts';
import type { Finding } from './probes.ts';

export interface Result {
  target: ProbeTarget;
  finding: Finding;
  /** Seconds. */
  took: number;
  /** When it ended, ms since 1970. */
  at: number;
}

export interface ProberPorts {
  clock: Clock;
  probe(target: ProbeTarget, signal: AbortSignal): Promise<Finding>;
  /** Milliseconds of a duration of the configuration. */
  ms(duration: string): number;
  /** Told of each result. */
  onResult?(result: Result): void;
}

export interface Prober {
  /** The newest result of each target that has one and is not forgotten. */
  results(): readonly Result[];
  /** Probes each target once. */
  once(signal: AbortSignal): Promise<readonly Result[]>;
  /** Goes on until the signal ends it; resolves when no probe is under way any more. */
  run(signal: AbortSignal): Promise<void>;
}

/** A result counts for three intervals, as two late ones are no reason to know nothing. */
const intervalsKept = 3;

export function createProber(config: ProbeConfig, ports: ProberPorts): Prober {
  const { clock, ms } = ports;
  const found = new Map<ProbeTarget, Result>();
  const slots = slotsOf(config.concurrency);
  const intervalOf = (target: ProbeTarget) => ms(target.interval ?? config.interval);

  async function probeOnce(target: ProbeTarget, signal: AbortSignal): Promise<Result | undefined> {
    const release = await slots();
    try {
      if (signal.aborted) return undefined;
      const limit = AbortSignal.timeout(ms(target.timeout ?? config.timeout));
      const began = clock.monotonic();
      const finding = await ports.probe(target, AbortSignal.any([signal, limit]));
      // What was broken off says nothing about the target.
      if (signal.aborted) return undefined;
      const result = { target, finding, took: (clock.monotonic() - began) / 1000, at: clock.now() };
      found.set(target, result);
      ports.onResult?.(result);
      return result;
    } finally {
      release();
    }
  }

  async function keepProbing(target: ProbeTarget, offset: number, signal: AbortSignal): Promise<void> {
    try {
      await clock.sleep(offset, signal);
      for (;;) {
        const began = clock.monotonic();
        await probeOnce(target, signal);
        await clock.sleep(Math.max(0, intervalOf(target) - (clock.monotonic() - began)), signal);
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  return {
    results: () =>
      [...found.values()].filter(({ target, at }) => clock.now() - at <= intervalsKept * intervalOf(target)),
    once: async (signal) =>
      (await Promise.all(config.targets.map((target) => probeOnce(target, signal)))).flatMap((result) => result ?? []),
    run: async (signal) => {
      // Spread over the first interval, so that they do not all come at once for ever.
      const { targets } = config;
      await Promise.all(
        targets.map((target, at) => keepProbing(target, (intervalOf(target) * at) / targets.length, signal)),
      );
    },
  };
}

/** Waits in line for one of `count` slots; resolves with what gives it back. */
function slotsOf(count: number): () => Promise<() => void> {
  let free = count;
  const waiting: (() => void)[] = [];
  const release = () => {
    const next = waiting.shift();
    if (next) next();
    else free += 1;
  };
  return async () => {
    if (free > 0) free -= 1;
    else await new Promise<void>((resolve) => waiting.push(resolve));
    return release;
  };
}
