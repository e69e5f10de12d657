/**
 * The machine's elapsed time for the protocol. Node reads CLOCK_MONOTONIC, which stands still while a machine sleeps; a
 * lease does not. Two questions are answered, each to the safe side:
 *
 * - How long was something waited for? What certainly passed: the monotonic clock, or the kernel's uptime where that says
 *   more (CLOCK_BOOTTIME counts sleep). The time of day is left out: somebody sets it ahead, and a standby that believed it
 *   would take a lease that is still alive.
 * - May a deadline have passed? What at most passed since it was set: jumps of the time of day count, too, as a virtual
 *   machine that was paused from outside shows nothing else. Believing one that was none costs a closed gate until the next
 *   renewal.
 */
import { readFileSync } from 'node:fs';

export interface MachineClocks {
  /** ms */
  monotonic(): number;
  /** ms since boot, sleep included; undefined where the system does not tell. */
  uptime(): number | undefined;
  /** Time of day, ms. */
  wall(): number;
}

const machineClocks: MachineClocks = {
  monotonic: () => performance.now(),
  uptime: () => {
    try {
      return parseUptime(readFileSync('/proc/uptime', 'utf8'));
    } catch {
      return undefined;
    }
  },
  wall: () => Date.now(),
};

/**
 * Gives the ms since it was made, and never goes back. With `since`, an earlier answer: the ms to hold against a deadline
 * that was set from then on.
 */
export type Elapsed = (since?: number) => number;

/**
 * /proc/uptime counts hundredths of a second: added up from one reading to the next its rounding would make time run fast.
 * So clocks are compared over the whole time since the start, and only a difference that no rounding explains is sleep.
 */
const roundingMs = 50;
/** A time daemon slews by tens of ms; the margins of the parameters (parameters.ts) are above a second. */
const jumpMs = 250;
/** More than any clock jumps within the half minute of a deadline; older ones matter to none. */
const keptJumps = 64;

export function createElapsed(clocks: MachineClocks = machineClocks): Elapsed {
  const start = { monotonic: clocks.monotonic(), uptime: clocks.uptime() };
  let slept = 0;
  /** Time of day less elapsed time, when last looked at. */
  let offset = clocks.wall();
  const jumps: { at: number; by: number }[] = [];
  return (since) => {
    const monotonic = clocks.monotonic() - start.monotonic;
    const uptime = clocks.uptime();
    const ahead = uptime === undefined || start.uptime === undefined ? 0 : uptime - start.uptime - monotonic;
    if (ahead - slept > roundingMs) slept = ahead;
    const now = monotonic + slept;
    const by = clocks.wall() - now - offset;
    if (by > jumpMs && jumps.push({ at: now, by }) > keptJumps) jumps.shift();
    // Set back it says nothing, and is compared with from there on.
    if (by > jumpMs || by < 0) offset += by;
    if (since === undefined) return now;
    return jumps.reduce((sum, jump) => (jump.at > since ? sum + jump.by : sum), now);
  };
}

/** The first field of /proc/uptime in milliseconds; undefined when the text is something else. */
export function parseUptime(text: string): number | undefined {
  const seconds = Number(text.split(' ', 1)[0]);
  return text.trim() === '' || !Number.isFinite(seconds) || seconds < 0 ? undefined : Math.round(seconds * 1000);
}
