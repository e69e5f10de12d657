/** For tests: moves a virtual clock until something holds, letting sockets do their work in between. */
import type { VirtualClock } from '../src/clock.ts';

export interface AdvanceOptions {
  /** How much virtual time may pass before it counts as failed. */
  limitMs?: number;
  stepMs?: number;
}

/** Virtual time stands still while a socket is busy; this many turns of the event loop let it catch up. */
const TURNS = 5;

/** Advances step by step until the condition holds; throws when it never does. Returns the virtual milliseconds taken. */
export async function advanceUntil(
  clock: VirtualClock,
  what: string,
  condition: () => boolean | Promise<boolean>,
  { limitMs = 60_000, stepMs = 100 }: AdvanceOptions = {},
): Promise<number> {
  const start = clock.now();
  while (!(await condition())) {
    if (clock.now() - start >= limitMs) throw new Error(`${what}: not so after ${limitMs} ms of virtual time`);
    await clock.advance(stepMs);
    for (let turn = 0; turn < TURNS; turn++) await new Promise((resolve) => setImmediate(resolve));
  }
  return clock.now() - start;
}
