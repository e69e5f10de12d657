/**
 * The FailoverGroup objects that were accepted last, for a later life of this controller: one small file for a group,
 * replaced as a whole and synced. A declaration only: nothing in it opens a gate, and it is checked again before it counts.
 */
import { createHash } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { CatalystError, messageOf } from '../errors.ts';
import type { KubernetesObject } from '../integrations/kubernetes/objects.ts';
import { syncFolder } from './record-file.ts';
import { labelPattern } from './witness/lease-text.ts';

export interface AcceptedGroup {
  /** Its name, namespace, uid and generation, and the spec that was accepted; no status. */
  object: KubernetesObject;
  /** RFC 3339. */
  acceptedAt: string;
}

export interface GroupMemory {
  all(): readonly AcceptedGroup[];
  get(name: string): AcceptedGroup | undefined;
  /** Resolves once it is on disk that this object was accepted. Rejects, and what was there stays, when that cannot be had. */
  keep(object: KubernetesObject): Promise<void>;
  /** Resolves once it is gone from the disk. */
  forget(name: string): Promise<void>;
}

/**
 * Opens or creates the folder. A file that is not what was written here is told, and counts for nothing.
 * Throws Unavailable where the folder cannot be had.
 */
export async function openGroupMemory(
  folder: string,
  now: () => number,
  onNote: (sentence: string) => void,
): Promise<GroupMemory> {
  const accepted = new Map<string, AcceptedGroup>();
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    // Names of groups have no dots: a file with one is what a crash left of a write.
    for (const name of (await readdir(folder)).filter((file) => labelPattern.test(file))) {
      const found = parse(await readFile(join(folder, name), 'utf8'));
      if (found?.object.metadata.name === name) accepted.set(name, found);
      else onNote(`${join(folder, name)} is not what was written there: the group ${name} is not known from before.`);
    }
  } catch (error) {
    throw new CatalystError('Unavailable', `Accepted groups cannot be kept in ${folder}: ${messageOf(error)}.`, {
      cause: error,
    });
  }
  let queue: Promise<unknown> = Promise.resolve();
  const inTurn = (work: () => Promise<void>): Promise<void> => {
    const done = queue.then(work);
    queue = done.catch(() => {});
    return done;
  };
  return {
    all: () => [...accepted.values()],
    get: (name) => accepted.get(name),
    keep: ({ metadata, spec }) => {
      const { name, namespace, uid, generation, resourceVersion } = metadata;
      const group: AcceptedGroup = {
        object: { metadata: { name, namespace, uid, generation, resourceVersion }, spec },
        acceptedAt: new Date(now()).toISOString(),
      } as AcceptedGroup;
      return inTurn(async () => {
        await replaceFile(folder, name, sealed(group));
        accepted.set(name, group);
      });
    },
    forget: (name) =>
      inTurn(async () => {
        accepted.delete(name);
        await rm(join(folder, name), { force: true });
        await syncFolder(folder);
      }),
  };
}

/** Whole or not at all, whatever crashes. */
async function replaceFile(folder: string, name: string, text: string): Promise<void> {
  const fresh = join(folder, `${name}.new`);
  const file = await open(fresh, 'w', 0o600);
  try {
    await file.writeFile(text);
    await file.datasync();
  } finally {
    await file.close();
  }
  await rename(fresh, join(folder, name));
  await syncFolder(folder);
}

/** One line: the sum of what follows, and the group. */
function sealed(group: AcceptedGroup): string {
  const text = JSON.stringify(group);
  return `${sumOf(text)} ${text}\n`;
}

function parse(content: string): AcceptedGroup | undefined {
  const [sum, text = ''] = content.trimEnd().split(/ (.*)/s, 2);
  return sum === sumOf(text) ? (JSON.parse(text) as AcceptedGroup) : undefined;
}

function sumOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
