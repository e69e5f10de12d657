#!/usr/bin/env node
// Builds the console into console/dist, where the server finds it, unless it is built already from the same sources: takes
// some two seconds, and a tenth of one when there is nothing to do. Plain JavaScript that Node 20 can read: npm runs it
// at `npm ci` and before `npm start`.
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = fileURLToPath(new URL('.', import.meta.url));
const built = join(here, 'dist');
const stamp = join(built, 'sources.sha256');

/** SHA-256 over the name and the text of every source, and over the versions it is built with. */
function sourcesDigest() {
  const hash = createHash('sha256');
  const sources = readdirSync(join(here, 'src'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name));
  for (const file of [
    ...sources,
    join(here, 'index.html'),
    join(here, 'vite.config.js'),
    join(here, '../package.json'),
  ].sort())
    hash.update(`${relative(here, file)}\n`).update(readFileSync(file));
  return hash.digest('hex');
}

const digest = sourcesDigest();
if (!existsSync(stamp) || readFileSync(stamp, 'utf8') !== digest) {
  let vite;
  try {
    vite = await import('vite');
  } catch {
    // `npm ci --omit=dev`, as in an image that brings a built console: the server says what is missing when it is.
    process.stderr.write(
      'The console is not built: vite is not installed. Run npm ci with development dependencies.\n',
    );
  }
  if (vite) {
    await vite.build({ root: here, configFile: join(here, 'vite.config.js'), logLevel: 'warn' });
    writeFileSync(stamp, digest);
    process.stdout.write('The console is built.\n');
  }
}
