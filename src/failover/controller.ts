/**
 * The failover controller of one region: `catalyst-sre failover`. It plugs the pure protocol to witnesses, peer, resolvers
 * and layers, keeps the record, and opens one door. It has no database and remembers nothing that could open a gate.
 */
import { randomBytes } from 'node:crypto';
import type { Clock } from '../clock.ts';
import { CatalystError } from '../errors.ts';
import type { Log } from '../telemetry/log.ts';
import { createMetrics, type Metrics, metricsContentType } from '../telemetry/meter.ts';
import type { MetricKey } from '../telemetry/metrics.ts';
import { type Assessor, longestLagRoundMs, startAssessor } from './assessor.ts';
import { commandEvent } from './commands.ts';
import { refusedApproval, refusedSwitchover } from './consent-decision.ts';
import { majority } from './deadline.ts';
import { type Door, type DoorToken, openDoor } from './door.ts';
import type { Elapsed } from './elapsed-clock.ts';
import { regionState } from './evidence-decision.ts';
import { type EventVotes, GroupRunner, type Protocol } from './group-runner.ts';
import { type GroupDeclaration, settingsOf } from './group-settings.ts';
import { createComponents, createTrafficLayers, type LayerPorts } from './layers/create-components.ts';
import type { CheckResult } from './layers/layer.ts';
import { planOf } from './plan.ts';
import type { PromiseFile } from './promise-file.ts';
import type { FailoverEvent, FailoverSettings, FailoverState, Layer, PeerMessage, RegionState } from './protocol.ts';
import type { RecordFile } from './record-file.ts';
import { type GroupStatus, groupStatus } from './status.ts';
import { type CheckWitness, type WitnessWatch, watchWitnesses } from './witness/watch.ts';
import type { Witness } from './witness/witness.ts';

export interface ControllerOptions {
  region: string;
  version: string;
  listen: { host: string; port: number };
  groups: readonly GroupDeclaration[];
  tokens: readonly DoorToken[];
  protocol: Protocol;
  /** All of the configuration; each group takes those it names. */
  witnesses: readonly Witness[];
  checkWitness: CheckWitness;
  resolvers: readonly string[];
  /** Asks all resolvers about both regions; undefined without resolvers. */
  probe: ((group: string, timeoutMs: number, signal: AbortSignal) => Promise<EventVotes>) | undefined;
  /** Sends a message of a group to the peer; undefined without one. */
  send: ((group: string, message: PeerMessage) => Promise<void>) | undefined;
  layers: LayerPorts;
  record: RecordFile;
  /** What was promised for a group, kept over restarts. */
  promises: (group: string) => Promise<PromiseFile>;
  elapsed: Elapsed;
  clock: Clock;
  log: Log;
}

export interface Controller {
  url: string;
  /** A message that came from the peer, its signature and age checked. */
  receive(group: string, message: PeerMessage): void;
  status(): ControllerStatus;
  /** What this region is for a group, as its probe zone says it; undefined for a group it does not know. */
  probeState(group: string): { state: RegionState; epoch: number } | undefined;
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

interface RunningGroup {
  runner: GroupRunner;
  assessor: Assessor;
}

export async function startController(options: ControllerOptions): Promise<Controller> {
  const { region, version, record, elapsed, log } = options;
  const metrics = createMetrics({ version }, metricKeys);
  const groups = new Map<string, RunningGroup>();
  const watch = watchWitnesses(
    options.witnesses.map((witness) => witness.name),
    options.checkWitness,
    options.clock,
  );
  for (const declaration of options.groups)
    groups.set(
      declaration.name,
      createGroup(declaration, options, metrics, watch, await options.promises(declaration.name)),
    );
  const groupNamed = (name: string): RunningGroup => {
    const found = groups.get(name);
    if (found) return found;
    throw new CatalystError('NotFound', `There is no failover group ${name} here.`, {
      hint: `There are: ${[...groups.keys()].join(', ')}.`,
    });
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
      problems: runner.problems(),
      now: elapsed(),
    });
  const status = (): ControllerStatus => ({
    region,
    version,
    record: { entries: record.head().seq, head: record.head().hash },
    groups: [...groups.values()].map(statusOf),
  });
  observe(metrics, status, record);

  const stopGroups = async (reason: string): Promise<void> => {
    await watch.stop();
    for (const { assessor } of groups.values()) await assessor.stop();
    await Promise.all([...groups.values()].map(({ runner }) => runner.stop(reason)));
    for (const { runner } of groups.values()) for (const component of runner.components) await component.close?.();
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
    command: (group, verb, actor, body) => {
      const found = groupNamed(group);
      const event = commandEvent(verb, actor, body, statusOf(found));
      refuseCommand(found.runner.state, { ...event, at: elapsed() } as FailoverEvent);
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
  for (const { runner } of groups.values()) runner.start();
  log.info({ url: door.url, region, groups: [...groups.keys()] }, 'the failover controller has started');
  return {
    url: door.url,
    receive: (group, message) => groups.get(group)?.runner.tell({ type: 'peer', message }),
    status,
    probeState: (group) => {
      const found = groups.get(group);
      return found && regionState(found.runner.state);
    },
    stop: async (reason) => {
      await stopGroups(reason);
      await door.close();
      await closeRest();
    },
  };
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

function createGroup(
  declaration: GroupDeclaration,
  options: ControllerOptions,
  metrics: Metrics,
  watch: WitnessWatch,
  promises: PromiseFile,
): RunningGroup {
  const { region, resolvers, elapsed, clock, record, log, probe, send } = options;
  const settings = settingsOf(declaration, region, resolvers);
  const { name, spec } = declaration;
  const place = { group: name, region, peer: settings.peer, fenceBudgetMs: settings.parameters.fenceMs };
  const components = createComponents(spec, place, options.layers);
  const traffic = createTrafficLayers(spec, place, options.layers);
  let said: string | undefined;
  let begun: { kind: 'takeover' | 'switchover'; at: number } | undefined;
  const runner = new GroupRunner({
    settings,
    protocol: options.protocol,
    witnesses: options.witnesses.filter((witness) => spec.witnesses.includes(witness.name)),
    probe: probe && ((timeoutMs, signal) => probe(name, timeoutMs, signal)),
    send: send && ((message) => send(name, message)),
    components,
    traffic,
    record,
    promises,
    incarnation: randomBytes(8).toString('hex'),
    elapsed,
    clock,
    onStep: ({ reason, sentence }) => {
      // The sentence counts seconds down; a line for each change of the reason is enough.
      if (reason !== said) log.info({ group: name, region, reason }, sentence);
      said = reason;
      if (reason === 'Acquiring') begun ??= { kind: 'takeover', at: elapsed() };
      if (reason === 'SwitchingOver') begun ??= { kind: 'switchover', at: elapsed() };
      if (begun && ['ActiveOnLease', 'Fenced', 'PeerActive', 'WaitingForRelease'].includes(reason)) {
        metrics.measure('failoverExecutionDuration', { group: name, kind: begun.kind }, (elapsed() - begun.at) / 1000);
        begun = undefined;
      }
    },
    onPage: (severity, sentence) => {
      metrics.count('failoverPages', { severity });
      log[severity === 'critical' ? 'error' : 'warn']({ group: name, region, page: true }, sentence);
    },
    onNote: (sentence, failed) => log[failed ? 'warn' : 'info']({ group: name, region }, sentence),
  });
  const assessor = startAssessor({
    components,
    traffic,
    ownChecks: () => [witnessesAnswer(settings, runner, elapsed()), ...watch.results(settings.witnesses)],
    elapsed,
    clock,
    everyMs: Math.min(longestLagRoundMs, settings.parameters.renewMs),
    world: () => ({ active: runner.state.hold !== undefined, ...runner.lastWord() }),
    onAssessment: (assessment) =>
      runner.tell({
        type: 'assessment',
        // A check that is not known to be right counts as failed.
        failedChecks: [...new Set(assessment.checks.filter((one) => one.verdict !== 'passed').map((one) => one.check))],
        components: assessment.components.map(({ component, verdict, seconds }) => ({
          component,
          verdict,
          lagMs: seconds === undefined ? undefined : seconds * 1000,
        })),
        positions: assessment.positions,
      }),
  });
  return { runner, assessor };
}

/** Whether a majority of a group's witnesses answers: with one of three away, the two others decide as well. */
function witnessesAnswer(settings: FailoverSettings, runner: GroupRunner, now: number): CheckResult {
  const { witnesses, parameters } = settings;
  const silent = witnesses.filter((witness) => {
    const at = runner.state.witnesses[witness]?.answeredAt;
    return at === undefined || now - at > parameters.ttlMs;
  });
  const enough = witnesses.length - silent.length >= majority(witnesses.length);
  return {
    check: 'witness-reachable',
    verdict: enough ? 'passed' : 'failed',
    sentence: silent.length === 0 ? 'Every witness answers.' : `Witnesses that do not answer: ${silent.join(', ')}.`,
  };
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
