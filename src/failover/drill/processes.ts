/** Child processes of a drill: started, listened to, stopped with this one. */
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { CatalystError } from '../../errors.ts';
import { packageDirectory } from '../../package-directory.ts';

export interface Child {
  pid: number;
  /** Sends a signal; SIGKILL waits until it is gone. */
  signal(name: NodeJS.Signals): Promise<void>;
}

/** A start takes a second; on a busy machine some more. */
const startLimitMs = 60_000;
const live = new Set<ChildProcess>();

process.once('exit', () => {
  for (const child of live) child.kill('SIGKILL');
});

/** As it is started everywhere: what was compiled before is not compiled again, which saves time and a third of the memory. */
export const mainProgram = join(packageDirectory, 'bin', 'catalyst-sre.js');

/** Starts a program of ours and resolves with the first group of `ready` in one of its lines. */
export async function startChild(
  args: readonly string[],
  ready: RegExp,
  onLine: (line: string) => void,
): Promise<{ child: Child; said: string }> {
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  live.add(child);
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  void gone.then(() => live.delete(child));
  const lines: string[] = [];
  const said = await new Promise<string>((resolve, reject) => {
    const fail = (why: string) =>
      reject(
        new CatalystError('Internal', `${args[1] ?? args[0]} did not start: ${why}. ${lines.slice(-5).join(' ')}`),
      );
    const limit = setTimeout(() => fail(`it was not ready within ${startLimitMs / 1000} s`), startLimitMs);
    void gone.then(() => fail('it ended'));
    for (const stream of [child.stdout, child.stderr])
      createInterface({ input: stream }).on('line', (line) => {
        lines.push(line);
        if (lines.length > 50) lines.shift();
        const match = ready.exec(line);
        if (match) {
          clearTimeout(limit);
          resolve(match[1] ?? '');
        }
        onLine(line);
      });
  });
  return {
    said,
    child: {
      pid: child.pid ?? 0,
      signal: async (name) => {
        child.kill(name);
        if (name === 'SIGKILL') await gone;
      },
    },
  };
}
