/**
 * What this region promised its peer, for a later life of its controller: one small file for a group, written in place and
 * synced before the promise is given. What cannot be read counts as given just now, so a half-written file costs a wait and
 * no risk; and as the file has its size from the start, a full disk keeps nobody from promising.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { type FileHandle, mkdir, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { CatalystError, messageOf } from '../errors.ts';
import { parseUptime } from './elapsed-clock.ts';
import { syncFolder } from './record-file.ts';

/** What of a machine says how much time has certainly passed from one life of a process to the next. */
export interface BootClock {
  /** Another after every boot; undefined where the system does not tell. */
  boot(): string | undefined;
  /** ms since that boot, sleep included; undefined where the system does not tell. */
  uptime(): number | undefined;
}

const machineBoot: BootClock = {
  boot: () => readOr(() => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()),
  uptime: () => readOr(() => parseUptime(readFileSync('/proc/uptime', 'utf8'))),
};

function readOr<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

export interface PromiseFile {
  /** For how long a promise given in an earlier life still binds at most, ms; undefined where nothing legible is there. */
  remainingMs(): number | undefined;
  /** Resolves once it is on disk that a promise binds for so long from now. Rejects when that cannot be had. */
  keep(remainingMs: number): Promise<void>;
  close(): Promise<void>;
}

interface Kept {
  remainingMs: number;
  boot: string | null;
  uptimeMs: number | null;
}

/** `/proc/uptime` is rounded to hundredths of a second: so much of a difference may not have passed. */
const roundingMs = 10;
/** One line with its sum, filled up with blanks: always of the same length. */
const fileBytes = 512;

/** Opens or creates the file. Throws Unavailable where that cannot be done. */
export async function openPromiseFile(path: string, clock: BootClock = machineBoot): Promise<PromiseFile> {
  let file: FileHandle;
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    // Neither cut short nor appended to: read as it is, and written over.
    file = await open(path, 'r+', 0o600).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
      return open(path, 'wx+', 0o600);
    });
    await syncFolder(dirname(path));
  } catch (error) {
    throw new CatalystError('Unavailable', `The promises cannot be kept in ${path}: ${messageOf(error)}.`, {
      cause: error,
    });
  }
  const buffer = Buffer.alloc(fileBytes);
  const { bytesRead } = await file.read(buffer, 0, fileBytes, 0);
  const found = parseKept(buffer.subarray(0, bytesRead).toString('utf8'));
  let queue: Promise<unknown> = Promise.resolve();
  return {
    remainingMs: () => found && certainlyLeft(found, clock),
    keep: (remainingMs) => {
      // Looked at now, not when its turn comes: what is written may bind for longer, never for less.
      const kept: Kept = { remainingMs, boot: clock.boot() ?? null, uptimeMs: clock.uptime() ?? null };
      const done = queue.then(async () => {
        const { bytesWritten } = await file.write(sealed(kept), 0, 'utf8');
        if (bytesWritten < fileBytes) throw new Error(`only ${bytesWritten} of ${fileBytes} bytes were written`);
        await file.datasync();
      });
      queue = done.catch(() => {});
      return done;
    },
    close: async () => {
      await queue;
      await file.close();
    },
  };
}

/** What is left of it after the time that certainly passed: none is certain across a boot, or on another machine. */
function certainlyLeft({ remainingMs, boot, uptimeMs }: Kept, clock: BootClock): number {
  const now = clock.uptime();
  if (boot === null || boot !== clock.boot() || uptimeMs === null || now === undefined) return remainingMs;
  const passed = Math.max(0, now - uptimeMs - roundingMs);
  return Math.max(0, remainingMs - passed);
}

function sealed(kept: Kept): string {
  const text = JSON.stringify(kept);
  return `${sumOf(text)} ${text}`.padEnd(fileBytes - 1).concat('\n');
}

function sumOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

function parseKept(content: string): Kept | undefined {
  const [sum, text = ''] = content.trimEnd().split(/ (.*)/s, 2);
  if (sum !== sumOf(text)) return undefined;
  return JSON.parse(text) as Kept;
}
