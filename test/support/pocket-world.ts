/**
 * A world of one number for the engine's own tests: a light that can be switched and looked at, with a switch that fails,
 * times out or lies when told to.
 */
import Type from 'typebox';
import type { CompiledRunbook, CompiledRunStep, CompiledStep } from '../../src/catalog/compiled-runbook.ts';
import type { Check, Evaluation } from '../../src/check/check.ts';
import { CatalystError } from '../../src/errors.ts';
import type { ActionDefinition, Json, TargetObservation } from '../../src/integrations/contract.ts';
import type { FiringAnswer, World } from '../../src/run/world.ts';

export interface PocketWorld extends World {
  light: number;
  /** Every effect that reached the light, in order. */
  effects: string[];
  /** What the switch does the next times; empty: it works. */
  faults: ('refused' | 'unavailable' | 'lostBefore' | 'lostAfter' | 'underWay')[];
  /** What `happened` answers; default the truth. */
  memory: 'truth' | 'unknown' | 'unreachable';
  firing: FiringAnswer;
  target: TargetObservation;
  budgetState: Awaited<ReturnType<World['budget']>>;
  idempotent: boolean;
  /** Keys of the effects that took place. */
  keys: Set<string>;
  /** For the fault `underWay`: what carries out, when called, the effects of requests whose senders are gone. */
  underWay: (() => void)[];
}

export function pocketWorld(): PocketWorld {
  const world: PocketWorld = {
    light: 0,
    effects: [],
    faults: [],
    memory: 'truth',
    firing: { answer: 'firing', sentence: 'It fires.' },
    target: { state: 'Present', uid: 'u1', generation: 1 },
    budgetState: { state: 'notSet' },
    idempotent: false,
    keys: new Set(),
    underWay: [],
    vocabulary: { facts: new Map(), actions: new Map() },
    reader: () => ({ read: async () => null, readings: [] }),
    confirmFiring: async () => world.firing,
    budget: async () => world.budgetState,
    targets: () => ({
      bind: async (_context, reference) => {
        if (world.target.state === 'Gone') throw new CatalystError('NotFound', 'There is no such light.');
        return { ...reference, uid: world.target.uid, generation: world.target.generation };
      },
      observe: async () => world.target,
    }),
  };
  const add = lightAction(world);
  world.vocabulary = { facts: new Map(), actions: new Map([[add.name, add]]) };
  return world;
}

function lightAction(world: PocketWorld): ActionDefinition {
  const set = (to: number, key: string) => {
    world.light = to;
    world.keys.add(key);
    world.effects.push(`light=${to}`);
    if (world.target.state === 'Present') world.target = { ...world.target, generation: world.target.generation + 1 };
  };
  return {
    name: 'light set',
    description: 'Sets the light.',
    input: Type.Object({ to: Type.Integer() }, { additionalProperties: false }),
    example: 'light set 1',
    effects: ['ScaleUp', 'ScaleDown'],
    effect: (input, before) => (Number(input.to) > Number(before) ? 'ScaleUp' : 'ScaleDown'),
    get idempotent() {
      return world.idempotent;
    },
    describe: (input, before) => `Set the light from ${before} to ${input.to}.`,
    capture: async () => world.light,
    execute: async ({ idempotencyKey }, input) => {
      const fault = world.faults.shift();
      if (fault === 'refused') throw new CatalystError('UpstreamRefused', 'The switch refuses.');
      if (fault === 'unavailable')
        throw new CatalystError('UpstreamUnavailable', 'The switch is away.', { certain: true });
      if (fault === 'lostBefore') throw new CatalystError('UpstreamUnavailable', 'The line broke.', { certain: false });
      if (fault === 'underWay') {
        world.underWay.push(() => set(Number(input.to), idempotencyKey));
        throw new CatalystError('UpstreamUnavailable', 'The line broke.', { certain: false });
      }
      set(Number(input.to), idempotencyKey);
      if (fault === 'lostAfter') throw new CatalystError('UpstreamUnavailable', 'The line broke.', { certain: false });
      return { sentence: `The light is ${world.light}.`, result: { light: world.light }, target: world.target };
    },
    happened: async ({ idempotencyKey }) => {
      if (world.memory === 'unreachable') throw new CatalystError('UpstreamUnavailable', 'The switch is away.');
      if (world.memory === 'unknown') return { answer: 'unknown', sentence: 'The switch cannot tell.' };
      const answer = world.keys.has(idempotencyKey) ? 'yes' : 'no';
      return { answer, sentence: `The switch says ${answer}.`, target: world.target };
    },
    undo: (_input, before) => ({ action: 'light set', input: { to: before } }),
  };
}

/** A check that asks a function of the world. */
export function checkThat(source: string, holds: () => Json | Error): Check {
  return {
    source,
    facts: [],
    variables: [],
    evaluate: async (): Promise<Evaluation> => {
      const value = holds();
      if (value instanceof Error)
        return { ok: false, error: new CatalystError('UpstreamUnavailable', value.message), readings: [] };
      return { ok: true, value, readings: [] };
    },
  };
}

/** A step that sets the light. */
export function setLight(world: PocketWorld, to: number, more: Partial<CompiledRunStep> = {}): CompiledRunStep {
  const action = world.vocabulary.actions.get('light set');
  if (!action) throw new Error('the pocket world has lost its switch');
  return {
    kind: 'run',
    name: `set to ${to}`,
    line: 1,
    timeout: 1_000,
    attempts: 1,
    backoff: 2_000,
    call: {
      action,
      source: `light set ${to}`,
      facts: [],
      variables: [],
      resolve: async () => ({ ok: true, input: { to }, readings: [] }),
    },
    ...more,
  };
}

/** A step that verifies. */
export function verifyThat(check: Check, more: { for?: number; within?: number; every?: number } = {}): CompiledStep {
  return { kind: 'verify', name: 'verify', line: 2, check, for: 0, within: 60_000, every: 1_000, ...more };
}

export function runbookOf(steps: CompiledStep[], more: Partial<CompiledRunbook> = {}): CompiledRunbook {
  return {
    resource: {
      apiVersion: 'catalyst.openova.io/v1alpha1',
      kind: 'Runbook',
      metadata: { name: 'switch-light' },
      spec: { steps: [{ run: 'light set 1' }] },
      provenance: { source: 'test', file: 'test.yaml', line: 1, digest: 'd' },
    },
    triggers: [],
    mode: undefined,
    priority: 0,
    target: {
      facts: [],
      variables: [],
      type: 'dyn',
      constant: true,
      evaluate: async () => ({ ok: true, value: { apiVersion: 'v1', kind: 'Light', name: 'lamp' }, readings: [] }),
    },
    preconditions: [],
    steps,
    rollback: { kind: 'pageOncall' },
    guards: { cooldown: 300_000, maxRuns: { count: 3, per: 3_600_000 }, concurrencyKey: undefined, queueFor: 600_000 },
    ...more,
  };
}
