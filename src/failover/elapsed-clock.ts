/**
 * The machine's elapsed time for the protocol: Node's monotonic clock, and what the kernel's uptime says was slept through
 * (CLOCK_MONOTONIC stands still during a suspend, CLOCK_BOOTTIME does not). Both are real time, so it runs neither slow,
 * which would keep an active region open too long, nor fast, which would let a standby take over too early. The time of
 * day is left out for the second reason: somebody sets it.
 */
import { readFileSync } from 'node:fs';
import { parseUptime } from './elapsed.ts';

export interface MachineClocks {
  /** ms */
  monotonic(): number;
  /** ms since boot, sleep included; undefined where the system does not tell. */
  uptime(): number | undefined;
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
};

/**
 * /proc/uptime counts hundredths of a second: added up from one reading to the next its rounding would make time run fast.
 * So both clocks are compared over the whole time since the start, and only a difference that no rounding explains is sleep.
 */
const roundingMs = 50;

/** A function that gives the ms since it was made, and never goes back. */
export function createElapsed(clocks: MachineClocks = machineClocks): () => number {
  const start = { monotonic: clocks.monotonic(), uptime: clocks.uptime() };
  let slept = 0;
  return () => {
    const monotonic = clocks.monotonic() - start.monotonic;
    const uptime = clocks.uptime();
    const ahead = uptime === undefined || start.uptime === undefined ? 0 : uptime - start.uptime - monotonic;
    if (ahead - slept > roundingMs) slept = ahead;
    return monotonic + slept;
  };
}
