/**
 * A runbook ready to run: defaults filled in, durations as milliseconds, expressions and calls compiled. Compiling is
 * pure, so that a run that outlives the process is compiled again from the document it started with.
 */
import type { Check, FactReader, FactReading, Scope, Template } from '../check/check.ts';
import type { CatalystError } from '../errors.ts';
import type { ActionDefinition, ActionInput } from '../integrations/contract.ts';
import type { Mode, Runbook } from './kinds/runbook.ts';

/** A label matcher; regular expressions are RE2, anchored at both ends as Alertmanager's are. */
export interface LabelMatcher {
  label: string;
  operator: '=' | '!=' | '=~' | '!~';
  value: string;
  matches(labels: Readonly<Record<string, string>>): boolean;
}

export type CompiledTrigger =
  | { kind: 'alert'; alertName: string; matchers: readonly LabelMatcher[] }
  | { kind: 'incident'; type: string; matchers: readonly LabelMatcher[] }
  | { kind: 'schedule'; cron: string; timeZone: string };

/** A `run:` line with its `with:`, bound to the action it names. */
export interface CompiledCall {
  action: ActionDefinition;
  /** As written, for people. */
  source: string;
  facts: readonly string[];
  /** Names of the variables it may read: `alert`, `target`, `inputs` … */
  variables: readonly string[];
  /** Fills in the placeholders and validates the input against the action's schema. Never throws. */
  resolve(
    scope: Scope,
    reader: FactReader,
  ): Promise<
    | { ok: true; input: ActionInput; readings: FactReading[] }
    | { ok: false; error: CatalystError; readings: FactReading[] }
  >;
}

interface StepBase {
  /** The name given, or one made from what the step does. */
  name: string;
  when?: Check;
  /** Line of the step in its file. */
  line: number;
}

export interface CompiledRunStep extends StepBase {
  kind: 'run';
  call: CompiledCall;
  /** Limit of one try, ms. */
  timeout: number;
  /** Tries in all, at least 1. */
  attempts: number;
  /** Wait before the second try, ms; doubled for each one after. */
  backoff: number;
  undo?: CompiledCall;
}
export interface CompiledVerifyStep extends StepBase {
  kind: 'verify';
  check: Check;
  /** ms; 0 means that holding once is enough. */
  for: number;
  /** ms. */
  within: number;
  /** ms. */
  every: number;
}
export interface CompiledWaitStep extends StepBase {
  kind: 'wait';
  /** ms. */
  wait: number;
}
export interface CompiledApproveStep extends StepBase {
  kind: 'approve';
  role: string;
  /** ms. */
  within: number;
  reason: string;
}
export type CompiledStep = CompiledRunStep | CompiledVerifyStep | CompiledWaitStep | CompiledApproveStep;

export interface CompiledRunbook {
  resource: Runbook;
  triggers: readonly CompiledTrigger[];
  /** Undefined where the runbook does not say: the Sovereign's default applies. */
  mode: Mode | undefined;
  priority: number;
  /** Resolves to a TargetReference. */
  target: Template | undefined;
  preconditions: readonly { check: Check; description: string }[];
  steps: readonly CompiledStep[];
  rollback: { kind: 'pageOncall' } | { kind: 'steps'; steps: readonly CompiledRunStep[] };
  guards: {
    /** ms. */
    cooldown: number;
    maxRuns: { count: number; per: number };
    concurrencyKey: Template | undefined;
    /** ms. */
    queueFor: number;
  };
}
