/**
 * One process per data directory. PGlite lets two processes open the same directory, and the rows one of them has
 * committed are lost; so a file says who holds it, and a live holder is never robbed.
 */
import { open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { CatalystError } from '../errors.ts';

interface Holder {
  pid: number;
  /** Start time of the process in clock ticks since boot, where /proc tells: a number used again after a reboot is another process. */
  started: string;
}

export interface DirectoryLock {
  release(): Promise<void>;
}

/** @throws CatalystError Conflict when a live process holds the directory. */
export async function lockDataDirectory(directory: string): Promise<DirectoryLock> {
  const path = join(directory, 'lock');
  // Twice: once as it stands, once more after the lock of a dead process was taken away.
  for (let attempt = 0; attempt < 2; attempt++) {
    try {
      const file = await open(path, 'wx', 0o600);
      await file.writeFile(JSON.stringify({ pid: process.pid, started: await startOf(process.pid) } satisfies Holder));
      await file.sync();
      await file.close();
      return { release: () => rm(path, { force: true }) };
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
      const holder = await readHolder(path);
      if (holder && (await isAlive(holder))) throw held(directory, holder);
      await rm(path, { force: true });
    }
  }
  throw new CatalystError('Conflict', `Another process is opening ${directory} at the same time.`, {
    hint: 'Start only one, or give each a --data-dir of its own.',
  });
}

function held(directory: string, holder: Holder): CatalystError {
  return new CatalystError('Conflict', `Process ${holder.pid} already uses the data directory ${directory}.`, {
    hint: 'Stop it first, or give this one another directory with --data-dir. For several replicas use PostgreSQL.',
  });
}

async function readHolder(path: string): Promise<Holder | undefined> {
  try {
    const holder: unknown = JSON.parse(await readFile(path, 'utf8'));
    if (typeof holder !== 'object' || holder === null || !('pid' in holder) || typeof holder.pid !== 'number')
      return undefined;
    return {
      pid: holder.pid,
      started: 'started' in holder && typeof holder.started === 'string' ? holder.started : '',
    };
  } catch {
    // A process killed between creating and writing the file leaves it empty.
    return undefined;
  }
}

async function isAlive(holder: Holder): Promise<boolean> {
  if (holder.pid === process.pid) return true;
  try {
    process.kill(holder.pid, 0);
  } catch (error) {
    // EPERM: it lives, and belongs to someone else.
    if (!(error instanceof Error && 'code' in error && error.code === 'EPERM')) return false;
  }
  const started = await startOf(holder.pid);
  return holder.started === '' || started === '' || started === holder.started;
}

/** Field 22 of /proc/PID/stat, counted after the parenthesised command (proc(5)); empty where there is no /proc. */
async function startOf(pid: number): Promise<string> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
  } catch {
    return '';
  }
}
