/** What is wrong with a RunbookTest beyond its schema: names that do not exist, facts that say nothing. Pure. */
import type { Vocabulary } from '../check/check.ts';
import { didYouMean } from '../check/nearest.ts';
import { parseDuration } from './duration.ts';
import type { RunbookTest, RunbookTestCase } from './kinds/runbook-test.ts';
import { onLine, type Positions } from './positions.ts';
import type { Problem } from './resource.ts';
import type { Path } from './schema.ts';

type Complain = (rule: string, path: Path, sentence: string, atKey?: boolean) => void;

/** Checks a test that fits its schema; a test without a problem can be played. */
export function checkRunbookTest(
  resource: RunbookTest,
  vocabulary: Vocabulary,
  positions: Positions = onLine(resource.provenance.line),
): Problem[] {
  const problems: Problem[] = [];
  const { source, file } = resource.provenance;
  const place = { source, file, resource: `RunbookTest/${resource.metadata.name}` };
  const complain: Complain = (rule, path, sentence, atKey = false) => {
    const at = atKey ? positions.key(path) : positions.value(path);
    problems.push({ severity: 'error', rule, sentence, ...place, ...at });
  };
  resource.spec.cases.forEach((one, i) => {
    checkCase(one, ['spec', 'cases', i], vocabulary, complain);
  });
  return problems;
}

function checkCase(one: RunbookTestCase, path: Path, vocabulary: Vocabulary, complain: Complain): void {
  const { actions } = vocabulary;
  for (const [key, moments] of Object.entries(one.given?.facts ?? {})) {
    const at = [...path, 'given', 'facts', key];
    checkFact(key, at, vocabulary, complain);
    moments.forEach((moment, i) => {
      if ((moment.value === undefined) === (moment.error === undefined))
        complain('bad-fact', [...at, i], 'Give exactly one of value and error.');
      checkDuration(moment.after, [...at, i, 'after'], complain);
      if (moment.afterAction !== undefined)
        checkAction(moment.afterAction, [...at, i, 'afterAction'], actions.keys(), complain);
    });
  }
  checkDuration(one.given?.ranBefore, [...path, 'given', 'ranBefore'], complain);
  for (const action of Object.keys(one.given?.before ?? {}))
    checkAction(action, [...path, 'given', 'before', action], actions.keys(), complain, true);
  one.when?.forEach((fault, i) => {
    checkAction(fault.action, [...path, 'when', i, 'action'], actions.keys(), complain);
  });
  one.then.actions?.forEach((text, i) => {
    // The name alone, or with its input as JSON after it.
    checkAction(text.replace(/ \{.*$/s, ''), [...path, 'then', 'actions', i], actions.keys(), complain);
  });
  checkDuration(one.then.within, [...path, 'then', 'within'], complain);
}

function checkDuration(text: string | undefined, path: Path, complain: Complain): void {
  if (text !== undefined && parseDuration(text) === undefined)
    complain('bad-duration', path, `${text} is longer than a year. Write for instance 30s or 5m.`);
}

function checkAction(name: string, path: Path, names: Iterable<string>, complain: Complain, atKey = false): void {
  const known = [...names];
  if (known.includes(name)) return;
  complain('unknown-action', path, `There is no action ${name}.${didYouMean(name, known)}`, atKey);
}

/** A fact is named, or called with literal arguments: `prometheus.query("up")`. */
function checkFact(key: string, path: Path, { facts }: Vocabulary, complain: Complain): void {
  const [, name = '', args] = /^([a-zA-Z_][\w.]*)(?:\((.*)\))?$/s.exec(key) ?? [];
  const given = args === undefined ? undefined : literals(args);
  if (name === '' || (args !== undefined && !given)) {
    const sentence = `Write a fact's name, or a call with plain arguments in double quotes: prometheus.query("up").`;
    complain('bad-fact', path, sentence, true);
    return;
  }
  const fact = facts.get(name);
  if (!fact) {
    complain('unknown-fact', path, `There is no fact ${name}.${didYouMean(name, facts.keys())}`, true);
    return;
  }
  const wanted = fact.parameters?.length ?? 0;
  if (given && given.length !== wanted)
    complain('bad-fact', path, `${name} takes ${wanted} argument(s), not ${given.length}.`, true);
  // The engine looks answers up by the call as it writes it, so another way to write it would never be found.
  else if (given && `${name}(${given.map((v) => JSON.stringify(v)).join(', ')})` !== key) {
    const call = `${name}(${given.map((v) => JSON.stringify(v)).join(', ')})`;
    complain('bad-fact', path, `Write the call as ${call}, so that it is found.`, true);
  }
}

function literals(args: string): unknown[] | undefined {
  try {
    return JSON.parse(`[${args}]`) as unknown[];
  } catch {
    return undefined;
  }
}
