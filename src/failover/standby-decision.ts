/**
 * The side that is not active: may it take the lease, and if not, why not. Only what this region measured itself counts:
 * a lease that did not change for `T_wait` of its own clock, or proof that the peer has closed everything.
 */
import { consent, resolverObjections } from './consent-decision.ts';
import { majority, peerDeadMs } from './deadline.ts';
import { type Lease, readPayload } from './lease.ts';
import type { Candidacy, Intent, Reason } from './protocol.ts';
import { never, seconds, type Turn } from './turn.ts';
import { reachable, viewOf } from './witness-decision.ts';

const wait = (reason: Reason, sentence: string): Candidacy => ({ wait: reason, sentence });

/** Whether this region may acquire the lease at this moment. */
export function candidacy(turn: Turn): Candidacy {
  const { at, state } = turn;
  const { settings, fence, promise } = state;
  const { region, peer, witnesses } = settings;
  if (state.stopped) return wait('Stopped', 'The controller is stopping.');
  if (fence && !fence.confirmed) {
    const names = Object.keys(fence.pending).join(', ');
    return wait(
      fence.reason === 'BootFence' ? 'BootFence' : 'FenceIncomplete',
      `Waiting until these are fenced: ${names}.`,
    );
  }
  if (state.releasing) return wait('Releasing', `Giving back epoch ${state.releasing.epoch}.`);
  if (at < state.backoffUntil) {
    const next = `the next attempt is due in ${seconds(state.backoffUntil - at)}`;
    return state.recordFailed === undefined
      ? wait('BackingOff', `The last attempt failed; ${next}.`)
      : wait('RecordFailed', `The record cannot be written: ${state.recordFailed}; ${next}.`);
  }
  if (promise && at < promise.until && promise.epoch > state.peerFencedEpoch)
    return wait('PromiseGiven', `${peer} has this region's promise for another ${seconds(promise.until - at)}.`);
  if (reachable(turn) < majority(witnesses.length)) return withoutWitness(turn);

  const last = newestLease(turn);
  const takeable = witnesses.filter((witness) => isTakeable(turn, witness)).length;
  if (takeable < majority(witnesses.length)) return whoHolds(turn, last);
  if (!last && state.maxEpoch === 0)
    return settings.initialHolder
      ? { go: 'genesis', acquiredBy: byItself(turn, 'No region has ever held the lease.'), last }
      : wait('NeverHeld', `No region has ever held the lease; ${peer} is to take it first.`);
  // A peer that held since may still serve on the resolvers' evidence alone.
  const maybeServed = last !== undefined && last.holder !== region && !isProven(turn, last);
  const objection = maybeServed ? resolverObjections(turn)[0] : undefined;
  if (last && readPayload(last.payload).dataAt === region && objection)
    return wait(objection.reason, objection.sentence);
  if (last && readPayload(last.payload).dataAt === region)
    return {
      go: 'resume',
      acquiredBy: byItself(turn, `${region} was the last active region, and everything is fenced here.`),
      last,
    };
  const handover = last?.holder === '' ? readPayload(last.payload).handover : null;
  if (last && handover?.to === region) return { go: 'handover', acquiredBy: last.acquiredBy, last };
  return consent(turn, last, last === undefined || isProven(turn, last));
}

function byItself({ state }: Turn, reason: string): Intent['acquiredBy'] {
  return { mode: state.settings.mode, actor: state.settings.region, reason };
}

/** The newest lease any witness shows. */
export function newestLease(turn: Turn): Lease | undefined {
  let newest: Lease | undefined;
  for (const witness of turn.state.settings.witnesses) {
    const { lease } = viewOf(turn, witness);
    if (lease && (!newest || lease.epoch > newest.epoch || (lease.epoch === newest.epoch && saysMore(lease, newest))))
      newest = lease;
  }
  return newest;
}

/** Of two writes of one epoch: a release comes after everything else, and a renewal after the acquisition. */
function saysMore(lease: Lease, than: Lease): boolean {
  const rank = ({ holder, payload }: Lease) => (holder === '' ? 2 : readPayload(payload).dataAt === holder ? 1 : 0);
  return rank(lease) > rank(than);
}

/** The peer itself has said that everything under this lease is closed. */
function isProven({ state }: Turn, lease: Lease): boolean {
  return lease.epoch <= state.peerFencedEpoch;
}

/** Whether this witness's register may be overwritten by an acquisition now. */
export function isTakeable(turn: Turn, witness: string): boolean {
  const { at, state } = turn;
  const { region, peer, parameters } = state.settings;
  const { lease, seenAt, expired } = viewOf(turn, witness);
  if (seenAt === undefined) return false;
  // Its holder may have been given another TTL than this region: a change reaches one before the other.
  const still = at - seenAt >= Math.max(parameters.waitMs, lease?.ttlMs ?? 0);
  // An empty register may be one that forgot: its holder must have had the time to write again.
  if (!lease) return still;
  if (lease.holder === region) return true;
  if (lease.holder === '') {
    const { handover } = readPayload(lease.payload);
    return still || handover?.to == null || handover.to === region;
  }
  if (lease.holder === peer && lease.epoch <= state.peerFencedEpoch) return true;
  return still && expired !== false;
}

function whoHolds(turn: Turn, last: Lease | undefined): Candidacy {
  const { at, state } = turn;
  const { region, parameters, initialHolder, peer } = state.settings;
  const changedAt = Math.max(...state.settings.witnesses.map((witness) => viewOf(turn, witness).seenAt ?? never));
  if (!last)
    return initialHolder || state.maxEpoch > 0
      ? wait('WaitingForExpiry', `The register is empty; watching it for ${seconds(parameters.waitMs)} before writing.`)
      : wait('NeverHeld', `No region has ever held the lease; ${peer} is to take it first.`);
  if (last.holder === '')
    return wait('WaitingForRelease', `Epoch ${last.epoch} was released for ${readPayload(last.payload).handover?.to}.`);
  const still = at - changedAt;
  const late = parameters.renewMs + parameters.retryMs + parameters.pollMs;
  if (last.holder !== region && still <= late)
    return wait('PeerActive', `${last.holder} holds epoch ${last.epoch} and renews it.`);
  return wait(
    'WaitingForExpiry',
    `${last.holder} holds epoch ${last.epoch} and has not renewed it for ${seconds(still)} of the ${seconds(parameters.waitMs)} to wait.`,
  );
}

/** Without a witness nobody acquires; only the explicitly unsafe fallback does, after a long hold-down. */
function withoutWitness(turn: Turn): Candidacy {
  const { at, state } = turn;
  const { dnsFallback, parameters } = state.settings;
  if (dnsFallback !== 'promote' || state.maxEpoch === 0)
    return wait('WitnessUnreachable', 'No majority of witnesses answers: holding.');
  const dead = peerDeadMs(state, at);
  if (dead < parameters.dnsPromoteMs)
    return wait(
      'WitnessUnreachable',
      `No majority of witnesses answers; resolvers call the peer dead for ${seconds(dead)} of ${seconds(parameters.dnsPromoteMs)}.`,
    );
  const last = newestLease(turn);
  const agreed = consent(turn, last, false);
  return 'go' in agreed ? { ...agreed, go: 'unwitnessed' } : agreed;
}
