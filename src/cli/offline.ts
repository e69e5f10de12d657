/** Commands that need no server: linting, explaining and testing runbooks, checking a configuration, generating files. */
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, isAbsolute, relative, resolve } from 'node:path';
import type { Problem } from '../catalog/resource.ts';
import { CatalystError } from '../errors.ts';
import { type CliIo, type ExitCode, exitCodes } from './io.ts';
import { type ColourChoice, formatOf, printData, wantsColour } from './printers/print.ts';
import { colourOf, duration, safe } from './printers/table.ts';
import type { Explanation, Registry } from './registry.ts';

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

export async function render(
  what: string,
  flags: { out: string },
  renderers: Offered<'renderers'>,
  io: CliIo,
): Promise<ExitCode> {
  const chosen = what === 'all' ? Object.keys(renderers) : [what];
  const folder = resolve(io.directory, flags.out);
  for (const name of chosen) {
    const renderer = Object.hasOwn(renderers, name) ? renderers[name] : undefined;
    if (!renderer)
      throw new CatalystError('BadRequest', `Nothing is rendered by the name ${name}.`, {
        hint: `It is one of: ${[...Object.keys(renderers), 'all'].join(', ')}.`,
      });
    for (const file of await renderer.render()) {
      const path = resolve(folder, file.path);
      if (isAbsolute(file.path) || relative(folder, path).startsWith('..'))
        throw new CatalystError('Internal', `The generator ${name} wrote outside of its folder: ${file.path}.`);
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, file.text);
      io.out(path);
    }
  }
  return exitCodes.done;
}

export async function listDrills(flags: OfflineFlags, list: Offered<'listDrills'>, io: CliIo): Promise<ExitCode> {
  const format = formatOf(flags.output);
  const drills = await list();
  if (format === 'json' || format === 'yaml') await printData(io, { items: drills }, format);
  else if (format === 'name') for (const { name } of drills) io.out(`drill/${name}`);
  else {
    const width = Math.max(4, ...drills.map(({ name }) => name.length));
    io.out(`${'NAME'.padEnd(width)}   DESCRIPTION`);
    for (const { name, description } of drills) io.out(`${safe(name).padEnd(width)}   ${safe(description)}`);
  }
  return exitCodes.done;
}

/** A mark for each kind of event: what is done to the Sovereign stands out from what it does about it. */
const marks: Record<string, string> = {
  fault: '✗',
  alert: '!',
  incident: '●',
  decision: '?',
  action: '→',
  verification: '✓',
  page: '✉',
  note: '·',
  problem: '✗',
};

/** Live timeline: time since the start, what kind, what happened; at the end what it showed. */
export async function drill(name: string, flags: OfflineFlags, run: Offered<'runDrill'>, io: CliIo): Promise<ExitCode> {
  const format = formatOf(flags.output);
  const colour = wantsColour(io, flags.color);
  const asData = format === 'json' || format === 'yaml';
  const result = await run(
    name,
    (event) => {
      const time = `+${(event.at / 1000).toFixed(1)}s`.padStart(8);
      const kind = event.kind.padEnd(12);
      const red = event.kind === 'fault' || event.kind === 'problem';
      const label = `${marks[event.kind] ?? '·'} ${kind}`;
      const text = `${time}  ${colour ? colourOf(red ? 'failed' : event.kind === 'verification' ? 'passed' : '', label) : label} ${safe(event.sentence)}`;
      // Data is the result; the way there is a message.
      if (asData) io.err(text);
      else io.out(text);
    },
    io.signal,
    flags.speed === undefined ? {} : { speed: flags.speed },
  );
  if (asData) await printData(io, { drill: name, ...result }, format);
  else {
    const word = result.passed ? 'passed' : 'failed';
    io.out('');
    io.out(
      `${safe(name)} ${colour ? colourOf(word, word) : word} in ${result.took < 10_000 ? `${(result.took / 1000).toFixed(1)}s` : duration(result.took)}: ${safe(result.sentence)}`,
    );
    const width = Math.max(0, ...Object.keys(result.measured).map((key) => key.length));
    for (const [key, value] of Object.entries(result.measured)) io.out(`  ${safe(key).padEnd(width)}  ${safe(value)}`);
  }
  return result.passed ? exitCodes.done : exitCodes.verificationFailed;
}
