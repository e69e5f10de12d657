/**
 * The ordered plan. Up: data promoted, data verified, then mesh, then traffic. Down, in a planned switchover: the reverse,
 * and the lease is released only when nothing is open any more.
 */
import { openGate, payloadOf } from './active-decision.ts';
import { majority, softAt } from './deadline.ts';
import { type EventOf, type Hold, layers, type Plan } from './protocol.ts';
import { freshId, page, record, type Turn } from './turn.ts';
import { viewOf, writeLease } from './witness-decision.ts';

/** A step that failed so often is told to people; it is repeated all the same. */
const failuresBeforePage = 3;

export const firstStep: Extract<Plan, { phase: 'promote' | 'verify' }> = {
  phase: 'promote',
  component: 0,
  request: undefined,
  retryAt: 0,
  failures: 0,
};

/** Takes the next step of the plan, when it is due and the lease allows it. */
export function drivePlan(turn: Turn): void {
  const { at, state } = turn;
  const { hold, settings } = state;
  if (!hold || hold.statefulFenced || at >= softAt(settings, hold, 'stateful')) return;
  if (hold.plan.phase === 'demote') {
    driveDemotion(turn, hold, hold.plan);
    return;
  }
  if (hold.plan.phase === 'active') return;
  // First the register says that the data is here. Whoever comes next must not take an older copy for the newest.
  if (hold.kind !== 'unwitnessed' && hold.declared.length < majority(settings.witnesses.length)) return;
  const { plan } = hold;
  if (plan.component < settings.components.length) {
    if (plan.request === undefined && at >= plan.retryAt) askComponent(turn, hold, plan, plan.phase);
  } else if (plan.phase === 'promote') {
    state.hold = { ...hold, plan: { ...firstStep, phase: 'verify' } };
    drivePlan(turn);
  } else activate(turn, hold);
}

function askComponent(
  turn: Turn,
  hold: Hold,
  plan: Exclude<Plan, { phase: 'active' }>,
  action: 'promote' | 'verify' | 'demote',
): void {
  const { settings } = turn.state;
  const component = settings.components[plan.component]?.name;
  if (component === undefined) return;
  const request = freshId(turn);
  turn.effects.push({
    type: 'component',
    request,
    component,
    action,
    epoch: hold.epoch,
    deadline: softAt(settings, hold, 'stateful'),
    token: action === 'promote' ? (hold.tokens[component] ?? null) : null,
  });
  turn.state.hold = { ...hold, plan: { ...plan, request } };
}

function activate(turn: Turn, hold: Hold): void {
  const { state } = turn;
  state.hold = { ...hold, plan: { phase: 'active' }, tokens: {} };
  for (const layer of ['stateful', 'mesh', 'traffic'] as const) openGate(turn, layer);
  record(turn, 'activated', hold.epoch, `All layers are open under epoch ${hold.epoch}.`);
  if (hold.taken)
    turn.effects.push({
      type: 'divergence',
      epoch: hold.epoch,
      lostEpoch: hold.taken.epoch,
      positions: hold.taken.positions,
    });
}

/** Takes in the outcome of a step of the plan. */
export function absorbPlanStep(turn: Turn, event: EventOf<'component'>): void {
  const { at, state } = turn;
  const { hold } = state;
  if (!hold || hold.plan.phase === 'active' || hold.plan.request !== event.request) return;
  const { plan } = hold;
  const name = state.settings.components[plan.component]?.name ?? '';
  if (plan.phase === 'demote') {
    if (event.outcome === 'failed') {
      abortSwitchover(turn, `${name} could not be demoted: ${event.sentence}`);
      return;
    }
    const tokens = { ...hold.tokens, [name]: event.token };
    state.hold = { ...hold, tokens, plan: { ...plan, component: plan.component - 1, request: undefined } };
  } else if (event.outcome === 'done') {
    state.hold = { ...hold, plan: { ...plan, component: plan.component + 1, request: undefined, failures: 0 } };
  } else {
    const failures = plan.failures + 1;
    const retryAt = at + state.settings.parameters.stepRetryMs;
    state.hold = { ...hold, plan: { ...plan, request: undefined, retryAt, failures } };
    if (failures >= failuresBeforePage) page(turn, 'critical', `Cannot ${plan.phase} ${name}: ${event.sentence}`);
  }
}

/** Starts to give the group to the peer; nothing is closed before the entry is on disk. */
export function startSwitchover(turn: Turn, actor: string, reason: string): void {
  const { at, state } = turn;
  const { hold, settings } = state;
  if (!hold) return;
  const { peer, components } = settings;
  const entry = record(turn, 'switchover', hold.epoch, `${actor} moves ${settings.group} to ${peer}: ${reason}`, {
    actor,
    reason,
  });
  const plan: Plan = {
    phase: 'demote',
    component: components.length - 1,
    request: undefined,
    startedAt: at,
    entry,
    recorded: false,
  };
  state.hold = { ...hold, acquiredBy: { mode: settings.mode, actor, reason }, plan, tokens: {} };
}

export function absorbSwitchoverRecorded(turn: Turn, entry: string): void {
  const { hold } = turn.state;
  if (hold?.plan.phase !== 'demote' || hold.plan.entry !== entry) return;
  for (const layer of layers) turn.effects.push({ type: 'gate', layer, open: false, epoch: hold.epoch });
  const told = { traffic: undefined, mesh: undefined, stateful: undefined };
  turn.state.hold = { ...hold, told, plan: { ...hold.plan, recorded: true } };
}

function driveDemotion(turn: Turn, hold: Hold, plan: Extract<Plan, { phase: 'demote' }>): void {
  const { at, state } = turn;
  if (at - plan.startedAt >= state.settings.parameters.switchoverMs) {
    abortSwitchover(turn, 'It took longer than the configuration allows.');
    return;
  }
  if (!plan.recorded || plan.request !== undefined) return;
  if (plan.component >= 0) {
    askComponent(turn, hold, plan, 'demote');
    return;
  }
  const { region, peer } = state.settings;
  state.releasing = {
    epoch: hold.epoch,
    handover: { from: region, to: peer, tokens: hold.tokens },
    acquiredBy: hold.acquiredBy,
    retryAt: at,
  };
  state.fence = { epoch: hold.epoch, reason: 'Releasing', pending: {}, confirmed: true };
  state.hold = undefined;
}

/** Takes a switchover back while the lease is still held: everything is promoted and opened again. */
export function abortSwitchover(turn: Turn, why: string): void {
  const { hold } = turn.state;
  if (!hold) return;
  const sentence = `The switchover is taken back. ${why}`;
  record(turn, 'switchover-aborted', hold.epoch, sentence);
  page(turn, 'warning', sentence);
  turn.state.hold = { ...hold, plan: firstStep };
}

/** Gives the lease back, as often as it takes; done when no majority names us any more. */
export function driveRelease(turn: Turn): void {
  const { at, state } = turn;
  const { releasing, settings } = state;
  if (!releasing) return;
  const { epoch, handover, acquiredBy } = releasing;
  const { witnesses, region, parameters } = settings;
  const ours = witnesses.filter((witness) => {
    const { lease } = viewOf(turn, witness);
    return lease?.holder === region && lease.epoch === epoch;
  });
  if (witnesses.length - ours.length >= majority(witnesses.length)) {
    state.releasing = undefined;
    record(turn, 'released', epoch, `Epoch ${epoch} is released${handover.to ? ` for ${handover.to}` : ''}.`);
    return;
  }
  if (at < releasing.retryAt) return;
  const payload = payloadOf(turn, { dataAt: region, handover });
  for (const witness of ours) writeLease(turn, witness, 'release', { holder: '', epoch, acquiredBy, payload: payload });
  state.releasing = { ...releasing, retryAt: at + parameters.retryMs };
}
