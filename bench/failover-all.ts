/** What failover takes, and its witness: `npm run bench:failover`; with `-- --write` the tables go into docs/benchmarks.md. */
import { benchFailover } from './failover.ts';
import { report } from './support/report.ts';
import { benchWitness } from './witness.ts';

await report([() => benchFailover(), () => benchWitness()]);
