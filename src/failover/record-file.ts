/**
 * The controller's record: one file of JSON lines, each with the hash of the one before it. An entry counts once it is on
 * disk (`fdatasync`); the protocol waits for that before it does what the entry announces. No database: it has to work
 * when everything else is down.
 */
import { createHash } from 'node:crypto';
import { type FileHandle, mkdir, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { CatalystError, messageOf } from '../errors.ts';
import type { Json } from './lease.ts';

export interface FailoverEntry {
  kind: string;
  group: string;
  region: string;
  epoch: number;
  /** A person, or the region itself. */
  actor: string;
  sentence: string;
  /** Gate values, positions, verdicts. Never a secret. */
  facts: Json;
}

export interface RecordedFailoverEntry extends FailoverEntry {
  /** Counts from 1 without a gap. */
  seq: number;
  /** RFC 3339. */
  at: string;
  previousHash: string;
  hash: string;
}

export type FileVerdict =
  | { intact: true; entries: number; head: string; unfinishedBytes: number }
  | { intact: false; entries: number; brokenAt: number; sentence: string };

const noHash = '0'.repeat(64);
/** A failover writes a dozen entries of some hundred bytes; a record of this size has been written for centuries. */
const maxRecordBytes = 256 * 1024 * 1024;

export interface RecordFile {
  /** Resolves once the entry is on disk. Rejects, and the file is as it was, when that cannot be had. */
  append(entry: FailoverEntry): Promise<RecordedFailoverEntry>;
  /** The newest entries of a group, oldest first. */
  recent(group: string, limit: number): readonly RecordedFailoverEntry[];
  /** The highest epoch on record for a group; 0 without one. */
  highestEpoch(group: string): number;
  head(): { seq: number; hash: string };
  close(): Promise<void>;
}

/** How many entries are kept in memory for `status`. */
export const keptEntries = 500;

/** Opens or creates the file and checks its whole chain. Throws InvalidState for a chain that is broken. */
export async function openRecordFile(path: string, now: () => number): Promise<RecordFile> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const file = await open(path, 'a+', 0o600);
  try {
    const text = await readAll(file);
    const { verdict, entries } = readChain(text);
    if (!verdict.intact)
      throw new CatalystError(
        'InvalidState',
        `The record ${path} is broken at entry ${verdict.brokenAt}: ${verdict.sentence}`,
        {
          hint: 'Keep a copy of it, and move it away: a controller goes on only with a record that can be trusted.',
        },
      );
    // What a crash left of a line was never acknowledged.
    const size = text.length - verdict.unfinishedBytes;
    if (verdict.unfinishedBytes > 0) await file.truncate(size);
    await syncFolder(dirname(path));
    return new ChainedFile(file, size, verdict.head, entries, now);
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** Recomputes every hash of a record file. */
export async function verifyRecordFile(path: string): Promise<FileVerdict> {
  const file = await open(path, 'r').catch((error: unknown) => {
    throw new CatalystError('NotFound', `The record ${path} cannot be read: ${messageOf(error)}.`);
  });
  try {
    return readChain(await readAll(file)).verdict;
  } finally {
    await file.close();
  }
}

class ChainedFile implements RecordFile {
  readonly #file: FileHandle;
  readonly #now: () => number;
  readonly #recent: RecordedFailoverEntry[];
  readonly #epochs = new Map<string, number>();
  #size: number;
  /** Whether the file may hold more than its whole entries. */
  #ragged = false;
  #head: { seq: number; hash: string };
  #queue: Promise<unknown> = Promise.resolve();

  constructor(file: FileHandle, size: number, hash: string, entries: RecordedFailoverEntry[], now: () => number) {
    this.#file = file;
    this.#size = size;
    this.#head = { seq: entries.at(-1)?.seq ?? 0, hash };
    this.#now = now;
    for (const { group, epoch } of entries) this.#note(group, epoch);
    this.#recent = entries.slice(-keptEntries);
  }

  append(entry: FailoverEntry): Promise<RecordedFailoverEntry> {
    const done = this.#queue.then(() => this.#write(entry));
    this.#queue = done.catch(() => {});
    return done;
  }

  async #write(entry: FailoverEntry): Promise<RecordedFailoverEntry> {
    const seq = this.#head.seq + 1;
    const previousHash = this.#head.hash;
    const at = new Date(this.#now()).toISOString();
    const body = { seq, at, ...entry, previousHash };
    const { line, hash } = sealed(body);
    try {
      await this.#trim();
      this.#ragged = true;
      await this.#file.appendFile(line);
      await this.#file.datasync();
      this.#ragged = false;
    } catch (error) {
      await this.#trim().catch(() => {});
      throw new CatalystError('Unavailable', `The record cannot be written: ${messageOf(error)}.`, { cause: error });
    }
    this.#size += Buffer.byteLength(line);
    this.#head = { seq, hash };
    this.#note(entry.group, entry.epoch);
    const recorded = { ...body, hash };
    this.#recent.push(recorded);
    if (this.#recent.length > keptEntries) this.#recent.shift();
    return recorded;
  }

  /** Half a line must not stand before the next one: what cannot be taken back now is taken back before anything else. */
  async #trim(): Promise<void> {
    if (!this.#ragged) return;
    await this.#file.truncate(this.#size);
    this.#ragged = false;
  }

  #note(group: string, epoch: number): void {
    this.#epochs.set(group, Math.max(epoch, this.#epochs.get(group) ?? 0));
  }

  recent(group: string, limit: number): readonly RecordedFailoverEntry[] {
    return this.#recent.filter((entry) => entry.group === group).slice(-limit);
  }

  highestEpoch(group: string): number {
    return this.#epochs.get(group) ?? 0;
  }

  head(): { seq: number; hash: string } {
    return this.#head;
  }

  async close(): Promise<void> {
    await this.#queue;
    await this.#file.close();
  }
}

/** The line of an entry: its JSON with, last, the SHA-256 of that JSON without it. */
function sealed(body: object): { line: string; hash: string } {
  const text = JSON.stringify(body);
  const hash = createHash('sha256').update(text).digest('hex');
  return { line: `${text.slice(0, -1)},"hash":"${hash}"}\n`, hash };
}

function readChain(text: Buffer): { verdict: FileVerdict; entries: RecordedFailoverEntry[] } {
  const whole = text.subarray(0, text.lastIndexOf('\n') + 1);
  const lines = whole.toString('utf8').split('\n').slice(0, -1);
  const entries: RecordedFailoverEntry[] = [];
  let head = noHash;
  for (const [index, line] of lines.entries()) {
    const broken = (sentence: string) => ({
      verdict: { intact: false as const, entries: index, brokenAt: index + 1, sentence },
      entries,
    });
    const sealAt = line.length - ',"hash":"'.length - 64 - '"}'.length;
    const hash = createHash('sha256')
      .update(`${line.slice(0, sealAt)}}`)
      .digest('hex');
    if (line.slice(sealAt) !== `,"hash":"${hash}"}`) return broken('It was changed after it was written.');
    const entry = JSON.parse(line) as RecordedFailoverEntry;
    if (entry.previousHash !== head || entry.seq !== index + 1) return broken('It does not follow the one before it.');
    head = hash;
    entries.push(entry);
  }
  return {
    verdict: { intact: true, entries: entries.length, head, unfinishedBytes: text.length - whole.length },
    entries,
  };
}

async function readAll(file: FileHandle): Promise<Buffer> {
  const { size } = await file.stat();
  if (size > maxRecordBytes)
    throw new CatalystError('TooLarge', `The record has ${size} bytes; at most ${maxRecordBytes} are read.`);
  const buffer = Buffer.alloc(size);
  let read = 0;
  while (read < size) {
    const { bytesRead } = await file.read(buffer, read, size - read, read);
    if (bytesRead === 0) break;
    read += bytesRead;
  }
  return buffer.subarray(0, read);
}

/** A new file's name is on disk only when its folder is. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
