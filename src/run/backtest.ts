/**
 * What a set of runbooks would have done about alerts of the past: the product's own episodes, matching and guards, on
 * the times that were recorded. Deterministic: the same history and runbooks always give the same answer.
 *
 * What nobody recorded is assumed, and said so: preconditions hold, verification holds as soon as the alert is over, a
 * person approves at once.
 */
import type { Episode } from '../alert/alert.ts';
import { decideReport } from '../alert/alert-decision.ts';
import type { Sighting } from '../alert/history.ts';
import type { CompiledRunbook } from '../catalog/compiled-runbook.ts';
import { matchRunbooks } from '../catalog/match.ts';
import type { FactReader } from '../check/check.ts';
import { CatalystError } from '../errors.ts';
import { blockingVerdict, evaluateGuards, type GuardInput } from '../guard/guard.ts';
import type { TargetReference } from '../integrations/contract.ts';
import type { DispatchPorts } from './dispatch.ts';
import { newState } from './journal.ts';
import { mostSerious, strictestMode } from './prepare.ts';
import type { Reason } from './reasons.ts';
import { type RunInHand, scopeOf, targetKey } from './run-in-hand.ts';

export type ReplayOutcome = 'WouldAct' | 'WouldAsk' | 'WouldSuggest' | 'WouldNotAct';

/** What would have been done about one firing. Times in ms since the epoch. */
export interface Replayed {
  at: number;
  alert: string;
  labels: Readonly<Record<string, string>>;
  fingerprint: string;
  startsAt: number;
  endsAt: number | undefined;
  runbook: string | undefined;
  target: string | undefined;
  outcome: ReplayOutcome;
  reason: Reason;
  sentence: string;
}

export interface ReplayPolicy {
  policy: DispatchPorts['policy'];
  organizationOf(labels: Readonly<Record<string, string>>): string | undefined;
  /** What is taken for spent of every budget. */
  budget: GuardInput['budget'];
}

/** One firing, with its end as the whole history tells it. */
interface Firing {
  at: number;
  sighting: Sighting;
  episode: Episode;
}

export async function backtest(
  sightings: readonly Sighting[],
  runbooks: readonly CompiledRunbook[],
  policy: ReplayPolicy,
): Promise<Replayed[]> {
  const replay = new Replay(runbooks, policy);
  const replayed: Replayed[] = [];
  for (const firing of firingsOf(sightings)) replayed.push(await replay.decide(firing));
  return replayed;
}

/** Repeats, copies and false ends are taken out as intake does it; what is left is when something began to fire. */
function firingsOf(sightings: readonly Sighting[]): Firing[] {
  const known = new Map<string, Map<string, Episode>>();
  const fired: { at: number; sighting: Sighting; id: string }[] = [];
  let ids = 0;
  for (const sighting of sightings) {
    const { fingerprint } = sighting.report;
    const episodes = known.get(fingerprint) ?? new Map<string, Episode>();
    known.set(fingerprint, episodes);
    const identity = { id: () => `episode-${++ids}`, source: 'history', organization: undefined, fingerprint };
    for (const { kind, next } of decideReport([...episodes.values()], sighting.report, identity, sighting.at)) {
      episodes.set(next.id, next);
      if (kind === 'Fired') fired.push({ at: sighting.at, sighting, id: next.id });
    }
  }
  return fired.flatMap(({ id, ...firing }) => {
    const episode = known.get(firing.sighting.report.fingerprint)?.get(id);
    return episode ? [{ ...firing, episode }] : [];
  });
}

class Replay {
  readonly #runbooks: readonly CompiledRunbook[];
  readonly #policy: ReplayPolicy;
  /** Until when a concurrency key is held. */
  readonly #held = new Map<string, number>();
  /** Runs that acted, newest first, by runbook and target. */
  readonly #acted = new Map<string, { actedAt: number; endedAt: number }[]>();

  constructor(runbooks: readonly CompiledRunbook[], policy: ReplayPolicy) {
    this.#runbooks = runbooks;
    this.#policy = policy;
  }

  async decide(firing: Firing): Promise<Replayed> {
    const { report } = firing.sighting;
    const organization = this.#policy.organizationOf(report.labels);
    const { chosen } = matchRunbooks(this.#runbooks, report.labels, organization);
    if (!chosen)
      return told(
        firing,
        undefined,
        undefined,
        'WouldNotAct',
        'NoRunbook',
        `No runbook is triggered by ${report.name}.`,
      );
    const name = chosen.resource.metadata.name;
    const { mode, defaultRunbookMode } = this.#policy.policy(organization);
    const run = runOf(chosen, firing, organization, strictestMode([mode, chosen.mode ?? defaultRunbookMode]));
    const { target, key } = await keysOf(run);
    const not = (reason: Reason, sentence: string) => told(firing, name, target, 'WouldNotAct', reason, sentence);

    if (run.mode === 'Suggest')
      return told(firing, name, target, 'WouldSuggest', 'Suggested', 'The mode is Suggest: it says what it would do.');
    const free = Math.max(firing.at, this.#held.get(key) ?? 0);
    const waited = Math.round((free - firing.at) / 1000);
    if (free - firing.at >= chosen.guards.queueFor)
      return not('Busy', `Another run held ${key} for longer than ${chosen.guards.queueFor / 1000}s.`);
    const { endsAt } = firing.episode;
    if (endsAt !== undefined && endsAt <= free)
      return not('NotFiring', `It was over before its turn came, ${waited}s after it came in.`);

    const history = this.#acted.get(`${name}/${target}`) ?? [];
    const guards = evaluateGuards({
      now: free,
      limits: chosen.guards,
      effects: effectsOf(chosen),
      history,
      budget: this.#policy.budget,
    });
    const blocked = blockingVerdict(guards);
    if (blocked) return not(blocked.reason, blocked.sentence);

    const endedAt = Math.min(
      free + longest(chosen),
      Math.max(free, endsAt ?? Number.POSITIVE_INFINITY) + holds(chosen),
    );
    this.#acted.set(`${name}/${target}`, [{ actedAt: free, endedAt }, ...history]);
    this.#held.set(key, endedAt);
    const after = waited > 0 ? ` after waiting ${waited}s for ${key}` : '';
    return run.mode === 'Approval'
      ? told(firing, name, target, 'WouldAsk', 'AwaitingApproval', `It would have asked a person${after}.`)
      : told(firing, name, target, 'WouldAct', 'RunStarted', `It would have acted${after}.`);
  }
}

function told(
  { at, sighting: { report }, episode }: Firing,
  runbook: string | undefined,
  target: string | undefined,
  outcome: ReplayOutcome,
  reason: Reason,
  sentence: string,
): Replayed {
  const { name: alert, labels, fingerprint } = report;
  return {
    at,
    alert,
    labels,
    fingerprint,
    startsAt: episode.startsAt,
    endsAt: episode.endsAt,
    runbook,
    target,
    outcome,
    reason,
    sentence,
  };
}

function runOf(
  runbook: CompiledRunbook,
  { at, sighting: { report }, episode }: Firing,
  organization: string | undefined,
  mode: RunInHand['mode'],
): RunInHand {
  const { name, fingerprint, labels, annotations, generatorUrl } = report;
  return {
    id: 'replayed',
    runbook,
    organization,
    mode,
    alert: { id: episode.id, name, fingerprint, labels, annotations, generatorUrl, startsAt: episode.startsAt },
    incident: undefined,
    inputs: {},
    createdAt: at,
    cancelRequestedBy: undefined,
    state: newState(),
  };
}

/** The world of the past cannot be asked. */
const silent: FactReader = {
  readings: [],
  read: async (fact) => {
    throw new CatalystError('UpstreamUnavailable', `${fact.name} was not recorded.`);
  },
};

/** What cooldowns count by and what is locked. A target that cannot be named from the alert's labels counts as the runbook. */
async function keysOf(run: RunInHand): Promise<{ target: string; key: string }> {
  const { target: template, guards } = run.runbook;
  const named = await template?.evaluate(scopeOf(run, undefined), silent);
  const reference = named?.ok ? (named.value as unknown as TargetReference) : undefined;
  const bound = reference && { ...reference, uid: '', generation: 0 };
  const target = targetKey(run, bound);
  const key = await guards.concurrencyKey?.evaluate(scopeOf(run, bound), silent);
  return { target, key: key?.ok ? String(key.value) : target };
}

function effectsOf({ steps }: CompiledRunbook): GuardInput['effects'] {
  return steps.flatMap((step) => (step.kind === 'run' ? [mostSerious(step.call.action.effects)] : []));
}

/** The longest a run can take, ms: every limit used up. */
function longest({ steps }: CompiledRunbook): number {
  const limit = (step: CompiledRunbook['steps'][number]) => {
    switch (step.kind) {
      case 'run':
        return step.timeout;
      case 'verify':
        return step.within;
      case 'wait':
        return step.wait;
      case 'approve':
        return 0;
    }
  };
  return steps.reduce((sum, step) => sum + limit(step), 0);
}

/** How long verifications have to hold once the alert is over, ms. */
function holds({ steps }: CompiledRunbook): number {
  return steps.reduce((sum, step) => sum + (step.kind === 'verify' ? step.for : 0), 0);
}

/** A firing about which two sets of runbooks would have done different things. */
export interface Change {
  before: Replayed;
  after: Replayed;
}

/** Both replays are of the same history, so that they have the same firings in the same order. */
export function differences(before: readonly Replayed[], after: readonly Replayed[]): Change[] {
  return after.flatMap((now, i) => {
    const was = before[i];
    const same = was?.outcome === now.outcome && was.reason === now.reason && was.runbook === now.runbook;
    return was && !same ? [{ before: was, after: now }] : [];
  });
}
