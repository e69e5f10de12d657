/** What the files of the command tree share: the context, and flags that many commands have. */
import { type Command, Option } from 'commander';
import type { CliIo, ExitCode } from './io.ts';
import type { Registry } from './registry.ts';

export interface ProgramContext {
  io: CliIo;
  registry: Registry;
  /** Told the exit code when a command has ended. */
  finish(code: ExitCode): void;
}

export const output = () => new Option('-o, --output <format>', 'table, wide, json, yaml or name').default('table');
export const colour = () =>
  new Option('--color <when>', 'colour: auto, always or never').choices(['auto', 'always', 'never']).default('auto');

/** Collects what is given several times. */
export const several = (value: string, all: readonly string[] = []) => [...all, value];
export const speed = () =>
  new Option('--speed <factor>', 'failover drills: how many times shorter than the handbook the times are')
    .default(5)
    .argParser(Number);

/** Flags of every command that talks to a server. */
export function remote(command: Command): Command {
  return command
    .option('--server <url>', 'address of the server (CATALYST_SRE_SERVER)')
    .option('--token-file <path>', 'file that holds the token (CATALYST_SRE_TOKEN_FILE, CATALYST_SRE_TOKEN)')
    .option('--data-dir <path>', 'data directory of a sandbox started here', '.catalyst-sre');
}

export function examples(...lines: [string, string][]): string {
  const width = Math.max(...lines.map(([line]) => line.length));
  return `\nExamples:\n${lines.map(([line, what]) => `  ${line.padEnd(width)}   # ${what}`).join('\n')}\n`;
}
