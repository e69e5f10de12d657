/**
 * The active side: renew, ask the peer for a promise when the witness is silent, tell the gates their deadline, and stop
 * in time.
 */
import { hardAt, leaseBase, majority, softAt, strictBase } from './deadline.ts';
import { fenceAll, fenceStateful } from './fence-decision.ts';
import type { Lease, LeasePayload } from './lease.ts';
import type { Hold, Layer, PeerMessage } from './protocol.ts';
import { freshId, seconds, type Turn } from './turn.ts';
import { type Applied, viewOf, writeLease } from './witness-decision.ts';

/** Requests to the peer whose answer still counts. */
const maxPromiseRequests = 8;

/** Everything an active region does about its lease in this step. */
export function keepActive(turn: Turn, takeable: (witness: string) => boolean): void {
  stopInTime(turn);
  const { hold } = turn.state;
  if (!hold) return;
  if (!hold.statefulFenced) {
    renew(turn, hold, takeable);
    askPromise(turn);
  }
  tellGates(turn);
}

function stopInTime(turn: Turn): void {
  const { at, state } = turn;
  const { hold, settings } = state;
  if (!hold) return;
  const newerEpoch = superseded(turn, hold);
  if (newerEpoch !== undefined) {
    fenceAll(
      turn,
      'Superseded',
      `The witness names another holder, with epoch ${newerEpoch}: fencing epoch ${hold.epoch}.`,
    );
    return;
  }
  const everything = at >= softAt(settings, hold, 'traffic');
  const late = `No acknowledged renewal and no promise for ${seconds(at - strictBase(settings, hold))}`;
  if (everything) {
    fenceAll(turn, 'Fencing', `${late}: fencing epoch ${hold.epoch}.`);
    return;
  }
  if (!hold.statefulFenced && at >= softAt(settings, hold, 'stateful'))
    fenceStateful(turn, `${late}: fencing what writes; traffic stays open while resolvers see this region.`);
}

/** The epoch of somebody else that a majority of witnesses shows above ours. */
function superseded({ state }: Turn, hold: Hold): number | undefined {
  const { witnesses, region } = state.settings;
  const higher: number[] = [];
  for (const witness of witnesses) {
    const view = state.witnesses[witness];
    const lease = view?.lease;
    if (!lease || lease.holder === region) continue;
    // Without a witnessed lease of our own, a peer that writes to the witness after we started is the rightful holder.
    const alive = hold.kind === 'unwitnessed' && (view.seenAt ?? 0) > hold.startedAt && lease.holder !== '';
    if (lease.epoch > hold.epoch || alive) higher.push(lease.epoch);
  }
  return higher.length >= majority(witnesses.length) ? Math.max(...higher) : undefined;
}

function renew(turn: Turn, hold: Hold, takeable: (witness: string) => boolean): void {
  const { at, state } = turn;
  if (at < hold.nextRenewAt) return;
  const { settings } = state;
  const payload = payloadOf(turn, { dataAt: settings.region, handover: null });
  for (const witness of settings.witnesses) {
    const { lease } = viewOf(turn, witness);
    const ours =
      lease === undefined ||
      lease.epoch < hold.epoch ||
      (lease.epoch === hold.epoch && lease.holder === settings.region);
    if (!ours || (hold.kind === 'unwitnessed' && !takeable(witness))) continue;
    const { epoch, acquiredBy } = hold;
    writeLease(turn, witness, 'renew', { holder: settings.region, epoch, acquiredBy, payload });
  }
  state.hold = { ...hold, nextRenewAt: at + settings.parameters.retryMs };
}

/** What goes into every write of the lease, for the successor. */
export function payloadOf({ at, state }: Turn, about: Pick<LeasePayload, 'dataAt' | 'handover'>): Lease['payload'] {
  const { dataAt, handover } = about;
  return {
    dataAt,
    positions: state.assessment?.positions ?? null,
    changedAgoMs: state.changedAt === undefined ? null : at - state.changedAt,
    takeoversAgoMs: state.takeovers.map((time) => at - time),
    handover: handover && { from: handover.from, to: handover.to, tokens: handover.tokens },
  };
}

/** An acknowledged write of the epoch we hold: it counts from when it was sent. */
export function acknowledge({ state }: Turn, applied: Applied): void {
  const { hold, settings } = state;
  if (!hold || hold.statefulFenced || applied.next.epoch !== hold.epoch || applied.purpose === 'release') return;
  const before = leaseBase(settings, hold);
  const acks = {
    ...hold.acks,
    [applied.witness]: Math.max(hold.acks[applied.witness] ?? applied.sentAt, applied.sentAt),
  };
  const base = leaseBase(settings, { acks });
  const witnessed = hold.kind === 'unwitnessed' && base > before ? 'takeover' : hold.kind;
  const nextRenewAt = base > before ? base + settings.parameters.renewMs : hold.nextRenewAt;
  const says = applied.purpose === 'renew' && !hold.declared.includes(applied.witness);
  const declared = says ? [...hold.declared, applied.witness] : hold.declared;
  state.hold = { ...hold, acks, nextRenewAt, kind: witnessed, declared };
}

/** Asks the peer as soon as a renewal was tried and not acknowledged in time. */
function askPromise(turn: Turn): void {
  const { at, state } = turn;
  const { hold, settings } = state;
  if (!hold || hold.kind === 'unwitnessed' || at < hold.nextPromiseAt || at < promiseDue(turn, hold)) return;
  const nonce = freshId(turn);
  turn.effects.push({
    type: 'send',
    message: { kind: 'promise-request', from: settings.region, epoch: hold.epoch, nonce },
  });
  const promiseRequests = [...hold.promiseRequests, { nonce, sentAt: at }].slice(-maxPromiseRequests);
  state.hold = { ...hold, promiseRequests, nextPromiseAt: at + settings.parameters.retryMs };
}

/** From when on a promise is wanted: one unanswered renewal after the last that counts. */
export function promiseDue({ state }: Turn, hold: Hold): number {
  const { renewMs, retryMs } = state.settings.parameters;
  return Math.max(leaseBase(state.settings, hold) + renewMs + retryMs, hold.promisedAt + renewMs);
}

/** The peer's promise counts from when it was asked for. One for less than our own limits rely on is none. */
export function absorbPromise({ state }: Turn, { nonce, forMs }: Extract<PeerMessage, { kind: 'promise' }>): void {
  const { hold, settings } = state;
  if (forMs < settings.parameters.promiseMs) return;
  const request = hold?.promiseRequests.find((asked) => asked.nonce === nonce);
  if (!hold || !request || hold.statefulFenced) return;
  state.hold = { ...hold, promisedAt: Math.max(hold.promisedAt, request.sentAt) };
}

/** Hands every open gate its new deadline. */
function tellGates(turn: Turn): void {
  const { hold, settings } = turn.state;
  if (!hold) return;
  for (const layer of ['stateful', 'mesh', 'traffic'] as const) {
    if (hold.told[layer] === undefined) continue;
    const deadline = hardAt(settings, hold, layer);
    if (deadline !== hold.told[layer]) openGate(turn, layer);
  }
}

/** Opens a gate, or moves its deadline. */
export function openGate(turn: Turn, layer: Layer): void {
  const { hold, settings } = turn.state;
  if (!hold) return;
  const deadline = hardAt(settings, hold, layer);
  turn.effects.push({ type: 'gate', layer, open: true, epoch: hold.epoch, deadline });
  turn.state.hold = { ...hold, told: { ...hold.told, [layer]: deadline } };
}
