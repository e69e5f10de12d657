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
  /** Names of the variables it may read: `alert`, `target`, `inputs` … */
  variables: readonly string[];
  /** Never throws: an expression that cannot be evaluated is `{ ok: false }`. The value is a boolean. */
  evaluate(scope: Scope, reader: FactReader): Promise<Evaluation>;
}

/** Any JSON value whose strings may hold `${{ CEL }}`, compiled. A string that is one placeholder keeps the value's type. */
export interface Template {
  facts: readonly string[];
  variables: readonly string[];
  /** The type of the value: a text with placeholders is a `string`, a lone placeholder has its expression's type, a list or map is `dyn`. */
  type: ExpressionType;
  /** True when there is no placeholder in it. */
  constant: boolean;
  /** The value itself, when it is constant. */
  value?: Json;
  evaluate(scope: Scope, reader: FactReader): Promise<Evaluation>;
}

/** The CEL type of an expression, as far as it is known when it is loaded: `bool`, `map<string, dyn>`, `dyn`. */
export type ExpressionType = string;

/** One expression of any type, compiled. */
export interface Expression {
  source: string;
  /** `dyn` where the type is known only when it is evaluated. */
  type: ExpressionType;
  /** Names of the facts it may read. */
  facts: readonly string[];
  /** Names of the variables it may read: `alert`, `target`, `inputs` … */
  variables: readonly string[];
  /** Never throws. */
  evaluate(scope: Scope, reader: FactReader): Promise<Evaluation>;
}

/** A piece of a text with placeholders: text as it is, or an expression and where it starts in the whole text. */
export type Segment = { text: string } | { expression: string; offset: number };

/** The inputs a runbook declares: the type of `inputs.NAME`. */
export type InputTypes = Readonly<Record<string, 'string' | 'int' | 'bool'>>;

/** Compiles expressions over one vocabulary. Everything wrong with an expression is an ExpressionError, thrown. */
export interface Language {
  readonly vocabulary: Vocabulary;
  /** A boolean expression. */
  check(source: string): Check;
  /** An expression whose type must be one of `expected`, or any without it. */
  expression(source: string, expected?: readonly ExpressionType[]): Expression;
  /** A JSON value whose strings may hold `${{ CEL }}`. */
  template(value: Json): Template;
  /** A text already split into its pieces; one expression alone keeps the value's type. */
  segments(segments: readonly Segment[]): Template;
  /** The same language with `inputs.NAME` declared. */
  withInputs(inputs: InputTypes): Language;
}

/** What expressions and `run:` lines may name: the facts and actions of all integrations. */
export interface Vocabulary {
  facts: ReadonlyMap<string, FactDefinition>;
  actions: ReadonlyMap<string, ActionDefinition>;
}

/** What can be wrong with an expression. A name is never used again for something else. */
export type ExpressionRule =
  | 'check-syntax'
  | 'check-type'
  | 'check-not-bool'
  | 'check-too-large'
  | 'check-too-costly'
  | 'unknown-fact'
  | 'unknown-variable'
  | 'unknown-function'
  | 'regex-not-re2'
  | 'template-syntax';

/** What is wrong with an expression, and where in it (UTF-16 offset from its first character). */
export class ExpressionError extends Error {
  readonly rule: ExpressionRule;
  readonly offset: number;
  /** Keys that lead to the string the expression stands in, when it was found inside a template. */
  readonly path: readonly (string | number)[];
  constructor(rule: ExpressionRule, sentence: string, offset: number, path: readonly (string | number)[] = []) {
    super(sentence);
    this.name = 'ExpressionError';
    this.rule = rule;
    this.offset = offset;
    this.path = path;
  }
}
