/** What the three layers have in common: the right to act, and what is said afterwards. */
import { CatalystError } from '../../errors.ts';
import type { CallContext } from '../../integrations/contract.ts';
import type { Json } from '../lease.ts';

/**
 * The right to change the world for a group. Opening and promoting need a live one; closing and fencing never do, but
 * carry the epoch all the same, so that a late fence of an old epoch undoes nothing of a newer one.
 */
export interface Authority {
  group: string;
  /** Of this controller. */
  region: string;
  /** The lease's epoch; undefined at boot, before any lease was read: closing only. */
  epoch: number | undefined;
  /** Asked again right before each irreversible write. Throws RefusedByGuard once the epoch is dead. */
  demand(): void;
}

/** An authority to close: there is no moment at which a region may not fence itself. */
export function toClose(group: string, region: string, epoch: number | undefined): Authority {
  return { group, region, epoch, demand: () => {} };
}

/** The epoch as a number that an opening write may carry. Throws RefusedByGuard where there is none. */
export function liveEpoch(authority: Authority): number {
  authority.demand();
  if (authority.epoch !== undefined) return authority.epoch;
  throw new CatalystError('RefusedByGuard', `${authority.group}: nothing is opened without an epoch.`);
}

/** What one step did. */
export interface StepOutcome {
  /** Past tense, for the record. Never holds a secret. */
  sentence: string;
  /** What the other region needs to take over without loss (a demotion token, say). Never holds a secret. */
  handover?: Json;
}

/** How much would be missing if this region took over now. */
export interface LagReading {
  /** Seconds; undefined is unknown, which counts as infinite. */
  seconds: number | undefined;
  sentence: string;
}

export interface CheckResult {
  /** Stable name, the label of `failover_preflight_failed`. */
  check: string;
  /** `unknown` counts as failed: what cannot be looked at is not known to be right. */
  verdict: 'passed' | 'failed' | 'unknown';
  sentence: string;
  /** Told, and keeps nobody from acting: what a takeover of a lost region must not fail for. */
  advice?: true;
}

/** Traffic or mesh: something that is open in the active region and closed in the other. */
export interface TrafficLayer {
  name: string;
  /** Idempotent. Demands the authority before each write. */
  open(context: CallContext, authority: Authority): Promise<StepOutcome>;
  /** Idempotent, and tried for every object even when one fails. */
  close(context: CallContext, authority: Authority): Promise<StepOutcome>;
  checks(context: CallContext): Promise<CheckResult[]>;
}

/** A state-bearing component in this region. Every method is idempotent. */
export interface Component {
  name: string;
  adapter: string;
  /** Promotion order, lowest first. */
  order: number;
  /** Largest lag at which it may be taken over without somebody's word, seconds. */
  rpoSeconds: number;
  /** What a person has to do before it can be written here, and then confirm; undefined where the controller does it. */
  byHand?: string;
  /** Active: where its data stands, for the lease's payload; null where the component cannot tell. */
  position(context: CallContext): Promise<Json>;
  /** Standby: how far behind it is, given the newest position the active told. */
  lag(context: CallContext, activePosition: Json | undefined): Promise<LagReading>;
  /** Makes sure that nobody can write here. Used by the fence and at boot. */
  fence(context: CallContext, authority: Authority): Promise<StepOutcome>;
  /** Planned: stops writing here in such a way that the other region can go on without loss. */
  demote(context: CallContext, authority: Authority): Promise<StepOutcome>;
  /** Makes it writable here; with what `demote` handed over nothing is lost. */
  promote(context: CallContext, authority: Authority, handover: Json | undefined): Promise<StepOutcome>;
  /** Throws unless it can be written here now. */
  verify(context: CallContext): Promise<StepOutcome>;
  /** After an unplanned takeover: what the old active had that is not here, as far as can be told. */
  divergence(context: CallContext, lastPosition: Json | undefined): Promise<string>;
  checks(context: CallContext): Promise<CheckResult[]>;
  close?(): Promise<void>;
}

/**
 * Looks until `look` gives something, for as long as the step may take. Throws TimedOut with its last words when that is
 * over, or after `limitMs`.
 */
export async function waitFor<T>(
  context: CallContext,
  what: string,
  everyMs: number,
  look: () => Promise<T | string>,
  limitMs = Number.POSITIVE_INFINITY,
): Promise<Exclude<T, string>> {
  const { clock, signal } = context;
  const started = clock.monotonic();
  let words = 'it was not looked at.';
  try {
    for (;;) {
      const seen = await look();
      if (typeof seen !== 'string') return seen as Exclude<T, string>;
      words = seen;
      if (clock.monotonic() - started >= limitMs) break;
      await clock.sleep(everyMs, signal);
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
  const passed = Math.round((clock.monotonic() - started) / 1000);
  throw new CatalystError('TimedOut', `${what}: not within ${passed} s; ${words}`, { certain: false });
}
