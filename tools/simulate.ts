/**
 * The failover protocol in the simulator: `npm run simulate -- [--runs N] [--seed N] [--variant NAME|all] [--trace] [--loss]`.
 * With `--seed` alone one run; with `--trace` every step of it. Otherwise N runs of each variant on all cores, and counters.
 */
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { runHandbookLiteral } from '../src/failover/simulation/handbook-literal.ts';
import { simulate } from '../src/failover/simulation/simulate.ts';
import { add, count, emptyTally, quantile, type Tally } from '../src/failover/simulation/tally.ts';
import { variantNamed, variants } from '../src/failover/simulation/variants.ts';

interface Share {
  variant: string;
  from: number;
  to: number;
  scenario: 'storm' | 'loss';
}

/** Runs one share of the seeds. Progress is what the main thread prints. */
function runShare({ variant, from, to, scenario }: Share): Tally {
  const tally = emptyTally();
  // How long it takes is measured with clocks as they are; that it is safe, with clocks as bad as they may be.
  const one = scenario === 'loss' ? { ...variantNamed(variant), clockError: 0.001 } : variantNamed(variant);
  for (let seed = from; seed < to; seed += 1) count(tally, simulate({ seed, variant: one, scenario }));
  return tally;
}

const usage = `npm run simulate -- [options]
  --variant NAME   one of ${variants.map(({ name }) => name).join(', ')};
                   handbook-literal; or all (default)
  --runs N         runs of each variant, seeds 1 to N (default 2000)
  --seed N         only this seed; prints what the oracles say
  --trace          with --seed: prints every step
  --loss           the active region is lost for good and nothing else happens: how long until the lease is taken
  --jobs N         worker threads (default: all cores)`;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      variant: { type: 'string', default: 'all' },
      runs: { type: 'string', default: '2000' },
      seed: { type: 'string' },
      trace: { type: 'boolean', default: false },
      loss: { type: 'boolean', default: false },
      jobs: { type: 'string', default: String(availableParallelism()) },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return console.log(usage);
  const runs = wholeNumber('runs', values.runs);
  const jobs = wholeNumber('jobs', values.jobs);
  const scenario = values.loss ? 'loss' : 'storm';
  if (values.seed !== undefined)
    return showSeed(wholeNumber('seed', values.seed), values.variant, values.trace, scenario);
  const names = values.variant === 'all' ? ['handbook-literal', ...variants.map(({ name }) => name)] : [values.variant];
  console.log(heading(scenario));
  for (const name of names) {
    if (name === 'handbook-literal') handbookLiteral(Math.min(runs, 2_000));
    else console.log(line(name, await runAll(name, runs, jobs, scenario), scenario));
  }
}

function wholeNumber(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1)
    throw new Error(`--${name} takes a whole number of at least 1, not "${text}".\n${usage}`);
  return value;
}

function showSeed(seed: number, name: string, trace: boolean, scenario: Share['scenario']): void {
  const variant = variantNamed(name === 'all' ? 'promise' : name);
  const result = simulate({
    seed,
    variant,
    scenario,
    ...(trace ? { trace: (text: string) => console.log(text) } : {}),
  });
  for (const { oracle, at, sentence } of result.violations)
    console.log(`${(at / 1000).toFixed(3)} ${oracle}: ${sentence}`);
  const { violations, takeovers, resumes, handovers, steps } = result;
  console.log(
    `${variant.name}, seed ${seed}: ${violations.length} violations; ${takeovers} takeovers, ${resumes} resumes, ${handovers} handovers, ${steps} steps.`,
  );
  if (violations.length > 0) process.exitCode = 1;
}

/** Hands out small shares, so that no core waits for another, and shows how far it is. */
async function runAll(variant: string, runs: number, jobs: number, scenario: Share['scenario']): Promise<Tally> {
  variantNamed(variant);
  const total = emptyTally();
  const size = Math.max(1, Math.min(1_000, Math.ceil(runs / jobs)));
  let next = 1;
  const worker = () =>
    new Promise<void>((resolve, reject) => {
      const thread = new Worker(new URL(import.meta.url), { workerData: 'simulate' });
      const give = () => {
        if (next > runs) return void thread.terminate().then(() => resolve());
        const share: Share = { variant, from: next, to: Math.min(next + size, runs + 1), scenario };
        next = share.to;
        thread.postMessage(share);
      };
      thread.on('message', (tally: Tally) => {
        add(total, tally);
        if (process.stderr.isTTY) process.stderr.write(`\r${variant}: ${total.runs} of ${runs} `);
        give();
      });
      thread.on('error', reject);
      give();
    });
  await Promise.all(Array.from({ length: Math.min(jobs, Math.ceil(runs / size)) }, worker));
  if (process.stderr.isTTY) process.stderr.write('\r\u001b[K');
  return total;
}

function heading(scenario: Share['scenario']): string {
  if (scenario === 'loss')
    return '| Variant | Runs | Lease taken after: median | p99 | longest | Other oracles |\n|---|---|---|---|---|---|';
  return '| Variant | Runs | Simulated hours | Runs with two active | Takeovers | Resumes | Planned | Traffic open | Data open | Other oracles |\n|---|---|---|---|---|---|---|---|---|---|';
}

function line(name: string, tally: Tally, scenario: Share['scenario']): string {
  const others = Object.entries(tally.violations)
    .filter(([oracle]) => !oracle.startsWith('single-'))
    .map(([oracle, { runs, seeds }]) => `${oracle} ${runs} (seeds ${seeds.join(', ')})`)
    .join('; ');
  const share = (ms: number) => `${((100 * ms) / tally.faultMs).toFixed(1)} %`;
  const two = tally.violations['single-active-traffic'] ?? tally.violations['single-active-stateful'];
  const seeds = tally.twoActive > 0 ? ` (seeds ${two?.seeds.join(', ')})` : '';
  const cells =
    scenario === 'loss'
      ? [
          name,
          tally.runs,
          ...[0.5, 0.99, 1].map((q) => `${(quantile(tally.lossToLease, q) / 1000).toFixed(1)} s`),
          others || 'silent',
        ]
      : [
          name,
          tally.runs,
          Math.round(tally.simulatedMs / 3_600_000),
          `${tally.twoActive}${seeds}`,
          tally.takeovers,
          tally.resumes,
          tally.handovers,
          share(tally.coveredMs.traffic),
          share(tally.coveredMs.stateful),
          others || 'silent',
        ];
  return `| ${cells.join(' | ')} |`;
}

function handbookLiteral(runs: number): void {
  let failed = 0;
  let overlap = 0;
  for (let seed = 1; seed <= runs; seed += 1) {
    const both = runHandbookLiteral(seed);
    overlap += both;
    if (both > 0) failed += 1;
  }
  console.log(
    `| handbook-literal | ${runs} | ${Math.round(runs / 3)} | ${failed} (${Math.round(overlap / runs / 1000)} s each on average) | | | | | | |`,
  );
}

if (isMainThread) await main();
else if (workerData === 'simulate')
  parentPort?.on('message', (share: Share) => parentPort?.postMessage(runShare(share)));
