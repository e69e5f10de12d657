/**
 * Elapsed time that a suspended machine cannot hold back. CLOCK_MONOTONIC, which Node reads, stands still while a machine
 * sleeps or a virtual machine is paused; a lease does not. So three clocks are read and the fastest counts: any of them
 * past a deadline means that it has passed. Time is only ever lost this way, never won.
 */
export interface ClockReading {
  /** CLOCK_MONOTONIC, in milliseconds. */
  monotonic: number;
  /** First field of /proc/uptime (CLOCK_BOOTTIME, which counts sleep), in milliseconds; undefined where there is none. */
  uptime: number | undefined;
  /** Time of day, in milliseconds. It may be set back: then it says nothing. */
  wall: number;
}

/** Elapsed milliseconds since the first reading: grows by the largest of the three differences, and never goes back. */
export class Elapsed {
  #before: ClockReading;
  #elapsed = 0;

  constructor(first: ClockReading) {
    this.#before = first;
  }

  /** Takes the next reading. */
  advance(reading: ClockReading): number {
    const { monotonic, uptime, wall } = this.#before;
    const byUptime = reading.uptime === undefined || uptime === undefined ? 0 : reading.uptime - uptime;
    this.#elapsed += Math.max(0, reading.monotonic - monotonic, byUptime, reading.wall - wall);
    this.#before = reading;
    return this.#elapsed;
  }
}

/** The first field of /proc/uptime in milliseconds; undefined when the text is something else. */
export function parseUptime(text: string): number | undefined {
  const seconds = Number(text.split(' ', 1)[0]);
  return text.trim() === '' || !Number.isFinite(seconds) || seconds < 0 ? undefined : Math.round(seconds * 1000);
}
