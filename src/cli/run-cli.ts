/** Runs one command line and says with which code the process should end. */
import { type Command, CommanderError } from 'commander';
import { CatalystError, type ErrorCode, messageOf } from '../errors.ts';
import { scrub } from '../telemetry/scrub.ts';
import { type CliIo, type ExitCode, exitCodes } from './io.ts';
import { createProgram } from './program.ts';
import type { Registry } from './registry.ts';

/** Codes that mean "what you gave is wrong". */
const inputErrors: ReadonlySet<ErrorCode> = new Set([
  'BadRequest',
  'InvalidBody',
  'InvalidResource',
  'TooLarge',
  'NotConfigured',
]);

export function exitCodeOfError(error: unknown): ExitCode {
  if (!(error instanceof CatalystError)) return exitCodes.failed;
  if (error.code === 'RefusedByGuard') return exitCodes.refusedByGuard;
  return inputErrors.has(error.code) ? exitCodes.usage : exitCodes.failed;
}

/** Never throws. `argv` is without the program's own name. */
export async function runCli(argv: readonly string[], io: CliIo, registry: Registry): Promise<ExitCode> {
  let code: ExitCode = exitCodes.done;
  const program = createProgram({
    io,
    registry,
    finish: (result) => {
      code = result;
    },
  });
  for (const command of everyCommand(program))
    command.exitOverride().configureOutput({
      writeOut: (text) => io.out(text.trimEnd()),
      writeErr: (text) => io.err(text.trimEnd()),
      outputError: (text, write) => write(`${capital(text.replace(/^error: /, '').trim())}\n`),
    });
  try {
    await program.parseAsync(argv, { from: 'user' });
    return code;
  } catch (error) {
    if (error instanceof CommanderError) return commanderCode(error, io);
    if (io.signal.aborted) return exitCodes.failed;
    return tellError(error, io);
  }
}

function everyCommand(command: Command): Command[] {
  return [command, ...command.commands.flatMap(everyCommand)];
}

function commanderCode(error: CommanderError, io: CliIo): ExitCode {
  if (error.code === 'commander.helpDisplayed' || error.code === 'commander.version') return exitCodes.done;
  // A noun alone, `catalyst-sre incident`, gets its help, and is no success.
  if (error.code !== 'commander.help') io.err('See --help for what there is.');
  return exitCodes.usage;
}

/** One sentence, and what to do. */
function tellError(error: unknown, io: CliIo): ExitCode {
  io.err(`Error: ${scrub(messageOf(error))}`);
  if (error instanceof CatalystError) {
    const { reason } = error.details;
    if (error.code === 'RefusedByGuard' && typeof reason === 'string') io.err(`Reason: ${scrub(reason)}`);
    if (error.hint !== undefined) io.err(scrub(error.hint));
  } else if (io.environment.CATALYST_SRE_DEBUG && error instanceof Error) io.err(scrub(error.stack ?? ''));
  else io.err('Nobody foresaw this. Set CATALYST_SRE_DEBUG=1 to see where it comes from, and report it.');
  return exitCodeOfError(error);
}

function capital(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}`;
}
