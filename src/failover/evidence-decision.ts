/**
 * What the peer and the resolvers say. The peer's words are signed; a resolver's answer is evidence, never a vote that
 * two regions could both win.
 */
import { absorbPromise } from './active-decision.ts';
import { longestGapMs, majority, strictBase } from './deadline.ts';
import type { EventOf, FailoverState, PeerMessage, RegionState, ResolverAnswer } from './protocol.ts';
import { freshId, never, type Turn } from './turn.ts';

/** What this region says of itself to its peer and in its probe zone. */
export function regionState(state: FailoverState): { state: RegionState; epoch: number } {
  const { hold, fence } = state;
  if (hold) return { state: 'active', epoch: hold.epoch };
  const epoch = fencedEpoch(state);
  return fence && epoch !== undefined ? { state: 'fenced', epoch } : { state: 'standby', epoch: state.maxEpoch };
}

/** Up to which epoch this region can prove to be closed; undefined while anything is open, unconfirmed or under way. */
export function fencedEpoch(state: FailoverState): number | undefined {
  const { fence, hold, intent, releasing, settings, witnesses } = state;
  if (!fence?.confirmed || hold || intent?.sentAt !== undefined || releasing) return undefined;
  let epoch = fence.epoch;
  for (const witness of settings.witnesses) {
    const lease = witnesses[witness]?.lease;
    if (lease?.holder === settings.region) epoch = Math.max(epoch, lease.epoch);
  }
  return epoch;
}

export function absorbMessage(turn: Turn, message: PeerMessage): void {
  const { state } = turn;
  if (message.from !== state.settings.peer) return;
  switch (message.kind) {
    case 'promise-request':
      preparePromise(turn, message);
      return;
    case 'promise':
      absorbPromise(turn, message);
      return;
    case 'promise-refused':
      return;
    case 'fenced':
      state.peerFencedEpoch = Math.max(state.peerFencedEpoch, message.epoch);
      return;
  }
}

/** Requests of the peer that wait for the disk; an older one has been repeated by then. */
const maxPromising = 8;

/**
 * Whether this region may promise to send no acquisition. Not while an attempt of its own is alive, as that could still make
 * it active. An attempt that was given up cannot: its epoch never comes back, and what is applied of it late is released.
 */
function mayPromise({ hold, intent, peerFencedEpoch }: FailoverState, epoch: number): boolean {
  return !hold && intent?.sentAt === undefined && epoch > peerFencedEpoch;
}

/** Binds this region first, then has it written down, and answers only after that. */
function preparePromise(turn: Turn, { epoch, nonce }: Extract<PeerMessage, { kind: 'promise-request' }>): void {
  const { at, state } = turn;
  if (!mayPromise(state, epoch)) {
    refusePromise(turn, nonce);
    return;
  }
  const { promise, settings } = state;
  state.intent = undefined;
  const until = Math.max(promise?.until ?? never, at + settings.parameters.promiseMs);
  state.promise = { epoch: Math.max(promise?.epoch ?? 0, epoch), until };
  const entry = freshId(turn);
  turn.effects.push({ type: 'remember', entry, until });
  state.promising = [...state.promising, { entry, epoch, nonce }].slice(-maxPromising);
}

/** The promise is on disk, or could not be put there. */
export function answerPromise(turn: Turn, entry: string, remembered: boolean): void {
  const { state } = turn;
  const asked = state.promising.find((one) => one.entry === entry);
  if (!asked) return;
  state.promising = state.promising.filter((one) => one !== asked);
  const { epoch, nonce } = asked;
  if (!remembered || !mayPromise(state, epoch)) {
    refusePromise(turn, nonce);
    return;
  }
  const { region: from, parameters } = state.settings;
  turn.effects.push({ type: 'send', message: { kind: 'promise', from, epoch, nonce, forMs: parameters.promiseMs } });
}

function refusePromise({ state, effects }: Turn, nonce: string): void {
  const from = state.settings.region;
  effects.push({ type: 'send', message: { kind: 'promise-refused', from, epoch: state.maxEpoch, nonce } });
}

/** Repeats the proof that everything is closed here, for as long as the witness still names us. */
export function tellFenced(turn: Turn): void {
  const { at, state } = turn;
  if (!state.fence?.confirmed || at < state.nextFencedAt) return;
  const { settings, witnesses } = state;
  state.nextFencedAt = at + settings.parameters.pollMs;
  const epoch = fencedEpoch(state);
  const named = settings.witnesses.some((witness) => witnesses[witness]?.lease?.holder === settings.region);
  if (epoch === undefined || epoch === 0 || !named) return;
  turn.effects.push({ type: 'send', message: { kind: 'fenced', from: settings.region, epoch } });
}

/** Whether resolvers matter now: the lease is late on the side that holds it, or on the side that watches. */
export function probeDue({ at, state }: Turn): boolean {
  const { dnsFallback, resolvers, parameters } = state.settings;
  if (dnsFallback === 'hold' || resolvers.length === 0) return false;
  const { hold } = state;
  if (hold) {
    const late = at - strictBase(state.settings, hold) >= parameters.renewMs + parameters.retryMs;
    return hold.statefulFenced || hold.kind === 'unwitnessed' || late;
  }
  let changedAt = never;
  for (const witness of state.settings.witnesses)
    changedAt = Math.max(changedAt, state.witnesses[witness]?.seenAt ?? never);
  return changedAt !== never && at - changedAt >= parameters.renewMs;
}

/** A round ends before the next begins, also where not every resolver answers, and the clocks of limits and rounds differ. */
const shareOfRound = 3 / 4;

export function probe(turn: Turn): void {
  const { at, state } = turn;
  if (at < state.nextProbeAt || !probeDue(turn)) return;
  const { dnsSampleMs, retryMs } = state.settings.parameters;
  // A round that nothing came of: what was true without a break until then is not known to be so any more.
  if (state.probe) state.peerDeadSince = undefined;
  const request = freshId(turn);
  state.probe = { request, sentAt: at };
  state.nextProbeAt = at + dnsSampleMs;
  turn.effects.push({ type: 'probe', request, timeoutMs: Math.min(retryMs, dnsSampleMs * shareOfRound) });
}

export function absorbVotes(turn: Turn, { request, votes }: EventOf<'votes'>): void {
  const { at, state } = turn;
  if (state.probe?.request !== request) return;
  const { sentAt } = state.probe;
  const { resolvers } = state.settings;
  const known = votes.filter(({ resolver }) => resolvers.includes(resolver));
  const most = majority(resolvers.length);
  // A gap in the answers breaks what was to hold "without a break".
  const gap = at - state.votedAt > longestGapMs(state.settings);
  state.votedAt = at;
  state.probe = undefined;

  const { hold } = state;
  const seesUs = known.filter(({ self }) => isActive(self) && self.epoch === hold?.epoch).length;
  if (hold && seesUs >= most) state.hold = { ...hold, seenByResolversAt: Math.max(hold.seenByResolversAt, sentAt) };

  for (const { peer } of known)
    if (isAnswer(peer) && peer.state === 'fenced') state.peerFencedEpoch = Math.max(state.peerFencedEpoch, peer.epoch);
  const alive = known.filter(({ peer }) => isActive(peer) && peer.epoch > state.peerFencedEpoch).length;
  const dead = known.filter(({ peer }) => peer === 'none' || (isAnswer(peer) && peer.state !== 'active')).length;
  const usable = known.filter(({ self }) => isAnswer(self)).length;
  if (alive > 0) state.peerAliveAt = at;
  const isDead = alive === 0 && dead >= most && usable >= most;
  state.peerDeadSince = isDead ? ((gap ? undefined : state.peerDeadSince) ?? at) : undefined;
}

function isAnswer(answer: ResolverAnswer): answer is Exclude<ResolverAnswer, string> {
  return typeof answer === 'object';
}

function isActive(answer: ResolverAnswer): answer is Exclude<ResolverAnswer, string> {
  return isAnswer(answer) && answer.state === 'active';
}
