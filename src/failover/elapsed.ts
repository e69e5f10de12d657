/**
 * Elapsed time that does not stand still while the machine is suspended. Node's monotonic clock does (CLOCK_MONOTONIC), so
 * the kernel's uptime and the wall clock are asked as well, and whichever has moved on furthest counts: a lease may only
 * ever seem older than it is.
 */
import { readFileSync } from 'node:fs';

/** The clocks of the machine, ms each. */
export interface ElapsedSources {
  monotonic(): number;
  /** Counts suspended time; undefined where the system does not tell. */
  uptime(): number | undefined;
  wall(): number;
}

export const machineSources: ElapsedSources = {
  monotonic: () => performance.now(),
  uptime: () => {
    try {
      const [seconds = ''] = readFileSync('/proc/uptime', 'utf8').split(' ');
      return Number(seconds) * 1000;
    } catch {
      return undefined;
    }
  },
  wall: () => Date.now(),
};

/** A function that gives the ms since it was made, and never goes back. */
export function createElapsed(sources: ElapsedSources = machineSources): () => number {
  let last = { monotonic: sources.monotonic(), uptime: sources.uptime(), wall: sources.wall() };
  let elapsed = 0;
  return () => {
    const now = { monotonic: sources.monotonic(), uptime: sources.uptime(), wall: sources.wall() };
    const monotonic = now.monotonic - last.monotonic;
    // /proc/uptime counts hundredths, and the wall clock is set by others: only a leap is news, not the rounding.
    const leap = Math.max((now.uptime ?? 0) - (last.uptime ?? now.uptime ?? 0), now.wall - last.wall) - monotonic;
    elapsed += Math.max(0, monotonic) + (leap > leapMs ? leap : 0);
    last = now;
    return elapsed;
  };
}

/** A difference between two looks that no rounding and no slewing explains. */
const leapMs = 250;
