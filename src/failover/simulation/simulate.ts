/**
 * One run: two regions, one or three witnesses and three resolvers on one agenda, faults in between, oracles all along.
 * A seed (and the commit) gives the same run again.
 */

import { regionState } from '../evidence-decision.ts';
import { step } from '../failover-decision.ts';
import { defaultParameters } from '../parameters.ts';
import type { EffectOf, FailoverEvent, FailoverSettings, Layer, ResolverAnswer } from '../protocol.ts';
import { Agenda } from './agenda.ts';
import { scheduleFaults } from './faults.ts';
import { Network } from './network.ts';
import { Oracles, type Violation } from './oracles.ts';
import { type Chance, chanceOf } from './random.ts';
import { Region, type RegionFaults, type StepFunction, type Surroundings, usualDiskMs } from './region.ts';
import { Register, type RegisterFault } from './register.ts';
import type { Variant } from './variants.ts';

const regionNames = ['fsn', 'hel'] as const;
const resolverNames = ['8.8.8.8', '1.1.1.1', '9.9.9.9'];

/** Time for the first lease; then faults; then time to recover: longer than all waits of the protocol together. */
const calmBefore = 50_000;
const faultsLast = 420_000;
const calmAfter = 150_000;

/** Something broken on purpose, to see whether an oracle notices. */
export interface Sabotage {
  step?: (step: StepFunction) => StepFunction;
  parameters?: Partial<FailoverSettings['parameters']>;
  region?: Partial<RegionFaults>;
  register?: RegisterFault;
}

export interface RunOptions {
  seed: number;
  variant: Variant;
  sabotage?: Sabotage;
  trace?: (line: string) => void;
  /** `storm` (default): faults of every kind. `loss`: the active region is lost for good, and nothing else happens. */
  scenario?: 'storm' | 'loss';
}

export interface RunResult {
  seed: number;
  violations: readonly Violation[];
  simulatedMs: number;
  /** Real milliseconds, while faults happen, in which a layer was open somewhere. */
  coveredMs: Record<Layer, number>;
  faultMs: number;
  overlapMs: Record<Layer, number>;
  takeovers: number;
  resumes: number;
  handovers: number;
  steps: number;
  /** In the scenario `loss`: from the loss of the active region to the other's lease, in milliseconds. */
  lossToLease: number[];
}

export function simulate(options: RunOptions): RunResult {
  return new World(options).run();
}

class World {
  readonly #options: RunOptions;
  readonly #agenda = new Agenda();
  readonly #chance: Chance;
  readonly #network: Network;
  readonly #registers: readonly Register[];
  readonly #regions: readonly Region[];
  readonly #oracles: Oracles;
  readonly #coveredUntil: Record<Layer, number> = { traffic: 0, mesh: 0, stateful: 0 };
  readonly #result: Omit<RunResult, 'violations' | 'overlapMs'>;
  #lostAt: { region: string; at: number } | undefined;

  constructor(options: RunOptions) {
    const { seed, variant, sabotage } = options;
    this.#options = options;
    this.#chance = chanceOf(seed);
    const chance = this.#chance;
    this.#network = new Network(this.#agenda, chance, variant.slowMs);
    // The hardest clocks are the extreme ones: half of the time a clock is as wrong as it may be.
    const rate = () => 1 + variant.clockError * (chance.happens(0.5) ? chance.pick([-1, 1]) : chance.between(-1, 1));
    const witnesses = variant.witnesses === 1 ? ['w1'] : ['w1', 'w2', 'w3'];
    this.#registers = witnesses.map((name) => new Register(name, this.#agenda, rate(), sabotage?.register));
    const faults = { noDeadMan: false, ungated: false, forgetful: false, ...sabotage?.region };
    const surroundings = this.#surroundings(sabotage);
    const settings = this.#settings(witnesses);
    this.#regions = regionNames.map(
      (name, index) =>
        new Region(
          settings(name, regionNames[1 - index] as string, index === 0),
          surroundings,
          { rate: rate(), offset: chance.between(0, 1e6) },
          faults,
        ),
    );
    this.#oracles = new Oracles(this.#view(), regionNames);
    for (const register of this.#registers)
      register.onWrite = (lease, before) => this.#oracles.onWrite(register.name, lease, before);
    const none = { traffic: 0, mesh: 0, stateful: 0 };
    this.#result = {
      seed,
      simulatedMs: 0,
      coveredMs: none,
      faultMs: 0,
      takeovers: 0,
      resumes: 0,
      handovers: 0,
      steps: 0,
      lossToLease: [],
    };
  }

  #settings(witnesses: readonly string[]) {
    const { variant, sabotage } = this.#options;
    // Anti-flap would end most runs after two takeovers; it has tests of its own.
    const parameters = {
      ...defaultParameters,
      dwellMs: 0,
      maxTakeovers: 1_000,
      ...variant.parameters,
      ...sabotage?.parameters,
    };
    const components = this.#chance
      .pick([['postgres', 'valkey'], ['postgres'], []])
      .map((name) => ({ name, rpoMs: 30_000 }));
    return (region: string, peer: string, initialHolder: boolean): FailoverSettings => ({
      group: 'shop',
      region,
      peer,
      witnesses,
      resolvers: resolverNames,
      parameters,
      mode: 'Automatic',
      dnsFallback: variant.dnsFallback,
      initialHolder,
      components,
    });
  }

  #surroundings(sabotage: Sabotage | undefined) {
    return {
      agenda: this.#agenda,
      chance: this.#chance,
      step: sabotage?.step ? sabotage.step(step) : step,
      transmit: (region: Region, effect: EffectOf<'read' | 'cas' | 'send' | 'probe'>) => this.#transmit(region, effect),
      onStep: (...[region, before, after, effects]: Parameters<Surroundings['onStep']>) => {
        this.#result.steps += 1;
        this.#oracles.onStep(region.name, before, after, effects);
        const epoch = after.hold?.epoch;
        if (after.hold && epoch !== before.hold?.epoch) this.#onActive(region, after.hold.kind);
      },
      onOpened: (region: Region, layer: Layer) => {
        this.#cover(region, layer);
        this.#oracles.onOpened(region.name, layer);
      },
      onClosed: (region: Region, layer: Layer, was: number) => this.#uncover(region, layer, was),
      onWriters: (region: Region) => this.#oracles.checkWriters(region.name),
      onRecorded: (region: Region, entry: string) => this.#oracles.onRecorded(region.name, entry),
      onPromoted: (region: Region, component: string, effect: EffectOf<'component'>) =>
        this.#checkToken(region, component, effect),
      trace: this.#trace(),
    };
  }

  #trace(): ((line: string) => void) | undefined {
    const { trace } = this.#options;
    return trace && ((line) => trace(`${(this.#agenda.now / 1000).toFixed(3).padStart(9)} ${line}`));
  }

  #view() {
    const region = (name: string) => this.#regions.find((one) => one.name === name) as Region;
    return {
      now: () => this.#agenda.now,
      local: (name: string) => region(name).local(),
      toReal: (name: string, local: number) => region(name).toReal(local),
      settings: (name: string) => region(name).settings,
      openUntil: (name: string, layer: Layer) => region(name).openUntil(layer),
      heldEpoch: (name: string) => region(name).state.hold?.epoch,
      writers: (name: string) => region(name).writers(),
    };
  }

  run(): RunResult {
    if (this.#options.scenario === 'loss') return this.#runLoss();
    const until = calmBefore + faultsLast;
    for (const region of this.#regions) this.#agenda.in(this.#chance.between(0, 3_000), () => region.start());
    this.#agenda.in(calmBefore, () => {
      this.#network.calm = false;
      this.#result.coveredMs = { traffic: 0, mesh: 0, stateful: 0 };
      for (const layer of ['traffic', 'mesh', 'stateful'] as const) this.#coverFrom(layer);
    });
    scheduleFaults(this.#victims(), calmBefore, until);
    if (this.#chance.happens(0.3)) this.#switchover(this.#chance.between(calmBefore, until));
    this.#agenda.in(until, () => this.#heal());
    this.#agenda.runUntil(until + calmAfter);
    this.#oracles.checkLiveness(regionNames);
    for (const region of this.#regions) this.#checkBootFence(region);
    const { violations, overlapMs } = this.#oracles;
    return { ...this.#result, violations, overlapMs, simulatedMs: until + calmAfter, faultMs: faultsLast };
  }

  #runLoss(): RunResult {
    for (const region of this.#regions) this.#agenda.in(this.#chance.between(0, 3_000), () => region.start());
    this.#agenda.in(calmBefore + this.#chance.between(0, 60_000), () => {
      const active = this.#regions.find(({ state }) => state.hold);
      if (!active) return;
      this.#lostAt = { region: active.name, at: this.#agenda.now };
      active.crashMachine();
    });
    const simulatedMs = calmBefore + 60_000 + calmAfter;
    this.#agenda.runUntil(simulatedMs);
    this.#oracles.checkLiveness(regionNames);
    const { violations, overlapMs } = this.#oracles;
    return { ...this.#result, violations, overlapMs, simulatedMs };
  }

  #victims() {
    return {
      agenda: this.#agenda,
      chance: this.#chance,
      network: this.#network,
      regions: this.#regions,
      registers: this.#registers,
      resolvers: resolverNames,
      trace: this.#trace(),
    };
  }

  /** Every fault ends. Whatever was under way goes on. */
  #heal(): void {
    this.#trace()?.('! every fault ends');
    for (const layer of ['traffic', 'mesh', 'stateful'] as const) this.#uncoverRest(layer);
    this.#network.heal();
    for (const register of this.#registers) register.down = 0;
    for (const region of this.#regions) {
      region.recordBroken = 0;
      region.diskMs = usualDiskMs;
      region.componentsBroken = 0;
      region.pauseOnCas = 0;
      region.crashOnPromise = 0;
      if (!region.machineUp) region.bootMachine();
      region.resume();
      region.start();
    }
  }

  #switchover(at: number): void {
    this.#agenda.in(at, () => {
      const active = this.#regions.find((region) => region.state.hold);
      active?.receive(
        (local): FailoverEvent => ({
          type: 'switchover',
          at: local,
          actor: 'the person on call',
          reason: 'maintenance',
        }),
      );
    });
  }

  #onActive(region: Region, kind: string): void {
    if (kind === 'takeover') this.#result.takeovers += 1;
    if (kind === 'resume') this.#result.resumes += 1;
    if (kind === 'handover') this.#result.handovers += 1;
    if (this.#lostAt && this.#lostAt.region !== region.name)
      this.#result.lossToLease.push(this.#agenda.now - this.#lostAt.at);
    this.#lostAt = undefined;
  }

  /** What a planned switchover promotes has to carry the token of the demotion it follows. */
  #checkToken(region: Region, component: string, { token }: EffectOf<'component'>): void {
    const other = this.#regions.find((one) => one !== region);
    const given = other?.components.get(component)?.token ?? 0;
    if (region.state.hold?.kind === 'handover' && token !== given)
      this.#oracles.violate(
        'handover-token',
        `${region.name} promotes ${component} with token ${token} instead of ${given}.`,
      );
  }

  /** A controller that has been up for a while without a lease has fenced what it found. */
  #checkBootFence(region: Region): void {
    if (region.process !== 'running' || region.state.hold || this.#agenda.now - region.startedAt < 60_000) return;
    const open = region.unfenced();
    if (open.length > 0)
      this.#oracles.violate('boot-fence', `${region.name} has no lease, and ${open.join(', ')} accepts writes.`);
  }

  // Availability: how long a layer was open anywhere.

  #cover(region: Region, layer: Layer): void {
    const until = Math.min(region.openUntil(layer), 1e12);
    const from = Math.max(this.#agenda.now, this.#coveredUntil[layer]);
    if (until <= from) return;
    this.#result.coveredMs[layer] += until - from;
    this.#coveredUntil[layer] = until;
  }

  #uncover(region: Region, layer: Layer, was: number): void {
    const { now } = this.#agenda;
    if (was <= now || this.#coveredUntil[layer] === Number.POSITIVE_INFINITY) return;
    const other = this.#regions.find((one) => one !== region)?.openUntil(layer) ?? 0;
    const until = Math.max(now, Math.min(other, 1e12));
    if (until >= this.#coveredUntil[layer]) return;
    this.#result.coveredMs[layer] -= this.#coveredUntil[layer] - until;
    this.#coveredUntil[layer] = until;
  }

  #coverFrom(layer: Layer): void {
    const { now } = this.#agenda;
    this.#result.coveredMs[layer] = Math.max(0, this.#coveredUntil[layer] - now);
  }

  #uncoverRest(layer: Layer): void {
    const { now } = this.#agenda;
    this.#result.coveredMs[layer] -= Math.max(0, this.#coveredUntil[layer] - now);
    this.#coveredUntil[layer] = Number.POSITIVE_INFINITY;
  }

  // What leaves a region.

  #transmit(region: Region, effect: EffectOf<'read' | 'cas' | 'send' | 'probe'>): void {
    if (effect.type === 'send') this.#message(region, effect);
    else if (effect.type === 'probe') this.#ask(region, effect);
    else this.#toWitness(region, effect);
  }

  #message(region: Region, { message }: EffectOf<'send'>): void {
    if (!this.#options.variant.promises && message.kind.startsWith('promise')) return;
    const peer = this.#regions.find((one) => one !== region);
    if (peer) this.#network.send(region.name, peer.name, () => peer.receive((at) => ({ type: 'peer', at, message })));
  }

  #toWitness(region: Region, effect: EffectOf<'read' | 'cas'>): void {
    const { witness, request } = effect;
    const register = this.#registers.find(({ name }) => name === witness);
    if (!register) return;
    let answered = false;
    this.#network.send(region.name, witness, () => {
      if (register.down > 0) return;
      const answer = ask(register, effect);
      this.#network.send(witness, region.name, () => {
        answered = true;
        region.receive((at) => ({ ...answer, at, witness, request }));
      });
    });
    this.#agenda.in(effect.timeoutMs, () => {
      if (!answered) region.receive((at) => ({ type: 'witness-failed', at, witness, request }));
    });
  }

  /** A round of questions: every resolver at the same moment, each with its own way to either region. */
  #ask(region: Region, { request, timeoutMs }: EffectOf<'probe'>): void {
    const there = this.#chance.between(10, 300);
    this.#agenda.in(there, () => {
      const votes = resolverNames.map((resolver) => ({
        resolver,
        self: this.#resolve(region, resolver, region),
        peer: this.#resolve(region, resolver, this.#regions.find((one) => one !== region) as Region),
      }));
      const allAnswered = votes.every(({ self, peer }) => typeof self === 'object' && typeof peer === 'object');
      const back = allAnswered ? this.#chance.between(10, 300) : timeoutMs - there;
      this.#agenda.in(back, () => region.receive((at) => ({ type: 'votes', at, request, votes })));
    });
  }

  #resolve(asker: Region, resolver: string, about: Region): ResolverAnswer {
    const { sameViews } = this.#options.variant;
    if (!this.#network.passes(asker.name, resolver)) return 'unusable';
    // A view of its own: this asker's instance of the resolver has a network of its own to either region.
    const instance = sameViews ? resolver : `${resolver}/${asker.name}`;
    const reaches =
      this.#network.passes(instance, about.name) && (sameViews || this.#network.passes(resolver, about.name));
    return reaches && about.process === 'running' ? regionState(about.state) : 'none';
  }
}

function ask(register: Register, effect: EffectOf<'read' | 'cas'>) {
  if (effect.type === 'read') return { type: 'witness-read' as const, ...register.read() };
  const answer = register.compareAndSet(effect.expect, effect.next);
  return answer.applied
    ? { type: 'witness-applied' as const }
    : { type: 'witness-conflict' as const, current: answer.current };
}
