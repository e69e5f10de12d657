/** What is allowed in a runbook and yet likely not meant. */
import type { Effect } from '../integrations/contract.ts';
import { propertiesOf } from './action-input.ts';
import type { CompiledRunbook, CompiledRunStep, CompiledStep } from './compiled-runbook.ts';
import type { Problem } from './resource.ts';
import type { Path } from './schema.ts';
import { neverMatches } from './trigger-compile.ts';

/** Says what is wrong with the value at a path of the document. */
export type Report = (
  severity: Problem['severity'],
  rule: string,
  path: Path,
  sentence: string,
  offset?: number,
) => void;

type Warn = (rule: string, path: Path, sentence: string) => void;

/** Effects that leave the world as it was. */
const harmless: ReadonlySet<Effect> = new Set(['ReadOnly', 'Notify']);
/** Effects that lose something unless they can be undone. */
const irreversible: ReadonlySet<Effect> = new Set(['Delete', 'ScaleDown', 'Change', 'Rollback']);

/** Reports warnings, and errors for variables that will never be there. */
export function lintRunbook(runbook: CompiledRunbook, report: Report): void {
  const warn: Warn = (rule, path, sentence) => report('warning', rule, path, sentence);
  lintTriggers(runbook, warn);
  lintSteps(runbook, warn);
  lintModes(runbook, warn);
  lintVariables(runbook, report);
}

function lintTriggers(runbook: CompiledRunbook, warn: Warn): void {
  runbook.triggers.forEach((trigger, i) => {
    const sentence = neverMatches(trigger);
    if (sentence) warn('trigger-never-matches', ['spec', 'triggers', i], sentence);
  });
}

const hasEffect = (step: CompiledStep): step is CompiledRunStep =>
  step.kind === 'run' && step.call.action.effects.some((e) => !harmless.has(e));

/** Index of a compiled step in the document: steps that could not be compiled are missing from the list. */
function indexOf(runbook: CompiledRunbook, position: number): number {
  return runbook.steps.length === runbook.resource.spec.steps.length ? position : 0;
}

function lintSteps(runbook: CompiledRunbook, warn: Warn): void {
  const { steps } = runbook;
  const last = steps.findLastIndex(hasEffect);
  // A runbook with errors in its steps may well have the verification that is missing here.
  const complete = steps.length === runbook.resource.spec.steps.length;
  if (complete && last >= 0 && !steps.slice(last + 1).some((s) => s.kind === 'verify'))
    warn(
      'verify-missing',
      ['spec', 'steps', indexOf(runbook, last)],
      'Nothing verifies what this step did. Add a verify step after it, or the run counts as a success when the action answers.',
    );
  const seen = new Set<string>();
  runbook.resource.spec.steps.forEach((step, i) => {
    if (step.name === undefined) return;
    if (seen.has(step.name))
      warn(
        'duplicate-step-name',
        ['spec', 'steps', i, 'name'],
        `Two steps are named ${step.name}. steps.${step.name}.result is that of the later one.`,
      );
    seen.add(step.name);
  });
  steps.forEach((step, i) => {
    if (step.kind === 'verify' && step.every > step.within)
      warn(
        'verify-looks-once',
        ['spec', 'steps', indexOf(runbook, i)],
        'every is longer than within: it is looked at only once.',
      );
    if (step.kind === 'run' && runbook.target === undefined && actsOnObject(step))
      warn(
        'target-missing',
        ['spec', 'steps', indexOf(runbook, i)],
        `${step.call.action.name} changes an object, and the runbook has no target. With spec.target the run is bound to the object, so that one replaced meanwhile is left alone.`,
      );
  });
}

/** An action that changes one named object of the cluster. */
function actsOnObject(step: CompiledRunStep): boolean {
  const properties = propertiesOf(step.call.action.input);
  return hasEffect(step) && ['namespace', 'name'].every((p) => Object.hasOwn(properties, p));
}

function lintModes(runbook: CompiledRunbook, warn: Warn): void {
  runbook.steps.forEach((step, i) => {
    const at = ['spec', 'steps', indexOf(runbook, i)];
    if (step.kind === 'approve' && runbook.mode === 'Suggest')
      warn('approval-in-suggest', at, 'In mode Suggest nothing is carried out, so this approval is never asked for.');
    if (step.kind !== 'run' || runbook.mode !== 'Automatic') return;
    const { action } = step.call;
    const loses = action.effects.some((e) => irreversible.has(e)) && !action.undo && !step.undo;
    if (loses && !runbook.steps.slice(0, i).some((s) => s.kind === 'approve'))
      warn(
        'irreversible-unapproved',
        at,
        `${action.name} cannot be taken back, and in mode Automatic nobody is asked. Put an approve step before it, or give it an undo.`,
      );
  });
}

/** Every place that reads variables, with what it reads. */
function uses(runbook: CompiledRunbook): { path: Path; variables: readonly string[] }[] {
  const ofSteps = (steps: readonly CompiledStep[], at: string) =>
    steps.flatMap((step, i) => {
      const path = ['spec', at, at === 'steps' ? indexOf(runbook, i) : i];
      const calls = step.kind === 'run' ? [step.call, step.undo] : step.kind === 'verify' ? [step.check] : [];
      return [step.when, ...calls].flatMap((u) => (u ? [{ path, variables: u.variables }] : []));
    });
  const guard = runbook.guards.concurrencyKey;
  return [
    ...(runbook.target ? [{ path: ['spec', 'target'], variables: runbook.target.variables }] : []),
    ...runbook.preconditions.map((p, i) => ({ path: ['spec', 'preconditions', i], variables: p.check.variables })),
    ...ofSteps(runbook.steps, 'steps'),
    ...(runbook.rollback.kind === 'steps' ? ofSteps(runbook.rollback.steps, 'rollback') : []),
    ...(guard ? [{ path: ['spec', 'guards', 'concurrencyKey'], variables: guard.variables }] : []),
  ];
}

function lintVariables(runbook: CompiledRunbook, report: Report): void {
  const all = uses(runbook);
  const first = (name: string) => all.find((u) => u.variables.includes(name));
  const { target, inputs } = runbook.resource.spec;
  const ofTarget = first('target');
  if (ofTarget && target === undefined)
    report(
      'error',
      'target-missing',
      ofTarget.path,
      'target is read here, and the runbook declares none. Add spec.target.',
    );
  const inTarget = all.find((u) => u.path[1] === 'target' && u.variables.includes('target'));
  if (inTarget && target)
    report(
      'error',
      'target-reads-itself',
      inTarget.path,
      'The target cannot be found by means of itself. Use alert or inputs.',
    );
  const ofAlert = first('alert');
  if (ofAlert && runbook.triggers.length > 0 && runbook.triggers.every((t) => t.kind === 'schedule'))
    report(
      'warning',
      'alert-not-available',
      ofAlert.path,
      'alert is read here, and a schedule brings no alert: the run will fail.',
    );
  // Which input is read cannot be told from the variables alone; the text can.
  const text = JSON.stringify({ ...runbook.resource.spec, inputs: undefined });
  for (const name of Object.keys(inputs ?? {}))
    if (!new RegExp(`\\binputs\\s*(\\.\\s*${name}\\b|\\[\\s*\\\\?["']${name}\\\\?["'])`).test(text))
      report('warning', 'unused-input', ['spec', 'inputs', name], `The input ${name} is never used.`);
}
