/**
 * The failover controller of one region: `catalyst-sre failover`. It plugs the pure protocol to witnesses, peer, resolvers
 * and layers, keeps the record, and opens one door. It has no database and remembers nothing that could open a gate.
 */
import { CatalystError } from '../errors.ts';
import { createMetrics, type Metrics, metricsContentType } from '../telemetry/meter.ts';
import type { MetricKey } from '../telemetry/metrics.ts';
import { commandEvent, confirmation } from './commands.ts';
import { refusedApproval, refusedSwitchover } from './consent-decision.ts';
import { type Door, type DoorToken, openDoor } from './door.ts';
import { regionState } from './evidence-decision.ts';
import { type Adopted, type GroupOptions, GroupSet, type RunningGroup } from './group-set.ts';
import type { GroupDeclaration } from './group-settings.ts';
import { planOf } from './plan.ts';
import type { FailoverEvent, FailoverState, Layer, PeerMessage, RegionState } from './protocol.ts';
import { type Delay, delaySentence, handoverDelay } from './readiness-decision.ts';
import type { RecordFile } from './record-file.ts';
import { type GroupStatus, groupStatus } from './status.ts';
import { type CheckWitness, watchWitnesses } from './witness/watch.ts';

export interface ControllerOptions extends Omit<GroupOptions, 'approvers'> {
  version: string;
  listen: { host: string; port: number };
  groups: readonly GroupDeclaration[];
  tokens: readonly DoorToken[];
  /** Keys that gates of a group know; undefined where they know none. */
  gateKeys: (group: string) => Promise<readonly string[] | undefined>;
  checkWitness: CheckWitness;
  /** Why a group does not run as it is declared now; undefined where it does. */
  remark: (group: string) => string | undefined;
}

export interface Controller {
  url: string;
  /** A message that came from the peer, its signature and age checked. */
  receive(group: string, message: PeerMessage): void;
  status(): ControllerStatus;
  /** Starts a group, or changes it when it is not active here. Throws what keeps it from being set up. */
  adopt(declaration: GroupDeclaration): Promise<Adopted>;
  /** Ends a group; false, and it goes on, while it is active here. */
  remove(name: string): Promise<boolean>;
  /** What this region is for a group, as its probe zone says it; undefined for a group it does not know. */
  probeState(group: string): { state: RegionState; epoch: number } | undefined;
  /** What keeps this region from taking a group over at once, once `epoch` is released; undefined for a group it does not know. */
  delayOf(group: string, epoch: number): Delay | 'ready' | undefined;
  stop(reason: string): Promise<void>;
}

export interface ControllerStatus {
  region: string;
  version: string;
  record: { entries: number; head: string };
  groups: readonly GroupStatus[];
}

/** Metrics of this process; those of the control plane are not among them. */
const metricKeys: readonly MetricKey[] = [
  'failoverLeaseStatus',
  'failoverActive',
  'failoverLeaseEpoch',
  'failoverSecondsToFence',
  'failoverWitnessReachable',
  'failoverLastFailoverTime',
  'failoverRpo',
  'failoverPreflightFailed',
  'failoverExecutionDuration',
  'failoverPages',
  'processCpu',
  'processResidentMemory',
  'processStartTime',
  'heapUsed',
  'eventLoopLag',
  'buildInfo',
];

export async function startController(options: ControllerOptions): Promise<Controller> {
  const { region, version, record, elapsed, log } = options;
  const metrics = createMetrics({ version }, metricKeys);
  const watch = watchWitnesses(
    options.witnesses.map((witness) => witness.name),
    options.checkWitness,
    options.clock,
  );
  const groups = new GroupSet({ ...options, approvers: options.tokens.map(({ name }) => name) }, metrics, watch);
  const groupNamed = (name: string): RunningGroup => {
    const found = groups.get(name);
    if (found) return found;
    throw new CatalystError('NotFound', `There is no failover group ${name} here.`, {
      hint: `There are: ${groups
        .all()
        .map(({ declaration }) => declaration.name)
        .join(', ')}.`,
    });
  };
  const remarks = (group: string): string[] => {
    const remark = options.remark(group);
    return remark === undefined ? [] : [remark];
  };
  const statusOf = ({ runner, assessor }: RunningGroup): GroupStatus =>
    groupStatus({
      settings: runner.settings,
      state: runner.state,
      step: runner.last,
      gates: {
        traffic: runner.gates.traffic.read(),
        mesh: runner.gates.mesh.read(),
        stateful: runner.gates.stateful.read(),
      },
      assessment: assessor.latest(),
      problems: [...remarks(runner.group), ...runner.problems()],
      now: elapsed(),
    });
  const status = (): ControllerStatus => ({
    region,
    version,
    record: { entries: record.head().seq, head: record.head().hash },
    groups: groups.all().map(statusOf),
  });
  observe(metrics, status, record);

  const stopGroups = async (reason: string): Promise<void> => {
    await watch.stop();
    await groups.stop(reason);
  };
  const closeRest = async (): Promise<void> => {
    for (const witness of options.witnesses) await witness.close();
    await record.close();
    await metrics.stop();
  };
  const door: Door = await openDoor(options.listen, {
    tokens: options.tokens,
    metricsContentType,
    metrics: () => metrics.render(),
    gateKeys: options.gateKeys,
    gate: (group: string, layer: Layer) => groups.get(group)?.runner.gates[layer].read(),
    read: (path, query) => {
      if (path === 'status') return status();
      const group = query.get('group') ?? '';
      if (path === 'record') return { items: record.recent(groupNamed(group).runner.group, 200) };
      if (path === 'plan') {
        const found = groupNamed(group);
        const kind = query.get('kind') === 'takeover' ? 'takeover' : 'switchover';
        return planOf(statusOf(found), kind, found.runner.components);
      }
      throw new CatalystError('NotFound', `There is no ${path}: status, record and plan can be read.`);
    },
    command: async (group, verb, actor, body) => {
      const found = groupNamed(group);
      if (verb === 'confirm') {
        const { component, reason } = confirmation(body);
        log.info({ group, verb, actor, component }, 'command');
        await found.runner.confirm(component, actor, reason);
        return statusOf(found);
      }
      const event = commandEvent(verb, actor, body, statusOf(found));
      refuseCommand(found.runner.state, { ...event, at: elapsed() } as FailoverEvent);
      if (givesAway(found.runner.state, event.type)) await refuseDelay(found, options.peerReadiness);
      log.info({ group, verb, actor }, 'command');
      found.runner.tell(event);
      return statusOf(found);
    },
  }).catch(async (error: unknown) => {
    // Nothing is left running that would keep the process from ending.
    await stopGroups('the controller could not listen');
    await closeRest();
    throw error;
  });
  const stop = async (reason: string): Promise<void> => {
    await stopGroups(reason);
    await door.close();
    await closeRest();
  };
  try {
    for (const declaration of options.groups) await groups.adopt(declaration);
  } catch (error) {
    await stop('a group could not be set up');
    throw error;
  }
  log.info(
    { url: door.url, region, groups: options.groups.map(({ name }) => name) },
    'the failover controller has started',
  );
  return {
    url: door.url,
    receive: (group, message) => groups.get(group)?.runner.tell({ type: 'peer', message }),
    status,
    adopt: (declaration) => groups.adopt(declaration),
    remove: (name) => groups.remove(name),
    probeState: (group) => {
      const found = groups.get(group);
      return found && regionState(found.runner.state);
    },
    delayOf: (group, epoch) => {
      const found = groups.get(group);
      return found && (handoverDelay(found.runner.state, elapsed(), epoch) ?? 'ready');
    },
    stop,
  };
}

/** Whether the group may be on its way to the peer after this. */
function givesAway({ proposal }: FailoverState, command: FailoverEvent['type']): boolean {
  return command === 'switchover' || (command === 'approve' && proposal?.kind === 'switchover');
}

/** The peer answers in a moment, or it is for the protocol to find out that it is not there: it takes the switchover back. */
const readinessLimitMs = 2_000;

/** Throws RefusedByGuard where the peer says that it would have to wait, with all gates shut. */
async function refuseDelay({ runner }: RunningGroup, ask: ControllerOptions['peerReadiness']): Promise<void> {
  const { hold } = runner.state;
  if (!hold || !ask) return;
  const heard = await ask(runner.group, hold.epoch, AbortSignal.timeout(readinessLimitMs)).catch(
    () => 'ready' as const,
  );
  if (heard === 'ready') return;
  throw new CatalystError('RefusedByGuard', `The switchover would have to wait. ${delaySentence(heard)}`, {
    details: { reason: 'peer-ready' },
  });
}

/** Says at once what the protocol would refuse; it looks again by itself. Throws RefusedByGuard. */
function refuseCommand(state: FailoverState, event: FailoverEvent): void {
  const refused =
    event.type === 'switchover'
      ? refusedSwitchover({ at: event.at, state })
      : event.type === 'approve'
        ? refusedApproval(state, event)
        : undefined;
  if (refused !== undefined) throw new CatalystError('RefusedByGuard', refused, { details: { reason: event.type } });
}

function observe(metrics: Metrics, status: () => ControllerStatus, record: RecordFile): void {
  const each = <T>(read: (group: GroupStatus) => T[]) => status().groups.flatMap(read);
  metrics.observe('failoverLeaseStatus', async () =>
    each((g) => [{ labels: { group: g.group }, value: g.holder === g.region ? 1 : 0 }]),
  );
  metrics.observe('failoverActive', async () =>
    each((g) => [{ labels: { group: g.group }, value: g.gates.traffic.open ? 1 : 0 }]),
  );
  metrics.observe('failoverLeaseEpoch', async () => each((g) => [{ labels: { group: g.group }, value: g.epoch }]));
  metrics.observe('failoverSecondsToFence', async () =>
    each((g) => [{ labels: { group: g.group }, value: g.secondsToFence }]),
  );
  metrics.observe('failoverWitnessReachable', async () =>
    each((g) => g.witnesses.map((w) => ({ labels: { group: g.group, witness: w.name }, value: w.reachable ? 1 : 0 }))),
  );
  metrics.observe('failoverLastFailoverTime', async () =>
    each((g) => {
      const last = record.recent(g.group, 500).findLast((entry) => entry.kind === 'activated');
      return [{ labels: { group: g.group }, value: last ? Date.parse(last.at) / 1000 : 0 }];
    }),
  );
  metrics.observe('failoverRpo', async () =>
    each((g) =>
      g.components.flatMap(({ component, seconds }) =>
        seconds === undefined ? [] : [{ labels: { group: g.group, component }, value: seconds }],
      ),
    ),
  );
  metrics.observe('failoverPreflightFailed', async () =>
    each((g) => g.failedChecks.map(({ check }) => ({ labels: { group: g.group, check }, value: 1 }))),
  );
}
