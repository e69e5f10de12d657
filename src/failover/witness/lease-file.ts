/**
 * The registers of our own witness: one SQLite file with a write-ahead log. SQLite appends a commit to the log with
 * checksums and fsyncs it, drops a torn tail when it opens, folds the log back into the file, and keeps a second process
 * out with a lock of the kernel that a crash releases. What is added here is group commit: the writes that arrive while
 * one commit is being fsynced share the next one.
 */
import { chmodSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import type { Clock } from '../../clock.ts';
import { CatalystError, messageOf } from '../../errors.ts';
import { type Lease, type LeaseVersion, sameVersion } from '../lease.ts';
import { readLease, writableText } from './lease-text.ts';
import type { CasAnswer, WitnessRead } from './witness.ts';

export interface LeaseFileOptions {
  /** Folder of the file; made when it is not there. */
  directory: string;
  clock: Clock;
  /** Told of each commit: how many writes it held, and how long it took, seconds. */
  onCommit?: (writes: number, seconds: number) => void;
}

export interface LeaseFile {
  /** What is on disk. Throws Unavailable once the disk has failed; a full one is still read. */
  read(group: string): WitnessRead;
  /**
   * Resolves when the outcome is on disk. `authorize` is asked with the current lease inside the transaction, and its
   * throw becomes the caller's. Throws Unavailable while the disk is full, having changed nothing; and when it fails, after
   * which nothing is answered until a restart.
   */
  compareAndSet(
    group: string,
    expect: LeaseVersion | undefined,
    next: Lease,
    authorize?: (current: Lease | undefined) => void,
  ): Promise<CasAnswer>;
  groups(): number;
  /** Why the last write was not taken, or why the disk is no longer trusted; undefined while all is well. */
  failure(): string | undefined;
  close(): Promise<void>;
}

interface Pending {
  group: string;
  expect: LeaseVersion | undefined;
  text: string;
  authorize: ((current: Lease | undefined) => void) | undefined;
  resolve(answer: CasAnswer): void;
  reject(error: unknown): void;
}

/** A Sovereign has a handful of groups; ten thousand say that somebody makes them up. */
const maxGroups = 10_000;
/** Writes in one transaction: more would make the first of them wait for the last. */
const maxBatch = 256;
/** In the file's header, so that `file` and our own opening tell what it is: "CWIT". */
const applicationId = 0x43574954;
const layoutVersion = 1;
/** SQLITE_FULL: the kernel had no room for a page of the log. */
const noRoom = 13;

export function openLeaseFile(options: LeaseFileOptions): LeaseFile {
  const path = join(options.directory, 'leases.sqlite');
  return new SqliteLeaseFile(open(options.directory, path), path, options);
}

/** @throws CatalystError Conflict when another process has it open, InvalidState when it is damaged or somebody else's. */
function open(directory: string, path: string): DatabaseSync {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  if (!existsSync(path)) writeFileSync(path, '', { mode: 0o600 });
  chmodSync(path, 0o600);
  const database = new DatabaseSync(path);
  try {
    // Exclusive before WAL: the lock is taken once and kept, and no shared memory file is needed.
    database.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL');
    const application = single(database, 'PRAGMA application_id');
    const layout = single(database, 'PRAGMA user_version');
    if (application !== 0 && application !== applicationId) throw damaged(path, 'it belongs to another program');
    if (layout > layoutVersion) throw damaged(path, `it was written by a newer version (layout ${layout})`);
    const health = database.prepare('PRAGMA quick_check(1)').get() as { quick_check: string };
    if (health.quick_check !== 'ok') throw damaged(path, health.quick_check);
    database.exec(`BEGIN IMMEDIATE;
      PRAGMA application_id = ${applicationId};
      PRAGMA user_version = ${layoutVersion};
      CREATE TABLE IF NOT EXISTS lease ("group" TEXT PRIMARY KEY, text TEXT NOT NULL) STRICT, WITHOUT ROWID;
      COMMIT`);
    return database;
  } catch (error) {
    database.close();
    if (error instanceof CatalystError) throw error;
    if (/locked|busy/i.test(messageOf(error)))
      throw new CatalystError('Conflict', `Another process keeps its leases in ${path}.`, {
        cause: error,
        hint: 'Two witnesses on one file would be no witness. Stop the other, or give this one a --data folder of its own.',
      });
    throw damaged(path, messageOf(error), error);
  }
}

function single(database: DatabaseSync, pragma: string): number {
  return Number(Object.values(database.prepare(pragma).get() ?? { none: 0 })[0]);
}

function damaged(path: string, what: string, cause?: unknown): CatalystError {
  return new CatalystError('InvalidState', `${path} cannot be used: ${what}.`, {
    cause,
    hint: 'Do not restore an older copy while a region may still hold a lease: epochs would come back. docs/witnesses.md says how to start over.',
  });
}

class SqliteLeaseFile implements LeaseFile {
  readonly #database: DatabaseSync;
  readonly #path: string;
  readonly #options: LeaseFileOptions;
  readonly #select: StatementSync;
  readonly #upsert: StatementSync;
  /** When each group was last written, by the clock of this process; what was there at the start counts from then. */
  readonly #writtenAt = new Map<string, number>();
  readonly #openedAt: number;
  #groups: number;
  #queue: Pending[] = [];
  #scheduled = false;
  #failure: string | undefined;
  /** Why the newest commit found no room; undefined once one does. */
  #full: string | undefined;
  #closed = false;

  constructor(database: DatabaseSync, path: string, options: LeaseFileOptions) {
    this.#database = database;
    this.#path = path;
    this.#options = options;
    this.#openedAt = options.clock.monotonic();
    this.#select = database.prepare('SELECT text FROM lease WHERE "group" = ?');
    this.#upsert = database.prepare(
      'INSERT INTO lease ("group", text) VALUES (?, ?) ON CONFLICT ("group") DO UPDATE SET text = excluded.text',
    );
    this.#groups = Number((database.prepare('SELECT count(*) AS n FROM lease').get() as { n: number }).n);
  }

  read(group: string): WitnessRead {
    this.#demandHealth();
    const lease = this.#current(group);
    if (lease === undefined) return { lease, expired: undefined };
    const writtenAt = this.#writtenAt.get(group) ?? this.#openedAt;
    return { lease, expired: this.#options.clock.monotonic() - writtenAt > lease.ttlMs };
  }

  async compareAndSet(
    group: string,
    expect: LeaseVersion | undefined,
    next: Lease,
    authorize?: (current: Lease | undefined) => void,
  ): Promise<CasAnswer> {
    this.#demandHealth();
    const text = writableText(group, expect, next);
    return new Promise((resolve, reject) => {
      this.#queue.push({ group, expect, text, authorize, resolve, reject });
      this.#schedule();
    });
  }

  groups(): number {
    return this.#groups;
  }

  failure(): string | undefined {
    return this.#failure ?? this.#full;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    while (this.#queue.length > 0) this.#commitBatch();
    this.#closed = true;
    this.#database.close();
  }

  #demandHealth(): void {
    if (this.#closed) throw new CatalystError('Unavailable', 'The witness is stopping.');
    if (this.#failure !== undefined) throw this.#failed();
  }

  /** After the requests that have already arrived were read, so that they share one fsync. */
  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      if (!this.#closed) this.#commitBatch();
      if (this.#queue.length > 0) this.#schedule();
    });
  }

  #commitBatch(): void {
    const batch = this.#queue.splice(0, maxBatch);
    const started = this.#options.clock.monotonic();
    const outcomes: (() => void)[] = [];
    const created = this.#groups;
    try {
      this.#database.exec('BEGIN IMMEDIATE');
      for (const pending of batch) outcomes.push(this.#decide(pending));
      this.#database.exec('COMMIT');
    } catch (error) {
      this.#groups = created;
      if (isNoRoom(error)) this.#refuse(error, batch);
      else this.#fail(error, batch);
      return;
    }
    this.#full = undefined;
    this.#options.onCommit?.(batch.length, (this.#options.clock.monotonic() - started) / 1000);
    for (const tell of outcomes) tell();
  }

  /** Decides one write inside the transaction; what it returns tells the caller once the transaction is on disk. */
  #decide({ group, expect, text, authorize, resolve, reject }: Pending): () => void {
    const current = this.#current(group);
    try {
      authorize?.(current);
      if (current === undefined && this.#groups >= maxGroups)
        throw new CatalystError('TooLarge', `The witness keeps ${maxGroups} groups, and takes no more.`);
    } catch (error) {
      return () => reject(error);
    }
    if (!sameVersion(current, expect)) return () => resolve({ result: 'conflict', current });
    this.#upsert.run(group, text);
    if (current === undefined) this.#groups++;
    return () => {
      this.#writtenAt.set(group, this.#options.clock.monotonic());
      resolve({ result: 'applied' });
    };
  }

  #current(group: string): Lease | undefined {
    const row = this.#select.get(group) as { text: string } | undefined;
    return row && readLease(this.#path, group, row.text);
  }

  /**
   * There was no room for the log, so it holds no whole commit: SQLite has rolled back, and what is on disk is known. The
   * next write tries again.
   */
  #refuse(error: unknown, batch: readonly Pending[]): void {
    if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
    this.#full = messageOf(error);
    const refused = new CatalystError('Unavailable', `The witness has no room to write ${this.#path}: ${this.#full}.`, {
      cause: error,
      certain: true,
      hint: 'Make room on its disk; it takes the next write by itself.',
    });
    for (const pending of batch) pending.reject(refused);
  }

  /**
   * A commit that failed in another way may be on disk or not, and after a failed fsync nobody can say what is (Rebello et
   * al., "Can applications recover from fsync failures?", 2020). So nothing is answered any more until a new process has
   * read the file again.
   */
  #fail(error: unknown, batch: readonly Pending[]): void {
    this.#failure = messageOf(error);
    for (const pending of [...batch, ...this.#queue]) pending.reject(this.#failed(error));
    this.#queue = [];
  }

  #failed(cause?: unknown): CatalystError {
    return new CatalystError('Unavailable', `The witness cannot write ${this.#path}: ${this.#failure}.`, {
      cause,
      certain: false,
      hint: 'Mend the disk and start the witness again; until then it answers nobody.',
    });
  }
}

function isNoRoom(error: unknown): boolean {
  return error instanceof Error && 'errcode' in error && error.errcode === noRoom;
}
