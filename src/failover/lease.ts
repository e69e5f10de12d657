/**
 * The lease: one linearizable register per failover group, kept by a witness outside both regions. Whoever it names may
 * be active, for as long as it lasts and not a moment longer.
 */
import type { Mode } from './protocol.ts';

/** What JSON can say. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** Who decided that a region holds the lease, and why. `actor` is a person, or the region itself when nobody was asked. */
export interface AcquiredBy {
  mode: Mode;
  actor: string;
  reason: string;
}

/** The register's content. Every write is a compare-and-set on the exact `(epoch, seq)` of the one before. */
export interface Lease {
  group: string;
  /** Name of the region that holds it; '' when it was released. */
  holder: string;
  /** Grows on every change of holder and on every new start of the same one; never used twice. The fencing token. */
  epoch: number;
  /** Grows by one on every write of this register. */
  seq: number;
  /** How long a write holds by the witness's own clock, in milliseconds. */
  ttlMs: number;
  /** Of this write alone, so that a holder whose answer got lost recognises its own write. */
  nonce: string;
  acquiredBy: AcquiredBy;
  /** What the holder tells its successor. Opaque to a witness. */
  payload: Json;
}

export type LeaseVersion = Pick<Lease, 'epoch' | 'seq'>;

/** True when both name the same write; two `undefined` are the same empty register. */
export function sameVersion(a: LeaseVersion | undefined, b: LeaseVersion | undefined): boolean {
  return a?.epoch === b?.epoch && a?.seq === b?.seq;
}
