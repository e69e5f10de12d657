/**
 * `npm run chaos -- --kills 200`: the product under load, killed at random and started again, judged by what the world
 * counted. See docs/reliability.md.
 */
import { parseArgs } from 'node:util';
import { runChaos } from '../test/faults/chaos/chaos.ts';
import { startPostgres } from '../testbed/postgres.ts';

const usage = `Usage: npm run chaos -- [options]

Kills the product with SIGKILL at random moments while alerts come in and runbooks act, starts it again each time, and
checks at the end that nothing acknowledged was lost, nothing was done twice, no run is stuck and the record is intact.

  --kills N       how often to kill (default 200; about four seconds each)
  --seed N        repeats the draws of another run (default: drawn anew, and printed)
  --postgres      two replicas share a PostgreSQL of the testbed (default: one replica with the embedded database)
  --help

Exits 0 when every promise was kept, 1 when one was broken.`;

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '200' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) },
    postgres: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  process.stdout.write(`${usage}\n`);
} else {
  const [kills, seed] = [Number(values.kills), Number(values.seed)];
  if (!Number.isInteger(kills) || kills < 0 || !Number.isInteger(seed)) {
    process.stderr.write(`${usage}\n`);
    process.exit(2);
  }
  process.stderr.write(`seed ${seed}\n`);
  const server = values.postgres ? await startPostgres() : undefined;
  try {
    const report = await runChaos({
      kills,
      seed,
      ...(server === undefined ? {} : { postgres: await server.createDatabase() }),
      onKill: (kill, sentence) => process.stderr.write(`kill ${kill} of ${kills}: ${sentence}\n`),
    });
    process.stdout.write(`${JSON.stringify(report, undefined, 2)}\n`);
    process.exitCode = report.problems.length === 0 ? 0 : 1;
  } finally {
    await server?.stop();
  }
}
