/** The words of the failover protocol that its transports share. */

/** Who may decide on a takeover. The active side fences itself in every mode. */
export type Mode = 'Automatic' | 'SemiAutomatic' | 'Manual';

/** What a resolver said about a region: its signed answer, none, or that this resolver cannot be used at all (abstains). */
export type ResolverAnswer = { state: RegionState; epoch: number } | 'none' | 'unusable';

/** The state a region states about itself, in its probe zone and to its peer. */
export type RegionState = 'active' | 'fenced' | 'standby';

/** Messages between the two controllers. The transport has checked signature, sender, age and replay. */
export type PeerMessage =
  /** "I am active under this epoch and may not reach the witness: promise not to take over." */
  | { kind: 'promise-request'; from: string; epoch: number; nonce: string }
  /** "Until `forMs` after I received your request I send no acquisition." */
  | { kind: 'promise'; from: string; epoch: number; nonce: string }
  /** "I cannot promise"; `epoch` is the newest the sender has seen. */
  | { kind: 'promise-refused'; from: string; epoch: number; nonce: string }
  /** "Everything of mine is closed and fenced, and no epoch up to this one will ever be served here again." Proof of death. */
  | { kind: 'fenced'; from: string; epoch: number };
