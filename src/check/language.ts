/**
 * The language of checks: CEL over facts and variables. An expression is parsed, its names resolved, its types checked
 * and its cost bounded when it is loaded.
 *
 * Evaluation is lazy: it runs with the facts known so far, and when it stumbles over one that is not, that fact is read
 * and the evaluation starts again. What `&&`, `||` and `?:` make irrelevant is therefore never read, an error in it never
 * matters, and the evaluator itself never waits.
 */
import type { Environment, ParseResult } from '@marcbachmann/cel-js';
import { CatalystError, messageOf } from '../errors.ts';
import type { FactDefinition, Json } from '../integrations/contract.ts';
import {
  type Check,
  type Evaluation,
  type Expression,
  ExpressionError,
  type ExpressionType,
  type FactReader,
  type FactReading,
  type InputTypes,
  type Language,
  type Scope,
  type Vocabulary,
} from './check.ts';
import { checkCost } from './cost.ts';
import { createEnvironment, type FactEnvironment, FactNeeded, variableNames, withInputs } from './environment.ts';
import { factCall } from './fact-reader.ts';
import { findNames, type Known } from './names.ts';
import { explain, offsetOf } from './sentence.ts';
import { compileSegments, compileTemplate } from './template.ts';
import { type CelValue, fromCel, toCel, tooLarge } from './value.ts';

/** Longest expression, UTF-16 units; the schema of a runbook says the same. */
const maxSource = 4096;
/** Most facts one evaluation may read: a walk over a list that asks something of each entry stays below. */
const maxReads = 200;

/** A language over the facts of a vocabulary. Throws Error when names of facts clash, which is a programmer's mistake. */
export function createLanguage(vocabulary: Vocabulary): Language {
  const facts = createEnvironment(vocabulary.facts);
  return languageOf(vocabulary, facts, facts.environment, {});
}

function languageOf(
  vocabulary: Vocabulary,
  facts: FactEnvironment,
  environment: Environment,
  inputs: InputTypes,
): Language {
  const declared = new Set(variableNames);
  if (Object.keys(inputs).length === 0) declared.delete('inputs');
  const compiler: Compiler = {
    environment,
    inputs,
    roots: facts.roots,
    known: { facts: vocabulary.facts, roots: new Set(facts.roots.keys()), variables: declared },
  };
  const expression = (source: string, expected?: readonly ExpressionType[]) => compile(compiler, source, expected);
  return {
    vocabulary,
    expression,
    check: (source) => compileCheck(compiler, source),
    template: (value) => compileTemplate(value, expression),
    segments: (segments) => compileSegments(segments, expression),
    withInputs: (own) =>
      Object.keys(own).length === 0
        ? languageOf(vocabulary, facts, facts.environment, {})
        : languageOf(vocabulary, facts, withInputs(facts.environment, own), own),
  };
}

interface Compiler {
  environment: Environment;
  roots: FactEnvironment['roots'];
  known: Known;
  inputs: InputTypes;
}

/** Parses, resolves names, checks types and bounds the cost. Throws ExpressionError. */
function compile(compiler: Compiler, source: string, expected?: readonly ExpressionType[]): Expression {
  if (source.trim() === '') throw new ExpressionError('check-syntax', 'The expression is empty.', 0);
  if (source.length > maxSource)
    throw new ExpressionError(
      'check-too-large',
      `The expression is ${source.length} characters long; at most ${maxSource} are allowed.`,
      0,
    );
  const program = parse(compiler.environment, source);
  const names = guarded(source, () => findNames(program.ast, compiler.known));
  const type = checkType(program);
  checkCost(program.ast);
  if (expected && type !== 'dyn' && !expected.includes(type))
    throw new ExpressionError(
      'check-type',
      `${quoted(source)} is of type ${type}; ${expected.join(' or ')} is needed here.`,
      program.ast.start,
    );
  return {
    source,
    type,
    facts: [...names.facts],
    variables: [...names.variables],
    evaluate: (scope, reader) => evaluate(compiler, program, source, scope, reader),
  };
}

function compileCheck(compiler: Compiler, source: string): Check {
  const expression = compile(compiler, source);
  if (expression.type !== 'bool' && expression.type !== 'dyn')
    throw new ExpressionError(
      'check-not-bool',
      `A check must be true or false, and ${quoted(source)} is of type ${expression.type}. Compare it with something, for instance with == or >.`,
      0,
    );
  return {
    source,
    facts: expression.facts,
    variables: expression.variables,
    evaluate: async (scope, reader) => {
      const evaluation = await expression.evaluate(scope, reader);
      if (!evaluation.ok || typeof evaluation.value === 'boolean') return evaluation;
      const error = new CatalystError(
        'InvalidResource',
        `${quoted(source)} came out as ${JSON.stringify(evaluation.value)?.slice(0, 100)}, which is neither true nor false.`,
      );
      return { ok: false, error, readings: evaluation.readings };
    },
  };
}

/** The expression, short enough for a sentence. */
function quoted(source: string): string {
  const line = source.replaceAll(/\s+/g, ' ').trim();
  return line.length > 80 ? `${line.slice(0, 77)}...` : line;
}

function parse(environment: Environment, source: string): ParseResult {
  return guarded(source, () => environment.parse(source));
}

/** Runs a step of compiling; whatever it throws comes out as ExpressionError. */
function guarded<T>(source: string, step: () => T): T {
  try {
    return step();
  } catch (error) {
    if (error instanceof ExpressionError) throw error;
    const { rule, sentence } = explain(error);
    throw new ExpressionError(rule, sentence, Math.min(offsetOf(error), source.length));
  }
}

function checkType(program: ParseResult): ExpressionType {
  const checked = program.check();
  if (!checked.valid) {
    const { rule, sentence } = explain(checked.error);
    throw new ExpressionError(rule, sentence, offsetOf(checked.error));
  }
  // `dyn<int>` is a value that must turn out to be an int.
  const type = checked.type ?? 'dyn';
  return type.startsWith('dyn') || /^[A-Z]$/.test(type) ? 'dyn' : type;
}

type Answer = { value: CelValue } | { error: CatalystError };

/** A fact that was asked for and could not be read, on its way through the evaluator. */
class FactUnreadable extends Error {
  readonly error: CatalystError;
  constructor(error: CatalystError) {
    super(error.message);
    this.error = error;
  }
}

async function evaluate(
  compiler: Compiler,
  program: ParseResult,
  source: string,
  scope: Scope,
  reader: FactReader,
): Promise<Evaluation> {
  const answers = new Map<string, Answer>();
  const readings: FactReading[] = [];
  const fail = (error: CatalystError): Evaluation => ({ ok: false, error, readings });
  const size = tooLarge(scope as Json);
  if (size) return fail(new CatalystError('TooLarge', `What ${quoted(source)} is evaluated over ${size}.`));
  for (;;) {
    let needed: { fact: FactDefinition; args: Json[]; call: string } | undefined;
    const ask = (fact: FactDefinition, args: readonly unknown[]): CelValue => {
      const json = args as Json[];
      const call = factCall(fact, json);
      const answer = answers.get(call);
      if (!answer) {
        needed ??= { fact, args: json, call };
        throw new FactNeeded();
      }
      if ('error' in answer) throw new FactUnreadable(answer.error);
      return answer.value;
    };
    try {
      return { ok: true, value: fromCel(program(contextOf(compiler, scope, ask))), readings };
    } catch (error) {
      if (!needed) return fail(evaluationError(error, source));
    }
    if (answers.size >= maxReads)
      return fail(new CatalystError('TooLarge', `${quoted(source)} needs more than ${maxReads} facts.`));
    answers.set(needed.call, await readFact(needed.fact, needed.args, reader));
    const reading = reader.readings.find((r) => r.fact === needed?.call);
    if (reading) readings.push(reading);
  }
}

async function readFact(fact: FactDefinition, args: readonly Json[], reader: FactReader): Promise<Answer> {
  try {
    const converted = toCel(await reader.read(fact, args), fact.returns);
    if ('value' in converted) return converted;
    return { error: new CatalystError('UpstreamRefused', `${factCall(fact, args)} ${converted.problem}.`) };
  } catch (error) {
    if (error instanceof CatalystError) return { error };
    return { error: new CatalystError('Internal', `${factCall(fact, args)} could not be read: ${messageOf(error)}.`) };
  }
}

/** The variables of one evaluation as CEL sees them. */
function contextOf(
  compiler: Compiler,
  scope: Scope,
  ask: (fact: FactDefinition, args: readonly unknown[]) => CelValue,
) {
  const context: Record<string, unknown> = {};
  for (const [name, Root] of compiler.roots) context[name] = new Root(ask);
  if (scope.alert) context.alert = { ...scope.alert, startsAt: new Date(scope.alert.startsAt) };
  if (scope.run) context.run = { ...scope.run, startedAt: new Date(scope.run.startedAt) };
  if (scope.target) context.target = scope.target;
  if (scope.incident) context.incident = scope.incident;
  if (scope.steps) context.steps = scope.steps;
  if (scope.inputs) {
    const inputs: Record<string, unknown> = {};
    for (const [name, value] of Object.entries(scope.inputs))
      inputs[name] = compiler.inputs[name] === 'int' && Number.isSafeInteger(value) ? BigInt(value as number) : value;
    context.inputs = inputs;
  }
  return context;
}

function evaluationError(error: unknown, source: string): CatalystError {
  if (error instanceof FactUnreadable) return error.error;
  if (error instanceof CatalystError) return error;
  const { sentence } = error instanceof ExpressionError ? { sentence: error.message } : explain(error);
  return new CatalystError('InvalidResource', `${quoted(source)} could not be evaluated: ${sentence}`, {
    details: { expression: source, offset: offsetOf(error) },
  });
}
