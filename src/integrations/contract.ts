/**
 * What an integration is to the rest of the house: named facts it can observe and named actions it can carry out.
 * The engine knows systems only through these types; adding a system adds a folder and one line in `app/`.
 *
 * An integration is made by a factory that takes its configuration, or `undefined` when nobody configured it. Making one
 * does no I/O: the definitions are also what linting and documentation read, offline.
 */
import type { TObject } from 'typebox';
import type { Clock } from '../clock.ts';

/** A JSON value; `int` facts are whole JavaScript numbers. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** CEL types a fact may have. */
export type FactType =
  | 'bool'
  | 'int'
  | 'double'
  | 'string'
  | 'timestamp'
  | 'list<string>'
  | 'list<dyn>'
  | 'map<string, dyn>'
  | 'dyn';

/** What every call into an integration receives. */
export interface CallContext {
  clock: Clock;
  /** Aborted when the caller's limit of time has run out; every request is made with it. */
  signal: AbortSignal;
  /** W3C trace context to pass on to the other system, when there is one. */
  traceparent?: string;
}

/** What an action's effect receives on top: a key that is the same whenever the same step is tried again. */
export interface EffectContext extends CallContext {
  /** `<run id>/<phase>/<step index>`; at most 63 characters of [a-z0-9-/]. The other system sees it where it has a place for it. */
  idempotencyKey: string;
}

/** A named, typed, read-only observation of the world. */
export interface FactDefinition {
  /** Dotted path, rooted at the integration's name: `openbao.status.sealed`. */
  name: string;
  description: string;
  /** Empty for a plain fact; otherwise it is called as a function: `prometheus.query("up")`. */
  parameters?: readonly { name: string; type: FactType; description: string }[];
  returns: FactType;
  /** A value someone would see, for documentation and tests. */
  example: Json;
  /**
   * Reads the fact. A value that cannot be had is an error (CatalystError), never a default: a check over an unknown
   * fact is neither true nor false.
   */
  read(context: CallContext, args: readonly Json[]): Promise<Json>;
}

/** What an action does to the world; guards and modes decide by it. */
export type Effect = 'ReadOnly' | 'Notify' | 'Restart' | 'ScaleUp' | 'ScaleDown' | 'Delete' | 'Change' | 'Rollback';

/** An action's input: the words and flags of a `run:` line or the keys of `with:`, after `${{ }}` was filled in. */
export type ActionInput = { [key: string]: Json };

/**
 * Did an effect that was intended take place? `unknown` where the system cannot tell, and where the effect took place but
 * is still going on or has failed: `yes` means what an `execute` that returned means.
 */
export interface Happened {
  answer: 'yes' | 'no' | 'unknown';
  sentence: string;
  /** The object as the effect left it, where the answer is yes and the action changes one; see `ActionOutcome.target`. */
  target?: TargetObservation;
  /** What `execute` would have returned, as far as it can still be told. */
  result?: Json;
}

export interface ActionOutcome {
  /** One sentence of what was done, past tense. Never holds a secret. */
  sentence: string;
  /** What later steps and the record may want. Never holds a secret. */
  result: Json;
  /**
   * The object written, as the effect left it, from the answer to the write itself, so that a later change by others
   * shows. It is the run's target only when its UID is: a runbook may delete a pod of the Deployment it is bound to.
   */
  target?: TargetObservation;
}

/** A named, typed operation on the world. */
export interface ActionDefinition {
  /** The words a `run:` line starts with: `kubernetes scale`, `openbao operator unseal`. */
  name: string;
  description: string;
  /** TypeBox object schema, `additionalProperties: false`, each property described. `--auto-shamir` is the boolean property `autoShamir`. */
  input: TObject;
  /** Properties that bare words fill, in order. */
  positional?: readonly string[];
  /** A `run:` line someone would write, for documentation and tests. */
  example: string;
  /** The effects this action can have at all: what lint, RBAC and documentation show. */
  effects: readonly Effect[];
  /** The effect of this call, given what `capture` saw. Pure. */
  effect(input: ActionInput, before: Json): Effect;
  /** True when carrying it out a second time with the same input and key leaves the world as once did. */
  idempotent: boolean;
  /** The same for one call, where it depends on the input: a PUT is, a POST is not. Without it `idempotent` holds for all. Pure. */
  idempotentFor?(input: ActionInput): boolean;
  /** One sentence of what it does, in the imperative: it stands in plans, approvals and dry runs, and in the journal. Pure. */
  describe(input: ActionInput, before: Json): string;
  /** Reads what `describe`, `effect`, `happened` and `undo` need to know of the world before. Journaled before the effect. Never holds a secret. */
  capture(context: CallContext, input: ActionInput): Promise<Json>;
  /** Carries it out. Throws CatalystError; `certain: false` when it may have taken effect all the same. */
  execute(context: EffectContext, input: ActionInput, before: Json): Promise<ActionOutcome>;
  /** Asks the world whether the effect with this key took place. */
  happened(context: EffectContext, input: ActionInput, before: Json): Promise<Happened>;
  /** The call that takes the effect back, or undefined where that cannot be done. Pure. */
  undo?(input: ActionInput, before: Json, result: Json): { action: string; input: ActionInput } | undefined;
}

/** What a runbook's `target` names, after `${{ }}` was filled in. */
export interface TargetReference {
  apiVersion: string;
  kind: string;
  namespace?: string;
  name: string;
}

/** A target as it was when the decision was made. */
export interface BoundTarget extends TargetReference {
  /** The object's UID: another object with the same name is another target. */
  uid: string;
  /** `metadata.generation`, which grows with each change of the spec; 0 where the kind has none. */
  generation: number;
}

export interface TargetObservation {
  state: 'Present' | 'Gone';
  uid: string;
  generation: number;
  /** Field manager of the newest change of the spec that is not ours, where the system tells. */
  changedBy?: string;
}

/** An integration whose objects can be a runbook's target. */
export interface TargetProvider {
  /** Looks the object up and binds to it. Throws NotFound. */
  bind(context: CallContext, reference: TargetReference): Promise<BoundTarget>;
  observe(context: CallContext, target: BoundTarget): Promise<TargetObservation>;
}

/** The part of an alert episode that asks "does it still fire?". */
export interface AlertQuestion {
  fingerprint: string;
  labels: Readonly<Record<string, string>>;
  /** Link to the alert's own expression, as Prometheus writes it. */
  generatorUrl: string;
  startsAt: number;
}

/** An integration that can say whether an alert still fires. */
export interface FiringOracle {
  confirmFiring(
    context: CallContext,
    alert: AlertQuestion,
  ): Promise<{ answer: 'firing' | 'notFiring' | 'silenced' | 'unknown'; sentence: string }>;
}

export interface IntegrationHealth {
  healthy: boolean;
  sentence: string;
}

/** One system, as the house sees it. */
export interface Integration {
  /** Root of its facts and first word of its actions: `openbao`. */
  name: string;
  description: string;
  configured: boolean;
  facts: readonly FactDefinition[];
  actions: readonly ActionDefinition[];
  targets?: TargetProvider;
  oracle?: FiringOracle;
  /** Asks the system whether it can be reached with the credentials given. Never throws. */
  health(context: CallContext): Promise<IntegrationHealth>;
  stop?(): Promise<void>;
}
