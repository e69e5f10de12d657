/** What the engine itself adds to each step, in a world that answers at once. */
import { webhookBody } from './support/alerts.ts';
import { closedLoop, postRequest } from './support/client.ts';
import { figure, median, percentile } from './support/figures.ts';
import { type DatabaseKind, databases, startProduct } from './support/product.ts';
import { runAsProgram, type Section } from './support/report.ts';
import { steppingRunbook, triggering } from './support/runbooks.ts';
import { startWorld } from './support/world.ts';

interface StepOverheadSettings {
  databases: readonly DatabaseKind[];
  runs: number;
  steps: number;
}

const arrivalLimitMs = 60_000;

export async function benchStepOverhead(
  settings: StepOverheadSettings = { databases, runs: 30, steps: 20 },
): Promise<Section> {
  const { runs, steps } = settings;
  const rows: string[][] = [];
  for (const database of settings.databases) {
    const world = await startWorld();
    const product = await startProduct({
      database,
      runbooks: [steppingRunbook(world.url, steps)],
      integrations: world.integrations,
    });
    try {
      const times: number[] = [];
      for (let n = 0; n < runs; n++) {
        const requests = [postRequest(product.hook, webhookBody([triggering(n, 'Steps')]))];
        await closedLoop(product.hook, requests, { connections: 1, count: 1 });
        await world.acted((n + 1) * steps, arrivalLimitMs);
        const arrived = (step: number) => world.arrivals.get(`/act/${n}/${step}`) ?? Number.NaN;
        // The first run warms up and does not count.
        if (n > 0 || runs === 1) for (let step = 1; step < steps; step++) times.push(arrived(step) - arrived(step - 1));
      }
      rows.push([
        `Catalyst SRE, ${database}`,
        figure(median(times), 'ms'),
        figure(percentile(times, 0.99), 'ms'),
        String(times.length),
      ]);
    } finally {
      await product.stop();
      await world.stop();
    }
  }
  return {
    name: 'step-overhead',
    columns: ['Own overhead of a step', 'Median', 'p99', 'Steps'],
    rows,
    notes: [
      `${runs} runs of ${steps} steps, one run at a time. From the request of one step to that of the next: the answer, the outcome committed, the decision, the intent committed, the request. Target: median below 5 ms.`,
      'Both commits append to the hash-chained record.',
    ],
  };
}

await runAsProgram(import.meta.main, benchStepOverhead);
