/**
 * Who is told about an incident nobody has acknowledged, and when. Pure. The steps of the policy are taken at their times;
 * a step that reached nobody is followed by the next one early; and when the response time runs out (handbook §13.1),
 * everybody who is left is told at once. All times are on the incident's own clock, which runs from `clockFrom`.
 */
import type { EscalationPolicySpec } from '../catalog/kinds/escalation-policy.ts';

export type EscalationTarget = EscalationPolicySpec['steps'][number]['notify'][number];

export interface EscalationStep {
  /** Milliseconds after the clock began to run. */
  after: number;
  notify: readonly EscalationTarget[];
}

export interface EscalationState {
  clockFrom: number;
  respondBy: number;
  /** True when somebody is on it: then only a step they asked for is looked after, until it reaches somebody. */
  acknowledged: boolean;
  /** Steps that were taken. */
  step: number;
  /** True when somebody was told already that the clock has run out. */
  ranOut: boolean;
  /** When the last step was taken; undefined before the first. */
  lastStepAt: number | undefined;
  /** Whether a page of the last step was delivered. */
  reached: boolean;
}

export interface EscalationMove {
  /** Positions of the steps to take now. */
  take: number[];
  /** True when the clock runs out with this move. */
  ranOut: boolean;
  /** True when a step is taken early, because the one before reached nobody. */
  unreached: boolean;
  /** When to look again; undefined when nothing is left to do. */
  next: number | undefined;
}

/** Time for a page to arrive: four tries of the outbox, whose waits are 5, 10 and 20 s. Then the next person is called. */
export const deliverWithin = 60_000;

export function decideEscalation(
  steps: readonly EscalationStep[],
  state: EscalationState,
  now: number,
): EscalationMove {
  const due = (index: number) => state.clockFrom + (steps[index]?.after ?? Number.POSITIVE_INFINITY);
  const left = steps.map((_, index) => index).slice(state.step);
  const nobody = !state.acknowledged;
  if (nobody && now >= state.respondBy && !state.ranOut)
    return { take: left, ranOut: true, unreached: false, next: undefined };
  const onTime = nobody ? left.filter((index) => due(index) <= now) : [];
  const waited = state.lastStepAt !== undefined && now - state.lastStepAt >= deliverWithin;
  const early = onTime.length === 0 && left[0] !== undefined && waited && !state.reached ? [left[0]] : [];
  const take = [...onTime, ...early];
  const following = state.step + take.length;
  const times = [
    ...(nobody ? [due(following)] : []),
    ...(nobody && !state.ranOut ? [state.respondBy] : []),
    // Whether the step that is taken now, or the one before, reaches somebody, is looked at while one is left to follow.
    ...(following < steps.length && (take.length > 0 || (state.lastStepAt !== undefined && !state.reached))
      ? [(take.length > 0 ? now : (state.lastStepAt ?? now)) + deliverWithin]
      : []),
  ].filter((at) => Number.isFinite(at) && at > now);
  return {
    take,
    ranOut: false,
    unreached: early.length > 0,
    next: times.length === 0 ? undefined : Math.min(...times),
  };
}

/** The policy for an incident: the Organization's own before the Sovereign's, then the first by name that takes its severity. */
export function policyFor<P extends { spec: EscalationPolicySpec; provenance: { organization?: string | undefined } }>(
  policies: readonly P[],
  {
    organization,
    severity,
  }: { organization: string | undefined; severity: EscalationPolicySpec['severities'][number] },
): P | undefined {
  const taking = policies.filter((policy) => policy.spec.severities.includes(severity));
  const own = taking.find((policy) => organization !== undefined && policy.provenance.organization === organization);
  return own ?? taking.find((policy) => policy.provenance.organization === undefined);
}
