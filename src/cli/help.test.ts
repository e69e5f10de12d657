import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Command, Option } from 'commander';
import { createRegistry } from '../app/registry.ts';
import { systemClock } from '../clock.ts';
import type { CliIo } from './io.ts';
import { createProgram } from './program.ts';

const io = { out: () => {}, err: () => {}, clock: systemClock } as unknown as CliIo;
const registry = createRegistry({ version: '1.2.3', environment: {}, home: '/', directory: '/' });

function everyCommand(command: Command): Command[] {
  return [command, ...command.commands.flatMap(everyCommand)];
}

/** The whole help of a command, as it is printed. */
function helpOf(command: Command): string {
  let text = '';
  command.configureOutput({
    writeOut: (chunk) => {
      text += chunk;
    },
  });
  command.outputHelp();
  return text;
}

/** Command lines as a shell would split them; `"two words"` is one. */
function wordsOf(line: string): string[] {
  return [...line.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '');
}

test('every command has examples, and every example in every help is a command line that exists', () => {
  const program = createProgram({ io, registry, finish: () => {} });
  const examples: string[] = [];
  for (const command of everyCommand(program)) {
    const help = helpOf(command);
    const isLeaf = command.commands.length === 0;
    const own = [...help.matchAll(/^ {2}(?:source <\()?(catalyst-sre [^#)]+?)\)? +#/gm)].map(([, line]) => line ?? '');
    assert.ok(!isLeaf || command.name() === 'help' || own.length > 0, `${command.name()} has no example`);
    examples.push(...own);
  }
  assert.ok(examples.length > 30, `${examples.length} examples were found`);
  for (const example of examples) assert.equal(wrongIn(example), undefined, example);
});

/** Walks the command tree along the words: what is not a command, an option, or an argument there is room for. */
function wrongIn(example: string): string | undefined {
  let command = createProgram({ io, registry, finish: () => {} });
  const [, ...words] = wordsOf(example);
  while (words.length > 0 && command.commands.some((sub) => sub.name() === words[0])) {
    const name = words.shift();
    command = command.commands.find((sub) => sub.name() === name) as Command;
  }
  const given: string[] = [];
  const seen = new Set<Option>();
  while (words.length > 0) {
    const word = words.shift() ?? '';
    if (!word.startsWith('-')) {
      given.push(word);
      continue;
    }
    const option = command.options.find(({ long, short }) => long === word || short === word);
    if (!option && word !== '--help') return `${word} is no option of ${command.name()}`;
    if (!option) continue;
    seen.add(option);
    if (option.required && words.shift() === undefined) return `${word} needs a value`;
  }
  const required = command.registeredArguments.filter((argument) => argument.required).length;
  const most = command.registeredArguments.some((argument) => argument.variadic)
    ? Number.POSITIVE_INFINITY
    : command.registeredArguments.length;
  if (given.length < required || given.length > most) return `${given.length} arguments for ${command.name()}`;
  const missing = command.options.find((option) => option.mandatory && !seen.has(option));
  return missing && `${missing.long} is missing`;
}

test('a wrong example would be found', () => {
  assert.equal(wrongIn('catalyst-sre get incidents --state Open'), undefined);
  assert.match(wrongIn('catalyst-sre get incidents --stat Open') ?? '', /--stat is no option/);
  assert.match(wrongIn('catalyst-sre frobnicate now') ?? '', /arguments for catalyst-sre/);
  assert.match(wrongIn('catalyst-sre incident resolve ID') ?? '', /--resolution is missing/);
});
