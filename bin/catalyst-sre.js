#!/usr/bin/env node
// Starts the product on Node 24, whatever Node the machine has: the package brings its own. Plain JavaScript that any
// Node since 16 can read.
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import module from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const neededMajor = 24;
// V8 lets the space for new objects grow to 16 MiB a half, and the heap with it; with 8 the server's memory under load is
// a third less (docs/benchmarks.md). It has to be said when Node starts: `npm start` says the same.
const heapFlags = ['--max-semi-space-size=8'];
const here = fileURLToPath(import.meta.url);

function ownNode() {
  try {
    return join(dirname(module.createRequire(import.meta.url).resolve('node/package.json')), 'bin', 'node');
  } catch {
    return undefined;
  }
}

if (Number(process.versions.node.split('.')[0]) < neededMajor) {
  const node = ownNode();
  if (!node || !existsSync(node)) {
    process.stderr.write(
      `Error: catalyst-sre needs Node ${neededMajor}, and this is ${process.versions.node}.\nRun npm ci in its folder: it brings its own Node.\n`,
    );
    process.exit(1);
  }
  const child = spawn(node, [...heapFlags, here, ...process.argv.slice(2)], { stdio: 'inherit' });
  // A terminal sends Ctrl-C to both; what a supervisor sends only to this process is passed on.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('error', (error) => {
    process.stderr.write(`Error: ${node} does not start: ${error.message}\n`);
    process.exit(1);
  });
  child.on('exit', (code, signal) => {
    if (signal) {
      process.removeAllListeners(signal);
      process.kill(process.pid, signal);
    } else process.exit(code ?? 1);
  });
} else {
  const root = join(dirname(here), '..');
  // Types are stripped and code is compiled once, not at each start. Where the folder cannot be written, nothing is kept.
  module.enableCompileCache?.(join(root, 'node_modules', '.cache', 'catalyst-sre'));
  // A server may end by SIGKILL: what it has loaded when it is up is kept before that.
  setTimeout(() => module.flushCompileCache?.(), 10_000).unref();
  await import(isBuilt(root) ? '../dist/server/main.js' : '../src/main.ts');
}

/** Whether what `npm run build` makes is there, and no source is younger than it: then it starts in half the time. */
function isBuilt(root) {
  const list = join(root, 'dist', 'server', 'sources.txt');
  const built = statSync(list, { throwIfNoEntry: false });
  if (!built) return false;
  // An image may bring what is built, and no sources. Who adds a file changes the one that imports it.
  if (!existsSync(join(root, 'src'))) return true;
  const [, ...sources] = readFileSync(list, 'utf8').trimEnd().split('\n');
  const changedAt = (source) => statSync(join(root, source), { throwIfNoEntry: false })?.mtimeMs ?? Infinity;
  return sources.every((source) => changedAt(source) <= built.mtimeMs);
}
