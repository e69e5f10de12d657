/**
 * Taking the lease: intent on record first, then one compare-and-set per witness on exactly what was observed. A majority
 * makes the region active under a new epoch; anything else is given up for good, and what was granted is released.
 */
import { acknowledge, payloadOf } from './active-decision.ts';
import { majority } from './deadline.ts';
import { readPayload } from './lease.ts';
import { firstStep } from './plan-decision.ts';
import type { Candidacy, Intent } from './protocol.ts';
import { candidacy, isTakeable } from './standby-decision.ts';
import { never, record, type Turn } from './turn.ts';
import { type Applied, viewOf, writeLease } from './witness-decision.ts';

/** After a lost race each region waits a different time, or they would collide again. */
const backoffStep = 500;
const backoffSteps = 8;

/** Forms, carries out or gives up the intent to acquire. */
export function seekLease(turn: Turn): Candidacy | undefined {
  const { at, state } = turn;
  if (state.hold && !state.hold.statefulFenced) return undefined;
  const { intent } = state;
  if (intent?.sentAt !== undefined) {
    continueAttempt(turn, intent, intent.sentAt);
    return undefined;
  }
  const may = candidacy(turn);
  if ('wait' in may) {
    state.intent = undefined;
    return may;
  }
  const unanswered = intent && !intent.recorded && at - intent.plannedAt >= state.settings.parameters.stepRetryMs;
  if (!intent || unanswered || intent.kind !== may.go || intent.epoch !== state.maxEpoch + 1) plan(turn, may);
  else if (intent.recorded) send(turn, { ...intent, sentAt: at });
  return undefined;
}

function plan(turn: Turn, { go: kind, acquiredBy, last }: Extract<Candidacy, { go: unknown }>): void {
  const { state } = turn;
  const epoch = state.maxEpoch + 1;
  const sentence = `${state.settings.region} is about to take epoch ${epoch} (${kind}): ${acquiredBy.reason}`;
  const entry = record(turn, 'intent', epoch, sentence, { kind, ...acquiredBy, ...gateValues(turn) });
  state.intent = {
    kind,
    epoch,
    entry,
    plannedAt: turn.at,
    recorded: false,
    sentAt: undefined,
    applied: {},
    acquiredBy,
    last,
  };
}

/** What the gates showed when it was decided. */
function gateValues({ state }: Turn) {
  const components = (state.assessment?.components ?? []).map((one) => ({ ...one, lagMs: one.lagMs ?? null }));
  return { failedChecks: state.assessment?.failedChecks ?? null, components };
}

function send(turn: Turn, intent: Intent): void {
  const { state } = turn;
  state.intent = intent;
  state.maxEpoch = Math.max(state.maxEpoch, intent.epoch);
  if (intent.kind === 'unwitnessed') {
    grant(turn, intent);
    return;
  }
  for (const witness of state.settings.witnesses) if (isTakeable(turn, witness)) tryAt(turn, intent, witness);
}

function tryAt(turn: Turn, intent: Intent, witness: string): void {
  const { settings } = turn.state;
  const { epoch, acquiredBy } = intent;
  // Until the majority is known, the data is where it was, and a handover is still meant for whom it was meant.
  const before = readPayload(intent.last?.payload);
  const dataAt = intent.last ? before.dataAt : settings.region;
  const payload = payloadOf(turn, { dataAt, handover: intent.last?.holder === '' ? before.handover : null });
  writeLease(turn, witness, 'acquire', { holder: settings.region, epoch, acquiredBy, payload });
}

/** Repeats what was not answered; gives up when the majority is out of reach, or when it takes too long. */
function continueAttempt(turn: Turn, intent: Intent, sentAt: number): void {
  const { at, state } = turn;
  const { witnesses, parameters, region } = state.settings;
  let possible = 0;
  for (const witness of witnesses) {
    if (intent.applied[witness] !== undefined) possible += 1;
    else if (isTakeable(turn, witness) && !foreign(turn, intent, witness)) {
      possible += 1;
      const tries = viewOf(turn, witness).writes.filter(({ next }) => next.epoch === intent.epoch);
      const newest = tries[tries.length - 1];
      if (!newest || at - newest.sentAt >= parameters.retryMs) tryAt(turn, intent, witness);
    }
  }
  if (possible >= majority(witnesses.length) && at - sentAt < parameters.renewMs) return;
  state.intent = undefined;
  state.backoffUntil = at + backoff(region, intent.epoch);
  for (const witness of Object.keys(intent.applied)) giveBack(turn, witness, intent.epoch);
}

/** The register moved on to an epoch this attempt cannot overwrite. */
function foreign(turn: Turn, intent: Intent, witness: string): boolean {
  return (viewOf(turn, witness).lease?.epoch ?? 0) >= intent.epoch;
}

function backoff(region: string, epoch: number): number {
  let hash = epoch;
  for (const letter of region) hash = (hash * 31 + letter.charCodeAt(0)) % 65_521;
  return backoffStep * (1 + (hash % backoffSteps));
}

/** Releases what an attempt got that did not make it: nothing is open under its epoch, and nothing ever will be. */
function giveBack(turn: Turn, witness: string, epoch: number): void {
  const { lease } = viewOf(turn, witness);
  const { region } = turn.state.settings;
  if (lease?.holder !== region || lease.epoch !== epoch) return;
  const { dataAt, handover } = readPayload(lease.payload);
  const payload = payloadOf(turn, { dataAt, handover: handover ?? { from: region, to: null, tokens: {} } });
  writeLease(turn, witness, 'release', { holder: '', epoch, acquiredBy: lease.acquiredBy, payload });
}

/** A write of ours was applied: an acquisition, a renewal, or one that comes too late. */
export function absorbApplied(turn: Turn, applied: Applied): void {
  const { state } = turn;
  const { intent, hold } = state;
  if (hold?.epoch === applied.next.epoch) {
    acknowledge(turn, applied);
    return;
  }
  if (applied.purpose !== 'acquire') return;
  if (intent?.epoch !== applied.next.epoch) {
    giveBack(turn, applied.witness, applied.next.epoch);
    return;
  }
  const sent = Math.max(intent.applied[applied.witness] ?? never, applied.sentAt);
  const grown = { ...intent, applied: { ...intent.applied, [applied.witness]: sent } };
  state.intent = grown;
  if (Object.keys(grown.applied).length >= majority(state.settings.witnesses.length)) grant(turn, grown);
}

function grant(turn: Turn, intent: Intent): void {
  const { at, state } = turn;
  const { settings } = state;
  const { kind, epoch, acquiredBy, applied, last } = intent;
  const unplanned = kind === 'takeover' || kind === 'unwitnessed';
  if (unplanned) state.takeovers = [...state.takeovers, at].slice(-settings.parameters.maxTakeovers - 1);
  if (unplanned || kind === 'handover') state.changedAt = at;
  const before = readPayload(last?.payload);
  state.hold = {
    epoch,
    acquiredBy,
    kind,
    startedAt: at,
    acks: applied,
    declared: [],
    promisedAt: never,
    seenByResolversAt: kind === 'unwitnessed' ? at : (state.hold?.seenByResolversAt ?? never),
    // At once: the register is to say that the data is here now.
    nextRenewAt: at,
    nextPromiseAt: never,
    promiseRequests: [],
    // What resolvers kept open stays open, under the new epoch.
    told: state.hold ? { ...state.hold.told } : { traffic: undefined, mesh: undefined, stateful: undefined },
    statefulFenced: false,
    plan: firstStep,
    taken: unplanned && last ? { epoch: last.epoch, positions: before.positions } : undefined,
    tokens: last?.holder === '' ? (before.handover?.tokens ?? {}) : {},
  };
  state.intent = undefined;
  state.fence = undefined;
  state.proposal = undefined;
  record(turn, 'acquired', epoch, `${settings.region} holds epoch ${epoch}.`);
}
