/** A simulated witness: one linearizable register with its own clock rate. */
import { type Lease, type LeaseVersion, sameVersion } from '../lease.ts';
import type { Agenda } from './agenda.ts';

/** How a witness may be broken on purpose. */
export type RegisterFault = 'ignores-version';

export class Register {
  readonly name: string;
  readonly #agenda: Agenda;
  readonly #rate: number;
  readonly #fault: RegisterFault | undefined;
  #lease: Lease | undefined;
  #writtenAt = 0;
  /** How many faults keep it down. */
  down = 0;
  /** Told about every write, at the moment it takes effect. */
  onWrite: (lease: Lease, before: Lease | undefined) => void = () => {};

  constructor(name: string, agenda: Agenda, rate: number, fault: RegisterFault | undefined) {
    this.name = name;
    this.#agenda = agenda;
    this.#rate = rate;
    this.#fault = fault;
  }

  read(): { lease: Lease | undefined; expired: boolean | undefined } {
    const age = (this.#agenda.now - this.#writtenAt) * this.#rate;
    return { lease: this.#lease, expired: this.#lease && age >= this.#lease.ttlMs };
  }

  compareAndSet(
    expect: LeaseVersion | undefined,
    next: Lease,
  ): { applied: true } | { applied: false; current: Lease | undefined } {
    const before = this.#lease;
    if (this.#fault !== 'ignores-version' && !sameVersion(expect, before)) return { applied: false, current: before };
    this.#lease = next;
    this.#writtenAt = this.#agenda.now;
    this.onWrite(next, before);
    return { applied: true };
  }
}
