/**
 * One failover group in one region: feeds events to the pure protocol and carries out what it asks for. Events are handled
 * one after the other; what takes time runs beside them and comes back as an event.
 */
import type { Clock } from '../clock.ts';
import { CatalystError, messageOf } from '../errors.ts';
import type { CallContext } from '../integrations/contract.ts';
import { byHandSentence, doneByHand } from './by-hand.ts';
import type { Elapsed } from './elapsed-clock.ts';
import { keepLayer, type LayerKeeper } from './layer-keeper.ts';
import { Gate } from './layers/gate.ts';
import { type Authority, type Component, type TrafficLayer, toClose } from './layers/layer.ts';
import { type Json, readPayload } from './lease.ts';
import type { PromiseFile } from './promise-file.ts';
import {
  type EffectOf,
  type FailoverEffect,
  type FailoverEvent,
  type FailoverSettings,
  type FailoverState,
  type Layer,
  layers,
  type PeerMessage,
  type Step,
} from './protocol.ts';
import { keptEntries, type RecordFile } from './record-file.ts';
import type { Witness } from './witness/witness.ts';

/** The pure protocol, as the runner needs it. */
export interface Protocol {
  initial(settings: FailoverSettings): FailoverState;
  step(state: FailoverState, event: FailoverEvent): Step;
}

export interface RunnerPorts {
  settings: FailoverSettings;
  protocol: Protocol;
  witnesses: readonly Witness[];
  /** One round of questions; undefined where no resolver is configured. */
  probe: ((timeoutMs: number, signal: AbortSignal) => Promise<EventVotes>) | undefined;
  send: ((message: PeerMessage) => Promise<void>) | undefined;
  components: readonly Component[];
  traffic: readonly TrafficLayer[];
  record: RecordFile;
  promises: PromiseFile;
  incarnation: string;
  elapsed: Elapsed;
  clock: Clock;
  /** Told each step whose reason or sentence is news. */
  onStep: (step: Step) => void;
  onPage: (severity: 'critical' | 'warning', sentence: string) => void;
  onNote: (sentence: string, failed: boolean) => void;
}

export type EventVotes = Extract<FailoverEvent, { type: 'votes' }>['votes'];
/** An event without its time: the runner stamps it. */
type Without<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;
export type News = Without<FailoverEvent, 'at'>;

/** Which layer of traffic belongs to which word of the protocol. */
const layerOf: Readonly<Record<string, Layer>> = { external: 'traffic', internal: 'mesh' };

export class GroupRunner {
  readonly #ports: RunnerPorts;
  readonly #stopping = new AbortController();
  readonly #keepers = new Map<Layer, LayerKeeper>();
  readonly gates: Readonly<Record<Layer, Gate>>;
  #state: FailoverState;
  #step: Step | undefined;
  #timer: NodeJS.Timeout | undefined;
  #started = false;
  #handling = false;
  readonly #queue: News[] = [];
  readonly #under = new Set<Promise<void>>();

  constructor(ports: RunnerPorts) {
    this.#ports = ports;
    const { settings, elapsed } = ports;
    this.#state = ports.protocol.initial(settings);
    const gate = () => new Gate(settings.group, elapsed);
    this.gates = { traffic: gate(), mesh: gate(), stateful: gate() };
    for (const layer of ports.traffic) {
      const name = layerOf[layer.name];
      if (name) this.#keepers.set(name, keepLayer(layer, ports.clock, ports.onNote));
    }
  }

  get group(): string {
    return this.#ports.settings.group;
  }

  get settings(): FailoverSettings {
    return this.#ports.settings;
  }

  get components(): readonly Component[] {
    return this.#ports.components;
  }

  get state(): FailoverState {
    return this.#state;
  }

  /** The last step: reason and sentence. */
  get last(): Step | undefined {
    return this.#step;
  }

  /** Whether this region is active: an epoch is held and its gates are open. */
  get active(): boolean {
    return layers.some((layer) => this.gates[layer].read().open);
  }

  problems(): string[] {
    const layersToTell = [...this.#keepers.values()].flatMap((keeper) => keeper.problem() ?? []);
    return [...layersToTell, ...this.#waitingForPeople().map(({ sentence }) => sentence)];
  }

  /** Components of a plan under way that somebody has to see to. */
  #waitingForPeople(): { name: string; sentence: string }[] {
    const { hold } = this.#state;
    if (hold?.plan.phase !== 'promote' && hold?.plan.phase !== 'verify') return [];
    return this.#ports.components.flatMap((one) => {
      const sentence = this.#notDoneByHand(one);
      return sentence === undefined ? [] : [{ name: one.name, sentence }];
    });
  }

  #notDoneByHand({ name, byHand }: Component): string | undefined {
    if (byHand === undefined || doneByHand(this.#ports.record.recent(this.group, keptEntries), name)) return undefined;
    return byHandSentence(this.group, name, byHand);
  }

  /** A person has done what a component waits for. Throws InvalidState when it waits for nothing. */
  async confirm(component: string, actor: string, reason: string): Promise<void> {
    const { hold } = this.#state;
    if (!hold || !this.#waitingForPeople().some(({ name }) => name === component))
      throw new CatalystError('InvalidState', `${this.group}: ${component} waits for nobody here.`);
    const { record, settings } = this.#ports;
    const sentence = `${actor} has seen to ${component}: ${reason}`;
    const facts = { component, actor, reason };
    const { group, region } = settings;
    await record.append({ kind: 'confirmed', group, region, epoch: hold.epoch, actor, sentence, facts });
    this.tell({ type: 'tick' });
  }

  start(): void {
    const { incarnation, record, promises, settings, elapsed, onNote } = this.#ports;
    const remainingMs = promises.remainingMs();
    const promiseUntil = remainingMs === undefined ? undefined : elapsed() + remainingMs;
    // What is taken for promised is written down at once: the next start is not to begin from nothing.
    promises
      .keep(remainingMs ?? settings.parameters.promiseMs)
      .catch((error: unknown) => onNote(`The promises cannot be written: ${messageOf(error)}`, true));
    // What others were told before a crash is taken back first thing, whatever the protocol has to say.
    for (const keeper of this.#keepers.values())
      keeper.want(false, toClose(settings.group, settings.region, undefined));
    this.#started = true;
    // What was told before is heard after the start.
    this.#queue.unshift({
      type: 'start',
      incarnation,
      epochFloor: record.highestEpoch(settings.group),
      promiseUntil,
    });
    this.#drain();
  }

  /** Hands an event to the protocol, stamped with the time of its receipt. */
  tell(news: News): void {
    if (this.#stopping.signal.aborted) return;
    this.#queue.push(news);
    this.#drain();
  }

  #drain(): void {
    if (this.#handling || !this.#started) return;
    this.#handling = true;
    try {
      for (let next = this.#queue.shift(); next; next = this.#queue.shift()) this.#take(next);
    } finally {
      this.#handling = false;
    }
  }

  #take(news: News): void {
    const { protocol, elapsed, onStep } = this.#ports;
    const before = this.#step;
    const step = protocol.step(this.#state, { ...news, at: elapsed() } as FailoverEvent);
    this.#state = step.state;
    this.#step = step;
    // The gates first: whatever else an effect takes, a gate that is to shut is shut.
    for (const effect of step.effects) if (effect.type === 'gate') this.#setGate(effect);
    for (const effect of step.effects) if (effect.type !== 'gate') this.#start(effect);
    if (before?.reason !== step.reason || before.sentence !== step.sentence) onStep(step);
    this.#schedule(step.wakeAt);
  }

  #schedule(wakeAt: number): void {
    clearTimeout(this.#timer);
    // Never a busy loop, and never longer asleep than a second: elapsed time may run on while timers stand still.
    const wait = Math.min(1_000, Math.max(1, Math.ceil(wakeAt - this.#ports.elapsed())));
    this.#timer = setTimeout(() => this.tell({ type: 'tick' }), wait);
  }

  /** When what a deadline was granted by was sent, or earlier: no deadline is further ahead of it than these. */
  #sendOf(deadline: number): number {
    const { hardMs, dnsHardMs } = this.settings.parameters;
    return deadline - Math.max(hardMs, dnsHardMs);
  }

  #setGate(effect: EffectOf<'gate'>): void {
    const gate = this.gates[effect.layer];
    if (!effect.open) {
      gate.shut(effect.epoch, 'this region is not active');
      this.#keepers.get(effect.layer)?.want(false, this.#closing(effect.epoch));
      return;
    }
    if (gate.extend(effect.epoch, effect.deadline, this.#sendOf(effect.deadline)))
      this.#keepers.get(effect.layer)?.want(
        true,
        this.#authority(effect.epoch, () => gate.read().remainingMs > 0),
      );
  }

  /** At the start whatever is there was left by somebody who is gone, under whatever epoch. */
  #closing(epoch: number): Authority {
    const { group, region } = this.#ports.settings;
    const boot = this.#state.hold === undefined && this.#state.fence?.reason === 'BootFence';
    return toClose(group, region, boot ? undefined : epoch);
  }

  #authority(epoch: number, live: () => boolean): Authority {
    const { group, region } = this.#ports.settings;
    return {
      group,
      region,
      epoch,
      demand: () => {
        if (this.#state.hold?.epoch === epoch && live()) return;
        throw new CatalystError('RefusedByGuard', `${group}: epoch ${epoch} is over; nothing is done under it.`, {
          details: { reason: 'StaleEpoch' },
        });
      },
    };
  }

  /** Starts what takes time; its outcome comes back as an event. */
  #start(effect: Exclude<FailoverEffect, { type: 'gate' }>): void {
    const work = this.#carryOut(effect).catch((error: unknown) =>
      this.#ports.onNote(`${effect.type}: ${messageOf(error)}`, true),
    );
    this.#under.add(work);
    void work.finally(() => this.#under.delete(work));
  }

  async #carryOut(effect: Exclude<FailoverEffect, { type: 'gate' }>): Promise<void> {
    switch (effect.type) {
      case 'read':
        return this.#read(effect);
      case 'cas':
        return this.#compareAndSet(effect);
      case 'send':
        // A message that does not arrive is what the protocol expects of a network.
        return this.#ports.send?.(effect.message).catch(() => {});
      case 'probe':
        return this.#probe(effect);
      case 'record':
        return this.#record(effect);
      case 'remember':
        return this.#remember(effect);
      case 'component':
        return this.#component(effect);
      case 'divergence':
        return this.#divergence(effect);
      case 'page':
        return this.#ports.onPage(effect.severity, effect.sentence);
    }
  }

  #limit(ms: number): AbortSignal {
    // Whole milliseconds, or Node refuses; rounded down, as a deadline may only come out early.
    return AbortSignal.any([this.#stopping.signal, AbortSignal.timeout(Math.max(1, Math.floor(ms)))]);
  }

  #witness(name: string): Witness {
    const witness = this.#ports.witnesses.find((one) => one.name === name);
    if (witness === undefined) throw new CatalystError('NotConfigured', `There is no witness ${name}.`);
    return witness;
  }

  async #read({ witness, request, timeoutMs }: EffectOf<'read'>): Promise<void> {
    try {
      const { lease, expired } = await this.#witness(witness).read(this.group, { signal: this.#limit(timeoutMs) });
      this.tell({ type: 'witness-read', witness, request, lease, expired });
    } catch {
      this.tell({ type: 'witness-failed', witness, request });
    }
  }

  async #compareAndSet({ witness, request, expect, next, timeoutMs }: EffectOf<'cas'>): Promise<void> {
    try {
      const answer = await this.#witness(witness).compareAndSet(this.group, expect, next, {
        signal: this.#limit(timeoutMs),
      });
      if (answer.result === 'applied') this.tell({ type: 'witness-applied', witness, request });
      else this.tell({ type: 'witness-conflict', witness, request, current: answer.current });
    } catch {
      this.tell({ type: 'witness-failed', witness, request });
    }
  }

  async #probe({ request, timeoutMs }: EffectOf<'probe'>): Promise<void> {
    const nobody = this.settings.resolvers.map((resolver) => ({
      resolver,
      self: 'unusable' as const,
      peer: 'unusable' as const,
    }));
    const votes = await this.#ports.probe?.(timeoutMs, this.#limit(timeoutMs)).catch(() => nobody);
    this.tell({ type: 'votes', request, votes: votes ?? nobody });
  }

  async #record({ entry, kind, epoch, sentence, facts }: EffectOf<'record'>): Promise<void> {
    const { record, settings } = this.#ports;
    const actor = this.#state.intent?.acquiredBy.actor ?? this.#state.hold?.acquiredBy.actor ?? settings.region;
    try {
      await record.append({ kind, group: settings.group, region: settings.region, epoch, actor, sentence, facts });
      this.tell({ type: 'recorded', entry });
    } catch (error) {
      this.tell({ type: 'record-failed', entry, sentence: messageOf(error) });
    }
  }

  async #remember({ entry, until }: EffectOf<'remember'>): Promise<void> {
    try {
      await this.#ports.promises.keep(until - this.#ports.elapsed());
      this.tell({ type: 'recorded', entry });
    } catch (error) {
      this.tell({ type: 'record-failed', entry, sentence: messageOf(error) });
    }
  }

  async #component(effect: EffectOf<'component'>): Promise<void> {
    const { request, component: name, action, epoch, deadline, token } = effect;
    const { elapsed, clock } = this.#ports;
    const component = this.#ports.components.find((one) => one.name === name);
    const outcome = (result: 'done' | 'failed', sentence: string, handover: Json = null) =>
      this.tell({ type: 'component', request, outcome: result, sentence, token: handover });
    if (component === undefined) return outcome('failed', `There is no component ${name}.`);
    const undone = action === 'verify' ? this.#notDoneByHand(component) : undefined;
    if (undone !== undefined) return outcome('failed', undone);
    const limit = deadline === undefined ? componentLimitMs : deadline - elapsed();
    const context: CallContext = { clock, signal: this.#limit(limit) };
    const authority =
      deadline === undefined
        ? this.#closing(epoch)
        : this.#authority(epoch, () => elapsed(this.#sendOf(deadline)) < deadline);
    try {
      const done = await act(component, action, context, authority, token);
      outcome('done', done.sentence, done.handover ?? null);
    } catch (error) {
      outcome('failed', `${name}: ${messageOf(error)}`);
    }
  }

  async #divergence({ epoch, lostEpoch, positions }: EffectOf<'divergence'>): Promise<void> {
    const { components, record, settings, clock, onPage } = this.#ports;
    const told = typeof positions === 'object' && positions !== null && !Array.isArray(positions) ? positions : {};
    const context = { clock, signal: this.#limit(componentLimitMs) };
    const found: Record<string, string> = {};
    for (const component of components)
      found[component.name] = await component
        .divergence(context, (told as { [name: string]: Json })[component.name])
        .catch((error: unknown) => `${component.name}: ${messageOf(error)}`);
    const sentence = `After epoch ${lostEpoch} was lost: ${Object.values(found).join(' ') || 'no component holds state.'}`;
    await record.append({
      kind: 'divergence',
      group: settings.group,
      region: settings.region,
      epoch,
      actor: settings.region,
      sentence,
      facts: { lostEpoch, positions, found },
    });
    if (components.length > 0) onPage('warning', sentence);
  }

  /** What the lease last told of the active's data, and when it was last seen to change (elapsed ms). */
  lastWord(): { positions: Json; aliveAt: number | undefined } {
    const views = Object.values(this.#state.witnesses).filter((view) => view.seenAt !== undefined && view.lease);
    const newest = views.sort((a, b) => (b.seenAt ?? 0) - (a.seenAt ?? 0))[0];
    return { positions: readPayload(newest?.lease?.payload).positions, aliveAt: newest?.seenAt };
  }

  get #released(): boolean {
    const { hold, fence, releasing } = this.#state;
    return hold === undefined && releasing === undefined && (fence === undefined || fence.confirmed);
  }

  /** Closes everything, releases the lease where it is held, and waits for it a while. */
  async stop(reason: string): Promise<void> {
    this.tell({ type: 'stop', reason });
    const { clock, elapsed } = this.#ports;
    const until = elapsed() + releaseLimitMs;
    while (!this.#released && elapsed() < until) await clock.sleep(50);
    this.#stopping.abort();
    clearTimeout(this.#timer);
    for (const layer of layers) this.gates[layer].shut(this.#state.maxEpoch, 'the controller has stopped');
    await Promise.all([...this.#keepers.values()].map((keeper) => keeper.stop()));
    await Promise.allSettled(this.#under);
    await this.#ports.promises.close();
  }
}

/** A fence or a report that takes longer is tried again. */
const componentLimitMs = 30_000;
/** What a clean end may take: gates, fences and one write to the witness. */
const releaseLimitMs = 15_000;

function act(
  component: Component,
  action: EffectOf<'component'>['action'],
  context: CallContext,
  authority: Authority,
  token: Json,
) {
  switch (action) {
    case 'fence':
      return component.fence(context, authority);
    case 'demote':
      return component.demote(context, authority);
    case 'promote':
      return component.promote(context, authority, token ?? undefined);
    case 'verify':
      return component.verify(context);
  }
}
