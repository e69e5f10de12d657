/** What a command line touches of the world, passed in, so that a test can be the terminal. */
import type { Clock } from '../clock.ts';

export interface CliIo {
  /** Data: what a pipe gets. Whole lines. */
  out(text: string): void;
  /** Messages: what a person reads. Whole lines. */
  err(text: string): void;
  /** Whether data goes to a terminal: colour, and live tables. */
  terminal: boolean;
  environment: Readonly<Record<string, string | undefined>>;
  home: string;
  directory: string;
  clock: Clock;
  fetch: typeof fetch;
  /** Aborted by Ctrl-C. */
  signal: AbortSignal;
}

/** The exit codes of interface.md: scripts rely on them. */
export const exitCodes = {
  done: 0,
  failed: 1,
  /** Wrong usage or invalid input. */
  usage: 2,
  verificationFailed: 4,
  refusedByGuard: 5,
} as const;
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];
