/**
 * A world from a document: facts say what the document says, actions do what the document lets them do, and the clock
 * jumps. For `runbook test`, and for `runbook explain` with given facts.
 */

import { parseDuration } from '../catalog/duration.ts';
import type { RunbookTestCase } from '../catalog/kinds/runbook-test.ts';
import type { Vocabulary } from '../check/check.ts';
import { createFactReader, factCall } from '../check/fact-reader.ts';
import type { VirtualClock } from '../clock.ts';
import { CatalystError } from '../errors.ts';
import type { ActionDefinition, FactDefinition, Json, TargetObservation } from '../integrations/contract.ts';
import type { World } from './world.ts';

export type GivenFacts = NonNullable<RunbookTestCase['given']>;
type Fault = NonNullable<RunbookTestCase['when']>[number];

export interface GivenWorld extends World {
  /** Effects that reached the world, in order: `kubernetes restart {"kind":"Deployment"}`. */
  effects: { action: string; text: string }[];
  /** The process is dead until this is false again: nothing can be committed. */
  crashed: boolean;
}

/** @param real the facts and actions there are, with their types: what is given replaces only what they would do */
export function givenWorld(
  real: Vocabulary,
  given: GivenFacts,
  faults: readonly Fault[],
  clock: VirtualClock,
): GivenWorld {
  const started = clock.now();
  const doneAt = new Map<string, number>();
  const keys = new Set<string>();
  const left = faults.map((fault) => ({ ...fault, left: fault.times ?? 1 }));
  let observed: TargetObservation = { state: 'Present', uid: 'uid-1', generation: 1 };

  const readFact = (definition: FactDefinition, args: readonly Json[]): Json => {
    const said = given.facts?.[factCall(definition, args)] ?? given.facts?.[definition.name];
    const due = said?.findLast(({ after, afterAction }) => {
      const from = afterAction === undefined ? started : doneAt.get(afterAction);
      return from !== undefined && clock.now() >= from + (parseDuration(after ?? '0s') ?? 0);
    });
    if (!due) throw new CatalystError('UpstreamUnavailable', `${factCall(definition, args)} is not given.`);
    if (due.error !== undefined) throw new CatalystError('UpstreamUnavailable', due.error);
    return due.value as Json;
  };

  const nextFault = (action: string) => {
    const found = left.find((fault) => fault.action === action && fault.left > 0);
    if (found) found.left -= 1;
    return found?.fault;
  };

  const world: GivenWorld = {
    effects: [],
    crashed: false,
    vocabulary: {
      facts: new Map(
        [...real.facts].map(([name, fact]) => [
          name,
          { ...fact, read: async (_context, args) => readFact(fact, args) },
        ]),
      ),
      actions: new Map(),
    },
    reader: ({ signal }) => createFactReader({ clock, signal }),
    confirmFiring: async () => ({
      answer: given.firing ?? 'firing',
      sentence: `It is given as ${given.firing ?? 'firing'}.`,
    }),
    budget: async () =>
      given.budgetSpent === undefined ? { state: 'notSet' } : { state: 'known', ratio: Number(given.budgetSpent) },
    targets: () => ({
      bind: async (_context, reference) => {
        if (given.target === 'missing')
          throw new CatalystError('NotFound', `There is no ${reference.kind} ${reference.name}.`);
        const bound = { ...reference, uid: observed.uid, generation: observed.generation };
        if (given.target === 'replacedAfterPlan') observed = { ...observed, uid: 'uid-2' };
        return bound;
      },
      observe: async () => observed,
    }),
  };

  const carryOut = (action: string, input: Json, key: string) => {
    keys.add(key);
    doneAt.set(action, clock.now());
    world.effects.push({ action, text: `${action} ${JSON.stringify(input)}` });
    observed = { ...observed, generation: observed.generation + 1 };
  };

  const actions = [...real.actions].map(([name, action]): [string, ActionDefinition] => {
    const before = (given.before?.[name] ?? {}) as Json;
    const fake: ActionDefinition = {
      ...action,
      capture: async () => before,
      // What an action says of a state it was not given is of no use; its own words are.
      describe: (input, seen) => attempt(() => action.describe(input, seen)) ?? `${name} ${JSON.stringify(input)}`,
      effect: (input, seen) => attempt(() => action.effect(input, seen)) ?? action.effects[0] ?? 'Change',
      happened: async ({ idempotencyKey }) => {
        const answer = keys.has(idempotencyKey) ? 'yes' : 'no';
        return { answer, sentence: `The world says ${answer}.`, target: observed };
      },
      execute: async ({ idempotencyKey }, input) => {
        const fault = nextFault(name);
        if (fault === 'fail') throw new CatalystError('UpstreamRefused', `${name} is refused.`);
        if (fault === 'unavailable')
          throw new CatalystError('UpstreamUnavailable', `${name} cannot be reached.`, { certain: true });
        const lost = new CatalystError('UpstreamUnavailable', `The answer to ${name} was lost.`, { certain: false });
        if (fault === 'crashBefore') world.crashed = true;
        if (fault === 'crashBefore' || fault === 'uncertainNotDone') throw lost;
        carryOut(name, input, idempotencyKey);
        if (fault === 'crashAfter') world.crashed = true;
        if (fault === 'crashAfter' || fault === 'uncertainDone') throw lost;
        const target = observed;
        if (given.target === 'changedAfterFirstAction')
          observed = { ...observed, generation: observed.generation + 1, changedBy: 'kubectl-edit' };
        return { sentence: `${name} was carried out.`, result: null, target };
      },
    };
    const { undo } = action;
    if (undo) fake.undo = (input, seen, result) => attempt(() => undo.call(action, input, seen, result));
    return [name, fake];
  });
  world.vocabulary = { facts: world.vocabulary.facts, actions: new Map(actions) };
  return world;
}

function attempt<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch {
    return undefined;
  }
}
