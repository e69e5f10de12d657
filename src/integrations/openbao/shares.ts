/** Unseal key shares, read when they are needed and never kept. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { CatalystError } from '../../errors.ts';
import type { Secrets } from '../secrets.ts';

/** Shares of a directory read at most; Shamir's scheme as OpenBao uses it has at most 255. */
const maxShares = 255;

/** Reads the shares that can be read, in the order of their file names, each different one once. Throws NotConfigured. */
export async function readShares(directory: string | undefined, secrets: Secrets): Promise<string[]> {
  if (directory === undefined) {
    throw new CatalystError('NotConfigured', 'no unseal key shares are configured', {
      hint: 'Set integrations.openbao.sharesDirectory, or unseal by hand with bao operator unseal.',
    });
  }
  const names = await namesOf(directory);
  const read = await Promise.allSettled(names.map((name) => secrets.read({ file: join(directory, name) })));
  // A file that cannot be read is a share less; whether there are enough is the caller's question.
  return [...new Set(read.filter((one) => one.status === 'fulfilled').map(({ value }) => value))];
}

async function namesOf(directory: string): Promise<string[]> {
  try {
    // A mounted Secret keeps its versions in entries that begin with two dots.
    return (await readdir(directory))
      .filter((name) => !name.startsWith('.'))
      .sort()
      .slice(0, maxShares);
  } catch (error) {
    throw new CatalystError('NotConfigured', `the directory of unseal key shares ${directory} cannot be read`, {
      cause: error,
      hint: 'Mount the Secret that holds them, or change integrations.openbao.sharesDirectory.',
    });
  }
}
