/** What the command line does without a server: the product's own parser, linter, explainer and test runner. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { CompiledRunbook, CompiledStep } from '../catalog/compiled-runbook.ts';
import { renderCrds } from '../catalog/crd.ts';
import { formatDuration } from '../catalog/duration.ts';
import { type Linted, lintTexts } from '../catalog/lint.ts';
import { compileRunbook } from '../catalog/runbook-compile.ts';
import { createLanguage } from '../check/language.ts';
import type { Explanation, LintReport, RenderedFile, TestReport } from '../cli/registry.ts';
import { systemClock } from '../clock.ts';
import { CatalystError, messageOf } from '../errors.ts';
import { failoverRules } from '../failover/rules.ts';
import { createIntegrations, type Integrations } from '../integrations/all.ts';
import { renderClusterRole } from '../integrations/kubernetes/rbac.ts';
import { createSecrets } from '../integrations/secrets.ts';
import { runRunbookTest } from '../run/runbook-test-run.ts';
import { vocabularyOf } from './world.ts';

/** All integrations, none configured: their definitions are complete, and nothing of them does I/O. */
export function unconfigured(): Integrations {
  return createIntegrations({}, { secrets: createSecrets({}), clock: systemClock });
}

export async function lintRunbooks(paths: readonly string[]): Promise<LintReport> {
  const linted = await lint(paths);
  return { documents: linted.resources.length, problems: linted.problems };
}

export async function testRunbooks(paths: readonly string[], signal: AbortSignal): Promise<TestReport> {
  const linted = await lint(paths);
  const wrong = linted.problems.find((problem) => problem.severity === 'error');
  if (wrong)
    throw new CatalystError('InvalidResource', `${wrong.file}:${wrong.line}:${wrong.column} ${wrong.sentence}`, {
      hint: 'catalyst-sre runbook lint says everything that is wrong.',
    });
  const vocabulary = vocabularyOf(unconfigured().all);
  const cases: TestReport['cases'][number][] = [];
  for (const test of linted.tests) {
    signal.throwIfAborted();
    const began = systemClock.monotonic();
    const results = await runRunbookTest(test, {
      vocabulary,
      find: (name) => linted.runbooks.find(({ resource }) => resource.metadata.name === name)?.resource,
      compile: (document, given) => {
        const { runbook, problems } = compileRunbook(document, createLanguage(given));
        if (!runbook) throw new CatalystError('InvalidResource', problems[0]?.sentence ?? 'It does not compile.');
        return runbook;
      },
    });
    const took = (systemClock.monotonic() - began) / Math.max(1, results.length);
    const { file, line } = test.provenance;
    for (const { name, failures, journal } of results) {
      const passed = failures.length === 0;
      const sentence = [...failures, ...journal.map((entry) => `  ${entry}`)].join('\n');
      cases.push({ file, line, name: `${test.spec.runbook}: ${name}`, passed, took, ...(passed ? {} : { sentence }) });
    }
  }
  return { cases };
}

export async function explainRunbooks(
  paths: readonly string[],
): Promise<{ explanations: Explanation[]; problems: LintReport['problems'] }> {
  const linted = await lint(paths);
  return { explanations: linted.runbooks.map(explanationOf), problems: linted.problems };
}

export function renderCrdFiles(): RenderedFile[] {
  return renderCrds().map(({ path, content }) => ({ path, text: content }));
}

const failoverRole = 'catalyst-sre-failover';

export function renderRbacFiles(): RenderedFile[] {
  const { kubernetes } = unconfigured();
  const wanted = [...kubernetes.facts, ...kubernetes.actions]
    .map(({ name }) => name)
    .filter((name) => !needsNaming.has(name));
  return [
    { path: 'clusterrole.yaml', text: kubernetes.clusterRole('catalyst-sre', wanted) },
    // By itself, for those alone who keep runbooks in the cluster.
    {
      path: 'clusterrole-catalog.yaml',
      text: kubernetes.clusterRole('catalyst-sre-catalog', ['cluster source']),
    },
    // Of another process, which runs under an account of its own.
    {
      path: 'clusterrole-failover.yaml',
      text: renderClusterRole(
        failoverRole,
        [{ definition: { name: failoverRole }, rules: failoverRules }],
        [failoverRole],
      ),
    },
  ];
}

/** What reads or writes any kind of object: a role for it has to name the kinds, which only who runs the Sovereign knows. */
const needsNaming = new Set(['kubernetes patch', 'kubernetes.object', 'kubernetes.condition']);

export async function lint(paths: readonly string[]): Promise<Linted> {
  const files = (await Promise.all(paths.map(filesUnder))).flat();
  const texts = await Promise.all(
    files.map(async (file) => ({ origin: { source: 'files', file }, text: await readFile(file) })),
  );
  return lintTexts(texts, createLanguage(vocabularyOf(unconfigured().all)));
}

/** The YAML files under a path, in the order of their names. */
export async function filesUnder(path: string): Promise<string[]> {
  try {
    if (!(await stat(path)).isDirectory()) return [path];
    const entries = await readdir(path, { recursive: true, withFileTypes: true });
    return entries
      .filter((entry) => entry.isFile() && /\.ya?ml$/.test(entry.name) && !entry.name.startsWith('.'))
      .map((entry) => join(entry.parentPath, entry.name))
      .sort();
  } catch (error) {
    throw new CatalystError('BadRequest', `${path} cannot be read: ${messageOf(error)}`, {
      cause: error,
      hint: 'Give a file or a folder of YAML documents.',
    });
  }
}

function explanationOf(runbook: CompiledRunbook): Explanation {
  const { resource, triggers, preconditions, steps, rollback, guards, mode } = runbook;
  const { spec, metadata, provenance } = resource;
  return {
    name: metadata.name,
    file: provenance.file,
    line: provenance.line,
    description: spec.description,
    mode: mode ?? 'the default of the Sovereign',
    triggers: triggers.map((trigger) =>
      trigger.kind === 'alert'
        ? `the alert ${trigger.alertName} fires`
        : trigger.kind === 'incident'
          ? `an incident of type ${trigger.type} opens`
          : `the schedule ${trigger.cron} (${trigger.timeZone}) is due`,
    ),
    target: spec.target && `${spec.target.kind} ${spec.target.namespace ?? ''}/${spec.target.name}`,
    preconditions: preconditions.map(({ check, description }) => ({
      check: check.source,
      description,
      facts: check.facts,
    })),
    steps: steps.map(explainStep),
    rollback:
      rollback.kind === 'pageOncall'
        ? 'what was done is undone where it can be, and the person on call is paged'
        : `what was done is undone where it can be, then: ${rollback.steps.map((step) => step.call.source).join('; ')}; and the person on call is paged`,
    guards: [
      `not within ${formatDuration(guards.cooldown)} after it last acted on the target`,
      `at most ${guards.maxRuns.count} times in ${formatDuration(guards.maxRuns.per)} on the target`,
      'one run at a time on the target',
      'nothing scales up when the budget is spent',
    ],
  };
}

function explainStep(step: CompiledStep): Explanation['steps'][number] {
  const base = { name: step.name, kind: step.kind, effects: [], facts: step.when?.facts ?? [] };
  switch (step.kind) {
    case 'run': {
      const { action, source, facts } = step.call;
      const tries = step.attempts > 1 ? `, up to ${step.attempts} tries` : '';
      const undo = step.undo?.source ?? (action.undo ? 'the action knows how to take itself back' : undefined);
      return {
        ...base,
        sentence: `${source} (at most ${formatDuration(step.timeout)}${tries})`,
        effects: action.effects,
        facts,
        undo,
      };
    }
    case 'verify': {
      const hold = step.for > 0 ? ` for ${formatDuration(step.for)} without a break` : '';
      return {
        ...base,
        sentence: `${step.check.source} has to hold${hold} within ${formatDuration(step.within)}`,
        facts: step.check.facts,
      };
    }
    case 'wait':
      return { ...base, sentence: `waits ${formatDuration(step.wait)}` };
    case 'approve':
      return { ...base, sentence: `a ${step.role} has ${formatDuration(step.within)} to approve` };
  }
}
