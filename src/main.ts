/** argv, signals and streams. Nothing else. */
import { processOptions } from './app/options.ts';
import { createRegistry } from './app/registry.ts';
import type { CliIo } from './cli/io.ts';
import { runCli } from './cli/run-cli.ts';
import { systemClock } from './clock.ts';

const options = processOptions();
const interrupted = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.on(signal, () => {
    // The first asks, the second insists: 130 is what shells expect of an interrupted program.
    if (interrupted.signal.aborted) process.exit(130);
    interrupted.abort(new Error(`Stopped by ${signal}.`));
  });
// `catalyst-sre get record | head` closes the pipe; that is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

const io: CliIo = {
  out: (text) => process.stdout.write(`${text}\n`),
  err: (text) => process.stderr.write(`${text}\n`),
  terminal: process.stdout.isTTY === true,
  environment: options.environment,
  home: options.home,
  directory: options.directory,
  clock: systemClock,
  // Its library is loaded by the first call, and most commands make none.
  fetch: (input, init) => fetch(input, init),
  signal: interrupted.signal,
};
process.exitCode = await runCli(process.argv.slice(2), io, createRegistry(options));
