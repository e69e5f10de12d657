/**
 * Fencing goes one way: an epoch that was fenced is dead for this region, even when the lease turns out to be still
 * held. Coming back takes a new epoch. Nothing waits here: gates close first, then components are told, then it is recorded.
 */
import type { EventOf, Reason } from './protocol.ts';
import { layers } from './protocol.ts';
import { freshId, page, record, type Turn } from './turn.ts';

/** Closes all layers and fences all components. The region is no longer active. */
export function fenceAll(turn: Turn, reason: Reason, sentence: string): void {
  const { state } = turn;
  const epoch = Math.max(state.hold?.epoch ?? 0, state.fence?.epoch ?? 0);
  const dataIsFenced = state.hold?.statefulFenced === true;
  for (const layer of layers) turn.effects.push({ type: 'gate', layer, open: false, epoch });
  state.hold = undefined;
  state.intent = undefined;
  if (dataIsFenced && state.fence) state.fence = { ...state.fence, reason };
  else fenceComponents(turn, epoch, reason, sentence);
  page(turn, 'critical', sentence);
}

/** Fences what writes, and leaves traffic and mesh to the resolvers' evidence. */
export function fenceStateful(turn: Turn, sentence: string): void {
  const { state } = turn;
  if (!state.hold) return;
  const { epoch, told } = state.hold;
  turn.effects.push({ type: 'gate', layer: 'stateful', open: false, epoch });
  state.hold = { ...state.hold, statefulFenced: true, told: { ...told, stateful: undefined } };
  fenceComponents(turn, epoch, 'Fencing', sentence);
  page(turn, 'critical', sentence);
}

/** At the start of the controller: whatever is open in the cluster was opened by somebody who is gone. */
export function bootFence(turn: Turn, epochFloor: number): void {
  for (const layer of layers) turn.effects.push({ type: 'gate', layer, open: false, epoch: epochFloor });
  fenceComponents(turn, epochFloor, 'BootFence', 'The controller has started: nothing is open before a lease.');
}

function fenceComponents(turn: Turn, epoch: number, reason: Reason, sentence: string): void {
  const { state } = turn;
  const names = state.settings.components.map(({ name }) => name).reverse();
  const pending = Object.fromEntries(names.map((name) => [name, fenceOne(turn, name, epoch)]));
  state.fence = { epoch, reason, pending, confirmed: false };
  record(turn, reason === 'BootFence' ? 'started' : 'fencing', epoch, sentence);
}

function fenceOne(turn: Turn, component: string, epoch: number): { request: string; retryAt: number } {
  const request = freshId(turn);
  turn.effects.push({
    type: 'component',
    request,
    component,
    action: 'fence',
    epoch,
    deadline: undefined,
    token: null,
  });
  return { request, retryAt: turn.at + turn.state.settings.parameters.fenceMs };
}

/** Repeats what is overdue, and notes when everything is confirmed. */
export function driveFence(turn: Turn): void {
  const { at, state } = turn;
  const { fence } = state;
  if (!fence || fence.confirmed) return;
  const names = Object.keys(fence.pending);
  if (names.length === 0) {
    state.fence = { ...fence, confirmed: true };
    state.nextFencedAt = at;
    record(turn, 'fenced', fence.epoch, `Every component is fenced; epoch ${fence.epoch} is over here.`);
    return;
  }
  const overdue = names.filter((name) => at >= (fence.pending[name]?.retryAt ?? 0));
  if (overdue.length === 0) return;
  const repeated = Object.fromEntries(overdue.map((name) => [name, fenceOne(turn, name, fence.epoch)]));
  state.fence = { ...fence, pending: { ...fence.pending, ...repeated } };
  page(turn, 'critical', `Not confirmed as fenced: ${overdue.join(', ')}. The gates are closed all the same.`);
}

/** Takes in the outcome of a component's fence. */
export function absorbFence({ at, state }: Turn, event: EventOf<'component'>): void {
  const { fence } = state;
  if (!fence) return;
  const found = Object.entries(fence.pending).find(([, { request }]) => request === event.request);
  if (!found) return;
  const [name, entry] = found;
  const { [name]: _, ...others } = fence.pending;
  const retryAt = at + state.settings.parameters.stepRetryMs;
  const pending = event.outcome === 'done' ? others : { ...others, [name]: { ...entry, retryAt } };
  state.fence = { ...fence, pending };
}
