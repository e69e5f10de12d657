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
  /** The newest epoch that was shut for good: fencing is one-way. */
  #shutEpoch = 0;
  #why = 'no lease has been seen since the start';

  /** `elapsed` counts ms and never stands still, not even while the machine is suspended. */
  constructor(group: string, elapsed: () => number) {
    this.group = group;
    this.#elapsed = elapsed;
  }

  /**
   * Opens, or stays open, until `deadline` (ms of `elapsed`). False, and nothing changes, for an epoch that is over: older
   * than one seen, or shut for good. A deadline never moves back within an epoch: an answer that came late says less.
   */
  extend(epoch: number, deadline: number): boolean {
    if (epoch < this.#epoch || epoch <= this.#shutEpoch) return false;
    this.#deadline = epoch === this.#epoch ? Math.max(this.#deadline, deadline) : deadline;
    this.#epoch = epoch;
    return true;
  }

  /** Shuts at once, and for this epoch and all before it for good. */
  shut(epoch: number, why: string): void {
    if (epoch < this.#epoch) return;
    this.#shutEpoch = Math.max(this.#shutEpoch, epoch);
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
