/**
 * The failover groups of one controller: each runs by itself, and they come and go while the controller stays. A group that
 * is active here is neither changed nor taken away under what it serves: that waits until it is not.
 */
import { randomBytes } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { Clock } from '../clock.ts';
import type { CallContext } from '../integrations/contract.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/meter.ts';
import { type Assessor, longestLagRoundMs, startAssessor } from './assessor.ts';
import { majority } from './deadline.ts';
import type { Elapsed } from './elapsed-clock.ts';
import { type EventVotes, GroupRunner, type Protocol } from './group-runner.ts';
import { type GroupDeclaration, settingsOf } from './group-settings.ts';
import { createComponents, createTrafficLayers, type LayerPorts } from './layers/create-components.ts';
import type { CheckResult } from './layers/layer.ts';
import { type CachingLook, type Checker, cachingChecker, capacityChecker } from './preflight.ts';
import { approversCheck, drillCheck } from './preflight-decision.ts';
import type { PromiseFile } from './promise-file.ts';
import type { FailoverSettings, PeerMessage } from './protocol.ts';
import { type Delay, peerReadyCheck } from './readiness-decision.ts';
import { keptEntries, type RecordFile } from './record-file.ts';
import type { WitnessWatch } from './witness/watch.ts';
import type { Witness } from './witness/witness.ts';

export interface GroupOptions {
  region: string;
  protocol: Protocol;
  /** All of the configuration; each group takes those it names. */
  witnesses: readonly Witness[];
  resolvers: readonly string[];
  /** Asks all resolvers about both regions; undefined without resolvers. */
  probe: ((group: string, timeoutMs: number, signal: AbortSignal) => Promise<EventVotes>) | undefined;
  /** Sends a message of a group to the peer; undefined without one. */
  send: ((group: string, message: PeerMessage) => Promise<void>) | undefined;
  layers: LayerPorts;
  record: RecordFile;
  /** What was promised for a group, kept over restarts. */
  promises: (group: string) => Promise<PromiseFile>;
  /** Names of those who can approve. */
  approvers: readonly string[];
  /** Clocks of the others, say. */
  checkers: readonly Checker[];
  /** Asks the peer whether it could take over at once; undefined without one. */
  peerReadiness: ((group: string, epoch: number, signal: AbortSignal) => Promise<Delay | 'ready'>) | undefined;
  /** Whether resolvers keep answers of a group; undefined without resolvers. */
  lookAtCaching: CachingLook | undefined;
  elapsed: Elapsed;
  clock: Clock;
  log: Log;
}

export interface RunningGroup {
  declaration: GroupDeclaration;
  runner: GroupRunner;
  assessor: Assessor;
}

/** What became of a declaration. `waiting`: the group is active here, and goes on as it was. */
export type Adopted = 'started' | 'unchanged' | 'changed' | 'waiting';

export class GroupSet {
  readonly #options: GroupOptions;
  readonly #metrics: Metrics;
  readonly #watch: WitnessWatch;
  readonly #groups = new Map<string, RunningGroup>();
  /** One thing after another: a group is never started while it stops. */
  #queue: Promise<unknown> = Promise.resolve();
  #stopped = false;

  constructor(options: GroupOptions, metrics: Metrics, watch: WitnessWatch) {
    this.#options = options;
    this.#metrics = metrics;
    this.#watch = watch;
  }

  get(name: string): RunningGroup | undefined {
    return this.#groups.get(name);
  }

  all(): readonly RunningGroup[] {
    return [...this.#groups.values()];
  }

  /** Takes a declaration in that was found to be right. Throws, and leaves what ran running, when it cannot be set up. */
  adopt(declaration: GroupDeclaration): Promise<Adopted> {
    return this.#inTurn(async () => {
      const { name } = declaration;
      const running = this.#groups.get(name);
      if (running && isDeepStrictEqual(running.declaration, declaration)) return 'unchanged';
      if (running?.runner.state.hold) return 'waiting';
      if (running) await this.#end(running, 'its declaration has changed');
      await this.#start(declaration).catch(async (error: unknown) => {
        if (running) await this.#start(running.declaration);
        throw error;
      });
      return running ? 'changed' : 'started';
    });
  }

  /** Ends a group; false, and it goes on, while it is active here. */
  remove(name: string): Promise<boolean> {
    return this.#inTurn(async () => {
      const running = this.#groups.get(name);
      if (running?.runner.state.hold) return false;
      if (running) await this.#end(running, 'its declaration is gone');
      return true;
    });
  }

  async stop(reason: string): Promise<void> {
    this.#stopped = true;
    await this.#queue;
    await Promise.all(this.all().map((running) => this.#end(running, reason)));
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#queue.then(() => {
      if (this.#stopped) throw new Error('the controller is stopping');
      return work();
    });
    this.#queue = done.catch(() => {});
    return done;
  }

  async #start(declaration: GroupDeclaration): Promise<void> {
    const promises = await this.#options.promises(declaration.name);
    try {
      const group = createGroup(declaration, this.#options, this.#metrics, this.#watch, promises);
      this.#groups.set(declaration.name, group);
      group.runner.start();
    } catch (error) {
      await promises.close();
      throw error;
    }
  }

  async #end({ declaration, runner, assessor }: RunningGroup, reason: string): Promise<void> {
    await assessor.stop();
    await runner.stop(reason);
    for (const component of runner.components) await component.close?.();
    this.#groups.delete(declaration.name);
  }
}

function createGroup(
  declaration: GroupDeclaration,
  options: GroupOptions,
  metrics: Metrics,
  watch: WitnessWatch,
  promises: PromiseFile,
): RunningGroup {
  const { region, resolvers, elapsed, clock, record, log, probe, send } = options;
  const settings = settingsOf(declaration, region, resolvers);
  const { name, spec } = declaration;
  const { fenceMs, softMs, renewMs } = settings.parameters;
  const place = { group: name, region, peer: settings.peer, fenceBudgetMs: fenceMs, stepMs: softMs - renewMs };
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
    checkers: [...checkersOf(declaration, options), ...readinessChecker(runner, options)],
    ownChecks: () => [
      witnessesAnswer(settings, runner, elapsed()),
      ...watch.results(settings.witnesses),
      approversCheck(settings.mode, options.approvers),
      drillCheck(record.recent(name, keptEntries), clock.now()),
    ],
    elapsed,
    clock,
    everyMs: Math.min(longestLagRoundMs, settings.parameters.renewMs),
    world: () => ({ active: runner.state.hold !== undefined, ...runner.lastWord() }),
    onAssessment: (assessment) =>
      runner.tell({
        type: 'assessment',
        // A check that is not known to be right counts as failed.
        failedChecks: [
          ...new Set(
            assessment.checks.filter((one) => one.verdict !== 'passed' && !one.advice).map((one) => one.check),
          ),
        ],
        components: assessment.components.map(({ component, verdict, seconds }) => ({
          component,
          verdict,
          lagMs: seconds === undefined ? undefined : seconds * 1000,
        })),
        positions: assessment.positions,
      }),
  });
  return { declaration, runner, assessor };
}

function checkersOf({ name, spec }: GroupDeclaration, options: GroupOptions): Checker[] {
  const { checkers, lookAtCaching, layers } = options;
  const capacity = capacityChecker(spec, layers.kubernetes);
  return [
    ...checkers,
    ...(lookAtCaching ? [cachingChecker(name, lookAtCaching)] : []),
    ...(capacity ? [capacity] : []),
  ];
}

/** Asked by the active region only: the other one has nothing to give away. */
function readinessChecker(runner: GroupRunner, { peerReadiness }: GroupOptions): Checker[] {
  if (!peerReadiness) return [];
  const { group, peer } = runner.settings;
  const checks = async ({ signal }: CallContext): Promise<CheckResult[]> => {
    const { hold } = runner.state;
    if (!hold) return [];
    return [peerReadyCheck(peer, await peerReadiness(group, hold.epoch, signal).catch(() => 'silent' as const))];
  };
  return [{ name: 'peer-ready', checks }];
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
