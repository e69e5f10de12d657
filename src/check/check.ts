/**
 * Checks: CEL expressions over facts and a few variables, typed when they are loaded and evaluated lazily and
 * asynchronously. These are the types the rest of the house uses; `language.ts` makes them.
 */
import type { CatalystError } from '../errors.ts';
import type { ActionDefinition, FactDefinition, Json } from '../integrations/contract.ts';

/** The values an expression may name beside facts. A variable that is absent makes the evaluation an error. */
export interface Scope {
  /** `alert.name`, `alert.labels.x`, `alert.annotations.x`, `alert.startsAt`, `alert.fingerprint`. */
  alert?: {
    name: string;
    labels: Record<string, string>;
    annotations: Record<string, string>;
    startsAt: number;
    fingerprint: string;
  };
  /** `target.kind`, `target.namespace`, `target.name`, `target.uid`. */
  target?: { apiVersion: string; kind: string; namespace: string; name: string; uid: string };
  /** `incident.id`, `incident.type`, `incident.severity`. */
  incident?: { id: string; type: string; severity: string };
  /** `inputs.x`, typed as the runbook declares them. */
  inputs?: Record<string, Json>;
  /** `run.id`, `run.startedAt`. */
  run?: { id: string; startedAt: number };
  /** `steps.NAME.result`: what named steps that have ended returned; dyn. */
  steps?: Record<string, { result: Json }>;
}

/** One fact as one evaluation saw it: shown in explain, in decisions and in the record. */
export interface FactReading {
  /** The call as written: `openbao.status.sealed`, `prometheus.query("up")`. */
  fact: string;
  /** Set when it was read. */
  value?: Json;
  /** Set when it could not be read: one sentence. */
  error?: string;
  /** When it was read, milliseconds since the epoch; its age is measured from here. */
  at: number;
  /** How long reading took, in milliseconds. */
  took: number;
}

/** What came of evaluating an expression: a value, or an error and never a default, and the facts that were read on the way. */
export type Evaluation =
  | { ok: true; value: Json; readings: FactReading[] }
  | { ok: false; error: CatalystError; readings: FactReading[] };

/**
 * Reads facts for one evaluation. Each fact call is read at most once per reader, however often it is named.
 */
export interface FactReader {
  read(fact: FactDefinition, args: readonly Json[]): Promise<Json>;
  /** What has been read so far, in order. */
  readonly readings: readonly FactReading[];
}

/** A boolean expression, compiled. */
export interface Check {
  source: string;
  /** Names of the facts it may read. */
  facts: readonly string[];
  /** Never throws: an expression that cannot be evaluated is `{ ok: false }`. The value is a boolean. */
  evaluate(scope: Scope, reader: FactReader): Promise<Evaluation>;
}

/** Any JSON value whose strings may hold `${{ CEL }}`, compiled. A string that is one placeholder keeps the value's type. */
export interface Template {
  facts: readonly string[];
  /** True when there is no placeholder in it. */
  constant: boolean;
  evaluate(scope: Scope, reader: FactReader): Promise<Evaluation>;
}

/** What expressions and `run:` lines may name: the facts and actions of all integrations. */
export interface Vocabulary {
  facts: ReadonlyMap<string, FactDefinition>;
  actions: ReadonlyMap<string, ActionDefinition>;
}

/** What is wrong with an expression, and where in it (UTF-16 offset from its first character). */
export class ExpressionError extends Error {
  readonly rule: string;
  readonly offset: number;
  constructor(rule: string, sentence: string, offset: number) {
    super(sentence);
    this.name = 'ExpressionError';
    this.rule = rule;
    this.offset = offset;
  }
}
