/**
 * One process per data directory. PGlite lets two processes open the same directory, and the rows one of them has
 * committed are lost. The lock is the operating system's own on a file: whoever holds it is alive, also in another
 * container with a process number of its own, and a killed process holds nothing. SQLite is the way to it that Node has.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { CatalystError, messageOf } from '../errors.ts';

export interface DirectoryLock {
  release(): void;
}

/** Locks this process holds: one that the garbage collector took would be free. */
const held = new Set<DatabaseSync>();

/** SQLITE_BUSY: somebody else holds the lock. */
const busy = 5;

/** @throws CatalystError Conflict when another process, or this one, holds the directory. */
export async function lockDataDirectory(directory: string): Promise<DirectoryLock> {
  const holder = join(directory, 'lock.pid');
  let lock: DatabaseSync | undefined;
  try {
    lock = new DatabaseSync(join(directory, 'lock'));
    // The reserved lock: one process at a time may have it, and it lasts until the transaction or the process ends.
    lock.exec('BEGIN IMMEDIATE');
  } catch (error) {
    lock?.close();
    if (error instanceof Error && 'errcode' in error && error.errcode === busy) throw await inUse(directory, holder);
    throw new CatalystError('Unavailable', `The data directory ${directory} cannot be locked: ${messageOf(error)}`, {
      cause: error,
      hint: 'It has to be on a file system with locks, and writable.',
    });
  }
  const ours = lock;
  held.add(ours);
  // Only for the message of the next who tries.
  await writeFile(holder, String(process.pid), { mode: 0o600 });
  return {
    release: () => {
      if (held.delete(ours)) ours.close();
    },
  };
}

async function inUse(directory: string, holder: string): Promise<CatalystError> {
  const pid = await readFile(holder, 'utf8').catch(() => '');
  const who = /^\d+$/.test(pid) ? `Process ${pid}` : 'Another process';
  return new CatalystError('Conflict', `${who} already uses the data directory ${directory}.`, {
    hint: 'Stop it first, or give this one another directory with --data-dir. For several replicas use PostgreSQL.',
  });
}
