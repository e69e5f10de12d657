/** One controller's `step` with an obedient world around it, for tests: one witness, instant answers, a clock moved by hand. */
import { createState, step } from './failover-decision.ts';
import { type Lease, sameVersion } from './lease.ts';
import { defaultParameters } from './parameters.ts';
import type { EventOf, FailoverEffect, FailoverEvent, FailoverSettings, FailoverState, Step } from './protocol.ts';

type WithoutTime<T> = T extends unknown ? Omit<T, 'at'> : never;

export class Site {
  at = 0;
  state: FailoverState;
  last: Step | undefined;
  /** Everything the controller asked for since it was last looked at. */
  effects: FailoverEffect[] = [];
  /** The witness's register. */
  lease: Lease | undefined;
  witnessUp = true;
  componentsAnswer = true;
  recordAnswers = true;
  readonly #toDo: FailoverEffect[] = [];
  #answering = false;
  #assessment: WithoutTime<EventOf<'assessment'>>;

  constructor(changes: Partial<FailoverSettings> = {}) {
    const settings: FailoverSettings = {
      group: 'shop',
      region: 'hel',
      peer: 'fsn',
      witnesses: ['w'],
      resolvers: ['8.8.8.8', '1.1.1.1', '9.9.9.9'],
      parameters: defaultParameters,
      mode: 'Automatic',
      dnsFallback: 'hold',
      initialHolder: false,
      components: [
        { name: 'postgres', rpoMs: 5_000 },
        { name: 'valkey', rpoMs: 5_000 },
      ],
      ...changes,
    };
    this.state = createState(settings);
    this.#assessment = { type: 'assessment', failedChecks: [], components: [], positions: null };
    this.measure({});
    this.send({ type: 'start', incarnation: 'one', epochFloor: 0, promiseUntil: 0 });
    this.send(this.#assessment);
  }

  /** Replication lag of the components, and failed checks, from now on. */
  measure({
    postgres = 'ok',
    failedChecks = [],
  }: {
    postgres?: 'ok' | 'over' | 'unknown';
    failedChecks?: string[];
  }): void {
    const components = [
      { component: 'postgres', verdict: postgres, lagMs: postgres === 'over' ? 60_000 : 0 },
      { component: 'valkey', verdict: 'ok' as const, lagMs: 0 },
    ];
    this.#assessment = { type: 'assessment', failedChecks, components, positions: { postgres: '0/3000060' } };
    if (this.last) this.send(this.#assessment);
  }

  send(event: WithoutTime<FailoverEvent>): Step {
    const full = { ...event, at: this.at } as FailoverEvent;
    const result = step(this.state, full);
    this.state = result.state;
    this.last = result;
    this.effects.push(...result.effects);
    this.#toDo.push(...result.effects);
    if (this.#answering) return this.last;
    // One after the other, in the order they were asked for: an answer only adds to the end.
    this.#answering = true;
    for (let effect = this.#toDo.shift(); effect; effect = this.#toDo.shift()) this.#answer(effect);
    this.#answering = false;
    return this.last;
  }

  #answer(effect: FailoverEffect): void {
    const { witnessUp, lease } = this;
    if ((effect.type === 'record' || effect.type === 'remember') && this.recordAnswers)
      this.send({ type: 'recorded', entry: effect.entry });
    if (effect.type === 'component' && this.componentsAnswer)
      this.send({
        type: 'component',
        request: effect.request,
        outcome: 'done',
        sentence: 'done',
        token: `${effect.component}-token`,
      });
    if (effect.type !== 'read' && effect.type !== 'cas') return;
    const about = { witness: effect.witness, request: effect.request };
    if (!witnessUp) this.send({ type: 'witness-failed', ...about });
    else if (effect.type === 'read') this.send({ type: 'witness-read', ...about, lease, expired: undefined });
    else if (sameVersion(lease, effect.expect)) {
      this.lease = effect.next;
      this.send({ type: 'witness-applied', ...about });
    } else this.send({ type: 'witness-conflict', ...about, current: lease });
  }

  /** Lets time pass, second by second; `everySecond` happens in each. */
  pass(seconds: number, everySecond: () => void = () => {}): Step {
    for (let i = 0; i < seconds; i += 1) {
      this.at += 1_000;
      if (this.at % 60_000 === 0) this.send(this.#assessment);
      everySecond();
      this.send({ type: 'tick' });
    }
    return this.last as Step;
  }

  /** The peer's lease at the witness, as if just written. */
  heldByPeer(changes: Partial<Lease> = {}): void {
    const acquiredBy = { mode: 'Automatic' as const, actor: 'fsn', reason: 'first' };
    const payload = {
      dataAt: 'fsn',
      positions: { postgres: '0/3000000' },
      changedAgoMs: null,
      takeoversAgoMs: [],
      handover: null,
    };
    this.lease = {
      group: 'shop',
      holder: 'fsn',
      epoch: 3,
      seq: 7,
      ttlMs: 30_000,
      nonce: 'fsn-1',
      acquiredBy,
      payload,
      ...changes,
    };
  }

  /** What it holds. */
  held(): FailoverState['hold'] {
    return this.state.hold;
  }

  taken(): FailoverEffect[] {
    const { effects } = this;
    this.effects = [];
    return effects;
  }
}

/** The order of what was done, in short words. */
export function inShort(effects: readonly FailoverEffect[]): string[] {
  return effects.flatMap((effect) => {
    if (effect.type === 'gate') return [`${effect.open ? 'open' : 'close'} ${effect.layer}`];
    if (effect.type === 'component') return [`${effect.action} ${effect.component}`];
    if (effect.type === 'record') return [`record ${effect.kind}`];
    if (effect.type === 'cas') return [`write ${effect.next.holder || 'nobody'} ${effect.next.epoch}`];
    if (effect.type === 'divergence') return [`compare with epoch ${effect.lostEpoch}`];
    return [];
  });
}
