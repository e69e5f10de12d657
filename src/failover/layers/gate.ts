/**
 * A gate: open only under a lease's deadline. It is never stored anywhere, begins shut, and shuts by itself when nobody
 * extends it; who asks it after the deadline gets "shut", whatever has or has not run in between.
 */

import type { Elapsed } from '../elapsed-clock.ts';

export interface GateReading {
  open: boolean;
  /** Newest epoch it was opened or shut under; 0 before any. */
  epoch: number;
  /** Until it shuts by itself, ms; 0 when shut. */
  remainingMs: number;
  sentence: string;
}

export class Gate {
  readonly group: string;
  readonly #elapsed: Elapsed;
  #epoch = 0;
  #deadline = Number.NEGATIVE_INFINITY;
  #since = 0;
  #why = 'no lease has been seen since the start';

  constructor(group: string, elapsed: Elapsed) {
    this.group = group;
    this.#elapsed = elapsed;
  }

  /**
   * Opens, or stays open, until `deadline` (ms of `elapsed`), which counts from `since`, the send of what was answered.
   * False, and nothing changes, for an epoch older than one seen.
   * That an epoch which was fenced never comes back is the protocol's to keep: a switchover that is taken back opens again.
   */
  extend(epoch: number, deadline: number, since: number): boolean {
    if (epoch < this.#epoch) return false;
    this.#deadline = deadline;
    this.#since = since;
    this.#epoch = epoch;
    return true;
  }

  /** Shuts at once. A late word about an older epoch changes nothing. */
  shut(epoch: number, why: string): void {
    if (epoch < this.#epoch) return;
    this.#epoch = epoch;
    this.#deadline = Number.NEGATIVE_INFINITY;
    this.#why = why;
  }

  read(): GateReading {
    const remainingMs = this.#deadline - this.#elapsed(this.#since);
    if (remainingMs > 0)
      return { open: true, epoch: this.#epoch, remainingMs, sentence: `open under epoch ${this.#epoch}` };
    const passed = this.#deadline !== Number.NEGATIVE_INFINITY;
    const why = passed ? `the deadline of epoch ${this.#epoch} has passed` : this.#why;
    return { open: false, epoch: this.#epoch, remainingMs: 0, sentence: `shut: ${why}` };
  }
}
