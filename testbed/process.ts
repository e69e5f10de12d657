/**
 * Runs a real server for a test: started on loopback, watched until it answers, its last lines kept for the
 * error message, and gone when the test process is gone, however that ends. Linux with util-linux's `setpriv`.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { accessSync, constants, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

/** What every started server offers. */
export interface Running {
  /** Ends the server and removes its data. Safe to call twice. */
  stop(): Promise<void>;
  /** The last lines the server wrote, both streams in order of arrival. */
  logs(): string;
}

/** Whether a counterpart can be started here. `reason` says what is missing and what to do. */
export type Availability = { available: true } | { available: false; reason: string };

/** The programs found by {@link findPrograms}, by name. */
export type Programs<Name extends string> =
  | { available: true; programs: Record<Name, string> }
  | { available: false; reason: string };

export interface ServerOptions {
  /** Shown in messages, for example `prometheus`. */
  name: string;
  /** Absolute path of the program. */
  program: string;
  args: readonly string[];
  env?: Record<string, string>;
  cwd?: string;
  /** What its command line begins with, to run it elsewhere: see `namespaces.ts`. */
  enter?: readonly string[];
  /** System user to run as when this process is root; left alone otherwise. */
  user?: string;
  /** The signal that asks for an orderly end. Default SIGTERM. */
  stopSignal?: NodeJS.Signals;
  /** How long that may take before the server is killed. Default 10 s. */
  stopLimitMs?: number;
  /** Sent by the kernel when this process is gone without having stopped the server. Default SIGKILL. */
  orphanSignal?: 'SIGKILL' | 'SIGQUIT';
}

/** A started program. */
export interface Server extends Running {
  readonly name: string;
  readonly pid: number | undefined;
  /** How it ended (`exit 1`, `SIGKILL`), or undefined while it runs. */
  ended(): string | undefined;
  /** Sends a signal and waits until the program is gone. */
  kill(signal: NodeJS.Signals): Promise<void>;
}

/** Enough to hold a start-up failure with its stack, small enough to read in a test report. */
const KEPT_LINES = 200;
const SHOWN_LINES = 40;
/** An orderly end takes milliseconds to a few seconds. */
const STOP_LIMIT_MS = 10_000;
/** Often enough not to be felt beside start-ups of a second and more. */
const PROBE_INTERVAL_MS = 50;

const live = new Set<ChildProcess>();
const directories = new Set<string>();
let watching = false;

/** Kills what still runs and removes what is left on disk; synchronous, for the last moment of this process. */
function cleanUpNow(): void {
  for (const child of live) child.kill('SIGKILL');
  for (const path of directories) rmSync(path, { recursive: true, force: true, maxRetries: 5 });
}

/**
 * Node ends at once on SIGINT and SIGTERM unless somebody listens, and then runs no `exit` handler. So we
 * listen, clean up, and pass the signal on to ourselves, where it meets the default again.
 */
function cleanUpAtExit(): void {
  if (watching) return;
  watching = true;
  process.once('exit', cleanUpNow);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => {
      cleanUpNow();
      process.kill(process.pid, signal);
    });
  }
}

/** Starts a program. Returns at once; see {@link waitUntil} for readiness. */
export function startServer(options: ServerOptions): Server {
  cleanUpAtExit();
  const {
    name,
    program,
    args,
    stopSignal = 'SIGTERM',
    orphanSignal = 'SIGKILL',
    stopLimitMs = STOP_LIMIT_MS,
  } = options;
  const tied = tiedToUs(program, args, orphanSignal, options.user);
  const [command = '', ...rest] = [...(options.enter ?? []), tied.program, ...tied.args];
  const child = spawn(command, rest, {
    env: { ...process.env, ...options.env },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  live.add(child);
  const lines: string[] = [];
  const keep = (chunk: unknown): void => {
    lines.push(...String(chunk).trimEnd().split('\n'));
    if (lines.length > KEPT_LINES) lines.splice(0, lines.length - KEPT_LINES);
  };
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  let ended: string | undefined;
  const exited = new Promise<void>((resolve) => {
    const end = (how: string) => {
      ended ??= how;
      live.delete(child);
      resolve();
    };
    child.once('error', (error) => end(error.message));
    child.once('exit', (code, signal) => end(signal ?? `exit ${code}`));
  });
  // A server that a test forgot must not keep the test process alive.
  child.unref();
  for (const stream of [child.stdout, child.stderr]) (stream as unknown as { unref(): void }).unref();
  const kill = async (signal: NodeJS.Signals): Promise<void> => {
    if (ended !== undefined) return;
    child.kill(signal);
    await withLimit(exited, stopLimitMs).catch(async () => {
      child.kill('SIGKILL');
      await withLimit(exited, STOP_LIMIT_MS);
    });
  };
  return {
    name,
    pid: child.pid,
    ended: () => ended,
    logs: () => lines.join('\n'),
    kill,
    stop: () => kill(stopSignal),
  };
}

const SETPRIV = 'setpriv';

/**
 * The command line that runs `program` so that the kernel sends it a signal when we are gone: nothing else holds
 * after a kill -9 of the test process. As `user` when we are root.
 */
export function tiedToUs(
  program: string,
  args: readonly string[],
  orphanSignal: 'SIGKILL' | 'SIGQUIT' = 'SIGKILL',
  user?: string,
): { program: string; args: string[] } {
  const become =
    user === undefined || process.getuid?.() !== 0 ? [] : ['--reuid', user, '--regid', user, '--init-groups'];
  const signal = orphanSignal.slice('SIG'.length);
  return { program: SETPRIV, args: ['--pdeathsig', signal, ...become, program, ...args] };
}

/** Runs a short program to its end, as `user` when we are root; throws with its output when it fails. */
export function runProgram(program: string, args: readonly string[], user?: string): string {
  const tied = tiedToUs(program, args, 'SIGKILL', user);
  // The longest of them is initdb, two seconds on an idle machine.
  return execFileSync(tied.program, tied.args, {
    encoding: 'utf8',
    timeout: 60_000,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

/** Rejects when `promise` has not settled within `ms`. Holds the event loop meanwhile. */
export async function withLimit<T>(promise: Promise<T>, ms: number): Promise<T> {
  const timer = new AbortController();
  try {
    return await Promise.race([
      promise,
      delay(ms, undefined, { signal: timer.signal }).then(() => {
        throw new Error(`not done within ${ms / 1000} s`);
      }),
    ]);
  } finally {
    timer.abort();
  }
}

/**
 * Asks `probe` until it answers true. A probe that throws counts as "not yet". Rejects, with the last answer
 * and the last lines of `servers`, when `limitMs` is over or one of `servers` has ended.
 */
export async function waitUntil(
  what: string,
  limitMs: number,
  probe: () => Promise<boolean> | boolean,
  servers: readonly Server[] = [],
): Promise<void> {
  const started = performance.now();
  let last = 'not yet';
  for (;;) {
    try {
      if (await probe()) return;
      last = 'not yet';
    } catch (error) {
      last = describe(error);
    }
    const dead = servers.find((server) => server.ended() !== undefined);
    if (dead !== undefined) {
      // Its last words may still be on their way through the pipe.
      await delay(PROBE_INTERVAL_MS);
      throw new Error(`${what}: ${dead.name} ended (${dead.ended()})${tail([dead])}`);
    }
    if (performance.now() - started > limitMs) {
      throw new Error(`${what}: not within ${limitMs / 1000} s; last answer: ${last}${tail(servers)}`);
    }
    await delay(PROBE_INTERVAL_MS);
  }
}

/** Passes on what `work` gives; when it rejects, what was started is stopped first. */
export async function orStop<Result>(work: () => Promise<Result>, stop: () => Promise<void>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    await stop();
    throw error;
  }
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause === undefined ? error.message : `${error.message}: ${describe(error.cause)}`;
}

function tail(servers: readonly Server[]): string {
  return servers
    .map((server) => `\n--- last lines of ${server.name}:\n${server.logs().split('\n').slice(-SHOWN_LINES).join('\n')}`)
    .join('');
}

/** Whether `url` answers 2xx, within two seconds. */
export async function answers(url: string): Promise<boolean> {
  const response = await fetch(url, { signal: AbortSignal.timeout(2000) });
  await response.arrayBuffer();
  if (!response.ok) throw new Error(`${url} answers ${response.status}`);
  return true;
}

const DIRECTORY_PREFIX = 'catalyst-testbed-';

/** A fresh directory, removed by `remove` or when this process ends. */
export function temporaryDirectory(name: string): { path: string; remove(): void } {
  cleanUpAtExit();
  removeAbandonedDirectories();
  const path = mkdtempSync(join(tmpdir(), `${DIRECTORY_PREFIX}${process.pid}-${name}-`));
  directories.add(path);
  return {
    path,
    remove: () => {
      rmSync(path, { recursive: true, force: true, maxRetries: 5 });
      directories.delete(path);
    },
  };
}

/** Removes what a killed test process left: directories that carry the number of a process that is no more. */
function removeAbandonedDirectories(): void {
  for (const name of readdirSync(tmpdir())) {
    const owner = new RegExp(`^${DIRECTORY_PREFIX}(\\d+)-`).exec(name)?.[1];
    if (owner === undefined || isRunning(Number(owner))) continue;
    rmSync(join(tmpdir(), name), { recursive: true, force: true });
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: it runs, but belongs to somebody else.
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}

/**
 * A port nobody listens on, below the range the kernel gives to outgoing connections (32768 and up), so that
 * none of those takes it between this answer and the server's start.
 */
export async function freePort(): Promise<number> {
  const [first, count, attempts] = [20_000, 10_000, 50];
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    const port = first + Math.floor(Math.random() * count);
    if (await canListen(port)) return port;
  }
  throw new Error(`no free port found among ${first} to ${first + count} in ${attempts} attempts`);
}

function canListen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

/**
 * Looks for programs in `directories` and then on PATH. All must be there; the reason names the first that is
 * not, and how to get it.
 */
export function findPrograms<Name extends string>(
  names: readonly Name[],
  directories: readonly string[],
  remedy = 'run testbed/install.sh',
): Programs<Name> {
  const programs = {} as Record<Name, string>;
  for (const name of [SETPRIV, ...names] as const) {
    const path = [...directories, ...(process.env.PATH ?? '').split(delimiter)]
      .map((directory) => join(directory, name))
      .find(isExecutable);
    if (path === undefined) return { available: false, reason: `${name} is not installed; ${remedy}` };
    if (name !== SETPRIV) programs[name as Name] = path;
  }
  return { available: true, programs };
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** The programs, or an error that carries the reason they are not there. */
export function demand<Name extends string>(found: Programs<Name>): Record<Name, string> {
  if (!found.available) throw new Error(found.reason);
  return found.programs;
}
