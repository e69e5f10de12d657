/** What runs cost that wait for a verification to hold. */
import { setTimeout as delay } from 'node:timers/promises';
import { webhookBody } from './support/alerts.ts';
import { closedLoop, postRequest } from './support/client.ts';
import { figure } from './support/figures.ts';
import { type DatabaseKind, databases, type Product, startProduct } from './support/product.ts';
import { runAsProgram, type Section } from './support/report.ts';
import { triggering, waitingRunbook } from './support/runbooks.ts';
import { startWorld, type World } from './support/world.ts';

interface WaitingRunsSettings {
  databases: readonly DatabaseKind[];
  runs: number;
  /** How long the processor time is looked at, without them and with them. */
  seconds: number;
}

const startLimitMs = 120_000;

export async function benchWaitingRuns(
  settings: WaitingRunsSettings = { databases, runs: 1_000, seconds: 30 },
): Promise<Section> {
  const { runs, seconds } = settings;
  const rows: string[][] = [];
  for (const database of settings.databases) {
    const world = await startWorld();
    const product = await startProduct({
      database,
      runbooks: [waitingRunbook(world.url)],
      integrations: world.integrations,
    });
    try {
      // What the first runs make the process load and compile is not the price of a waiting run.
      await startRuns(product, world, 0, Math.ceil(runs / 20));
      const before = product.memory().now;
      const idle = await load(product, seconds / 3);
      await startRuns(product, world, Math.ceil(runs / 20), runs);
      const after = product.memory().now;
      const waiting = await load(product, seconds);
      rows.push([
        `Catalyst SRE, ${database}`,
        String(runs),
        figure(after - before, 'MB'),
        figure(idle.product, '%'),
        figure(waiting.product, '%'),
        figure(waiting.database, '%'),
      ]);
    } finally {
      await product.stop();
      await world.stop();
    }
  }
  return {
    name: 'waiting-runs',
    columns: [
      'Runs waiting in verification',
      'Runs',
      'Memory more',
      'CPU with 5 % of them',
      'CPU with all',
      'CPU database',
    ],
    rows,
    notes: [
      `Each looks at its fact over HTTP every 30 s, the default for a verification of an hour. CPU over ${seconds} s; 100 % is one processor. Target: below 100 MB.`,
      'Memory: resident, after the last run began to wait, against when a twentieth of them did; it includes what the garbage collector had not returned.',
    ],
  };
}

/** Sends an alert for each run, and resolves when all of them wait. */
async function startRuns(product: Product, world: World, from: number, to: number): Promise<void> {
  const requests = Array.from({ length: to - from }, (_, index) =>
    postRequest(product.hook, webhookBody([triggering(from + index, 'Waits')])),
  );
  await closedLoop(product.hook, requests, { connections: 4, count: to - from });
  await world.acted(to, startLimitMs);
}

/** Share of one processor used over so many seconds, in percent. */
async function load(product: Product, seconds: number): Promise<{ product: number; database: number }> {
  const before = product.cpu();
  await delay(seconds * 1000);
  const after = product.cpu();
  const share = (used: number) => (used / seconds) * 100;
  return { product: share(after.product - before.product), database: share(after.database - before.database) };
}

await runAsProgram(import.meta.main, benchWaitingRuns);
