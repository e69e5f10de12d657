/** Commands that need no server: linting, explaining and testing runbooks, checking a configuration, generating files. */
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, isAbsolute, relative, resolve } from 'node:path';
import type { Problem } from '../catalog/resource.ts';
import { CatalystError } from '../errors.ts';
import { type CliIo, type ExitCode, exitCodes } from './io.ts';
import { type ColourChoice, formatOf, printData, wantsColour } from './printers/print.ts';
import { colourOf, safe } from './printers/table.ts';
import type { Explanation, Registry, RenderOptions } from './registry.ts';

export interface OfflineFlags {
  output: string;
  /** Of failover drills. */
  speed?: number;
  color?: ColourChoice;
}
type Offered<K extends keyof Registry> = NonNullable<Registry[K]>;

/** `file:line:col severity sentence (rule)`: editors and CI jump to it. */
function printProblems(problems: readonly Problem[], colour: boolean, io: CliIo): void {
  for (const { file, line, column, severity, sentence, rule } of problems)
    io.out(
      `${safe(file)}:${line}:${column}: ${colour ? colourOf(severity, severity) : severity}: ${safe(sentence)} (${rule})`,
    );
}

const errorsIn = (problems: readonly Problem[]) => problems.filter((problem) => problem.severity === 'error').length;

export async function lint(
  paths: readonly string[],
  flags: OfflineFlags,
  run: Offered<'lintRunbooks'>,
  io: CliIo,
): Promise<ExitCode> {
  const format = formatOf(flags.output);
  const { documents, problems } = await run(paths);
  if (format === 'json' || format === 'yaml') await printData(io, { documents, problems }, format);
  else printProblems(problems, wantsColour(io, flags.color), io);
  const errors = errorsIn(problems);
  io.err(`${documents} documents, ${errors} errors, ${problems.length - errors} warnings.`);
  return errors > 0 ? exitCodes.usage : exitCodes.done;
}

export async function explain(
  paths: readonly string[],
  flags: OfflineFlags,
  run: Offered<'explainRunbooks'>,
  io: CliIo,
): Promise<ExitCode> {
  const format = formatOf(flags.output);
  const { explanations, problems } = await run(paths);
  if (format === 'json' || format === 'yaml') await printData(io, { explanations, problems }, format);
  else {
    for (const [i, explanation] of explanations.entries()) {
      if (i > 0) io.out('');
      printExplanation(explanation, io);
    }
    printProblems(problems, wantsColour(io, flags.color), { ...io, out: io.err });
  }
  return errorsIn(problems) > 0 ? exitCodes.usage : exitCodes.done;
}

function printExplanation(runbook: Explanation, io: CliIo): void {
  const line = (title: string, text: string) => io.out(`${`${title}:`.padEnd(15)} ${safe(text)}`);
  line('Runbook', `${runbook.name} (${runbook.file}:${runbook.line})`);
  if (runbook.description) line('For', runbook.description);
  line('Mode', runbook.mode);
  line('Starts on', runbook.triggers.join('; ') || 'a request only');
  if (runbook.target) line('Acts on', runbook.target);
  io.out(runbook.preconditions.length === 0 ? 'Preconditions:  none' : 'Only if:');
  for (const { check, description, facts } of runbook.preconditions)
    io.out(`  - ${safe(check)}${description ? `: ${safe(description)}` : ''}${reads(facts)}`);
  io.out('Steps:');
  for (const [i, step] of runbook.steps.entries()) {
    io.out(`  ${i + 1}. ${step.kind.padEnd(7)} ${safe(step.name)}: ${safe(step.sentence)}${reads(step.facts)}`);
    if (step.effects.length > 0) io.out(`             effects: ${step.effects.join(', ')}`);
    if (step.undo) io.out(`             undone by: ${safe(step.undo)}`);
  }
  line('If it fails', runbook.rollback);
  for (const [i, guard] of runbook.guards.entries()) line(i === 0 ? 'Not when' : '', guard);
}

const reads = (facts: readonly string[]) => (facts.length === 0 ? '' : ` (reads ${facts.join(', ')})`);

export async function testRunbooks(
  paths: readonly string[],
  flags: OfflineFlags,
  run: Offered<'testRunbooks'>,
  io: CliIo,
): Promise<ExitCode> {
  const format = formatOf(flags.output);
  const report = await run(paths, io.signal);
  const failed = report.cases.filter((test) => !test.passed);
  if (format === 'json' || format === 'yaml') await printData(io, report, format);
  else {
    const colour = wantsColour(io, flags.color);
    for (const { file, line, name, passed, sentence } of report.cases) {
      const word = passed ? 'passed' : 'failed';
      io.out(
        `${safe(file)}:${line}: ${colour ? colourOf(word, word) : word}: ${safe(name)}${sentence ? `: ${safe(sentence)}` : ''}`,
      );
    }
  }
  const took = report.cases.reduce((sum, test) => sum + test.took, 0);
  io.err(`${report.cases.length} cases, ${failed.length} failed, in ${Math.round(took)} ms.`);
  if (report.cases.length === 0) throw new CatalystError('InvalidResource', 'There is no test case in these paths.');
  return failed.length > 0 ? exitCodes.failed : exitCodes.done;
}

export async function checkConfig(
  path: string,
  flags: OfflineFlags,
  run: Offered<'checkConfig'>,
  io: CliIo,
): Promise<ExitCode> {
  const format = formatOf(flags.output);
  const problems = await run(resolve(io.directory, path));
  if (format === 'json' || format === 'yaml') await printData(io, { problems }, format);
  else printProblems(problems, wantsColour(io, flags.color), io);
  if (problems.length === 0) io.err(`${path} is right.`);
  return errorsIn(problems) > 0 ? exitCodes.usage : exitCodes.done;
}

export interface RenderFlags extends Omit<RenderOptions, 'from'> {
  out: string;
  from?: readonly string[];
  check: boolean;
  color?: ColourChoice;
}

export async function render(
  what: string,
  flags: RenderFlags,
  renderers: Offered<'renderers'>,
  io: CliIo,
): Promise<ExitCode> {
  const chosen = what === 'all' ? Object.keys(renderers) : [what];
  const folder = resolve(io.directory, flags.out);
  const options: RenderOptions = { ...flags, from: flags.from ?? [] };
  const files: { path: string; text: string }[] = [];
  let problems: readonly Problem[] = [];
  for (const name of chosen) {
    const renderer = Object.hasOwn(renderers, name) ? renderers[name] : undefined;
    if (!renderer)
      throw new CatalystError('BadRequest', `Nothing is rendered by the name ${name}.`, {
        hint: `It is one of: ${[...Object.keys(renderers), 'all'].join(', ')}.`,
      });
    const report = await renderer.render(options);
    // Generators that read the same documents say the same about them.
    if (report.problems.length > 0) problems = report.problems;
    for (const { path, text } of report.files) {
      const target = resolve(folder, path);
      if (isAbsolute(path) || relative(folder, target).startsWith('..'))
        throw new CatalystError('Internal', `The generator ${name} wrote outside of its folder: ${path}.`);
      files.push({ path: target, text });
    }
  }
  printProblems(problems, wantsColour(io, flags.color), { ...io, out: io.err });
  if (errorsIn(problems) > 0) {
    io.err('Nothing was written.');
    return exitCodes.usage;
  }
  return flags.check ? compareFiles(files, io) : writeFiles(files, io);
}

/** Each file appears whole or not at all. Nothing else goes on that would have to wait for the disk. */
function writeFiles(files: readonly { path: string; text: string }[], io: CliIo): ExitCode {
  for (const folder of new Set(files.map(({ path }) => dirname(path)))) mkdirSync(folder, { recursive: true });
  for (const { path, text } of files) {
    writeFileSync(`${path}.new`, text);
    renameSync(`${path}.new`, path);
    io.out(path);
  }
  return exitCodes.done;
}

async function compareFiles(files: readonly { path: string; text: string }[], io: CliIo): Promise<ExitCode> {
  const stale: string[] = [];
  for (const { path, text } of files) {
    const there = await readFile(path, 'utf8').catch(() => undefined);
    if (there === text) continue;
    stale.push(path);
    io.out(`${path}: ${there === undefined ? 'missing' : 'differs'}`);
  }
  io.err(`${files.length} files, ${stale.length} not as they would be rendered.`);
  return stale.length > 0 ? exitCodes.failed : exitCodes.done;
}

export async function explainSlos(
  paths: readonly string[],
  flags: OfflineFlags,
  run: Offered<'explainSlos'>,
  io: CliIo,
): Promise<ExitCode> {
  const format = formatOf(flags.output);
  const { explanations, problems } = await run(paths);
  if (format === 'json' || format === 'yaml') await printData(io, { explanations, problems }, format);
  else {
    for (const { name, file, line, sentences } of explanations) {
      io.out(`${safe(name)} (${safe(file)}:${line})`);
      for (const sentence of sentences) io.out(`  - ${safe(sentence)}`);
    }
    printProblems(problems, wantsColour(io, flags.color), { ...io, out: io.err });
  }
  return errorsIn(problems) > 0 ? exitCodes.usage : exitCodes.done;
}
