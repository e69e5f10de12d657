/** The files of an empty embedded database, made when the program is built: initdb in WebAssembly takes seconds. */
import { existsSync } from 'node:fs';
import { constants, cp, readFile, rename, rm } from 'node:fs/promises';
import { findPackageJSON } from 'node:module';
import { join } from 'node:path';
import { packageDirectory } from '../package-directory.ts';

/** Puts an empty database where there is none; where none has been made, PGlite makes it by itself. */
export async function furnish(directory: string): Promise<void> {
  if (existsSync(directory)) return;
  const empty = join(packageDirectory, 'dist', 'database', await versionOfPglite());
  if (!existsSync(empty)) return;
  // Whole or not at all: what a killed process left of its copy is nobody's database.
  const draft = `${directory}.new`;
  await rm(draft, { recursive: true, force: true });
  await cp(empty, draft, { recursive: true, mode: constants.COPYFILE_FICLONE });
  await rename(draft, directory);
}

/** The files are those of one version of PostgreSQL. */
async function versionOfPglite(): Promise<string> {
  const file = findPackageJSON('@electric-sql/pglite', import.meta.url);
  return file === undefined ? 'none' : (JSON.parse(await readFile(file, 'utf8')) as { version: string }).version;
}
