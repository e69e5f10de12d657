/**
 * The words of the failover protocol: what a region's controller is told (events), what it asks for (effects), and the
 * closed list of reasons. `step` in `failover-decision.ts` maps the ones to the others; it has no clock and does no I/O.
 *
 * All times are milliseconds of the region's own elapsed time (`elapsed-clock.ts`). No time of day is ever compared between regions.
 */
import type { AcquiredBy, Handover, Json, Lease, LeaseVersion, Mode } from './lease.ts';
import type { Parameters } from './parameters.ts';

/** What resolvers may change while the witness cannot be reached; `docs/failover.md` has the measured risk of each. */
export type DnsFallback =
  /** Nothing: the active fences, the standby holds. */
  | 'hold'
  /** A resolver that sees the peer active forbids a takeover. */
  | 'veto'
  /** The active keeps traffic and mesh open while a majority of resolvers sees it; what writes is fenced. */
  | 'continue-stateless'
  /** The active keeps everything open while a majority of resolvers sees it. */
  | 'continue'
  /** The standby takes over without the witness when resolvers call the peer dead for long enough. Unsafe. */
  | 'promote';

/** Closed and opened in this order on demotion, and in the reverse order on promotion. */
export const layers = ['traffic', 'mesh', 'stateful'] as const;
export type Layer = (typeof layers)[number];

export interface ComponentSettings {
  name: string;
  /** More data than this may not be missing on the standby, in milliseconds of lag. */
  rpoMs: number;
}

/** What one region's controller is configured with, for one failover group. */
export interface FailoverSettings {
  group: string;
  region: string;
  /** The other region. A group has exactly two: a promise of the peer must be the promise of everyone else. */
  peer: string;
  /** One, or three for a majority. */
  witnesses: readonly string[];
  resolvers: readonly string[];
  parameters: Parameters;
  mode: Mode;
  dnsFallback: DnsFallback;
  /** Whether this region may take a lease nobody has ever held. Exactly one region of the group may. */
  initialHolder: boolean;
  /** Stateful components in the order of promotion. */
  components: readonly ComponentSettings[];
}

/** What a resolver said about a region: its signed answer, none, or that this resolver cannot be used at all (abstains). */
export type ResolverAnswer = { state: RegionState; epoch: number } | 'none' | 'unusable';

/** The state a region states about itself, in its probe zone and to its peer. */
export type RegionState = 'active' | 'fenced' | 'standby';

/** Messages between the two controllers. The transport has checked signature, sender, age and replay. */
export type PeerMessage =
  /** "I am active under this epoch and may not reach the witness: promise not to take over." */
  | { kind: 'promise-request'; from: string; epoch: number; nonce: string }
  /** "Until `forMs` after I received your request I send no acquisition." */
  | { kind: 'promise'; from: string; epoch: number; nonce: string; forMs: number }
  /** "I cannot promise"; `epoch` is the newest the sender has seen. */
  | { kind: 'promise-refused'; from: string; epoch: number; nonce: string }
  /** "Everything of mine is closed and fenced, and no epoch up to this one will ever be served here again." Proof of death. */
  | { kind: 'fenced'; from: string; epoch: number };

export type Verdict = 'ok' | 'over' | 'unknown';

/** What is to be done to a component. `fence` makes it refuse writes at once; `demote` is the orderly way and returns a token. */
export type ComponentAction = 'fence' | 'demote' | 'promote' | 'verify';

/** Consent of a person to an open proposal. */
export interface Approval {
  actor: string;
  reason: string;
  /** Takes over although the lag of a component is over its limit or unknown. */
  acceptLoss: boolean;
  /** Overrides failed pre-flight checks, anti-flap and the resolvers' veto; says how the person knows that the peer is down. Never shortens a lease. */
  force: string | undefined;
}

export type FailoverEvent = { at: number } & (
  | {
      type: 'start';
      /** Random, new for every start: makes nonces unique. */
      incarnation: string;
      /** The highest epoch this region has on record; 0 when none. */
      epochFloor: number;
      /** When the last promise given ends, as it was written down; undefined where that cannot be read: one is then assumed to have been given just now. */
      promiseUntil: number | undefined;
    }
  | { type: 'tick' }
  | { type: 'witness-read'; witness: string; request: string; lease: Lease | undefined; expired: boolean | undefined }
  | { type: 'witness-applied'; witness: string; request: string }
  | { type: 'witness-conflict'; witness: string; request: string; current: Lease | undefined }
  /** Unreachable, timed out or an error nobody knows: the outcome is unknown. */
  | { type: 'witness-failed'; witness: string; request: string }
  | { type: 'peer'; message: PeerMessage }
  /** One round of questions to all resolvers, about ourselves and about the peer. */
  | {
      type: 'votes';
      request: string;
      votes: readonly { resolver: string; self: ResolverAnswer; peer: ResolverAnswer }[];
    }
  /** Pre-flight checks and replication lag, measured continuously. `positions` go into the lease. */
  | {
      type: 'assessment';
      failedChecks: readonly string[];
      components: readonly { component: string; verdict: Verdict; lagMs: number | undefined }[];
      positions: Json;
    }
  | { type: 'recorded'; entry: string }
  | { type: 'record-failed'; entry: string; sentence: string }
  | {
      type: 'component';
      request: string;
      outcome: 'done' | 'failed';
      sentence: string;
      /** What `demote` returned, for the other side's `promote`. */
      token: Json;
    }
  /** A person asks the active region for a planned switchover. */
  | { type: 'switchover'; actor: string; reason: string }
  | ({ type: 'approve'; proposal: string } & Approval)
  | { type: 'reject'; proposal: string; actor: string; reason: string }
  /** The controller is about to stop: close everything and release the lease. */
  | { type: 'stop'; reason: string }
);

export type EventOf<T extends FailoverEvent['type']> = Extract<FailoverEvent, { type: T }>;

/** Kinds of entries of the controller's hash-chained record. */
export type RecordKind =
  | 'started'
  | 'proposed'
  | 'approved'
  | 'rejected'
  | 'intent'
  | 'acquired'
  | 'activated'
  | 'fencing'
  | 'fenced'
  | 'switchover'
  | 'switchover-aborted'
  | 'released';

export type FailoverEffect =
  | { type: 'read'; witness: string; request: string; timeoutMs: number }
  | { type: 'cas'; witness: string; request: string; expect: LeaseVersion | undefined; next: Lease; timeoutMs: number }
  | { type: 'send'; message: PeerMessage }
  /** Ask every resolver for a fresh nonce under both regions; answer with one `votes` event within `timeoutMs`. */
  | { type: 'probe'; request: string; timeoutMs: number }
  /** Write down until when a promise binds, for a later life of this controller; answered like `record`. */
  | { type: 'remember'; entry: string; until: number }
  /** Write an entry and answer `recorded` once it is on disk, or `record-failed`. */
  | { type: 'record'; entry: string; kind: RecordKind; epoch: number; sentence: string; facts: Json }
  /**
   * Open until `deadline`, or closed. Whoever serves refuses by itself from `deadline` on, even when nobody tells it: it
   * keeps its own copy and its own clock. On another machine `deadline - now` is handed over as a duration and counted
   * there from before the request for it was sent.
   */
  | { type: 'gate'; layer: Layer; open: true; epoch: number; deadline: number }
  | { type: 'gate'; layer: Layer; open: false; epoch: number }
  /** Nothing irreversible is done from `deadline` on (undefined: fencing is always allowed). */
  | {
      type: 'component';
      request: string;
      component: string;
      action: ComponentAction;
      epoch: number;
      deadline: number | undefined;
      token: Json;
    }
  /** Compare the two sides' data once they see each other: what was lost, measured from `positions` of the lost epoch. */
  | { type: 'divergence'; epoch: number; lostEpoch: number; positions: Json }
  | { type: 'page'; severity: 'critical' | 'warning'; sentence: string };

export type EffectOf<T extends FailoverEffect['type']> = Extract<FailoverEffect, { type: T }>;

/** Why the region is where it is; exactly one on every step, the same in log, metric label, API and console. */
export const reasons = [
  'BootFence',
  'FenceIncomplete',
  'ActiveOnLease',
  'ActiveOnPromise',
  'ActiveOnResolvers',
  'StatelessOnResolvers',
  'ActiveUnwitnessed',
  'Activating',
  'ActivationStuck',
  'SwitchingOver',
  'Releasing',
  'Fencing',
  'Fenced',
  'Superseded',
  'PeerActive',
  'WaitingForExpiry',
  'WaitingForRelease',
  'NeverHeld',
  'PromiseGiven',
  'ResolverVeto',
  'ResolversUndecided',
  'PreflightFailed',
  'RpoOver',
  'RpoUnknown',
  'Flapping',
  'WaitingForApproval',
  'BackingOff',
  'RecordFailed',
  'Acquiring',
  'WitnessUnreachable',
  'Stopped',
] as const;
export type Reason = (typeof reasons)[number];

/** What one witness is known to hold. */
export interface WitnessView {
  /** The lease last seen; undefined also when the register is empty. `seenAt` says whether anything was seen at all. */
  lease: Lease | undefined;
  /** When this very version was first seen, at receipt; undefined before the first answer. */
  seenAt: number | undefined;
  /** Whether the witness itself called this version expired; undefined where it cannot tell. */
  expired: boolean | undefined;
  /** When its last answer came in; -Infinity before the first. */
  answeredAt: number;
  /** The read under way, and when it was sent. */
  reading: { request: string; sentAt: number } | undefined;
  nextReadAt: number;
  /** Writes whose outcome is unknown, oldest first. */
  writes: readonly PendingWrite[];
}

export interface PendingWrite {
  request: string;
  sentAt: number;
  expect: LeaseVersion | undefined;
  next: Lease;
  purpose: 'acquire' | 'renew' | 'release';
}

/** A lease this region holds, or has held until it fenced itself. */
export interface Hold {
  epoch: number;
  acquiredBy: AcquiredBy;
  kind: Intent['kind'];
  startedAt: number;
  /** Per witness: when the newest acknowledged write was SENT. */
  acks: Readonly<Record<string, number>>;
  /** Witnesses that acknowledged a renewal of this epoch, which says that the data is here; nothing is promoted before a majority did. */
  declared: readonly string[];
  /** When the request was sent that the peer last answered with a promise. */
  promisedAt: number;
  /** When the newest round of questions was sent in which a majority of resolvers saw us active. */
  seenByResolversAt: number;
  nextRenewAt: number;
  nextPromiseAt: number;
  promiseRequests: readonly { nonce: string; sentAt: number }[];
  /** The deadline each open gate was last told; undefined where it is closed. */
  told: Readonly<Record<Layer, number | undefined>>;
  /** The data is lost for this epoch; stateless layers may live on while resolvers see us. */
  statefulFenced: boolean;
  plan: Plan;
  /** Lease of the region that lost it, after an unplanned takeover. */
  taken: { epoch: number; positions: Json } | undefined;
  tokens: Readonly<Record<string, Json>>;
}

/** Where the ordered plan of an active region stands. */
export type Plan =
  | { phase: 'promote' | 'verify'; component: number; request: string | undefined; retryAt: number; failures: number }
  | { phase: 'active' }
  /** A planned switchover; `component` counts down, and nothing happens before `entry` is recorded. */
  | {
      phase: 'demote';
      component: number;
      request: string | undefined;
      startedAt: number;
      entry: string;
      recorded: boolean;
    };

/** What is about to be acquired, and why. */
export interface Intent {
  kind: 'genesis' | 'resume' | 'handover' | 'takeover' | 'unwitnessed';
  epoch: number;
  entry: string;
  plannedAt: number;
  recorded: boolean;
  /** Set once the compare-and-sets left. */
  sentAt: number | undefined;
  /** Per witness that granted: when that write was sent. */
  applied: Readonly<Record<string, number>>;
  acquiredBy: AcquiredBy;
  /** The newest lease it was formed on. */
  last: Lease | undefined;
}

/** May it acquire, as what; or what it waits for. */
export type Candidacy =
  | { go: Intent['kind']; acquiredBy: Intent['acquiredBy']; last: Lease | undefined }
  | { wait: Reason; sentence: string };

/** Fencing under way or done: what remains closed until a new epoch. */
export interface Fence {
  /** No epoch up to this one is served here again. */
  epoch: number;
  /** Why. */
  reason: Reason;
  /** Components whose fence is not confirmed, with the request under way. */
  pending: Readonly<Record<string, { request: string; retryAt: number }>>;
  /** Every component confirmed, and put on record. */
  confirmed: boolean;
}

/** A lease being given back after everything was closed. */
export interface Releasing {
  epoch: number;
  handover: Handover;
  acquiredBy: AcquiredBy;
  retryAt: number;
}

/** A takeover or switchover that waits for people. */
export interface Proposal {
  id: string;
  kind: 'takeover' | 'switchover';
  /** The lease it was made for: a different one makes it void. */
  epoch: number;
  /** People it takes. */
  needed: number;
  expiresAt: number;
  /** What stands against it, for whoever is asked. */
  sentence: string;
  approvals: readonly (Approval & { at: number })[];
}

export interface FailoverState {
  settings: FailoverSettings;
  incarnation: string;
  counter: number;
  startedAt: number;
  /** The highest epoch ever seen or used. */
  maxEpoch: number;
  witnesses: Readonly<Record<string, WitnessView>>;
  hold: Hold | undefined;
  intent: Intent | undefined;
  fence: Fence | undefined;
  releasing: Releasing | undefined;
  /** Promise given to the peer, or about to be: it binds from before it is written down and said. */
  promise: { epoch: number; until: number } | undefined;
  /** Requests for a promise that are answered once `entry` is on disk. */
  promising: readonly { entry: string; epoch: number; nonce: string }[];
  /** The peer has signed that everything up to this epoch is fenced there. */
  peerFencedEpoch: number;
  probe: { request: string; sentAt: number } | undefined;
  /** When the last round of answers came in; -Infinity before the first. */
  votedAt: number;
  nextProbeAt: number;
  /** Since when, without a break, resolvers call the peer dead while they see us. */
  peerDeadSince: number | undefined;
  /** When a resolver last saw the peer active; -Infinity when never. */
  peerAliveAt: number;
  assessment: EventOf<'assessment'> | undefined;
  proposal: Proposal | undefined;
  /** Where the group last changed its active region, and the unplanned takeovers, on our own clock. */
  changedAt: number | undefined;
  takeovers: readonly number[];
  backoffUntil: number;
  nextFencedAt: number;
  /** Why the record could not be written, until it can. */
  recordFailed: string | undefined;
  stopped: boolean;
  /** What was said last, so that a page is sent once and not on every step. */
  paged: string | undefined;
}

export interface Step {
  state: FailoverState;
  effects: readonly FailoverEffect[];
  reason: Reason;
  /** One sentence for people. */
  sentence: string;
  /** Send a `tick` no later than this. */
  wakeAt: number;
}
