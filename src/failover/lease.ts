/**
 * The lease: one linearizable register per failover group, kept by a witness outside both regions. Whoever it names may
 * be active, for as long as it lasts and not a moment longer.
 */

/** What JSON can say. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** Who may decide on a takeover. The active side fences itself in every mode. */
export type Mode = 'Automatic' | 'SemiAutomatic' | 'Manual';

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
  /** What the holder tells its successor; see {@link LeasePayload}. Opaque to a witness. */
  payload: Json;
}

export type LeaseVersion = Pick<Lease, 'epoch' | 'seq'>;

/** The payload the protocol writes. Ages, not times of day: the regions share no clock. */
export interface LeasePayload {
  /** The region whose data counts: it was the last that could have opened its gates. Null before there was one. */
  dataAt: string | null;
  /** Replication positions of the holder at the last renewal, by component. What is missing after a crash is measured from here. */
  positions: Json;
  /** How long ago the group last changed its active region, in milliseconds; null when it never has. */
  changedAgoMs: number | null;
  /** How long ago each unplanned takeover of the last day happened, in milliseconds. */
  takeoversAgoMs: readonly number[];
  /** How a released lease passes on: who released it, for whom, and the tokens its components gave. */
  handover: Handover | null;
}

/** How a released lease passes on. */
export interface Handover {
  /** The region that released it, with everything closed. */
  from: string;
  /** The region it is meant for, null when for whoever comes. */
  to: string | null;
  /** What `demote` of each component returned, e.g. CloudNativePG's demotion token. */
  tokens: { readonly [component: string]: Json };
}

const nothing: LeasePayload = { dataAt: null, positions: null, changedAgoMs: null, takeoversAgoMs: [], handover: null };

/** Reads a payload that anyone may have written: what is missing or of the wrong shape counts as not said. */
export function readPayload(payload: Json | undefined): LeasePayload {
  if (!isObject(payload)) return nothing;
  const { dataAt, positions, changedAgoMs, takeoversAgoMs, handover } = payload;
  return {
    dataAt: typeof dataAt === 'string' ? dataAt : null,
    positions: positions ?? null,
    changedAgoMs: typeof changedAgoMs === 'number' ? changedAgoMs : null,
    takeoversAgoMs: Array.isArray(takeoversAgoMs) ? takeoversAgoMs.filter((age) => typeof age === 'number') : [],
    handover: readHandover(handover),
  };
}

function readHandover(handover: Json | undefined): Handover | null {
  if (!isObject(handover) || typeof handover.from !== 'string') return null;
  const { from, to, tokens } = handover;
  return { from, to: typeof to === 'string' ? to : null, tokens: isObject(tokens) ? tokens : {} };
}

function isObject(value: Json | undefined): value is { readonly [key: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** True when both name the same write; two `undefined` are the same empty register. */
export function sameVersion(a: LeaseVersion | undefined, b: LeaseVersion | undefined): boolean {
  return a?.epoch === b?.epoch && a?.seq === b?.seq;
}
