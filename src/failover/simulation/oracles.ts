/**
 * What must never be seen, whatever happens. The oracles look at the world itself (real time, the registers, the gates),
 * not at what a controller believes.
 */
import { majority, mayUseResolvers } from '../deadline.ts';
import type { Lease } from '../lease.ts';
import {
  type EffectOf,
  type FailoverEffect,
  type FailoverSettings,
  type FailoverState,
  type Layer,
  layers,
  type PeerMessage,
} from '../protocol.ts';

export const oracles = [
  'single-active-traffic',
  'single-active-mesh',
  'single-active-stateful',
  'single-writer',
  'epoch-monotonic',
  'deadline-bound',
  'takeover-bound',
  'dead-epoch',
  'promise-kept',
  'record-before-effect',
  'boot-fence',
  'handover-token',
  'liveness',
] as const;
export type Oracle = (typeof oracles)[number];

export interface Violation {
  oracle: Oracle;
  /** Real time of the world, in milliseconds. */
  at: number;
  sentence: string;
}

interface RegionTruth {
  deadStateful: number;
  deadAll: number;
  recorded: Set<number>;
  intents: Map<string, number>;
  /** By its own clock: until when it has promised, and for which epoch of the peer. */
  promised: { until: number; epoch: number };
  /** When a request for a promise came in: by its own clock, and in real time; by nonce. */
  requested: Map<string, { local: number; real: number }>;
  /** Real times: when each witness last applied a write of the epoch, and when the peer last promised. */
  applied: Map<string, { epoch: number; at: number }>;
  promisedToUs: number;
  /** The highest epoch its peer has proven to be closed: to any life of it, since what is closed stays so. */
  provenEpoch: number;
}

/** What the oracles need to know of the world. */
export interface WorldView {
  now(): number;
  local(region: string): number;
  toReal(region: string, local: number): number;
  settings(region: string): FailoverSettings;
  /** Until when, in real time, the layer of a region is open; at most now when it is closed. */
  openUntil(region: string, layer: Layer): number;
  /** The epoch a region holds, by its own belief. */
  heldEpoch(region: string): number | undefined;
  /** Components of the region that accept writes at this moment. */
  writers(region: string): readonly string[];
}

export class Oracles {
  readonly violations: Violation[] = [];
  readonly #world: WorldView;
  readonly #truth = new Map<string, RegionTruth>();
  readonly #writtenAt = new Map<string, number>();
  #newestEpoch = 0;
  /** Real milliseconds in which two regions were open, by layer. */
  readonly overlapMs: Record<Layer, number> = { traffic: 0, mesh: 0, stateful: 0 };

  readonly #countedUntil: Record<Layer, number> = { traffic: 0, mesh: 0, stateful: 0 };

  constructor(world: WorldView, regions: readonly string[]) {
    this.#world = world;
    for (const region of regions)
      this.#truth.set(region, {
        deadStateful: 0,
        deadAll: 0,
        recorded: new Set(),
        intents: new Map(),
        promised: { until: 0, epoch: 0 },
        requested: new Map(),
        applied: new Map(),
        promisedToUs: Number.NEGATIVE_INFINITY,
        provenEpoch: 0,
      });
  }

  violate(oracle: Oracle, sentence: string): void {
    this.violations.push({ oracle, at: this.#world.now(), sentence });
  }

  #of(region: string): RegionTruth {
    const truth = this.#truth.get(region);
    if (!truth) throw new Error(`No such region: ${region}`);
    return truth;
  }

  /** A register was written. */
  onWrite(witness: string, lease: Lease, before: Lease | undefined): void {
    if (before && lease.epoch < before.epoch)
      this.violate('epoch-monotonic', `${witness} went from epoch ${before.epoch} to ${lease.epoch}.`);
    if (before && lease.epoch === before.epoch && lease.holder !== '' && lease.holder !== before.holder)
      this.violate(
        'epoch-monotonic',
        `${witness}: epoch ${lease.epoch} of ${before.holder || 'nobody'} was given to ${lease.holder}.`,
      );
    if (before && before.holder !== '' && lease.holder !== '' && lease.holder !== before.holder)
      this.#onTaken(witness, lease, before);
    this.#writtenAt.set(witness, this.#world.now());
    if (lease.holder !== '') this.#of(lease.holder).applied.set(witness, { epoch: lease.epoch, at: this.#world.now() });
  }

  /** A lease may be taken only when its holder's slowest clock has run out, or on the holder's own proof. */
  #onTaken(witness: string, lease: Lease, before: Lease): void {
    const { ttlMs, clockError } = this.#world.settings(lease.holder).parameters;
    // Whoever holds a majority already takes the last witness from an older epoch without waiting.
    if (this.#world.heldEpoch(lease.holder) === lease.epoch) return;
    const age = this.#world.now() - (this.#writtenAt.get(witness) ?? 0);
    if (age >= ttlMs / (1 + clockError) || this.#of(lease.holder).provenEpoch >= before.epoch) return;
    this.violate(
      'takeover-bound',
      `${lease.holder} took ${witness} ${(age / 1000).toFixed(2)} s after ${before.holder} wrote it.`,
    );
  }

  /** A controller has taken a step. */
  onStep(region: string, before: FailoverState, after: FailoverState, effects: readonly FailoverEffect[]): void {
    const truth = this.#of(region);
    if (before.hold && before.hold.epoch !== after.hold?.epoch)
      truth.deadAll = Math.max(truth.deadAll, before.hold.epoch);
    if (after.hold?.statefulFenced) truth.deadStateful = Math.max(truth.deadStateful, after.hold.epoch);
    truth.deadStateful = Math.max(truth.deadStateful, truth.deadAll);
    truth.provenEpoch = Math.max(truth.provenEpoch, after.peerFencedEpoch);
    if (after.hold && after.hold.epoch !== before.hold?.epoch) this.#onGrant(region, after.hold.epoch);
    for (const effect of effects) this.#onEffect(region, after, effect);
  }

  #onGrant(region: string, epoch: number): void {
    if (epoch <= this.#newestEpoch)
      this.violate('epoch-monotonic', `${region} became active under epoch ${epoch} after ${this.#newestEpoch}.`);
    this.#newestEpoch = Math.max(this.#newestEpoch, epoch);
    this.#mayGoOn(region, `becomes active under epoch ${epoch}`);
  }

  /** Whether the peer may still rely on this region's promise. */
  #mayGoOn(region: string, what: string): void {
    const { until, epoch } = this.#of(region).promised;
    const { peer } = this.#world.settings(region);
    if (this.#world.local(region) < until && this.#of(peer).deadAll < epoch)
      this.violate('promise-kept', `${region} ${what} while its promise for epoch ${epoch} of ${peer} stands.`);
  }

  #onEffect(region: string, state: FailoverState, effect: FailoverEffect): void {
    const truth = this.#of(region);
    switch (effect.type) {
      case 'record':
        if (effect.kind === 'intent') truth.intents.set(effect.entry, effect.epoch);
        return;
      case 'gate':
        if (!effect.open) return;
        this.#mayAct(
          region,
          `open ${effect.layer}`,
          effect.epoch,
          effect.layer === 'stateful' ? truth.deadStateful : truth.deadAll,
        );
        if (effect.epoch === state.hold?.epoch) this.#bound(region, state, effect.layer, effect.deadline);
        return;
      case 'component':
        if (effect.action !== 'fence')
          this.#mayAct(region, `${effect.action} ${effect.component}`, effect.epoch, truth.deadStateful);
        return;
      case 'send':
        if (effect.message.kind === 'promise') this.#onPromise(region, effect.message);
        return;
      case 'remember': {
        const nonce = state.promising.find(({ entry }) => entry === effect.entry)?.nonce;
        if (nonce !== undefined)
          truth.requested.set(nonce, { local: this.#world.local(region), real: this.#world.now() });
        return;
      }
      case 'cas':
        if (effect.next.holder === region && effect.next.epoch !== state.hold?.epoch) this.#onAcquire(region, effect);
        return;
      default:
    }
  }

  #mayAct(region: string, what: string, epoch: number, dead: number): void {
    if (epoch <= dead) this.violate('dead-epoch', `${region}: ${what} under epoch ${epoch}, which is dead here.`);
    if (!this.#of(region).recorded.has(epoch))
      this.violate('record-before-effect', `${region}: ${what} under epoch ${epoch} before its intent was on record.`);
  }

  onRecorded(region: string, entry: string): void {
    const truth = this.#of(region);
    const epoch = truth.intents.get(entry);
    if (epoch !== undefined) truth.recorded.add(epoch);
  }

  /** It counts from when it was asked for: so does the peer, from before that. */
  #onPromise(region: string, { epoch, nonce }: Extract<PeerMessage, { kind: 'promise' }>): void {
    const { parameters, peer } = this.#world.settings(region);
    const truth = this.#of(region);
    const requested = truth.requested.get(nonce) ?? { local: this.#world.local(region), real: this.#world.now() };
    const until = requested.local + parameters.promiseMs;
    if (until >= truth.promised.until) truth.promised = { until, epoch };
    this.#of(peer).promisedToUs = Math.max(this.#of(peer).promisedToUs, requested.real);
  }

  /** An acquisition leaves while the peer may still rely on this region's promise. */
  #onAcquire(region: string, { next }: EffectOf<'cas'>): void {
    if (!this.#of(region).recorded.has(next.epoch))
      this.violate('record-before-effect', `${region} acquires epoch ${next.epoch} before its intent was on record.`);
    this.#mayGoOn(region, `acquires epoch ${next.epoch}`);
  }

  /** A gate may not be open longer than the lease, or the promise, can be relied upon by the slowest clock. */
  #bound(region: string, { hold }: FailoverState, layer: Layer, deadline: number): void {
    const settings = this.#world.settings(region);
    if (!hold || mayUseResolvers(settings, hold, layer)) return;
    const { applied, promisedToUs } = this.#of(region);
    const writes = settings.witnesses.map((witness) => {
      const write = applied.get(witness);
      return write?.epoch === hold.epoch ? write.at : Number.NEGATIVE_INFINITY;
    });
    const byLease = writes.sort((a, b) => b - a)[majority(settings.witnesses.length) - 1] ?? Number.NEGATIVE_INFINITY;
    const { ttlMs, promiseMs, clockError } = settings.parameters;
    const limit = Math.max(byLease + ttlMs / (1 + clockError), promisedToUs + promiseMs / (1 + clockError));
    const real = this.#world.toReal(region, deadline);
    if (real > limit)
      this.violate(
        'deadline-bound',
        `${region}: ${layer} may stay open ${((real - limit) / 1000).toFixed(2)} s too long.`,
      );
  }

  /** Something has opened: is the other region open as well? */
  onOpened(region: string, layer: Layer): void {
    const other = this.#world.settings(region).peer;
    const now = this.#world.now();
    const until = Math.min(this.#world.openUntil(region, layer), this.#world.openUntil(other, layer));
    const both = until - now;
    if (both <= 0) return;
    this.overlapMs[layer] += Math.max(0, until - Math.max(now, this.#countedUntil[layer]));
    this.#countedUntil[layer] = Math.max(until, this.#countedUntil[layer]);
    this.violate(
      `single-active-${layer}`,
      `${region} opens ${layer} while ${other} is open for another ${(both / 1000).toFixed(2)} s.`,
    );
  }

  checkWriters(region: string): void {
    const mine = this.#world.writers(region);
    if (mine.length === 0) return;
    const other = this.#world.settings(region).peer;
    const both = this.#world.writers(other).filter((name) => mine.includes(name));
    if (both.length > 0)
      this.violate('single-writer', `${both.join(', ')} accepts writes in ${region} and in ${other}.`);
  }

  /** After faults have stopped for long enough one region must be fully open. */
  checkLiveness(regions: readonly string[]): void {
    const now = this.#world.now();
    const open = regions.filter((region) => layers.every((layer) => this.#world.openUntil(region, layer) > now));
    if (open.length !== 1) this.violate('liveness', `${open.length} regions are fully open long after the last fault.`);
  }
}
