/** Documents in a Git repository, one branch or tag of it, read from a bare shallow copy. */
import { createHash } from 'node:crypto';
import { mkdir, rename, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Clock } from '../../clock.ts';
import { CatalystError, messageOf } from '../../errors.ts';
import { type CatalogSource, precedences, type SourceSnapshot, sameSnapshot, sourceProblem } from '../source.ts';
import { checkFolder, checkRef, type GitAddress, parseGitAddress } from './git-address.ts';
import { createGit, type Git, type GitOptions } from './git-command.ts';
import { readTree, type TreeReading } from './git-tree.ts';
import { createPoller } from './poller.ts';

export interface GitSourceOptions {
  /** Without credentials; see `parseGitAddress`. */
  repository: string;
  /** Branch or tag. */
  ref: string;
  /** Folder inside the repository; `.` for the whole. */
  path: string;
  organization?: string;
  /** Default that of an Organization's repository, or of the Sovereign's. */
  precedence?: number;
  /** Default `git:owner/name`, or `git:` and the address; two sources of one repository need names of their own. */
  name?: string;
  /** Reads the access token for HTTPS; asked before each fetch, so that a rotated one counts at once. */
  token?: () => Promise<string>;
  /** How often it is looked at without a push event, ms. */
  intervalMs: number;
  /** Where bare copies are kept between starts. One process at a time. */
  directory: string;
  clock: Clock;
  /** The environment of the process. */
  environment: GitOptions['environment'];
  /** Limit of one fetch, ms. Default 1 min. */
  fetchLimitMs?: number;
  /** Whether folders named `tests` are read, too. Default false. */
  withTests?: boolean;
}

const defaultFetchLimitMs = 60_000;
/** Limit of a command that only reads the copy, ms. */
const readLimitMs = 30_000;
/** Room for one line of output. */
const lineBytes = 64 * 1024;
/** Wait after the first failure; doubled for each one after, ms. */
const firstBackoffMs = 5_000;
/** Longest wait after failures where the interval is shorter, ms: it is asked no more often than that while it is away. */
const longestBackoffMs = 5 * 60_000;
/** Where the copy keeps what was fetched. */
const headRef = 'refs/catalyst/head';
/** Each fetch leaves the commit before behind; after so many the copy is cleaned. */
const fetchesPerCleaning = 100;
/** What git says of a copy that is damaged (a full disk, a power cut); it is made again. */
const damaged = /not a git repository|corrupt|bad object|is empty|unable to read|not a valid object|gave no content/i;

/**
 * Makes a source of a repository; nothing is read before `start`. The commit hash is the revision of each document. While
 * the repository is away, what was read last goes on serving, also across a restart, and a problem says so.
 *
 * @throws CatalystError InvalidResource for an address, ref or path that is none
 */
export function createGitSource(options: GitSourceOptions): CatalogSource {
  const { organization, clock, intervalMs } = options;
  const address = parseGitAddress(options.repository);
  if (options.token !== undefined && address.protocol !== 'https' && address.protocol !== 'http')
    throw new CatalystError('InvalidResource', `A token is for HTTPS; ${address.url} is none.`);
  const name = options.name ?? `git:${address.repository ?? address.url}`;
  const copy = createCopy(options, address, name);
  const usual = organization === undefined ? precedences.sovereignGit : precedences.organizationGit;
  let tell: (snapshot: SourceSnapshot) => void = () => {};
  let last: SourceSnapshot | undefined;
  /** What the last commit that was read holds. */
  let read: (TreeReading & { revision: string }) | undefined;
  let failures = 0;

  function publish(snapshot: SourceSnapshot): void {
    if (sameSnapshot(last, snapshot)) return;
    last = snapshot;
    tell(snapshot);
  }

  async function round(signal: AbortSignal): Promise<number> {
    let failure: unknown;
    try {
      await copy.fetch(signal);
      failures = 0;
    } catch (error) {
      failure = error;
      failures += 1;
    }
    try {
      const revision = await copy.commit(signal);
      if (revision !== undefined && revision !== read?.revision)
        read = { ...(await copy.read(revision, signal)), revision };
    } catch (error) {
      if (failure === undefined) failures += 1;
      failure ??= error;
    }
    if (signal.aborted) return intervalMs;
    if (failure === undefined) publish(read ?? { documents: [], problems: [] });
    else publish(withProblem(read, unreachable(name, address, failure, read?.revision)));
    return failures === 0 ? intervalMs : backoff(failures, intervalMs);
  }

  const poller = createPoller({ clock, round });
  return {
    name,
    ...(organization === undefined ? {} : { organization }),
    precedence: options.precedence ?? usual,
    ...(address.repository === undefined ? {} : { repository: address.repository }),
    start(onChange) {
      tell = onChange;
      return poller.start();
    },
    refresh: () => poller.refresh(),
    stop: () => poller.stop(),
  };
}

function withProblem(read: SourceSnapshot | undefined, problem: SourceSnapshot['problems'][number]): SourceSnapshot {
  return { documents: [], ...read, problems: [...(read?.problems ?? []), problem] };
}

function unreachable(source: string, address: GitAddress, error: unknown, revision: string | undefined) {
  const serving =
    revision === undefined
      ? 'Nothing of it has been read yet.'
      : `What was read last, commit ${revision.slice(0, 12)}, goes on serving.`;
  const hint = error instanceof CatalystError && error.hint !== undefined ? ` ${error.hint}` : '';
  const reason = messageOf(error).replace(/\.$/, '');
  return sourceProblem(source, 'source-unreachable', `${address.url} cannot be read: ${reason}.${hint} ${serving}`);
}

/** 5 s, 10 s, 20 s, … up to the longer of the interval and five minutes. */
function backoff(failures: number, intervalMs: number): number {
  return Math.min(Math.max(intervalMs, longestBackoffMs), firstBackoffMs * 2 ** Math.min(failures - 1, 20));
}

/** The bare copy of one branch of one repository. */
function createCopy(options: GitSourceOptions, address: GitAddress, source: string) {
  const ref = checkRef(options.ref);
  const folder = checkFolder(options.path);
  const { token, withTests = false, fetchLimitMs = defaultFetchLimitMs } = options;
  const root = resolve(options.directory);
  const identity = createHash('sha256')
    .update(JSON.stringify([address.url, ref, folder]))
    .digest('hex');
  // Half of the hash tells any two repositories apart.
  const directory = join(root, `${identity.slice(0, 32)}.git`);
  const home = join(root, 'home');
  const git: Git = createGit({ clock: options.clock, home, environment: options.environment });
  let made = false;
  let suspect = false;
  let fetches = 0;

  async function make(place: string, signal: AbortSignal): Promise<void> {
    await mkdir(home, { recursive: true, mode: 0o700 });
    const call = { signal, limitMs: readLimitMs, maxBytes: lineBytes };
    await git(['init', '--bare', '--quiet', '--template=', '--', place], call);
  }

  async function fetchInto(place: string, signal: AbortSignal): Promise<void> {
    // Left behind where git was killed. Nobody else uses the copy, and nothing of ours runs now.
    for (const lock of ['shallow.lock', `${headRef}.lock`, 'packed-refs.lock'])
      await rm(join(place, lock), { force: true });
    const secret = token === undefined ? {} : { token: await token() };
    const flags = ['--quiet', '--force', '--depth=1', '--no-tags', '--no-write-fetch-head', '--no-auto-maintenance'];
    const call = { signal, limitMs: fetchLimitMs, maxBytes: lineBytes };
    const refspec = `+${ref}:${headRef}`;
    const network = { ...call, protocol: address.protocol, ...secret };
    await git(['--git-dir', place, 'fetch', ...flags, '--', address.url, refspec], network);
    fetches += 1;
    if (fetches % fetchesPerCleaning === 0) await git(['--git-dir', place, 'gc', '--quiet', '--prune=now'], call);
  }

  /** The damaged copy goes only when there is a new one: it may still hold what can be had while the repository is away. */
  async function renew(signal: AbortSignal): Promise<void> {
    const place = `${directory}.new`;
    await rm(place, { recursive: true, force: true });
    await make(place, signal);
    await fetchInto(place, signal);
    await rm(directory, { recursive: true, force: true });
    await rename(place, directory);
    suspect = false;
  }

  /** Notices what a damaged copy makes git say. */
  async function noticing<T>(work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (error) {
      suspect ||= damaged.test(messageOf(error));
      throw error;
    }
  }

  async function fetch(signal: AbortSignal): Promise<void> {
    if (suspect) return renew(signal);
    if (!made) await make(directory, signal);
    made = true;
    await fetchInto(directory, signal);
  }

  async function commit(signal: AbortSignal): Promise<string | undefined> {
    const format = '--format=%(objecttype) %(objectname) %(*objectname)';
    const call = { signal, limitMs: readLimitMs, maxBytes: lineBytes };
    const line = (await git(['--git-dir', directory, 'for-each-ref', format, headRef], call)).toString().trim();
    const [type, id, tagged] = line.split(' ');
    return type === 'tag' ? tagged : id;
  }

  async function read(revision: string, signal: AbortSignal): Promise<TreeReading> {
    const call = { signal, limitMs: readLimitMs };
    if (folder !== '') {
      const args = ['--git-dir', directory, 'ls-tree', '-z', '-d', '--full-tree', revision, '--', folder];
      const found = await git(args, { ...call, maxBytes: lineBytes });
      if (!found.toString().includes(' tree ')) return { documents: [], problems: [missing(revision)] };
    }
    const treeish = folder === '' ? revision : `${revision}:${folder}`;
    return readTree(git, directory, treeish, { ...call, source, revision, withTests });
  }

  /** Git keeps no empty folders: whoever deletes the last document deletes the folder, and means that it goes. */
  function missing(revision: string) {
    const sentence = `The folder ${folder} is not in ${address.url} at commit ${revision.slice(0, 12)} (${ref}), so it declares nothing. Correct the path of the source, or add documents there.`;
    return sourceProblem(source, 'folder-missing', sentence);
  }

  return {
    /** Brings the copy up to date; one found damaged before is made again. Throws CatalystError. */
    fetch: (signal: AbortSignal) => noticing(fetch(signal)),
    /** What was fetched last, by this process or one before. */
    commit: (signal: AbortSignal) => noticing(commit(signal)),
    read: (revision: string, signal: AbortSignal) => noticing(read(revision, signal)),
  };
}
