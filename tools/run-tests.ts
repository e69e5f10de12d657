/**
 * The tests of `npm test`, with the report of `node --test`: all but the long ones, and with CI=true or `npm run test:all`
 * those too; or the files that match the arguments (`npm run test:all -- 'src/run/*.test.ts'`). Files of one folder of the
 * product run in one process; what starts servers of its own runs alone.
 */
import { globSync } from 'node:fs';
import { join, matchesGlob } from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { makeRoom } from '../test/room.ts';

const root = join(import.meta.dirname, '..');

/** Longest of one test, ms: the slowest takes two minutes on a busy machine. */
const testLimit = 240_000;
/** One for each of two processors; a third made tests miss limits they keep otherwise. */
const concurrency = 2;

/**
 * In a process of their own, longest first: what starts servers, ends processes, measures or takes a processor for itself.
 * `long` is what takes half a minute and more a file: it builds clusters, kills processes again and again, or plays hours on
 * real servers.
 */
const alone: readonly { files: string; long: boolean }[] = [
  { files: 'test/faults/kill-9.test.ts', long: true },
  { files: 'test/journeys/failover-clusters.test.ts', long: true },
  { files: 'test/journeys/*-on-real-servers.test.ts', long: true },
  { files: 'test/console/{real-sovereign,faults}.test.ts', long: true },
  { files: 'test/journeys/{handbook,approvals-and-budget}.test.ts', long: false },
  { files: 'test/journeys/{replica-killed,failover-*}.test.ts', long: true },
  { files: 'test/integrations/{real-conformance,stores-on-postgres}.test.ts', long: true },
  { files: 'src/failover/{cluster-groups,layers/kubernetes-layers}.test.ts', long: true },
  { files: 'src/failover/simulation/*.test.ts', long: false },
  { files: '{bench,testbed}/**', long: true },
  { files: 'test/faults/{kubernetes-away,two-replicas,database-away}.test.ts', long: true },
  { files: 'test/{witness,resolvers}/*.test.ts', long: true },
  { files: 'src/slo/prometheus-files.test.ts', long: true },
  { files: '{tools/**,src/database/embedded.test.ts,test/*.test.ts}', long: false },
];
/** Its place in that list; -1 for a file that shares a process. */
const rank = (file: string) => alone.findIndex(({ files }) => matchesGlob(file, files));

/** The files of each process, in the order in which they begin. */
function processes(files: readonly string[]): string[] {
  const [first, others] = [files.filter((file) => rank(file) >= 0), files.filter((file) => rank(file) < 0)];
  // The room is the first two folders: src/run, test/console.
  const rooms = Map.groupBy(others, (file) => file.split('/').slice(0, 2).join('/'));
  return [
    ...first.toSorted((a, b) => rank(a) - rank(b)).map((file) => join(root, file)),
    ...[...rooms].map(([room, members]) => makeRoom(room, members)),
  ];
}

const wanted = process.argv.slice(2).filter((argument) => argument !== '--all');
const all = process.env.CI === 'true' || process.argv.includes('--all') || wanted.length > 0;
const found = globSync('{src,sandbox,testbed,test,bench,tools}/**/*.test.ts', { cwd: root })
  .filter((file) => wanted.length === 0 || wanted.some((pattern) => matchesGlob(file, pattern)))
  .sort();
const left = all ? [] : found.filter((file) => alone[rank(file)]?.long);
const files = found.filter((file) => !left.includes(file));

const tests = run({ files: processes(files), concurrency, execArgv: [`--test-timeout=${testLimit}`] });
// A test marked as to do may fail; the mark is true, or the reason as text.
tests.on('test:fail', ({ todo }) => {
  if (todo === undefined || todo === false) process.exitCode = 1;
});
tests.on('test:summary', ({ file, counts, success }) => {
  if (file === undefined && (!success || counts.tests === 0)) process.exitCode = 1;
});
tests.compose(spec).pipe(process.stdout);
process.on('exit', () => {
  if (left.length > 0)
    console.log(`\n${left.length} files with long tests were left out; npm run test:all runs them, too.`);
});
