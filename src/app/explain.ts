/** `runbook explain` without a server: the engine's own look, at a world that is given or at the systems of a configuration. */
import { Ajv } from 'ajv';
import { fingerprintOf } from '../alert/fingerprint.ts';
import type { CompiledRunbook } from '../catalog/compiled-runbook.ts';
import { parseDuration } from '../catalog/duration.ts';
import { Given } from '../catalog/kinds/runbook-test.ts';
import { matchRunbooks } from '../catalog/match.ts';
import { compileRunbook } from '../catalog/runbook-compile.ts';
import { parseYaml } from '../catalog/yaml-text.ts';
import { createLanguage } from '../check/language.ts';
import type { Registry } from '../cli/registry.ts';
import { systemClock, VirtualClock } from '../clock.ts';
import { CatalystError } from '../errors.ts';
import { createIntegrations, IntegrationsConfig } from '../integrations/all.ts';
import { createSecrets } from '../integrations/secrets.ts';
import { type ExplanationView, explainNothing, explainRun, type ThoughtOf, viewOf } from '../run/explain.ts';
import { supposing } from '../run/explain-service.ts';
import { type GivenFacts, givenWorld } from '../run/given-world.ts';
import { type PreparePorts, strictestMode } from '../run/prepare.ts';
import { acceptInputs } from '../run/run-service.ts';
import { readText } from './check-document.ts';
import { readConfig } from './config.ts';
import { lint, unconfigured } from './offline.ts';
import type { Environment } from './options.ts';
import { organizationOfLabels, policyOf } from './policy.ts';
import { complaintOf } from './schema-problems.ts';
import { vocabularyOf, worldOf } from './world.ts';

type Question = Parameters<NonNullable<Registry['explainAlert']>>[1];

/** How long it may take to read everything, ms: the engine's own limit for one look. */
const readLimit = 20_000;

/** @throws CatalystError InvalidResource for a document or a world that is wrong, BadRequest for a question without an answer */
export async function explainAlert(
  paths: readonly string[],
  question: Question,
  signal: AbortSignal,
  environment: Environment,
): Promise<ExplanationView> {
  const linted = await lint(paths);
  const wrong = linted.problems.find((problem) => problem.severity === 'error');
  if (wrong)
    throw new CatalystError('InvalidResource', `${wrong.file}:${wrong.line}:${wrong.column} ${wrong.sentence}`, {
      hint: 'catalyst-sre runbook lint says everything that is wrong.',
    });
  const within = AbortSignal.any([signal, AbortSignal.timeout(readLimit)]);
  return question.config === undefined
    ? explainGiven(linted.runbooks, question, within)
    : explainConfigured(linted.runbooks, question, question.config, within, environment);
}

async function explainGiven(
  runbooks: readonly CompiledRunbook[],
  question: Question,
  signal: AbortSignal,
): Promise<ExplanationView> {
  const given = question.given === undefined ? {} : await readGiven(question.given);
  const clock = new VirtualClock(systemClock.now());
  const world = givenWorld(vocabularyOf(unconfigured().all), given, [], clock);
  const labels = question.labels ?? given.alert?.labels;
  const inputs = { ...(given.inputs as Question['inputs'] | undefined), ...question.inputs };
  const ranBefore = parseDuration(given.ranBefore ?? '');
  const ran = ranBefore === undefined ? [] : [{ actedAt: clock.now() - ranBefore, endedAt: clock.now() - ranBefore }];
  return answer(
    runbooks,
    { ...question, labels, inputs, annotations: given.alert?.annotations ?? {} },
    {
      context: { clock, signal },
      ports: { world, confirmFiring: 'Required', history: async () => ran, lock: async () => true },
      policy: () => ({ mode: given.mode ?? 'Automatic', defaultRunbookMode: 'Automatic' }),
      organizationOf: () => question.organization,
    },
  );
}

async function explainConfigured(
  runbooks: readonly CompiledRunbook[],
  question: Question,
  file: string,
  signal: AbortSignal,
  environment: Environment,
): Promise<ExplanationView> {
  const config = await readConfig(file, IntegrationsConfig);
  const integrations = createIntegrations(config.integrations ?? {}, {
    secrets: createSecrets(environment),
    clock: systemClock,
  });
  const world = worldOf(integrations.all);
  try {
    return await answer(
      runbooks,
      { ...question, annotations: {} },
      {
        context: { clock: systemClock, signal },
        // Earlier runs and locks are in the database of a server, which nobody asks here.
        ports: {
          world: supposing(world),
          confirmFiring: 'WhenPossible',
          history: async () => [],
          lock: async () => true,
        },
        policy: policyOf(config),
        organizationOf: organizationOfLabels(config),
      },
    );
  } finally {
    await integrations.stop();
  }
}

interface Scene {
  context: { clock: typeof systemClock; signal: AbortSignal };
  ports: PreparePorts;
  policy: ReturnType<typeof policyOf>;
  organizationOf(labels: Readonly<Record<string, string>>): string | undefined;
}

async function answer(
  runbooks: readonly CompiledRunbook[],
  { labels, annotations, inputs, organization: named }: Question & { annotations: Record<string, string> },
  { context, ports, policy, organizationOf }: Scene,
): Promise<ExplanationView> {
  const now = context.clock.now();
  const organization = named ?? (labels && organizationOf(labels));
  const match = labels && matchRunbooks(runbooks, labels, organization);
  // Without an alert it is as if a person started it: only one runbook can be meant.
  const chosen = match ? match.chosen : runbooks.length === 1 ? runbooks[0] : undefined;
  if (!chosen) {
    if (!labels)
      throw new CatalystError(
        'BadRequest',
        `There are ${runbooks.length} runbooks in these paths, and no alert chooses among them.`,
        {
          hint: 'Give --labels alertname=NAME, or the file of one runbook.',
        },
      );
    return viewOf(
      explainNothing(
        now,
        { name: labels.alertname ?? '', labels: { ...labels }, organization },
        match?.considered ?? [],
      ),
    );
  }
  const { mode, defaultRunbookMode } = policy(organization);
  const thought: ThoughtOf = {
    runbook: compiledFor(chosen, ports),
    mode: strictestMode([mode, chosen.mode ?? defaultRunbookMode]),
    organization,
    alert: labels && {
      id: '',
      name: labels.alertname ?? '',
      labels,
      annotations,
      fingerprint: fingerprintOf(labels),
      generatorUrl: '',
      startsAt: now,
    },
    inputs: acceptInputs(chosen, { ...inputs }),
  };
  return viewOf(await explainRun(thought, match?.considered ?? [], context, ports));
}

/** Bound to the facts and actions of this world rather than to those nobody configured. */
function compiledFor({ resource }: CompiledRunbook, { world }: PreparePorts): CompiledRunbook {
  const { runbook, problems } = compileRunbook(resource, createLanguage(world.vocabulary));
  if (!runbook) throw new CatalystError('InvalidResource', problems[0]?.sentence ?? 'It does not compile.');
  return runbook;
}

/** What stands under `given:` in a RunbookTest, alone or under that key. */
async function readGiven(file: string): Promise<GivenFacts> {
  const { value, problems, positions } = parseYaml(await readText(file));
  const fail = (sentence: string, { line, column }: { line: number; column: number }) =>
    new CatalystError('InvalidResource', `${file}:${line}:${column} ${sentence}`, {
      hint: 'It holds what stands under given: in a RunbookTest; see docs/runbook-language.md.',
    });
  const [problem] = problems;
  if (problem) throw fail(problem.sentence, problem);
  const nested = typeof value === 'object' && value !== null && 'given' in value;
  const given = nested ? value.given : (value ?? {});
  const validate = new Ajv({ strict: false, verbose: true }).compile(Given);
  if (validate(given)) return given as GivenFacts;
  const [error] = validate.errors ?? [];
  if (!error) throw fail('It is not a world.', { line: 1, column: 1 });
  const { path, atKey, sentence } = complaintOf(
    error,
    error.data,
    Object.keys((error.parentSchema?.properties as object | undefined) ?? {}),
  );
  const at = [...(nested ? ['given'] : []), ...path];
  throw fail(sentence, atKey ? positions.key(at) : positions.value(at));
}
