/**
 * Everything a run looks at before it acts: does the alert still fire, which object exactly is the target, what would be
 * done, does any guard object, do the preconditions hold. Reads only; may be done again from the start at any time.
 */
import type { CompiledRunStep, CompiledStep, CompiledVerifyStep } from '../catalog/compiled-runbook.ts';
import { formatDuration } from '../catalog/duration.ts';
import type { Mode } from '../catalog/kinds/runbook.ts';
import type { Check, FactReader, FactReading, Scope } from '../check/check.ts';
import { CatalystError, messageOf } from '../errors.ts';
import { blockingVerdict, evaluateGuards, type GuardVerdict } from '../guard/guard.ts';
import type { BoundTarget, CallContext, Effect, TargetReference } from '../integrations/contract.ts';
import type { EntryOf, Evidence, PlannedStep } from './journal.ts';
import type { Reason } from './reasons.ts';
import { type RunInHand, scopeOf, targetKey } from './run-in-hand.ts';
import type { World } from './world.ts';

export interface PreparePorts {
  world: World;
  /** Runs of this runbook on this target that acted, newest first. */
  history(target: string): Promise<{ actedAt: number; endedAt: number | undefined }[]>;
  /** Takes the run's concurrency key; false while another run holds it. */
  lock(key: string): Promise<boolean>;
  confirmFiring: 'Required' | 'WhenPossible';
}

export type Preparation =
  | { result: 'ready'; prepared: EntryOf<'Prepared'>['data']; target: BoundTarget | undefined }
  | Obstacle;

/** Why it does not act. */
export type Obstacle =
  /** Not now, perhaps later. */
  | { result: 'hold'; reason: Reason; sentence: string }
  | { result: 'refuse'; reason: Reason; sentence: string; evidence: Evidence[] };

/** Everything that was looked at before acting. */
export interface Survey {
  /** Why the alert counts as firing, or as not. */
  confirmation: string;
  target: BoundTarget | undefined;
  plan: PlannedStep[];
  guards: GuardVerdict[];
  preconditions: Evidence[];
  /** Every fact that was read, by expressions of target, plan and preconditions. */
  readings: readonly FactReading[];
  /** What stands in the way, in the order in which it was met; empty when nothing does. */
  obstacles: Obstacle[];
}

/** The engine stops looking at the first obstacle. */
export async function prepare(run: RunInHand, context: CallContext, ports: PreparePorts): Promise<Preparation> {
  const { target, obstacles, confirmation, guards, preconditions, plan } = await survey(
    run,
    context,
    ports,
    'untilObstacle',
  );
  const [obstacle] = obstacles;
  if (obstacle) return obstacle;
  const prepared = { mode: run.mode, confirmation, target: target ?? null, guards, preconditions, plan };
  return { result: 'ready', target, prepared };
}

/**
 * Looks at everything a run looks at before it acts.
 * @param extent `everything` goes on behind an obstacle, for the person who asks what would be done and why not
 */
export async function survey(
  run: RunInHand,
  context: CallContext,
  ports: PreparePorts,
  extent: 'untilObstacle' | 'everything',
): Promise<Survey> {
  const reader = ports.world.reader(context);
  const seen: Survey = {
    confirmation: '',
    target: undefined,
    plan: [],
    guards: [],
    preconditions: [],
    readings: reader.readings,
    obstacles: [],
  };
  /** @returns whether to stop here */
  const met = (obstacle: Obstacle | undefined) => {
    if (obstacle) seen.obstacles.push(obstacle);
    return obstacle !== undefined && extent === 'untilObstacle';
  };

  const confirmation = await confirm(run, context, ports);
  seen.confirmation = confirmation.sentence;
  if (met(obstacleIn(confirmation))) return seen;

  const bound = await bindTarget(run, reader, context, ports.world);
  if (met(obstacleIn(bound))) return seen;
  seen.target = bound.result === 'ready' ? bound.target : undefined;
  const scope = scopeOf(run, seen.target);
  // Without its target nothing more can be said of what it would do; preconditions may still say why it is missing.
  if (bound.result === 'ready' && (await surveyActions(run, scope, reader, context, ports, seen, met))) return seen;

  const preconditions = await checkPreconditions(run, scope, reader);
  seen.preconditions = preconditions.evidence;
  met(preconditions.obstacle);
  return seen;
}

/** Lock, plan and guards. @returns whether to stop here */
async function surveyActions(
  run: RunInHand,
  scope: Scope,
  reader: FactReader,
  context: CallContext,
  ports: PreparePorts,
  seen: Survey,
  met: (obstacle: Obstacle | undefined) => boolean,
): Promise<boolean> {
  const key = await lockKey(run, scope, reader, seen.target);
  if (met(obstacleIn(key))) return true;
  // Only one run at a time may look and act, otherwise two could see "nobody has acted yet" at once.
  if (key.result === 'ready' && run.mode !== 'Suggest' && !(await ports.lock(key.key))) {
    if (met({ result: 'hold', reason: 'Busy', sentence: `Another run holds the key ${key.key}.` })) return true;
  }

  const plan = await makePlan(run.runbook.steps, scope, reader, context);
  if (met(obstacleIn(plan))) return true;
  if (plan.result === 'ready') seen.plan = plan.plan;

  const effects = seen.plan.flatMap((step) => (step.effect && !step.skipped ? [step.effect] : []));
  seen.guards = evaluateGuards({
    now: context.clock.now(),
    limits: run.runbook.guards,
    effects,
    history: await ports.history(targetKey(run, seen.target)),
    budget: effects.includes('ScaleUp') ? await ports.world.budget(context, run.organization) : { state: 'notSet' },
  });
  const blocked = blockingVerdict(seen.guards);
  return met(blocked && { result: 'refuse', reason: blocked.reason, sentence: blocked.sentence, evidence: [] });
}

type Met<T> = ({ result: 'ready' } & T) | Obstacle;

function obstacleIn(step: { result: 'ready' } | Obstacle): Obstacle | undefined {
  return step.result === 'ready' ? undefined : step;
}

function refuse(reason: Reason, sentence: string, evidence: Evidence[] = []): Obstacle {
  return { result: 'refuse', reason, sentence, evidence };
}

async function confirm(run: RunInHand, context: CallContext, ports: PreparePorts): Promise<Met<{ sentence: string }>> {
  if (!run.alert) return { result: 'ready', sentence: 'It was not started by an alert.' };
  const { answer, sentence } = await ports.world.confirmFiring(context, run.alert);
  if (answer === 'firing') return { result: 'ready', sentence };
  if (answer === 'silenced') return refuse('Silenced', sentence);
  if (answer === 'notFiring') return refuse('NotFiring', sentence);
  if (ports.confirmFiring === 'WhenPossible') return { result: 'ready', sentence: `Not confirmed: ${sentence}` };
  return { result: 'hold', reason: 'FiringUnconfirmed', sentence };
}

async function bindTarget(
  run: RunInHand,
  reader: FactReader,
  context: CallContext,
  world: World,
): Promise<Met<{ target: BoundTarget | undefined }>> {
  if (!run.runbook.target) return { result: 'ready', target: undefined };
  const evaluation = await run.runbook.target.evaluate(scopeOf(run, undefined), reader);
  if (!evaluation.ok) return refuse('TargetNotFound', `The target cannot be named: ${evaluation.error.message}`);
  const reference = evaluation.value as unknown as TargetReference;
  if (!reference.name || reference.namespace === '') {
    return refuse('TargetNotFound', 'The target has no name: the alert lacks the labels it is made from.');
  }
  const provider = world.targets(reference.kind);
  if (!provider) return refuse('TargetNotFound', `No configured system knows objects of kind ${reference.kind}.`);
  try {
    return { result: 'ready', target: await provider.bind(context, reference) };
  } catch (error) {
    if (error instanceof CatalystError && error.code === 'NotFound') return refuse('TargetNotFound', error.message);
    return refuse('FactUnavailable', `The target could not be read: ${messageOf(error)}`);
  }
}

async function lockKey(
  run: RunInHand,
  scope: Scope,
  reader: FactReader,
  target: BoundTarget | undefined,
): Promise<Met<{ key: string }>> {
  const ofTarget = targetKey(run, target);
  const template = run.runbook.guards.concurrencyKey;
  if (!template) return { result: 'ready', key: ofTarget };
  const evaluation = await template.evaluate(scope, reader);
  if (!evaluation.ok)
    return refuse('FactUnavailable', `The concurrency key cannot be made: ${evaluation.error.message}`);
  return { result: 'ready', key: String(evaluation.value) };
}

async function checkPreconditions(
  run: RunInHand,
  scope: Scope,
  reader: FactReader,
): Promise<{ evidence: Evidence[]; obstacle: Obstacle | undefined }> {
  const evidence: Evidence[] = [];
  for (const { check } of run.runbook.preconditions) evidence.push(await witness(check, scope, reader));
  const unknown = evidence.find((e) => e.error !== undefined);
  const broken = evidence.find((e) => e.error === undefined && e.value !== true);
  if (broken) {
    const sentence = `The precondition "${broken.source}" does not hold.`;
    return { evidence, obstacle: refuse('PreconditionFalse', sentence, evidence) };
  }
  if (unknown) {
    const sentence = `The precondition "${unknown.source}" cannot be checked: ${unknown.error}`;
    return { evidence, obstacle: refuse('FactUnavailable', sentence, evidence) };
  }
  return { evidence, obstacle: undefined };
}

/** Evaluates a check and keeps what it saw. */
export async function witness(check: Check, scope: Scope, reader: FactReader): Promise<Evidence> {
  const evaluation = await check.evaluate(scope, reader);
  return evaluation.ok
    ? { source: check.source, value: evaluation.value, readings: evaluation.readings }
    : { source: check.source, error: evaluation.error.message, readings: evaluation.readings };
}

async function makePlan(
  steps: readonly CompiledStep[],
  scope: Scope,
  reader: FactReader,
  context: CallContext,
): Promise<Met<{ plan: PlannedStep[] }>> {
  const plan: PlannedStep[] = [];
  for (const [index, step] of steps.entries()) {
    const skipped = step.when ? await isSkipped(step.when, scope, reader) : false;
    const base = { index, name: step.name, kind: step.kind, ...(skipped ? { skipped } : {}) };
    if (step.kind !== 'run') {
      plan.push({ ...base, sentence: describeStep(step) });
      continue;
    }
    const planned = await planAction(step, scope, reader, context);
    if ('reason' in planned) return refuse(planned.reason, `Step ${index + 1} "${step.name}": ${planned.sentence}`);
    plan.push({ ...base, action: step.call.action.name, ...planned });
  }
  return { result: 'ready', plan };
}

/** A `when` that cannot be told yet does not skip the step; it is asked again when its turn comes. */
async function isSkipped(when: Check, scope: Scope, reader: FactReader): Promise<boolean> {
  const evaluation = await when.evaluate(scope, reader);
  return evaluation.ok && evaluation.value === false;
}

async function planAction(
  step: CompiledRunStep,
  scope: Scope,
  reader: FactReader,
  context: CallContext,
): Promise<Pick<PlannedStep, 'sentence' | 'effect' | 'input' | 'later'> | { reason: Reason; sentence: string }> {
  const { action } = step.call;
  const resolved = await step.call.resolve(scope, reader);
  if (!resolved.ok) {
    // What an earlier step returns is not there yet; everything else has to be known now.
    if (/\bsteps\b/.test(step.call.source))
      return { sentence: step.call.source, later: resolved.error.message, effect: mostSerious(action.effects) };
    return {
      reason: resolved.error.code === 'InvalidResource' ? 'InputInvalid' : 'FactUnavailable',
      sentence: resolved.error.message,
    };
  }
  try {
    const before = await action.capture(context, resolved.input);
    return {
      input: resolved.input,
      effect: action.effect(resolved.input, before),
      sentence: action.describe(resolved.input, before),
    };
  } catch (error) {
    const reason = error instanceof CatalystError && error.code === 'NotFound' ? 'TargetNotFound' : 'FactUnavailable';
    return { reason, sentence: messageOf(error) };
  }
}

/** The effect guards should reckon with while the input is not known. */
export function mostSerious(effects: readonly Effect[]): Effect {
  const order: readonly Effect[] = [
    'ScaleUp',
    'Delete',
    'Rollback',
    'Change',
    'Restart',
    'ScaleDown',
    'Notify',
    'ReadOnly',
  ];
  return order.find((effect) => effects.includes(effect)) ?? 'Change';
}

/** What a verification watches, for people: the name it was given, or the check itself. */
export function sayingOf({ name, check }: Pick<CompiledVerifyStep, 'name' | 'check'>): string {
  const isNamed = !check.source.replaceAll(/\s+/g, ' ').trim().startsWith(name) && name !== 'verify';
  return isNamed ? `"${name}"` : check.source;
}

function describeStep(step: Exclude<CompiledStep, CompiledRunStep>): string {
  switch (step.kind) {
    case 'verify': {
      const hold = step.for > 0 ? ` for ${formatDuration(step.for)},` : '';
      return `Verify ${sayingOf(step)}: true${hold} within ${formatDuration(step.within)}.`;
    }
    case 'wait':
      return `Wait ${formatDuration(step.wait)}.`;
    case 'approve':
      return `Ask a ${step.role} to approve${step.reason ? `: ${step.reason}` : '.'}`;
  }
}

/** What the strictest of three modes is; undefined ones do not count. */
export function strictestMode(given: readonly (Mode | undefined)[]): Mode {
  const order: readonly Mode[] = ['Suggest', 'Approval', 'Automatic'];
  return order.find((mode) => given.includes(mode)) ?? 'Suggest';
}
