/** Where documents lie on this machine. */
import { readFileSync } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { SourceText } from '../catalog/lint.ts';
import { CatalystError, messageOf } from '../errors.ts';
import { packageDirectory } from '../package-directory.ts';

/** The handbook as data, part of the package. */
export const handbookDirectory = join(packageDirectory, 'handbook');

/** The YAML files under a path, in the order of their names. */
export async function filesUnder(path: string): Promise<string[]> {
  try {
    if (!(await stat(path)).isDirectory()) return [path];
    const entries = await readdir(path, { recursive: true, withFileTypes: true });
    return entries
      .filter((entry) => entry.isFile() && /\.ya?ml$/.test(entry.name) && !entry.name.startsWith('.'))
      .map((entry) => join(entry.parentPath, entry.name))
      .sort();
  } catch (error) {
    throw new CatalystError('BadRequest', `${path} cannot be read: ${messageOf(error)}`, {
      cause: error,
      hint: 'Give a file or a folder of YAML documents.',
    });
  }
}

/** The texts of those files. @param nameOf what a file is called in a problem */
export async function textsUnder(paths: readonly string[], nameOf = (file: string) => file): Promise<SourceText[]> {
  const files = (await Promise.all(paths.map(filesUnder))).flat();
  // Two hundred small files are there sooner than their promises; nobody waits but a command, or a sandbox that starts.
  return files.map((file) => ({ origin: { source: 'files', file: nameOf(file) }, text: readFileSync(file) }));
}
