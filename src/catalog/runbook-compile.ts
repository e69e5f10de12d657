/**
 * Makes a runbook ready to run: expressions typed, calls bound to actions, durations in milliseconds, defaults filled
 * in. Pure, so that a run that outlives the process is compiled again from the document it started with.
 */
import { type Check, ExpressionError, type InputTypes, type Language, type Template } from '../check/check.ts';
import { didYouMean } from '../check/nearest.ts';
import type { Json } from '../integrations/contract.ts';
import { compileCall } from './call-compile.ts';
import type { CompiledRunbook, CompiledRunStep, CompiledStep, CompiledTrigger } from './compiled-runbook.ts';
import { formatDuration, longestDuration, parseDuration } from './duration.ts';
import type { Runbook, RunbookSpec, RunbookStep, RunStep, VerifyStep } from './kinds/runbook.ts';
import { onLine, type Positions } from './positions.ts';
import type { Problem } from './resource.ts';
import { lintRunbook, type Report } from './runbook-lint.ts';
import type { Path } from './schema.ts';
import { compileTrigger } from './trigger-compile.ts';

/** What holds where a runbook does not say otherwise; the schema's descriptions tell the same. All in ms. */
export const defaults = {
  timeout: 60_000,
  backoff: 2000,
  verifyWithin: 300_000,
  approvalWithin: 3_600_000,
  cooldown: 300_000,
  maxRuns: { count: 3, per: 3_600_000 },
  queueFor: 600_000,
} as const;

/** How often a verification looks, when it does not say: a twentieth of its time, from 1 s to 30 s. */
function defaultEvery(within: number): number {
  return Math.min(30_000, Math.max(1000, Math.round(within / 20)));
}

/** Kinds whose apiVersion nobody needs to write. */
const apiVersions: Readonly<Record<string, string>> = {
  Deployment: 'apps/v1',
  StatefulSet: 'apps/v1',
  DaemonSet: 'apps/v1',
  ReplicaSet: 'apps/v1',
  Pod: 'v1',
  Node: 'v1',
  Service: 'v1',
  Namespace: 'v1',
  PersistentVolumeClaim: 'v1',
  Job: 'batch/v1',
  CronJob: 'batch/v1',
};

interface Compilation {
  language: Language;
  report: Report;
  lineOf(path: Path): number;
}

/** Compiles a runbook that fits its schema. Without a runbook in the answer there is at least one error. */
export function compileRunbook(
  resource: Runbook,
  language: Language,
  positions: Positions = onLine(resource.provenance.line),
): { runbook?: CompiledRunbook; problems: Problem[] } {
  const problems: Problem[] = [];
  const { source, file } = resource.provenance;
  const report: Report = (severity, rule, path, sentence, offset) => {
    const place = { source, file, resource: `Runbook/${resource.metadata.name}` };
    problems.push({ severity, rule, sentence, ...place, ...positions.value(path, offset) });
  };
  const { spec } = resource;
  const c: Compilation = {
    language: language.withInputs(inputTypes(spec)),
    report,
    lineOf: (path) => positions.value(path).line,
  };
  checkInputs(spec, c);
  const runbook: CompiledRunbook = {
    resource,
    triggers: compileTriggers(spec, c),
    mode: spec.mode,
    priority: spec.priority ?? 0,
    target: compileTarget(spec, c),
    preconditions: (spec.preconditions ?? []).flatMap(({ check, description }, i) => {
      const compiled = expression(c, ['spec', 'preconditions', i, 'check'], check);
      return compiled ? [{ check: compiled, description: description ?? '' }] : [];
    }),
    steps: spec.steps.flatMap((step, i) => compileStep(step, ['spec', 'steps', i], c) ?? []),
    rollback: compileRollback(spec, c),
    guards: compileGuards(spec, c),
  };
  lintRunbook(runbook, report);
  return problems.some((p) => p.severity === 'error') ? { problems } : { runbook, problems };
}

function inputTypes(spec: RunbookSpec): InputTypes {
  return Object.fromEntries(Object.entries(spec.inputs ?? {}).map(([name, { type }]) => [name, type]));
}

function checkInputs(spec: RunbookSpec, { report }: Compilation): void {
  const javascript = { string: 'string', int: 'number', bool: 'boolean' } as const;
  for (const [name, input] of Object.entries(spec.inputs ?? {})) {
    if (input.default === undefined || typeof input.default === javascript[input.type]) continue;
    const sentence = `The default of ${name} is ${JSON.stringify(input.default)}, and its type is ${input.type}.`;
    report('error', 'input-default', ['spec', 'inputs', name, 'default'], sentence);
  }
}

function compileTriggers(spec: RunbookSpec, { report }: Compilation): CompiledTrigger[] {
  return (spec.triggers ?? []).flatMap((trigger, i) => {
    const at = ['spec', 'triggers', i];
    const compiled = compileTrigger(trigger, (rule, path, sentence, offset) =>
      report('error', rule, [...at, ...path], sentence, offset),
    );
    return compiled ? [compiled] : [];
  });
}

function compileTarget(spec: RunbookSpec, c: Compilation): Template | undefined {
  if (!spec.target) return undefined;
  const { kind, namespace, name } = spec.target;
  const apiVersion = spec.target.apiVersion ?? (Object.hasOwn(apiVersions, kind) ? apiVersions[kind] : undefined);
  if (apiVersion === undefined) {
    const sentence = `Say the apiVersion of ${kind}: it is known only for ${Object.keys(apiVersions).join(', ')}.${didYouMean(kind, Object.keys(apiVersions))}`;
    c.report('error', 'target-api-version', ['spec', 'target', 'kind'], sentence);
    return undefined;
  }
  return template(c, ['spec', 'target'], { apiVersion, kind, ...(namespace === undefined ? {} : { namespace }), name });
}

function compileRollback(spec: RunbookSpec, c: Compilation): CompiledRunbook['rollback'] {
  const { rollback = 'page-oncall' } = spec;
  if (typeof rollback !== 'string') {
    const steps = rollback.flatMap((step, i) => compileRun(step, ['spec', 'rollback', i], c) ?? []);
    return { kind: 'steps', steps };
  }
  if (rollback !== 'page-oncall') {
    const sentence = `There is no rollback named ${rollback}. Write page-oncall, or a list of steps.`;
    c.report('error', 'unknown-rollback', ['spec', 'rollback'], sentence);
  }
  return { kind: 'pageOncall' };
}

function compileGuards(spec: RunbookSpec, c: Compilation): CompiledRunbook['guards'] {
  const guards = spec.guards ?? {};
  const at = ['spec', 'guards'];
  return {
    cooldown: duration(c, [...at, 'cooldown'], guards.cooldown, defaults.cooldown),
    maxRuns: guards.maxRuns
      ? {
          count: guards.maxRuns.count,
          per: duration(c, [...at, 'maxRuns', 'per'], guards.maxRuns.per, defaults.maxRuns.per),
        }
      : defaults.maxRuns,
    concurrencyKey:
      guards.concurrencyKey === undefined ? undefined : template(c, [...at, 'concurrencyKey'], guards.concurrencyKey),
    queueFor: duration(c, [...at, 'queueFor'], guards.queueFor, defaults.queueFor),
  };
}

function compileStep(step: RunbookStep, path: Path, c: Compilation): CompiledStep | undefined {
  if ('run' in step) return compileRun(step, path, c);
  if ('verify' in step) return compileVerify(step, path, c);
  const when = step.when === undefined ? undefined : expression(c, [...path, 'when'], step.when);
  const base = { line: c.lineOf(path), ...(when ? { when } : {}) };
  if ('wait' in step) {
    const wait = duration(c, [...path, 'wait'], step.wait, 0);
    return { ...base, kind: 'wait', name: step.name ?? `Wait ${step.wait}`, wait };
  }
  const role = step.approve.role ?? 'sovereign-admin';
  return {
    ...base,
    kind: 'approve',
    name: step.name ?? `Approval by ${role}`,
    role,
    within: duration(c, [...path, 'approve', 'within'], step.approve.within, defaults.approvalWithin),
    reason: step.approve.reason ?? '',
  };
}

/** The first 128 characters of a line, as the name of a step that has none; the schema allows no longer names. */
function nameOf(text: string): string {
  return text.replaceAll(/\s+/g, ' ').trim().slice(0, 128);
}

function compileRun(step: RunStep, path: Path, c: Compilation): CompiledRunStep | undefined {
  const when = step.when === undefined ? undefined : expression(c, [...path, 'when'], step.when);
  const timeout = duration(c, [...path, 'timeout'], step.timeout, defaults.timeout);
  const backoff = duration(c, [...path, 'retry', 'backoff'], step.retry?.backoff, defaults.backoff);
  const call = callAt(step, path, c);
  const undo = step.undo && callAt(step.undo, [...path, 'undo'], c);
  if (!call) return undefined;
  return {
    kind: 'run',
    name: step.name ?? nameOf(step.run),
    line: c.lineOf(path),
    call,
    timeout,
    attempts: step.retry?.attempts ?? 1,
    backoff,
    ...(when ? { when } : {}),
    ...(undo ? { undo } : {}),
  };
}

function callAt(source: { run: string; with?: Record<string, unknown> }, path: Path, c: Compilation) {
  return compileCall(source, c.language, (rule, below, sentence, offset) =>
    c.report('error', rule, [...path, ...below], sentence, offset),
  );
}

function compileVerify(step: VerifyStep, path: Path, c: Compilation): CompiledStep | undefined {
  const when = step.when === undefined ? undefined : expression(c, [...path, 'when'], step.when);
  const check = expression(c, [...path, 'verify'], step.verify);
  const holds = duration(c, [...path, 'for'], step.for, 0);
  const within = duration(c, [...path, 'within'], step.within, defaults.verifyWithin);
  const every = duration(c, [...path, 'every'], step.every, defaultEvery(within));
  if (holds > within) {
    const limit = step.within === undefined ? `within, which is ${formatDuration(within)} by default,` : 'within';
    const sentence = `It must hold for ${step.for}, longer than the ${formatDuration(within)} it has: it can never succeed. Make ${limit} longer than for.`;
    c.report('error', 'verify-cannot-succeed', [...path, step.within === undefined ? 'for' : 'within'], sentence);
  }
  if (every === 0) c.report('error', 'bad-duration', [...path, 'every'], 'every must be longer than 0s.');
  if (!check) return undefined;
  const name = step.name ?? nameOf(`Verify ${step.verify}`);
  const base = { name, line: c.lineOf(path), ...(when ? { when } : {}) };
  return { ...base, kind: 'verify', check, for: holds, within, every };
}

function duration(c: Compilation, path: Path, text: string | undefined, fallback: number): number {
  if (text === undefined) return fallback;
  const ms = parseDuration(text);
  if (ms !== undefined) return ms;
  const sentence = `${text} is not a duration up to ${formatDuration(longestDuration)}. Write for instance 30s, 5m or 1h30m.`;
  c.report('error', 'bad-duration', path, sentence);
  return fallback;
}

function expression(c: Compilation, path: Path, source: string): Check | undefined {
  return caught(c, path, () => c.language.check(source));
}

function template(c: Compilation, path: Path, value: Json): Template | undefined {
  return caught(c, path, () => c.language.template(value));
}

function caught<T>(c: Compilation, path: Path, compile: () => T): T | undefined {
  try {
    return compile();
  } catch (error) {
    if (!(error instanceof ExpressionError)) throw error;
    c.report('error', error.rule, [...path, ...error.path], error.message, error.offset);
    return undefined;
  }
}
