#!/usr/bin/env node
// Builds what is run: the console into console/dist, where the server finds it; the program itself into dist/server, one
// file for each thing it may be asked to do instead of two thousand; and the files of an empty database into
// dist/database. What is built already from the same sources is left alone: it takes some eight seconds, and a tenth of one
// when there is nothing to do. Plain JavaScript that Node 20 can read: npm runs it at `npm ci`, and before `npm start` and
// `npm test`.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const at = (...parts) => join(root, ...parts);

const pglite = at('node_modules', '@electric-sql', 'pglite', 'package.json');

const builds = [
  {
    name: 'console',
    folder: at('console', 'dist'),
    sources: [at('console', 'src'), at('console', 'index.html'), at('console', 'vite.config.js'), at('package.json')],
    async build() {
      const vite = await import('vite');
      return (folder) =>
        vite.build({
          root: at('console'),
          configFile: at('console', 'vite.config.js'),
          build: { outDir: folder, emptyOutDir: true, rolldownOptions: { checks: { pluginTimings: false } } },
          logLevel: 'warn',
        });
    },
  },
  {
    name: 'program',
    folder: at('dist', 'server'),
    // The lockfile, as most libraries are part of what is built.
    sources: [at('src'), at('sandbox'), at('package.json'), at('package-lock.json')],
    async build() {
      const { build } = await import('rolldown');
      return (folder) =>
        build({
          input: { main: at('src', 'main.ts'), 'embedded-thread': at('src', 'database', 'embedded-thread.ts') },
          platform: 'node',
          // These have files of their own beside their code, and pg-native is not installed.
          external: [/^@electric-sql\/pglite/, /^pino$/, /^pg-native$/],
          output: { dir: folder, format: 'esm', entryFileNames: '[name].js', chunkFileNames: '[name]-[hash].js' },
          logLevel: 'warn',
        });
    },
  },
  {
    name: 'empty database',
    folder: at('dist', 'database'),
    sources: [pglite],
    async build() {
      const { PGlite } = await import('@electric-sql/pglite');
      const { version } = JSON.parse(readFileSync(pglite, 'utf8'));
      return async (folder) => {
        mkdirSync(folder, { recursive: true });
        const database = await PGlite.create(join(folder, version));
        await database.close();
      };
    },
  },
];

/** SHA-256 over the name and the text of every source; package.json has the versions it is built with. */
function digestOf(files) {
  const hash = createHash('sha256');
  for (const file of files) hash.update(`${relative(root, file)}\n`).update(readFileSync(file));
  return hash.digest('hex');
}

function filesUnder(path) {
  if (statSync(path).isFile()) return [path];
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.name.endsWith('.test.ts'))
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name));
}

for (const { name, folder, sources, build } of builds) {
  const files = sources.flatMap(filesUnder).sort();
  // The digest of what it was built from, and the list of it: bin/catalyst-sre.js looks whether one of them is younger.
  const made = `${[digestOf(files), ...files.map((file) => relative(root, file))].join('\n')}\n`;
  const stamp = join(folder, 'sources.txt');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === made) continue;
  let run;
  try {
    run = await build();
  } catch {
    // `npm ci --omit=dev`, as in an image that brings what is built: the program runs from its sources as well, and the
    // server says when its console is missing.
    process.stderr.write(`The ${name} is not built: run npm ci with development dependencies for that.\n`);
    continue;
  }
  // Elsewhere first: what is there may be running.
  const draft = at('dist', `draft-${process.pid}`);
  await run(draft);
  writeFileSync(join(draft, 'sources.txt'), made);
  rmSync(folder, { recursive: true, force: true });
  renameSync(draft, folder);
  process.stdout.write(`The ${name} is built.\n`);
}
