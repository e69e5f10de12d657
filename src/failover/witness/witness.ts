/**
 * The witness: a register outside both regions that keeps one lease per failover group and writes it by compare-and-set.
 * Everything else in this folder is a store behind this interface; `conformance.ts` says what each must be able to do.
 */
import type { Lease, LeaseVersion } from '../lease.ts';

export interface WitnessRead {
  /** The register's content as of some moment between question and answer; undefined when it was never written. */
  lease: Lease | undefined;
  /** Whether `ttlMs` has passed since the last write, by the witness's own clock; undefined where the store cannot tell. */
  expired: boolean | undefined;
}

export type CasAnswer =
  | { result: 'applied' }
  /** The register holds another version. With one's own nonce in `current` it is one's own write, whose answer got lost. */
  | { result: 'conflict'; current: Lease | undefined };

export interface WitnessContext {
  /** Aborted when the caller's limit of time has run out: the call then rejects, its outcome unknown. */
  signal: AbortSignal;
}

export interface Witness {
  /** Its name in the configuration, for messages and metrics. */
  readonly name: string;
  /** Linearizable: sees every write that was answered before the question left. Rejects when the store cannot be reached. */
  read(group: string, context: WitnessContext): Promise<WitnessRead>;
  /**
   * Writes `next` only if the register has exactly the version `expect` (undefined: it was never written). Rejects when
   * the store cannot be reached, refuses, or when the outcome is unknown; an error is never turned into a `conflict`.
   */
  compareAndSet(
    group: string,
    expect: LeaseVersion | undefined,
    next: Lease,
    context: WitnessContext,
  ): Promise<CasAnswer>;
  close(): Promise<void>;
}
