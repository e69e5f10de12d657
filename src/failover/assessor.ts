/** Looks at this region all the time: lag and positions every few seconds, pre-flight checks every minute. */
import type { Clock } from '../clock.ts';
import { messageOf } from '../errors.ts';
import type { CallContext } from '../integrations/contract.ts';
import { positionsOf } from './layers/create-components.ts';
import type { CheckResult, Component, TrafficLayer } from './layers/layer.ts';
import { type LagHistory, type RpoReading, remember, rpoVerdict } from './layers/rpo-decision.ts';
import type { Json } from './lease.ts';
import type { Checker } from './preflight.ts';

export interface Assessment {
  checks: readonly CheckResult[];
  components: readonly RpoReading[];
  /** Of this region's own components; told with each renewal. */
  positions: Json;
}

export interface AssessorPorts {
  components: readonly Component[];
  traffic: readonly TrafficLayer[];
  /** Looked at with the checks of components and layers. */
  checkers: readonly Checker[];
  /** Checks of the controller itself: witnesses, peer, resolvers. */
  ownChecks: () => CheckResult[];
  elapsed: () => number;
  clock: Clock;
  /** Between rounds, ms. */
  everyMs: number;
  /** Whether this region is active, what the active last told, and when it was last seen to renew (elapsed ms). */
  world: () => { active: boolean; positions: Json; aliveAt: number | undefined };
  onAssessment: (assessment: Assessment) => void;
}

/** Often enough for an RPO of some seconds, rare enough to be no load; and each renewal is to carry a new position. */
export const longestLagRoundMs = 5_000;
/** Notes §6.1: continuous, every minute. */
const checksEveryMs = 60_000;
/** Limit for one look at one component. */
const lookLimitMs = 4_000;

export interface Assessor {
  latest(): Assessment;
  stop(): Promise<void>;
}

export function startAssessor(ports: AssessorPorts): Assessor {
  const { components, traffic, elapsed, clock } = ports;
  const stopping = new AbortController();
  const histories = new Map<string, LagHistory>();
  let checks: CheckResult[] = [];
  let checkedAt = Number.NEGATIVE_INFINITY;
  let latest: Assessment = { checks: [], components: [], positions: null };
  const context = (): CallContext => ({
    clock,
    signal: AbortSignal.any([stopping.signal, AbortSignal.timeout(lookLimitMs)]),
  });

  const look = async (): Promise<void> => {
    const { active, positions } = ports.world();
    if (elapsed() - checkedAt >= checksEveryMs) {
      checkedAt = elapsed();
      checks = (
        await Promise.all([...components, ...traffic, ...ports.checkers].map((one) => checked(one, context())))
      ).flat();
    }
    const told = isMap(positions) ? positions : {};
    await Promise.all(
      components.map(async (component) => {
        const reading = await component.lag(context(), told[component.name]).catch((error: unknown) => ({
          seconds: undefined,
          sentence: `${component.name}: ${messageOf(error)}.`,
        }));
        histories.set(component.name, remember(histories.get(component.name), { ...reading, at: elapsed() }));
      }),
    );
    const own = active ? await positionsOf(context(), components) : null;
    const { aliveAt } = ports.world();
    latest = {
      checks: [...ports.ownChecks(), ...checks],
      components: components.map((one) =>
        active ? ownData(one) : rpoVerdict(one, histories.get(one.name), elapsed(), aliveAt),
      ),
      positions: own,
    };
    ports.onAssessment(latest);
  };

  const loop = (async () => {
    while (!stopping.signal.aborted) {
      await look();
      await clock.sleep(ports.everyMs, stopping.signal).catch(() => {});
    }
  })();
  return {
    latest: () => latest,
    stop: async () => {
      stopping.abort();
      await loop;
    },
  };
}

async function checked(one: Checker, context: CallContext): Promise<CheckResult[]> {
  return one
    .checks(context)
    .catch((error: unknown): CheckResult[] => [
      { check: `${one.name}-readable`, verdict: 'unknown', sentence: `${one.name}: ${messageOf(error)}.` },
    ]);
}

/** The active region has the data that counts: nothing is missing here. */
function ownData({ name, rpoSeconds }: Component): RpoReading {
  return { component: name, verdict: 'ok', seconds: 0, rpoSeconds, sentence: `${name}: this region is active.` };
}

function isMap(value: Json): value is { readonly [key: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
