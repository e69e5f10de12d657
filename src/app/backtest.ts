/** `runbook backtest`: reads a history and runbooks, here or at a revision of Git, and replays the one through the other. */
import { readFile, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { resolve } from 'node:path';
import { text as readStream } from 'node:stream/consumers';
import { fingerprintOf } from '../alert/fingerprint.ts';
import { type AlertHistory, readAlertHistory, type Sighting } from '../alert/history.ts';
import type { CompiledRunbook } from '../catalog/compiled-runbook.ts';
import { parseDuration } from '../catalog/duration.ts';
import { type Linted, lintTexts } from '../catalog/lint.ts';
import { createGit } from '../catalog/sources/git-command.ts';
import { readTree } from '../catalog/sources/git-tree.ts';
import { createLanguage } from '../check/language.ts';
import type { BacktestQuestion, BacktestReport, ReplayedView } from '../cli/registry.ts';
import { systemClock } from '../clock.ts';
import { CatalystError, messageOf } from '../errors.ts';
import { IntegrationsConfig } from '../integrations/all.ts';
import type { FiringSpan } from '../integrations/prometheus/alert-history.ts';
import { createPrometheus } from '../integrations/prometheus/index.ts';
import { createSecrets } from '../integrations/secrets.ts';
import { backtest, differences, type Replayed, type ReplayPolicy } from '../run/backtest.ts';
import { readConfig } from './config.ts';
import { lint, unconfigured } from './offline.ts';
import type { ProcessOptions } from './options.ts';
import { organizationOfLabels, policyOf } from './policy.ts';
import { vocabularyOf } from './world.ts';

/** A month of ALERTS takes Prometheus seconds; this long it may take in all, ms. */
const prometheusLimit = 5 * 60_000;
/** git on a local repository answers in milliseconds; a large one on a slow disk in seconds. */
const gitLimit = 30_000;
const maxGitPathBytes = 64 * 1024;

export async function backtestRunbooks(
  paths: readonly string[],
  question: BacktestQuestion,
  signal: AbortSignal,
  options: ProcessOptions,
): Promise<BacktestReport> {
  const runbooks = usable(await lint(paths));
  const others =
    question.against === undefined ? undefined : usable(await readOthers(question.against, signal, options));
  const history = await readHistory(question, signal, options);
  const policy = await replayPolicy(question);
  const replayed = await backtest(history.sightings, runbooks, policy);
  const { sightings } = history;
  return {
    sightings: sightings.length,
    from: sightings.length === 0 ? undefined : time(sightings[0]?.at ?? 0),
    to: sightings.length === 0 ? undefined : time(sightings.at(-1)?.at ?? 0),
    firings: replayed.map(viewOf),
    ...(others && { changes: changesOf(await backtest(sightings, others, policy), replayed) }),
    assumptions: assumptionsOf(runbooks, question),
    problems: history.problems.map(({ sentence }) => sentence),
  };
}

const time = (at: number) => new Date(at).toISOString();
const viewOf = ({ at, startsAt, endsAt, ...rest }: Replayed): ReplayedView => ({
  ...rest,
  at: time(at),
  startsAt: time(startsAt),
  ...(endsAt === undefined ? {} : { endsAt: time(endsAt) }),
});
const changesOf = (before: readonly Replayed[], after: readonly Replayed[]) =>
  differences(before, after).map((change) => ({ before: viewOf(change.before), after: viewOf(change.after) }));

function usable({ runbooks, problems }: Linted): readonly CompiledRunbook[] {
  const wrong = problems.find((problem) => problem.severity === 'error');
  if (!wrong) return runbooks;
  throw new CatalystError('InvalidResource', `${wrong.file}:${wrong.line}:${wrong.column} ${wrong.sentence}`, {
    hint: 'catalyst-sre runbook lint says everything that is wrong.',
  });
}

async function replayPolicy({ config: file, budgetSpent }: BacktestQuestion): Promise<ReplayPolicy> {
  const budget: ReplayPolicy['budget'] =
    budgetSpent === undefined ? { state: 'notSet' } : { state: 'known', ratio: budgetSpent };
  if (file === undefined)
    return {
      budget,
      policy: () => ({ mode: 'Automatic', defaultRunbookMode: 'Automatic' }),
      organizationOf: () => undefined,
    };
  const config = await readConfig(file, IntegrationsConfig);
  return { budget, policy: policyOf(config), organizationOf: organizationOfLabels(config) };
}

function assumptionsOf(runbooks: readonly CompiledRunbook[], { budgetSpent }: BacktestQuestion): string[] {
  const preconditions = runbooks.reduce((sum, { preconditions: checks }) => sum + checks.length, 0);
  return [
    ...(preconditions > 0
      ? [`${preconditions} preconditions were taken to hold: facts of the past are not recorded.`]
      : []),
    'A run was taken to end when its alert did and its verifications had held, at the latest when its limits ran out.',
    ...(budgetSpent === undefined
      ? ['No budget was taken to be set; --budget-spent 1 shows what a spent one blocks.']
      : []),
  ];
}

// --- history ---------------------------------------------------------------------------------------------------------

async function readHistory(
  question: BacktestQuestion,
  signal: AbortSignal,
  { environment }: ProcessOptions,
): Promise<AlertHistory> {
  const { from, prometheus } = question;
  if (from.length === 0 && prometheus === undefined)
    throw new CatalystError('BadRequest', 'There is no history to replay.', {
      hint: 'Give --from FILE with recorded alerts, or --prometheus URL.',
    });
  const histories = await Promise.all(from.map(readFileHistory));
  if (prometheus !== undefined) {
    const client = createPrometheus({ url: prometheus }, { secrets: createSecrets(environment) });
    const to = systemClock.now();
    const context = { clock: systemClock, signal: AbortSignal.any([signal, AbortSignal.timeout(prometheusLimit)]) };
    try {
      const step = durationOf('--step', question.step);
      const spans = await client.alertHistory(context, { from: to - durationOf('--since', question.since), to, step });
      histories.push({ sightings: spans.flatMap(sightingsOf), problems: [] });
    } finally {
      await client.stop?.();
    }
  }
  const sightings = histories.flatMap((history) => history.sightings).sort((a, b) => a.at - b.at);
  return { sightings, problems: histories.flatMap((history) => history.problems) };
}

async function readFileHistory(file: string): Promise<AlertHistory> {
  try {
    const history = readAlertHistory(file === '-' ? await readStream(process.stdin) : await readFile(file, 'utf8'));
    const problems = history.problems.map(({ line, sentence }) => ({ line, sentence: `${file}:${line}: ${sentence}` }));
    if (history.sightings.length === 0 && problems[0])
      throw new CatalystError('InvalidResource', problems[0].sentence, {
        hint: "It holds lines of Alertmanager's event recorder, or webhook bodies.",
      });
    return { ...history, problems };
  } catch (error) {
    if (error instanceof CatalystError) throw error;
    throw new CatalystError('BadRequest', `${file} cannot be read: ${messageOf(error)}`, { cause: error });
  }
}

function sightingsOf({ labels, from, to }: FiringSpan): Sighting[] {
  const report = {
    name: labels.alertname ?? 'Unnamed',
    labels,
    annotations: {},
    startsAt: from,
    generatorUrl: '',
    fingerprint: fingerprintOf(labels),
  };
  const firing: Sighting = { at: from, report: { ...report, status: 'firing', endsAt: undefined } };
  return to === undefined ? [firing] : [firing, { at: to, report: { ...report, status: 'resolved', endsAt: to } }];
}

function durationOf(flag: string, text: string): number {
  const ms = parseDuration(text);
  if (ms !== undefined && ms > 0) return ms;
  throw new CatalystError('BadRequest', `${flag} ${text} is not a duration.`, {
    hint: `Write ${flag} 30d, 12h or 30s.`,
  });
}

// --- the other runbooks ----------------------------------------------------------------------------------------------

async function readOthers(against: string, signal: AbortSignal, options: ProcessOptions): Promise<Linted> {
  const path = resolve(options.directory, against);
  if (await stat(path).catch(() => undefined)) return lint([path]);
  const [, revision, folder = ''] = /^([^:]+):(.*)$/.exec(against) ?? [];
  if (revision === undefined || revision.startsWith('-'))
    throw new CatalystError('BadRequest', `${against} is no folder and no REVISION:PATH.`, {
      hint: 'Give a folder, or a revision of Git and a path in it: --against main:runbooks',
    });
  const git = createGit({ clock: systemClock, home: tmpdir(), environment: options.environment });
  const call = { signal, limitMs: gitLimit };
  try {
    const found = await git(['-C', options.directory, 'rev-parse', '--absolute-git-dir'], {
      ...call,
      maxBytes: maxGitPathBytes,
    });
    const source = { source: against, revision, withTests: false };
    const tree = await readTree(git, found.toString('utf8').trim(), `${revision}:${folder}`, { ...call, ...source });
    const texts = tree.documents.map(({ file, text }) => ({ origin: { source: against, file, revision }, text }));
    const linted = lintTexts(texts, createLanguage(vocabularyOf(unconfigured().all)));
    return { ...linted, problems: [...tree.problems, ...linted.problems] };
  } catch (error) {
    throw new CatalystError('BadRequest', `${against} cannot be read from Git: ${messageOf(error)}`, {
      cause: error,
      hint: 'The revision and the path must exist; the path counts from the top of the repository.',
    });
  }
}
