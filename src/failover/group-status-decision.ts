/** What a FailoverGroup's object in the cluster is told about it. Pure, and one way: nothing of it is ever read back. */
import type { FailoverGroupStatus } from '../catalog/kinds/failover-group.ts';
import type { GroupStatus } from './status.ts';

export interface Condition {
  type: 'Ready' | 'Active' | 'Preflight';
  status: 'True' | 'False' | 'Unknown';
  observedGeneration: number;
  /** RFC 3339: when `status` last changed. */
  lastTransitionTime: string;
  reason: string;
  message: string;
}

export interface ObjectStatus extends Partial<FailoverGroupStatus> {
  observedGeneration: number;
  conditions: readonly Condition[];
}

/** What was made of the declaration of a generation. */
export type Adoption =
  | { kind: 'inUse' }
  /** The group is active here, and goes on under the generation it has. */
  | { kind: 'waiting' }
  | { kind: 'refused'; problems: readonly string[] };

export interface StatusFacts {
  generation: number;
  adoption: Adoption;
  /** The generation that runs; undefined where none does. */
  runningGeneration: number | undefined;
  /** When that was accepted, RFC 3339, if it was in an earlier life of the controller. */
  acceptedBefore: string | undefined;
  /** Of the group that runs. */
  group: GroupStatus | undefined;
  /** What was said before, for the times of its conditions. */
  before: ObjectStatus | undefined;
  now: Date;
}

/** Kubernetes' own limit for a message. */
const longestMessage = 32_768;

export function objectStatus(facts: StatusFacts): ObjectStatus {
  const { generation, group, before, now } = facts;
  const condition = (type: Condition['type'], status: Condition['status'], reason: string, message: string) => {
    const last = before?.conditions.find((one) => one.type === type);
    return {
      ...{ type, status, observedGeneration: generation, reason, message: message.slice(0, longestMessage) },
      lastTransitionTime: last?.status === status ? last.lastTransitionTime : now.toISOString(),
    };
  };
  const ready = readiness(facts);
  const conditions = [condition('Ready', ready.status, ready.reason, ready.message)];
  if (!group) return { observedGeneration: generation, phase: 'Refused', conditions };
  const { checks } = group;
  const failedChecks = group.failedChecks.filter(({ advice }) => !advice);
  conditions.push(
    condition('Active', group.active ? 'True' : 'False', group.reason, group.sentence),
    failedChecks.length > 0
      ? condition('Preflight', 'False', 'Failed', failedChecks.map((one) => `${one.check}: ${one.sentence}`).join(' '))
      : condition('Preflight', checks > 0 ? 'True' : 'Unknown', checks > 0 ? 'Passed' : 'NotYet', `${checks} checks.`),
  );
  return { observedGeneration: generation, ...ownStatus(group), conditions };
}

function readiness({ generation, adoption, runningGeneration, acceptedBefore }: StatusFacts) {
  const kept =
    acceptedBefore === undefined ? 'stays in use' : `is in use, accepted at ${acceptedBefore} and kept on disk`;
  const stays = runningGeneration === undefined ? '' : ` Generation ${runningGeneration} ${kept}.`;
  switch (adoption.kind) {
    case 'inUse':
      return { status: 'True', reason: 'InUse', message: `Generation ${generation} is in use.` } as const;
    case 'waiting':
      return {
        status: 'False',
        reason: 'Waiting',
        message: `The group is active in this region, and is not changed under what it serves: generation ${generation} is taken in once it is not.${stays}`,
      } as const;
    case 'refused':
      return { status: 'False', reason: 'Refused', message: `${adoption.problems.join(' ')}${stays}` } as const;
  }
}

function ownStatus(group: GroupStatus): FailoverGroupStatus {
  const word = (gate: { open: boolean }) => (gate.open ? 'open' : 'shut') as 'open' | 'shut';
  const { traffic, mesh, stateful } = group.gates;
  return {
    phase: phaseOf(group),
    ...(group.holder === null ? {} : { holder: group.holder }),
    epoch: group.epoch,
    gates: { traffic: word(traffic), mesh: word(mesh), stateful: word(stateful) },
    components: group.components.map(({ component, verdict, seconds }) => ({
      name: component,
      verdict,
      ...(seconds === undefined ? {} : { lagSeconds: Math.round(seconds * 10) / 10 }),
    })),
  };
}

/** The reason of the protocol in the words of a column. */
function phaseOf({ reason, proposal }: GroupStatus): FailoverGroupStatus['phase'] {
  switch (reason) {
    case 'ActiveOnLease':
    case 'ActiveOnPromise':
    case 'ActiveOnResolvers':
    case 'ActiveUnwitnessed':
      return 'Active';
    case 'StatelessOnResolvers':
      return 'Stateless';
    case 'Activating':
    case 'ActivationStuck':
      return 'Activating';
    case 'SwitchingOver':
    case 'Releasing':
      return 'SwitchingOver';
    case 'Fencing':
    case 'Superseded':
    case 'FenceIncomplete':
      return 'Fencing';
    case 'Acquiring':
      return 'Acquiring';
    case 'BootFence':
      return 'Starting';
    default:
      return proposal === null ? 'Standby' : 'Proposed';
  }
}

/** Whether the object has to be told at once: counters in sentences can wait. */
export function isNews(before: ObjectStatus | undefined, after: ObjectStatus): boolean {
  const words = (status: ObjectStatus | undefined) =>
    status &&
    [
      ...[status.observedGeneration, status.phase, status.holder, status.epoch, JSON.stringify(status.gates)],
      ...status.conditions.map(({ type, status: is, reason }) => `${type} ${is} ${reason}`),
      ...(status.components ?? []).map(({ name, verdict }) => `${name} ${verdict}`),
    ].join();
  return words(before) !== words(after);
}
