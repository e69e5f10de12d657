/**
 * The protocol with one mistake each. A mistake no oracle notices would mean that the simulator proves nothing about that
 * line; `mutants.test.ts` demands that each is caught, and by the oracle named here.
 */
import { readPayload } from '../lease.ts';
import type { FailoverEvent, FailoverState, Hold, Step, WitnessView } from '../protocol.ts';
import type { Oracle } from './oracles.ts';
import type { StepFunction } from './region.ts';
import type { Sabotage } from './simulate.ts';
import type { VariantName } from './variants.ts';

export interface Mutant {
  name: string;
  variant: VariantName;
  caughtBy: Oracle;
  /** Where the search begins, for what shows once in thousands of runs; 1 by default. */
  firstSeed?: number;
  sabotage: Sabotage;
}

/** Changes what a step made of its event. */
function after(change: (before: FailoverState, event: FailoverEvent, result: Step) => Step): Sabotage {
  return { step: (step: StepFunction) => (before, event) => change(before, event, step(before, event)) };
}

/** Changes what a step gets to see. */
function seeing(change: (state: FailoverState, event: FailoverEvent) => FailoverState): Sabotage {
  return { step: (step: StepFunction) => (before, event) => step(change(before, event), event) };
}

function withHold(result: Step, change: (hold: Hold) => Hold): Step {
  const { hold } = result.state;
  return hold ? { ...result, state: { ...result.state, hold: change(hold) } } : result;
}

function withViews(state: FailoverState, change: (view: WitnessView) => WitnessView): FailoverState {
  const witnesses = Object.fromEntries(Object.entries(state.witnesses).map(([name, view]) => [name, change(view)]));
  return { ...state, witnesses };
}

/** As if resolvers had called the peer dead for ages, and just now. */
function calledDead(at: number): Partial<FailoverState> {
  return { peerAliveAt: Number.NEGATIVE_INFINITY, peerDeadSince: -1e12, votedAt: at };
}

export const mutants: readonly Mutant[] = [
  {
    name: 'the deadline counts from the response',
    variant: 'strict',
    caughtBy: 'deadline-bound',
    sabotage: after((before, event, result) => {
      if (event.type !== 'witness-applied' || result.state.hold?.epoch !== before.hold?.epoch) return result;
      return withHold(result, (hold) => ({ ...hold, acks: { ...hold.acks, [event.witness]: event.at } }));
    }),
  },
  {
    name: 'no margin: the gates cut when the lease ends',
    variant: 'strict',
    caughtBy: 'single-active-stateful',
    sabotage: { parameters: { softMs: 29_000, hardMs: 30_000 } },
  },
  {
    name: 'the standby waits less than a TTL, whatever lease and witness say',
    variant: 'strict',
    caughtBy: 'single-active-stateful',
    sabotage: {
      parameters: { waitMs: 12_000 },
      ...seeing((state) =>
        withViews(state, (view) => ({
          ...view,
          expired: undefined,
          lease: view.lease && { ...view.lease, ttlMs: 0 },
        })),
      ),
    },
  },
  {
    name: 'an observed lease counts from the send of the read',
    variant: 'strict-slow-links',
    caughtBy: 'takeover-bound',
    sabotage: {
      // The witness's own verdict would hide it: here is a store that cannot tell.
      ...after((before, event, result) => {
        if (event.type !== 'witness-read') return result;
        const sentAt = before.witnesses[event.witness]?.reading?.sentAt;
        const state = withViews(result.state, (view) => ({
          ...view,
          expired: undefined,
          seenAt: view.seenAt === event.at && sentAt !== undefined ? sentAt : view.seenAt,
        }));
        return { ...result, state };
      }),
    },
  },
  {
    name: 'a promise is ignored',
    variant: 'promise',
    caughtBy: 'promise-kept',
    sabotage: seeing((state) => ({ ...state, promise: undefined })),
  },
  {
    name: 'a promise is forgotten over a restart',
    variant: 'promise',
    caughtBy: 'promise-kept',
    sabotage: { region: { forgetful: true } },
  },
  {
    name: 'a promise is said before it is on disk',
    variant: 'promise',
    caughtBy: 'promise-kept',
    sabotage: after((_before, event, result) => {
      if (event.type !== 'peer' || event.message.kind !== 'promise-request') return result;
      const { region } = result.state.settings;
      const forMs = result.state.settings.parameters.promiseMs;
      const message = { ...event.message, kind: 'promise' as const, from: region, forMs };
      const said = result.effects.some(({ type }) => type === 'remember');
      return said ? { ...result, effects: [{ type: 'send', message }, ...result.effects] } : result;
    }),
  },
  {
    name: 'a promise is given while an attempt to acquire is alive',
    variant: 'three-witnesses',
    caughtBy: 'promise-kept',
    firstSeed: 4_800,
    sabotage: {
      step: (step) => (before, event) => {
        const asked = event.type === 'peer' && event.message.kind === 'promise-request';
        const written = event.type === 'recorded' && before.promising.some(({ entry }) => entry === event.entry);
        if (!asked && !written) return step(before, event);
        const result = step({ ...before, intent: undefined }, event);
        return { ...result, state: { ...result.state, intent: before.intent } };
      },
    },
  },
  {
    name: 'a promise counts from its arrival',
    variant: 'promise',
    caughtBy: 'deadline-bound',
    sabotage: after((before, event, result) =>
      event.type === 'peer' &&
      event.message.kind === 'promise' &&
      before.hold?.promisedAt !== result.state.hold?.promisedAt
        ? withHold(result, (hold) => ({ ...hold, promisedAt: event.at }))
        : result,
    ),
  },
  {
    name: 'the witness accepts a write whatever version it names',
    variant: 'strict',
    caughtBy: 'epoch-monotonic',
    sabotage: { register: 'ignores-version' },
  },
  {
    name: 'one of three acknowledgements is enough',
    variant: 'three-witnesses',
    caughtBy: 'deadline-bound',
    sabotage: after((_before, _event, result) =>
      withHold(result, (hold) => {
        const newest = Math.max(...Object.values(hold.acks));
        return {
          ...hold,
          acks: Object.fromEntries(result.state.settings.witnesses.map((witness) => [witness, newest])),
        };
      }),
    ),
  },
  {
    name: 'there is no dead-man',
    variant: 'strict',
    caughtBy: 'single-active-stateful',
    sabotage: { region: { noDeadMan: true } },
  },
  {
    name: 'a fenced epoch comes back with a late acknowledgement',
    variant: 'strict',
    caughtBy: 'dead-epoch',
    sabotage: (() => {
      const lost = new WeakMap<object, Hold>();
      return after((before, event, result) => {
        const { settings } = before;
        const key = settings;
        if (before.hold && !result.state.hold) lost.set(key, before.hold);
        const hold = lost.get(key);
        if (event.type !== 'witness-applied' || result.state.hold || !hold) return result;
        const acks = { ...hold.acks, [event.witness]: event.at };
        return {
          ...result,
          state: { ...result.state, hold: { ...hold, acks, told: { traffic: 0, mesh: 0, stateful: 0 } } },
        };
      });
    })(),
  },
  {
    name: 'an epoch is used twice',
    variant: 'strict',
    caughtBy: 'epoch-monotonic',
    sabotage: seeing((state) =>
      state.hold || state.intent ? state : { ...state, maxEpoch: Math.max(0, state.maxEpoch - 1) },
    ),
  },
  {
    name: 'nothing waits for the record',
    variant: 'strict',
    caughtBy: 'record-before-effect',
    sabotage: seeing((state) => (state.intent ? { ...state, intent: { ...state.intent, recorded: true } } : state)),
  },
  {
    name: 'nothing is fenced at the start',
    variant: 'strict',
    caughtBy: 'boot-fence',
    sabotage: after((_before, event, result) => {
      if (event.type !== 'start' || !result.state.fence) return result;
      const effects = result.effects.filter(({ type }) => type !== 'component');
      return { ...result, effects, state: { ...result.state, fence: { ...result.state.fence, pending: {} } } };
    }),
  },
  {
    name: 'components serve without a gate',
    variant: 'strict',
    caughtBy: 'single-writer',
    sabotage: { region: { ungated: true } },
  },
  {
    name: 'proof of death is taken for the epoch after it',
    variant: 'promise',
    caughtBy: 'single-active-stateful',
    sabotage: after((before, _event, { state, ...rest }) =>
      state.peerFencedEpoch > before.peerFencedEpoch
        ? { ...rest, state: { ...state, peerFencedEpoch: state.peerFencedEpoch + 1 } }
        : { ...rest, state },
    ),
  },
  {
    name: 'the veto of resolvers is ignored',
    variant: 'continue',
    caughtBy: 'single-active-stateful',
    sabotage: seeing((state, { at }) => ({ ...state, ...calledDead(at) })),
  },
  {
    name: 'a region resumes while its peer may still carry traffic on the evidence of resolvers',
    variant: 'continue-stateless-three',
    caughtBy: 'single-active-traffic',
    sabotage: seeing((state, { at }) => {
      const leases = Object.values(state.witnesses).map(({ lease }) => lease);
      const mine = leases.some((lease) => readPayload(lease?.payload).dataAt === state.settings.region);
      return mine ? { ...state, ...calledDead(at) } : state;
    }),
  },
  {
    name: 'a round that not every resolver answers is overtaken by the next, and what was true before counts on',
    variant: 'continue-stateless-three',
    caughtBy: 'single-active-traffic',
    sabotage: after(({ peerDeadSince }, { type, at }, { state, effects, ...rest }) => ({
      ...rest,
      state: type === 'votes' || peerDeadSince === undefined ? state : { ...state, peerDeadSince, votedAt: at },
      effects: effects.map((effect) => (effect.type === 'probe' ? { ...effect, timeoutMs: 2_200 } : effect)),
    })),
  },
  {
    name: 'a handover forgets its tokens',
    variant: 'strict',
    caughtBy: 'handover-token',
    sabotage: after((_before, _event, result) => withHold(result, (hold) => ({ ...hold, tokens: {} }))),
  },
  {
    name: 'a failure of the record is for ever',
    variant: 'strict',
    caughtBy: 'liveness',
    sabotage: seeing((state) => (state.recordFailed ? { ...state, backoffUntil: Number.POSITIVE_INFINITY } : state)),
  },
];
