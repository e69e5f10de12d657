/**
 * The files of an embedded database as its first start leaves them. The product makes them once for a version of itself,
 * and each test begins with a copy of its own: initdb in WebAssembly takes four seconds of a processor, a copy a tenth of
 * one. What a first start does is tested in src/database/embedded.test.ts.
 */
import { createHash, randomBytes } from 'node:crypto';
import { constants, cpSync, existsSync, globSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PGlite } from '@electric-sql/pglite';
import { openDatabase } from '../src/database/open.ts';

const root = join(import.meta.dirname, '..');
const kept = join(root, '.testbed');
const prefix = 'database-';

/** Puts a database into a data directory, unless it has one. */
export async function furnish(dataDir: string): Promise<void> {
  if (existsSync(join(dataDir, 'postgres'))) return;
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const files = { recursive: true, mode: constants.COPYFILE_FICLONE };
  cpSync(join(await made(), 'postgres'), join(dataDir, 'postgres'), files);
}

/** The same as PGlite takes it into memory. */
export async function databaseImage(): Promise<Blob> {
  return new Blob([await readFile(join(await made(), 'image.tar'))]);
}

/** Where they are kept; made by whoever asks first. Should two ask at once, both make them, and one copy stays. */
async function made(): Promise<string> {
  const name = `${prefix}${version()}`;
  const place = join(kept, name);
  if (existsSync(place)) return place;
  const draft = join(kept, `draft-${name}-${randomBytes(4).toString('hex')}`);
  await (await openDatabase({ kind: 'embedded', directory: draft })).close();
  const database = await PGlite.create(join(draft, 'postgres'));
  const image = await database.dumpDataDir('none');
  await database.close();
  await writeFile(join(draft, 'image.tar'), image.stream());
  try {
    await rename(draft, place);
  } catch (error) {
    rmSync(draft, { recursive: true });
    if (!existsSync(place)) throw error;
  }
  for (const other of readdirSync(kept))
    if (other.startsWith(prefix) && other !== name) rmSync(join(kept, other), { recursive: true, force: true });
  return place;
}

/** Changes with whatever has a part in a first start: migrations, how the database is opened, and PGlite itself. */
function version(): string {
  const hash = createHash('sha256');
  const sources = globSync('src/database/**/*.ts', { cwd: root }).filter((file) => !file.endsWith('.test.ts'));
  for (const file of [...sources.sort(), 'node_modules/@electric-sql/pglite/package.json'])
    hash.update(file).update(readFileSync(join(root, file)));
  return hash.digest('hex').slice(0, 16);
}
