/**
 * One simulated region: a machine with a clock of its own, the controller process with the real `step` in it, gates that
 * keep their own deadline, and components that come back from a reboot as they were.
 */
import { createState, type step } from '../failover-decision.ts';
import type { EffectOf, FailoverEffect, FailoverEvent, FailoverSettings, FailoverState, Layer } from '../protocol.ts';
import type { Agenda } from './agenda.ts';
import type { Chance } from './random.ts';

export type StepFunction = typeof step;

interface Component {
  /** Stored in the cluster: outlives reboots. */
  primary: boolean;
  fenced: boolean;
  /** What the last orderly demotion returned. */
  token: number;
  /** When the last action on it ends: the API server takes them one after the other. */
  busyUntil: number;
}

/** How a region differs from the production design, to see whether an oracle notices. */
export interface RegionFaults {
  /** Gates stay open until told otherwise. */
  noDeadMan: boolean;
  /** Components serve without a gate in front. */
  ungated: boolean;
  /** What was promised is not found again after a start, and taken for never given. */
  forgetful: boolean;
}

/** What the region needs of the world around it. */
export interface Surroundings {
  agenda: Agenda;
  chance: Chance;
  step: StepFunction;
  /** Carries out what leaves the region: reads, compare-and-sets, messages, questions to resolvers. */
  transmit(region: Region, effect: EffectOf<'read' | 'cas' | 'send' | 'probe'>): void;
  onStep(region: Region, before: FailoverState, after: FailoverState, effects: readonly FailoverEffect[]): void;
  onOpened(region: Region, layer: Layer): void;
  onClosed(region: Region, layer: Layer, was: number): void;
  onWriters(region: Region): void;
  onRecorded(region: Region, entry: string): void;
  onPromoted(region: Region, component: string, effect: EffectOf<'component'>): void;
  trace: ((line: string) => void) | undefined;
}

/** A write with its sync, on a disk that nobody else keeps busy. */
export const usualDiskMs = 20;

export class Region {
  readonly name: string;
  readonly settings: FailoverSettings;
  readonly #world: Surroundings;
  readonly #rate: number;
  readonly #offset: number;
  readonly #faults: RegionFaults;
  machineUp = true;
  process: 'running' | 'paused' | 'down' = 'down';
  /** A pause that strikes between the decision to send a compare-and-set and its leaving. */
  pauseOnCas = 0;
  /** A crash that strikes while a promise is being written down; so long until the next start. */
  crashOnPromise = 0;
  recordBroken = 0;
  /** Longest time a write to the disk takes, in milliseconds. */
  diskMs = usualDiskMs;
  componentsBroken = 0;
  state: FailoverState;
  reason = '';
  startedAt = 0;
  readonly components = new Map<string, Component>();
  readonly #open: Record<Layer, number> = { traffic: 0, mesh: 0, stateful: 0 };
  #life = 0;
  #boot = 0;
  /** On disk: how long the last promise bound when it was written, and when and in which boot that was. */
  #remembered: { remainingMs: number; at: number; boot: number } | undefined;
  #timerAt = Number.POSITIVE_INFINITY;
  /** What waits for a paused process: messages in its sockets, and what it was about to do. */
  #waiting: (() => void)[] = [];

  constructor(
    settings: FailoverSettings,
    world: Surroundings,
    clock: { rate: number; offset: number },
    faults: RegionFaults,
  ) {
    this.name = settings.region;
    this.settings = settings;
    this.#world = world;
    this.#rate = clock.rate;
    this.#offset = clock.offset;
    this.#faults = faults;
    this.state = createState(settings);
    for (const { name } of settings.components)
      this.components.set(name, { primary: settings.initialHolder, fenced: false, token: 0, busyUntil: 0 });
  }

  local(): number {
    return this.#offset + this.#world.agenda.now * this.#rate;
  }

  toReal(local: number): number {
    return (local - this.#offset) / this.#rate;
  }

  openUntil(layer: Layer): number {
    return this.#open[layer];
  }

  /** Components that accept writes at this moment. */
  writers(): string[] {
    if (!this.machineUp || (!this.#faults.ungated && this.#open.stateful <= this.#world.agenda.now)) return [];
    return this.unfenced();
  }

  unfenced(): string[] {
    const names: string[] = [];
    for (const [name, { primary, fenced }] of this.components) if (primary && !fenced) names.push(name);
    return names;
  }

  // The life of the process and its machine.

  start(): void {
    if (!this.machineUp || this.process !== 'down') return;
    this.#life += 1;
    this.process = 'running';
    this.startedAt = this.#world.agenda.now;
    this.#waiting = [];
    this.#timerAt = Number.POSITIVE_INFINITY;
    const epochFloor = this.state.maxEpoch;
    const promiseUntil = this.#promiseUntil();
    this.state = createState(this.settings);
    // What is taken for promised is written down at once: the next start is not to begin from nothing.
    const remainingMs = promiseUntil === undefined ? this.settings.parameters.promiseMs : promiseUntil - this.local();
    if (this.recordBroken === 0) this.#remembered = { remainingMs, at: this.local(), boot: this.#boot };
    this.#step({
      type: 'start',
      at: this.local(),
      incarnation: `${this.name}${this.#life}`,
      epochFloor,
      promiseUntil,
    });
    this.assess();
  }

  /** As `promise-file.ts` reads it back: of time that passed before this boot nothing is known. */
  #promiseUntil(): number | undefined {
    const at = this.local();
    if (this.#faults.forgetful) return at;
    const known = this.#remembered;
    if (!known) return undefined;
    const passed = known.boot === this.#boot ? at - known.at : 0;
    return at + Math.max(0, known.remainingMs - passed);
  }

  /** The process is gone; gates and components remain. */
  crash(): void {
    this.process = 'down';
    this.#life += 1;
  }

  /** The machine is gone: every gate with it. What components have stored stays. */
  crashMachine(): void {
    this.crash();
    this.machineUp = false;
    for (const layer of ['traffic', 'mesh', 'stateful'] as const) this.#close(layer);
  }

  bootMachine(): void {
    this.machineUp = true;
    this.#boot += 1;
    this.#world.onWriters(this);
  }

  pause(): void {
    if (this.process === 'running') this.process = 'paused';
  }

  resume(): void {
    if (this.process !== 'paused') return;
    this.process = 'running';
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const run of waiting) {
      if (this.process === 'running') run();
      else if (this.process === 'paused') this.#waiting.push(run);
    }
    this.#setTimer(this.#world.agenda.now);
  }

  /** Runs in the process: now, when it is resumed, or never when it dies first. */
  #inProcess(run: () => void): void {
    if (this.process === 'paused') this.#waiting.push(run);
    else if (this.process === 'running') run();
  }

  /** Runs in this life of the process after a while. */
  #later(delay: number, run: () => void): void {
    const life = this.#life;
    this.#world.agenda.in(delay, () => {
      if (life === this.#life) this.#inProcess(run);
    });
  }

  /** Something arrives from outside: `event` is built when the process gets to see it. */
  receive(event: (at: number) => FailoverEvent): void {
    const life = this.#life;
    this.#inProcess(() => {
      if (life === this.#life) this.#step(event(this.local()));
    });
  }

  assess(): void {
    this.#later(this.#world.chance.between(50, 500), () => {
      const components = this.settings.components.map(({ name }) => ({
        component: name,
        verdict: 'ok' as const,
        lagMs: 0,
      }));
      this.#step({
        type: 'assessment',
        at: this.local(),
        failedChecks: [],
        components,
        positions: this.#world.agenda.now,
      });
      this.#later(60_000 / this.#rate, () => this.assess());
    });
  }

  #step(event: FailoverEvent): void {
    const before = this.state;
    const { state, effects, reason, sentence, wakeAt } = this.#world.step(before, event);
    this.state = state;
    const { trace } = this.#world;
    if (trace && (reason !== this.reason || event.type !== 'tick'))
      trace(`${this.name} ${describeEvent(event)} -> ${reason}: ${sentence}`);
    this.reason = reason;
    this.#world.onStep(this, before, state, effects);
    for (const effect of effects) this.#carryOut(effect);
    // A timer never fires early; a hundredth of a millisecond is above what the conversion rounds away.
    this.#setTimer(this.toReal(wakeAt) + 0.01);
  }

  #setTimer(real: number): void {
    const { agenda } = this.#world;
    if (this.#timerAt > agenda.now && this.#timerAt <= real) return;
    this.#timerAt = real;
    this.#later(real - agenda.now, () => {
      if (this.#timerAt !== real && real < this.#timerAt) return;
      this.#timerAt = Number.POSITIVE_INFINITY;
      this.#step({ type: 'tick', at: this.local() });
    });
  }

  #carryOut(effect: FailoverEffect): void {
    const { trace, chance } = this.#world;
    trace?.(`  ${this.name} ${describeEffect(effect)}`);
    switch (effect.type) {
      case 'gate':
        this.#inProcess(() =>
          effect.open ? this.#openGate(effect.layer, effect.deadline) : this.#close(effect.layer),
        );
        return;
      case 'component':
        this.#inProcess(() => this.#act(effect));
        return;
      case 'record':
        this.#later(chance.between(1, this.diskMs), () => this.#recorded(effect.entry));
        return;
      case 'remember':
        if (this.crashOnPromise > 0) this.#crashNow();
        this.#later(chance.between(1, this.diskMs), () => this.#remember(effect));
        return;
      case 'cas':
        if (this.pauseOnCas > 0) this.#pauseNow();
        this.#inProcess(() => this.#world.transmit(this, effect));
        return;
      case 'read':
      case 'send':
      case 'probe':
        this.#inProcess(() => this.#world.transmit(this, effect));
        return;
      default:
    }
  }

  #pauseNow(): void {
    const duration = this.pauseOnCas;
    this.pauseOnCas = 0;
    this.pause();
    this.#world.agenda.in(duration, () => this.resume());
  }

  #crashNow(): void {
    const duration = this.crashOnPromise;
    this.crashOnPromise = 0;
    // What the step asks for beside it has left by then.
    this.#later(0, () => this.crash());
    this.#world.agenda.in(duration, () => this.start());
  }

  #recorded(entry: string): void {
    const at = this.local();
    if (this.recordBroken > 0) this.#step({ type: 'record-failed', at, entry, sentence: 'No space left on device.' });
    else {
      this.#world.onRecorded(this, entry);
      this.#step({ type: 'recorded', at, entry });
    }
  }

  #remember({ entry, until }: EffectOf<'remember'>): void {
    const at = this.local();
    if (this.recordBroken === 0) this.#remembered = { remainingMs: until - at, at, boot: this.#boot };
    this.#recorded(entry);
  }

  #openGate(layer: Layer, deadline: number): void {
    const until = this.#faults.noDeadMan ? Number.POSITIVE_INFINITY : this.toReal(deadline);
    const was = this.#open[layer];
    this.#open[layer] = until;
    if (until > this.#world.agenda.now) this.#world.onOpened(this, layer);
    else this.#world.onClosed(this, layer, was);
    if (layer === 'stateful') this.#world.onWriters(this);
  }

  #close(layer: Layer): void {
    const was = this.#open[layer];
    this.#open[layer] = 0;
    this.#world.onClosed(this, layer, was);
  }

  /** The action leaves if its deadline allows, and takes effect some time later whatever becomes of this process. */
  #act(effect: EffectOf<'component'>): void {
    const { agenda, chance } = this.#world;
    const { component: name, action, request, deadline } = effect;
    const component = this.components.get(name);
    if (!component) return;
    const failed =
      (deadline !== undefined && this.local() >= deadline) || (this.componentsBroken > 0 && chance.happens(0.7));
    const start = Math.max(agenda.now, component.busyUntil);
    const end = start + (action === 'verify' ? chance.between(10, 200) : chance.between(50, 4_000));
    component.busyUntil = end;
    const life = this.#life;
    agenda.in(end - agenda.now, () => {
      if (!failed && this.machineUp) this.#take(component, effect);
      const outcome = failed || !this.machineUp ? 'failed' : 'done';
      const event = {
        type: 'component' as const,
        request,
        outcome,
        sentence: 'The API server refused.',
        token: component.token,
      } as const;
      if (life === this.#life) this.#inProcess(() => this.#step({ ...event, at: this.local() }));
    });
  }

  #take(component: Component, effect: EffectOf<'component'>): void {
    if (effect.action === 'fence') component.fenced = true;
    if (effect.action === 'demote') {
      component.primary = false;
      component.fenced = true;
      component.token = Math.floor(this.#world.agenda.now);
    }
    if (effect.action === 'promote') {
      component.primary = true;
      component.fenced = false;
      this.#world.onPromoted(this, effect.component, effect);
      this.#world.onWriters(this);
    }
  }
}

function describeEvent(event: FailoverEvent): string {
  const { type, at: _, ...rest } = event;
  return `[${type}${type === 'tick' ? '' : ` ${JSON.stringify(rest).slice(0, 140)}`}]`;
}

function describeEffect(effect: FailoverEffect): string {
  const { type, ...rest } = effect;
  return `${type} ${JSON.stringify(rest).slice(0, 200)}`;
}
