/** One replica of the product as a process of its own, which can be killed at any moment and started again. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { mainProgram } from '../../../src/failover/drill/processes.ts';

/** A start with recovery takes one to six seconds on an idle machine; a busy one gets ten times as much. */
const startLimit = 60_000;
/** Lines kept of what a process wrote, for the report of a failure. */
const keptLines = 100;

export interface Replica {
  /** Starts a process and returns at once. */
  start(): void;
  /** Resolves when the process that was started last listens. Rejects when it ended by itself or takes too long. */
  ready(): Promise<void>;
  /** kill -9, now. Resolves when the process is gone. */
  kill(): Promise<void>;
  /** Asks the process to stop, and resolves with its exit code. */
  stop(): Promise<number | null>;
  /** The last lines it wrote, over all starts. */
  lines: readonly string[];
}

export function replica(configFile: string): Replica {
  const lines: string[] = [];
  let child: ChildProcess | undefined;
  let ready: Promise<void> = Promise.resolve();
  let ended: Promise<number | null> = Promise.resolve(0);

  function start(): void {
    const started = spawn(process.execPath, [mainProgram, 'serve', '--config', configFile], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    child = started;
    const listening = Promise.withResolvers<void>();
    createInterface({ input: started.stderr }).on('line', (line) => {
      lines.push(line);
      if (lines.length > keptLines) lines.shift();
      if (line.startsWith('Catalyst SRE listens at')) listening.resolve();
    });
    ended = new Promise((resolve) => {
      started.once('exit', (code, signal) => {
        listening.reject(new Error(`The product ended (${signal ?? code}) before it listened:\n${lines.join('\n')}`));
        resolve(code);
      });
    });
    const late = delay(startLimit, undefined, { ref: false }).then(() => {
      throw new Error(`The product did not listen within ${startLimit / 1000} s:\n${lines.join('\n')}`);
    });
    ready = Promise.race([listening.promise, late]);
    // Whoever does not wait for it does not have to hear of it.
    ready.catch(() => {});
    late.catch(() => {});
  }

  return {
    start,
    ready: () => ready,
    kill: async () => {
      child?.kill('SIGKILL');
      await ended;
    },
    stop: () => {
      child?.kill('SIGTERM');
      return ended;
    },
    lines,
  };
}
