/**
 * Every way a small configuration can go, with coarse time: two regions on exact clocks that step once a second, and a
 * network that is in one of a few conditions and changes a bounded number of times, at any second. Where the simulator
 * samples deep and wide, this looks at everything shallow, with the same `step`.
 */
import { createState, step } from '../failover-decision.ts';
import { type Lease, sameVersion } from '../lease.ts';
import { brokenRules, defaultParameters, type Parameters } from '../parameters.ts';
import type { EffectOf, FailoverEffect, FailoverEvent, FailoverState } from '../protocol.ts';

type Name = 'a' | 'b';

/** Small numbers that keep every rule on exact clocks. */
export const coarse: Parameters = {
  ...defaultParameters,
  clockError: 0,
  ttlMs: 8_000,
  renewMs: 1_000,
  retryMs: 1_000,
  softMs: 5_000,
  fenceMs: 2_000,
  hardMs: 7_000,
  waitMs: 8_000,
  promiseMs: 8_000,
  pollMs: 1_000,
  stepRetryMs: 1_000,
  dwellMs: 0,
  maxTakeovers: 1_000,
};

/** What the network does to one region's messages to its witnesses. `held` arrives when the condition ends. */
export type Reach = 'all' | 'none' | 'answers lost' | 'held' | 'first' | 'last';

export interface Condition {
  a: Reach;
  b: Reach;
  peers: boolean;
  paused: Name | undefined;
}

interface World {
  at: number;
  registers: Readonly<Record<string, Lease | undefined>>;
  regions: Readonly<Record<Name, FailoverState>>;
  openUntil: Readonly<Record<Name, number>>;
  held: readonly { from: Name; effect: EffectOf<'read' | 'cas'> }[];
}

export interface Exploration {
  states: number;
  /** The conditions that lead to two open regions, second by second; undefined when there are none. */
  counterexample: readonly Condition[] | undefined;
}

const calm: Condition = { a: 'all', b: 'all', peers: true, paused: undefined };
const promiseKnownToBeOver = 0;

/** Explores every sequence of at most `changes` changes of condition in `seconds` seconds after a calm start. */
export function explore(options: {
  witnesses: 1 | 3;
  conditions: readonly Condition[];
  seconds: number;
  changes: number;
  parameters?: Partial<Parameters>;
  step?: typeof step;
}): Exploration {
  const parameters = { ...coarse, ...options.parameters };
  const run = options.step ?? step;
  let world = start(options.witnesses === 1 ? ['w1'] : ['w1', 'w2', 'w3'], parameters, run);
  for (let second = 0; second < 12; second += 1) world = advance(world, calm, calm, run);
  const seen = new Set<string>();
  let states = 0;
  const search = (
    from: World,
    now: Condition,
    seconds: number,
    changes: number,
    path: Condition[],
  ): Condition[] | undefined => {
    if (seconds === 0) return undefined;
    const next = changes > 0 ? [now, ...options.conditions] : [now];
    for (const condition of next) {
      const after = advance(from, condition, now, run);
      states += 1;
      const way = [...path, condition];
      if (after.openUntil.a > after.at && after.openUntil.b > after.at) return way;
      const left = condition === now ? changes : changes - 1;
      const key = fingerprint(after, condition, left);
      if (seen.has(key)) continue;
      seen.add(key);
      const found = search(after, condition, seconds - 1, left, way);
      if (found) return found;
    }
    return undefined;
  };
  const counterexample = search(world, calm, options.seconds, options.changes, []);
  return { states, counterexample };
}

/** Whether the coarse numbers may be used at all: they keep the rules of production. */
export function coarseRules(): string[] {
  return brokenRules(coarse, { resolvers: false, promote: false }).map(({ rule }) => rule);
}

function fingerprint(world: World, condition: Condition, left: number): string {
  const text = JSON.stringify([world, condition, left], (key, value) => (key === 'settings' ? undefined : value));
  return text;
}

function start(witnesses: readonly string[], parameters: Parameters, run: typeof step): World {
  const region = (name: Name, peer: Name) =>
    createState({
      group: 'g',
      region: name,
      peer,
      witnesses,
      resolvers: [],
      parameters,
      mode: 'Automatic',
      dnsFallback: 'hold',
      initialHolder: name === 'a',
      components: [],
    });
  const regions = { a: region('a', 'b'), b: region('b', 'a') };
  const world: World = { at: 0, registers: {}, regions, openUntil: { a: 0, b: 0 }, held: [] };
  const draft = new Second(world, calm, run);
  for (const name of ['a', 'b'] as const) {
    draft.tell(name, { type: 'start', at: 0, incarnation: name, epochFloor: 0, promiseUntil: promiseKnownToBeOver });
    draft.tell(name, { type: 'assessment', at: 0, failedChecks: [], components: [], positions: null });
  }
  return draft.done();
}

/** One second under a condition; what was held arrives first when the condition has changed. */
function advance(world: World, condition: Condition, before: Condition, run: typeof step): World {
  const draft = new Second({ ...world, at: world.at + 1_000 }, condition, run);
  if (condition !== before) draft.release();
  for (const name of ['a', 'b'] as const) draft.tell(name, { type: 'tick', at: world.at + 1_000 });
  return draft.done();
}

class Second {
  readonly #condition: Condition;
  readonly #run: typeof step;
  readonly #at: number;
  readonly #regions: Record<Name, FailoverState>;
  readonly #registers: Record<string, Lease | undefined>;
  readonly #openUntil: Record<Name, number>;
  #held: World['held'];
  readonly #queue: { from: Name; effect: FailoverEffect }[] = [];

  constructor(world: World, condition: Condition, run: typeof step) {
    this.#condition = condition;
    this.#run = run;
    this.#at = world.at;
    this.#regions = { ...world.regions };
    this.#registers = { ...world.registers };
    this.#openUntil = { ...world.openUntil };
    this.#held = world.held;
  }

  release(): void {
    const held = this.#held;
    this.#held = [];
    for (const { from, effect } of held) this.#witness(from, effect, true);
    this.#work();
  }

  /** A paused region hears nothing: an answer to it is lost. */
  tell(name: Name, event: FailoverEvent): void {
    if (this.#condition.paused === name) return;
    const { state, effects } = this.#run(this.#regions[name], event);
    this.#regions[name] = state;
    for (const effect of effects) this.#queue.push({ from: name, effect });
    this.#work();
  }

  #working = false;
  #work(): void {
    if (this.#working) return;
    this.#working = true;
    for (let next = this.#queue.shift(); next; next = this.#queue.shift()) this.#carryOut(next.from, next.effect);
    this.#working = false;
  }

  #carryOut(from: Name, effect: FailoverEffect): void {
    const at = this.#at;
    if (effect.type === 'record' || effect.type === 'remember')
      this.tell(from, { type: 'recorded', at, entry: effect.entry });
    if (effect.type === 'gate' && effect.layer === 'stateful')
      this.#openUntil[from] = effect.open ? effect.deadline : 0;
    if (effect.type === 'send' && this.#condition.peers)
      this.tell(from === 'a' ? 'b' : 'a', { type: 'peer', at, message: effect.message });
    if (effect.type !== 'read' && effect.type !== 'cas') return;
    const reach = this.#condition[from];
    if (reach === 'held') this.#held = [...this.#held, { from, effect }];
    else if (reaches(reach, effect.witness)) this.#witness(from, effect, reach !== 'answers lost');
  }

  #witness(from: Name, effect: EffectOf<'read' | 'cas'>, answered: boolean): void {
    const { witness, request } = effect;
    const lease = this.#registers[witness];
    const about = { at: this.#at, witness, request };
    let event: FailoverEvent;
    if (effect.type === 'read') event = { type: 'witness-read', ...about, lease, expired: undefined };
    else if (sameVersion(effect.expect, lease)) {
      this.#registers[witness] = effect.next;
      event = { type: 'witness-applied', ...about };
    } else event = { type: 'witness-conflict', ...about, current: lease };
    if (answered) this.tell(from, event);
  }

  done(): World {
    return {
      at: this.#at,
      registers: this.#registers,
      regions: this.#regions,
      openUntil: this.#openUntil,
      held: this.#held,
    };
  }
}

function reaches(reach: Reach, witness: string): boolean {
  if (reach === 'none') return false;
  if (reach === 'first') return witness === 'w1';
  if (reach === 'last') return witness !== 'w1';
  return true;
}

/** Every combination of what may happen to either region's messages, to their own exchange, and of a frozen controller. */
export function conditionsOf(reach: readonly Reach[]): Condition[] {
  const conditions: Condition[] = [];
  for (const a of reach)
    for (const b of reach)
      for (const peers of [true, false])
        for (const paused of [undefined, 'a', 'b'] as const) conditions.push({ a, b, peers, paused });
  return conditions;
}
