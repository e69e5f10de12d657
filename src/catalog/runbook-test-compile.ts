/** Makes a RunbookTest ready to play: facts and actions known, times in milliseconds. Pure; the engine plays it. */

import type { Vocabulary } from '../check/check.ts';
import { didYouMean } from '../check/nearest.ts';
import type { Json } from '../integrations/contract.ts';
import { propertiesOf } from './action-input.ts';
import { parseDuration } from './duration.ts';
import type { RunbookTest, RunbookTestCase } from './kinds/runbook-test.ts';
import { onLine, type Positions } from './positions.ts';
import type { Problem } from './resource.ts';
import type { Path } from './schema.ts';

/** What a fact is from a time on. */
export interface FactMoment {
  /** Virtual ms since the start of the case. */
  from: number;
  answer: { value: Json } | { error: string };
}

export interface GivenFact {
  fact: string;
  /** Undefined: the answer to every call. */
  args: readonly Json[] | undefined;
  /** In the order of time, the first from 0. */
  moments: readonly FactMoment[];
}

export interface CompiledTestCase {
  source: RunbookTestCase;
  facts: readonly GivenFact[];
  /** Line of the case in its file. */
  line: number;
}

export interface CompiledRunbookTest {
  resource: RunbookTest;
  runbook: string;
  cases: readonly CompiledTestCase[];
}

/** The answer a case gives to a call at a time: the call itself before the name alone; undefined when it says nothing. */
export function givenAnswer(
  facts: readonly GivenFact[],
  name: string,
  args: readonly Json[],
  at: number,
): FactMoment['answer'] | undefined {
  const called = JSON.stringify(args);
  const own = facts.filter((f) => f.fact === name);
  const given = own.find((f) => f.args !== undefined && JSON.stringify(f.args) === called) ?? own.find((f) => !f.args);
  return given?.moments.findLast((m) => m.from <= at)?.answer;
}

/** `prometheus.query("up")` taken apart, or undefined when it is neither a name nor a call with literal arguments. */
export function parseFactKey(key: string): { fact: string; args: Json[] | undefined } | undefined {
  const found = /^([a-zA-Z_][\w.]*)(?:\((.*)\))?$/s.exec(key.trim());
  if (!found) return undefined;
  const [, fact = '', args] = found;
  if (args === undefined) return { fact, args: undefined };
  try {
    return { fact, args: JSON.parse(`[${args}]`) as Json[] };
  } catch {
    return undefined;
  }
}

type Complain = (rule: string, path: Path, sentence: string, atKey?: boolean) => void;

/** Compiles a test that fits its schema. Without a test in the answer there is at least one error. */
export function compileRunbookTest(
  resource: RunbookTest,
  vocabulary: Vocabulary,
  positions: Positions = onLine(resource.provenance.line),
): { test?: CompiledRunbookTest; problems: Problem[] } {
  const problems: Problem[] = [];
  const { source, file } = resource.provenance;
  const complain: Complain = (rule, path, sentence, atKey = false) => {
    const at = atKey ? positions.key(path) : positions.value(path);
    problems.push({
      severity: 'error',
      rule,
      sentence,
      source,
      file,
      resource: `RunbookTest/${resource.metadata.name}`,
      ...at,
    });
  };
  const cases = resource.spec.cases.map((one, i): CompiledTestCase => {
    const path = ['spec', 'cases', i];
    const facts = Object.entries(one.given.facts ?? {}).flatMap(
      ([key, given]) => compileFact(key, given, [...path, 'given', 'facts', key], vocabulary, complain) ?? [],
    );
    one.then.actions?.forEach((expected, j) => {
      checkAction(expected, [...path, 'then', 'actions', j], vocabulary, complain);
    });
    return { source: one, facts, line: positions.value(path).line };
  });
  if (problems.length > 0) return { problems };
  return { test: { resource, runbook: resource.spec.runbook, cases }, problems };
}

function compileFact(
  key: string,
  given: unknown,
  path: Path,
  { facts }: Vocabulary,
  complain: Complain,
): GivenFact | undefined {
  const call = parseFactKey(key);
  if (!call) {
    complain('bad-fact', path, `Write a fact's name, or a call with plain arguments: prometheus.query("up").`, true);
    return undefined;
  }
  const definition = facts.get(call.fact);
  if (!definition) {
    complain('unknown-fact', path, `There is no fact ${call.fact}.${didYouMean(call.fact, facts.keys())}`, true);
    return undefined;
  }
  const wanted = definition.parameters?.length ?? 0;
  if (call.args && call.args.length !== wanted) {
    complain('bad-fact', path, `${call.fact} takes ${wanted} argument(s), not ${call.args.length}.`, true);
    return undefined;
  }
  return { ...call, moments: momentsOf(given, path, complain) };
}

function momentsOf(given: unknown, path: Path, complain: Complain): FactMoment[] {
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    return [{ from: 0, answer: { value: given as Json } }];
  const form = given as { value?: Json; error?: string; sequence?: { from: string; value?: Json; error?: string }[] };
  if (form.error !== undefined) return [{ from: 0, answer: { error: form.error } }];
  if (form.value !== undefined) return [{ from: 0, answer: { value: form.value } }];
  const moments = (form.sequence ?? []).flatMap(({ from, value, error }, i): FactMoment[] => {
    const at = [...path, 'sequence', i];
    const ms = parseDuration(from);
    if (ms === undefined) complain('bad-duration', [...at, 'from'], `${from} is too long.`);
    if ((value === undefined) === (error === undefined)) {
      complain('bad-fact', at, 'Give exactly one of value and error.');
      return [];
    }
    return [{ from: ms ?? 0, answer: error === undefined ? { value: value ?? null } : { error } }];
  });
  moments.forEach((moment, i) => {
    const before = moments[i - 1]?.from ?? -1;
    if (moment.from <= before)
      complain('bad-fact', [...path, 'sequence', i, 'from'], 'The times of a sequence must grow.');
  });
  if (moments.length > 0 && moments[0]?.from !== 0)
    complain('bad-fact', [...path, 'sequence', 0, 'from'], 'A sequence begins at 0s.');
  return moments;
}

function checkAction(
  expected: { action: string; input?: Record<string, unknown> },
  path: Path,
  { actions }: Vocabulary,
  complain: Complain,
): void {
  const action = actions.get(expected.action);
  if (!action) {
    const sentence = `There is no action ${expected.action}.${didYouMean(expected.action, actions.keys())}`;
    complain('unknown-action', [...path, 'action'], sentence);
    return;
  }
  const names = Object.keys(propertiesOf(action.input));
  for (const name of Object.keys(expected.input ?? {}))
    if (!names.includes(name))
      complain(
        'unknown-flag',
        [...path, 'input', name],
        `${action.name} has no input ${name}.${didYouMean(name, names)}`,
        true,
      );
}
