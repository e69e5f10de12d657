/**
 * The failover controller of one region, for one group, as a function: `step(state, event)`. It has no clock and does no
 * I/O, so that the process in production and the simulator run the same lines. `docs/failover.md` has the argument.
 */
import { absorbApplied, seekLease } from './acquire-decision.ts';
import { keepActive, promiseDue } from './active-decision.ts';
import { absorbApproval, absorbRejection, absorbSwitchover, agreedSwitchover } from './consent-decision.ts';
import { leaseBase, majority, softAt, strictBase } from './deadline.ts';
import { absorbMessage, absorbVotes, answerPromise, probe, probeDue, tellFenced } from './evidence-decision.ts';
import { absorbFence, bootFence, driveFence, fenceAll } from './fence-decision.ts';
import {
  abortSwitchover,
  absorbPlanStep,
  absorbSwitchoverRecorded,
  drivePlan,
  driveRelease,
  startSwitchover,
} from './plan-decision.ts';
import type { Candidacy, EventOf, FailoverEvent, FailoverSettings, FailoverState, Reason, Step } from './protocol.ts';
import { isTakeable } from './standby-decision.ts';
import { never, page, seconds, type Turn } from './turn.ts';
import { absorbAnswer, poll, unseen } from './witness-decision.ts';

/** A controller that has not been started; its first event must be `start`. */
export function createState(settings: FailoverSettings): FailoverState {
  return {
    settings,
    incarnation: '',
    counter: 0,
    startedAt: 0,
    maxEpoch: 0,
    witnesses: Object.fromEntries(settings.witnesses.map((witness) => [witness, unseen])),
    hold: undefined,
    intent: undefined,
    fence: undefined,
    releasing: undefined,
    promise: undefined,
    promising: [],
    peerFencedEpoch: 0,
    probe: undefined,
    votedAt: never,
    nextProbeAt: never,
    peerDeadSince: undefined,
    peerAliveAt: never,
    assessment: undefined,
    proposal: undefined,
    changedAt: undefined,
    takeovers: [],
    backoffUntil: never,
    nextFencedAt: never,
    recordFailed: undefined,
    stopped: false,
    paged: undefined,
  };
}

/**
 * What to do about one event. `at` never goes back from one event to the next. Every returned effect is to be carried out
 * in order; their outcomes come back as events, and one that never comes back is only ever missed, not relied upon.
 */
export function step(before: FailoverState, event: FailoverEvent): Step {
  const turn: Turn = { at: event.at, state: { ...before }, effects: [] };
  absorb(turn, event);
  keepActive(turn, (witness) => isTakeable(turn, witness));
  const { state } = turn;
  const agreed = state.proposal?.kind === 'switchover' ? agreedSwitchover(turn) : undefined;
  if (agreed) {
    state.proposal = undefined;
    startSwitchover(turn, agreed.actor, agreed.reason);
  }
  drivePlan(turn);
  driveFence(turn);
  releaseOnStop(turn);
  driveRelease(turn);
  const waiting = seekLease(turn);
  if (!state.hold || state.hold.statefulFenced || state.hold.kind === 'unwitnessed') poll(turn);
  probe(turn);
  tellFenced(turn);
  return { state, effects: turn.effects, ...describe(turn, waiting), wakeAt: wakeAt(turn) };
}

function absorb(turn: Turn, event: FailoverEvent): void {
  const { state } = turn;
  switch (event.type) {
    case 'start':
      start(turn, event);
      return;
    case 'tick':
      return;
    case 'witness-read':
    case 'witness-applied':
    case 'witness-conflict':
    case 'witness-failed': {
      const applied = absorbAnswer(turn, event);
      if (applied) absorbApplied(turn, applied);
      return;
    }
    case 'peer':
      absorbMessage(turn, event.message);
      return;
    case 'votes':
      absorbVotes(turn, event);
      return;
    case 'assessment':
      state.assessment = event;
      return;
    case 'recorded':
      state.recordFailed = undefined;
      if (state.intent?.entry === event.entry) state.intent = { ...state.intent, recorded: true };
      answerPromise(turn, event.entry, true);
      {
        absorbSwitchoverRecorded(turn, event.entry);
        return;
      }
    case 'record-failed':
      absorbRecordFailure(turn, event);
      return;
    case 'component':
      absorbFence(turn, event);
      {
        absorbPlanStep(turn, event);
        return;
      }
    case 'switchover':
      absorbSwitchover(turn, event);
      return;
    case 'approve':
      absorbApproval(turn, event);
      return;
    case 'reject':
      absorbRejection(turn, event);
      return;
    case 'stop':
      state.stopped = true;
      if (state.hold) fenceAll(turn, 'Stopped', `The controller is stopping: ${event.reason}`);
      return;
  }
}

/** Without a record nothing is begun; what it was meant for is tried again after a while. */
function absorbRecordFailure(turn: Turn, { at, entry, sentence }: EventOf<'record-failed'>): void {
  const { state } = turn;
  state.recordFailed = sentence;
  page(turn, 'critical', `The record cannot be written: ${sentence}`);
  answerPromise(turn, entry, false);
  if (state.intent?.entry === entry) {
    state.intent = undefined;
    state.backoffUntil = at + state.settings.parameters.stepRetryMs;
  }
  const plan = state.hold?.plan;
  if (plan?.phase === 'demote' && plan.entry === entry) abortSwitchover(turn, 'It could not be put on record.');
}

function start(turn: Turn, { at, incarnation, epochFloor, promiseUntil }: EventOf<'start'>): void {
  const { state } = turn;
  state.incarnation = incarnation;
  state.startedAt = at;
  state.maxEpoch = epochFloor;
  // What an earlier life of this controller promised still binds. If what was written down is lost, it was given just now.
  const until = promiseUntil ?? at + state.settings.parameters.promiseMs;
  state.promise = { epoch: Number.POSITIVE_INFINITY, until };
  bootFence(turn, epochFloor);
}

/** A controller that stops cleanly gives the lease back, once everything is closed. */
function releaseOnStop({ at, state }: Turn): void {
  const { stopped, fence, releasing, settings, witnesses } = state;
  if (!stopped || !fence?.confirmed || releasing) return;
  const ours = settings.witnesses
    .map((witness) => witnesses[witness]?.lease)
    .filter((lease) => lease?.holder === settings.region && lease.epoch <= fence.epoch);
  const lease = ours[0];
  if (!lease || ours.length < majority(settings.witnesses.length)) return;
  const handover = { from: settings.region, to: null, tokens: {} };
  state.releasing = { epoch: lease.epoch, handover, acquiredBy: lease.acquiredBy, retryAt: at };
}

function describe(turn: Turn, waiting: Candidacy | undefined): { reason: Reason; sentence: string } {
  const { state } = turn;
  const { hold, fence, settings, intent } = state;
  if (hold && !hold.statefulFenced) return describeActive(turn);
  if (hold)
    return {
      reason: 'StatelessOnResolvers',
      sentence: `What writes is fenced; traffic and mesh stay open under epoch ${hold.epoch} while resolvers see ${settings.region}.`,
    };
  if (fence && !fence.confirmed && fence.reason !== 'BootFence')
    return {
      reason: fence.reason,
      sentence: `Epoch ${fence.epoch} is over here; waiting until fenced: ${Object.keys(fence.pending).join(', ')}.`,
    };
  if (intent) return { reason: 'Acquiring', sentence: `Taking epoch ${intent.epoch}: ${intent.acquiredBy.reason}` };
  if (waiting && 'wait' in waiting) return { reason: waiting.wait, sentence: waiting.sentence };
  return { reason: 'Fenced', sentence: 'Closed.' };
}

function describeActive({ at, state }: Turn): { reason: Reason; sentence: string } {
  const { hold, settings } = state;
  if (!hold) return { reason: 'Fenced', sentence: 'Closed.' };
  const { plan, epoch } = hold;
  const left = seconds(softAt(settings, hold, 'stateful') - at);
  if (plan.phase === 'demote')
    return { reason: 'SwitchingOver', sentence: `Closing epoch ${epoch} for ${settings.peer}.` };
  if (plan.phase !== 'active') {
    const name = settings.components[plan.component]?.name;
    const doing = name ? `${plan.phase} ${name}` : 'waiting for the register to say that the data is here';
    return plan.failures > 0
      ? {
          reason: 'ActivationStuck',
          sentence: `Epoch ${epoch}: ${doing} failed ${plan.failures} times; it is repeated.`,
        }
      : { reason: 'Activating', sentence: `Epoch ${epoch}: ${doing}.` };
  }
  const { softMs } = settings.parameters;
  if (at < leaseBase(settings, hold) + softMs)
    return { reason: 'ActiveOnLease', sentence: `Active under epoch ${epoch}; fencing in ${left} unless renewed.` };
  if (at < strictBase(settings, hold) + softMs)
    return {
      reason: 'ActiveOnPromise',
      sentence: `Active under epoch ${epoch} on the promise of ${settings.peer}, without the witness; fencing in ${left} unless repeated.`,
    };
  if (hold.kind === 'unwitnessed')
    return {
      reason: 'ActiveUnwitnessed',
      sentence: `Active under epoch ${epoch} without any witness. This is the unsafe fallback.`,
    };
  return {
    reason: 'ActiveOnResolvers',
    sentence: `Active under epoch ${epoch} while resolvers see ${settings.region}; fencing in ${left} otherwise.`,
  };
}

/** The earliest moment at which time alone changes something. */
function wakeAt(turn: Turn): number {
  const { at, state } = turn;
  const { settings, hold, fence, intent, releasing } = state;
  const { parameters } = settings;
  let next = at + parameters.renewMs;
  const consider = (time: number) => {
    if (time > at && time < next) next = time;
  };
  if (hold) {
    consider(softAt(settings, hold, 'traffic'));
    consider(softAt(settings, hold, 'stateful'));
    if (!hold.statefulFenced) {
      consider(hold.nextRenewAt);
      consider(Math.max(hold.nextPromiseAt, promiseDue(turn, hold)));
    }
    if (hold.plan.phase === 'promote' || hold.plan.phase === 'verify') consider(hold.plan.retryAt);
    if (hold.plan.phase === 'demote') consider(hold.plan.startedAt + parameters.switchoverMs);
    consider(strictBase(settings, hold) + parameters.renewMs + parameters.retryMs);
  }
  if (probeDue(turn)) consider(state.nextProbeAt);
  if (fence) {
    for (const { retryAt } of Object.values(fence.pending)) consider(retryAt);
    if (fence.confirmed) consider(state.nextFencedAt);
  }
  if (intent?.sentAt !== undefined) {
    consider(at + parameters.retryMs);
    consider(intent.sentAt + parameters.renewMs);
  }
  if (releasing) consider(releasing.retryAt);
  if (!hold || hold.statefulFenced || hold.kind === 'unwitnessed') {
    consider(state.backoffUntil);
    if (state.promise) consider(state.promise.until);
    for (const witness of settings.witnesses) {
      const view = state.witnesses[witness] ?? unseen;
      consider(view.nextReadAt);
      if (view.reading) consider(view.reading.sentAt + 2 * parameters.retryMs);
      if (view.seenAt !== undefined) {
        consider(view.seenAt + Math.max(parameters.waitMs, view.lease?.ttlMs ?? 0));
        consider(view.seenAt + parameters.renewMs);
      }
    }
  }
  return next;
}
