/**
 * A gate: open only under a lease's deadline. It is never stored anywhere, begins shut, and shuts by itself when nobody
 * extends it; who asks it after the deadline gets "shut", whatever has or has not run in between.
 */

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
  readonly #elapsed: () => number;
  #epoch = 0;
  #deadline = Number.NEGATIVE_INFINITY;
  #why = 'no lease has been seen since the start';

  /** `elapsed` counts ms and never stands still, not even while the machine is suspended. */
  constructor(group: string, elapsed: () => number) {
    this.group = group;
    this.#elapsed = elapsed;
  }

  /**
   * Opens, or stays open, until `deadline` (ms of `elapsed`). False, and nothing changes, for an epoch older than one seen.
   * That an epoch which was fenced never comes back is the protocol's to keep: a switchover that is taken back opens again.
   */
  extend(epoch: number, deadline: number): boolean {
    if (epoch < this.#epoch) return false;
    this.#deadline = deadline;
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
    const remainingMs = this.#deadline - this.#elapsed();
    if (remainingMs > 0)
      return { open: true, epoch: this.#epoch, remainingMs, sentence: `open under epoch ${this.#epoch}` };
    const passed = this.#deadline !== Number.NEGATIVE_INFINITY;
    const why = passed ? `the deadline of epoch ${this.#epoch} has passed` : this.#why;
    return { open: false, epoch: this.#epoch, remainingMs: 0, sentence: `shut: ${why}` };
  }
}
