/** One step in the making: the state being changed, and the effects collected so far. */
import type { Json } from './lease.ts';
import type { FailoverEffect, FailoverState, RecordKind } from './protocol.ts';

export interface Turn {
  readonly at: number;
  /** A copy: its fields may be replaced, what they hold may not be changed. */
  readonly state: FailoverState;
  readonly effects: FailoverEffect[];
}

/** Before everything: for times of things that have not happened. */
export const never = Number.NEGATIVE_INFINITY;

/** A name nobody has used: this start of this controller, and a counter. */
export function freshId({ state }: Turn): string {
  state.counter += 1;
  return `${state.incarnation}-${state.counter}`;
}

/** Asks for an entry of the record; returns its id, which `recorded` will name. */
export function record(turn: Turn, kind: RecordKind, epoch: number, sentence: string, facts: Json = null): string {
  const entry = freshId(turn);
  turn.effects.push({ type: 'record', entry, kind, epoch, sentence, facts });
  return entry;
}

/** Tells the people on call, once for as long as the sentence stays the same. */
export function page(turn: Turn, severity: 'critical' | 'warning', sentence: string): void {
  if (turn.state.paged === sentence) return;
  turn.state.paged = sentence;
  turn.effects.push({ type: 'page', severity, sentence });
}

export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
