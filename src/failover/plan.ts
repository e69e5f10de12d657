/** What a switchover or a takeover would do, step by step, and what stands in its way right now. Pure; nothing is done. */
import type { Component } from './layers/layer.ts';
import { signals } from './layers/signals.ts';
import type { GroupStatus } from './status.ts';

export interface PlanStep {
  /** Where it is done. */
  region: string;
  what: string;
}

export interface FailoverPlan {
  group: string;
  kind: 'switchover' | 'takeover';
  from: string;
  to: string;
  /** Whether data can be lost. */
  lossless: boolean;
  steps: readonly PlanStep[];
  /** What stands in its way now; empty means that it could begin. */
  obstacles: readonly string[];
  /** What somebody should look at, and what keeps nobody from beginning. */
  advice: readonly string[];
}

type Planned = Pick<Component, 'name' | 'adapter' | 'byHand'>;

/** Adapters that hand over without loss when both regions are up. */
const losslessAdapters: ReadonlySet<string> = new Set(['CloudNativePG', 'FerretDB', 'Valkey']);

export function planOf(status: GroupStatus, kind: FailoverPlan['kind'], components: readonly Planned[]): FailoverPlan {
  // A switchover leaves the region that is active; a takeover is done by the one that is not.
  const from = kind === 'switchover' ? status.region : status.peer;
  const to = kind === 'switchover' ? status.peer : status.region;
  const steps =
    kind === 'switchover' ? switchoverSteps(from, to, components) : takeoverSteps(from, to, components, status);
  return {
    group: status.group,
    kind,
    from,
    to,
    lossless: kind === 'switchover' && components.every(({ adapter }) => losslessAdapters.has(adapter)),
    steps,
    obstacles: obstacles(status, kind),
    advice: [
      ...new Set(
        status.failedChecks.filter(({ advice }) => advice).map(({ check, sentence }) => `${check}: ${sentence}`),
      ),
    ],
  };
}

function switchoverSteps(from: string, to: string, components: readonly Planned[]): PlanStep[] {
  const backwards = [...components].reverse();
  return [
    { region: from, what: 'record the intent' },
    { region: from, what: 'shut the gates of traffic and mesh' },
    ...backwards.map((one) => ({ region: from, what: `demote ${one.name} (${one.adapter})` })),
    { region: from, what: 'release the lease, with what the other region needs' },
    { region: to, what: 'take the lease under a new epoch' },
    ...promotion(to, components),
  ];
}

function takeoverSteps(from: string, to: string, components: readonly Planned[], status: GroupStatus): PlanStep[] {
  return [
    { region: from, what: 'shuts itself by its own deadline, whether it can be reached or not' },
    { region: to, what: 'wait until the lease has run out unchanged, and no promise is outstanding' },
    ...(status.mode === 'Automatic' ? [] : [{ region: to, what: `propose, and wait for ${people(status.mode)}` }]),
    { region: to, what: 'record the intent, then take the lease by compare-and-set under a new epoch' },
    ...promotion(to, components),
    { region: to, what: 'report what the old region had that is not here' },
  ];
}

function promotion(to: string, components: readonly Planned[]): PlanStep[] {
  return [
    ...components.map((one) => ({ region: to, what: `promote ${one.name} (${one.adapter}: ${noteOf(one.adapter)})` })),
    ...components.flatMap(({ name, byHand }) =>
      byHand === undefined ? [] : [{ region: to, what: `wait until a person confirms for ${name}: ${byHand}` }],
    ),
    ...components.map((one) => ({ region: to, what: `verify that ${one.name} can be written` })),
    { region: to, what: 'share the Services with the mesh' },
    { region: to, what: 'open the gate of external traffic' },
  ];
}

function noteOf(adapter: string): string {
  return (signals as Record<string, { note: string } | undefined>)[adapter]?.note ?? 'moves with the gate';
}

function people(mode: string): string {
  return mode === 'Manual' ? 'two people, each with a reason' : 'one approval';
}

function obstacles(status: GroupStatus, kind: FailoverPlan['kind']): string[] {
  const found: string[] = [];
  if (kind === 'switchover' && !status.active)
    found.push(`${status.region} is not active: ask the controller of ${status.holder ?? 'the active region'}.`);
  if (kind === 'takeover' && status.active) found.push(`${status.region} is active already.`);
  if (kind === 'takeover' && !status.active) found.push(`${status.reason}: ${status.sentence}`);
  for (const { name, reachable } of status.witnesses) if (!reachable) found.push(`Witness ${name} cannot be reached.`);
  for (const { sentence, verdict } of status.components) if (verdict !== 'ok') found.push(sentence);
  for (const { check, sentence, advice } of status.failedChecks) if (!advice) found.push(`${check}: ${sentence}`);
  return [...new Set(found)];
}
