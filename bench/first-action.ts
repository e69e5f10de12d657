/** From the moment an alert is due at the webhook to the first request its runbook makes. */
import { setTimeout as delay } from 'node:timers/promises';
import { webhookBody } from './support/alerts.ts';
import { openLoop, postRequest } from './support/client.ts';
import { figure, percentile } from './support/figures.ts';
import { seedHistory } from './support/history.ts';
import { type DatabaseKind, databases, type Product, startProduct } from './support/product.ts';
import { runAsProgram, type Section } from './support/report.ts';
import { actingRunbooks, kinds, triggering } from './support/runbooks.ts';
import { startWorld } from './support/world.ts';

interface FirstActionSettings {
  /** Each on a product of its own. */
  cases: readonly {
    database: DatabaseKind;
    /** Alerts a second, each in a delivery of its own. */
    rate: number;
    /** Incidents the product has behind it, each with an alert, a run of three steps and its record. */
    incidents?: number;
  }[];
  warmUpSeconds: number;
  seconds: number;
}

/** How long the last actions may take to arrive. */
const arrivalLimitMs = 60_000;

const allCases: FirstActionSettings['cases'] = [
  ...databases.flatMap((database) => [10, 50].map((rate) => ({ database, rate }))),
  { database: 'PostgreSQL', rate: 50, incidents: 100_000 },
];

export async function benchFirstAction(
  { cases, warmUpSeconds, seconds }: FirstActionSettings = { cases: allCases, warmUpSeconds: 5, seconds: 10 },
): Promise<Section> {
  const rows: string[][] = [];
  for (const { database, rate, incidents = 0 } of cases) {
    const world = await startWorld();
    const product = await startProduct({
      database,
      runbooks: actingRunbooks(world.url),
      integrations: world.integrations,
    });
    try {
      if (incidents > 0) await seedHistory(product, { incidents, steps: 3 * incidents });
      const warmUp = Math.round(rate * warmUpSeconds);
      const total = Math.round(rate * (warmUpSeconds + seconds));
      const requests = Array.from({ length: total }, (_, n) =>
        postRequest(product.hook, webhookBody([triggering(n, `Acts${n % kinds}`)])),
      );
      const send = (from: number, to: number, onSend: (index: number, at: number) => void) =>
        openLoop(product.hook, requests.slice(from, to), {
          connections: 16,
          rate,
          seconds: (to - from) / rate,
          onSend,
        });
      await send(0, warmUp, () => {});
      await world.acted(warmUp, arrivalLimitMs);
      await allEnded(product);
      const due: number[] = [];
      const { failed } = await send(warmUp, total, (index, at) => {
        due[index] = at;
      });
      if (failed > 0) throw new Error(`${failed} of ${total - warmUp} deliveries were not taken.`);
      await world.acted(total, arrivalLimitMs);
      const times = due.map((at, index) => (world.arrivals.get(`/act/${warmUp + index}`) ?? Number.NaN) - at);
      rows.push([
        `Catalyst SRE, ${database}`,
        figure(rate),
        incidents > 0 ? figure(incidents) : 'none',
        ...[0.5, 0.99, 1].map((share) => figure(percentile(times, share), 'ms')),
      ]);
    } finally {
      await product.stop();
      await world.stop();
    }
  }
  return {
    name: 'first-action',
    columns: ['From webhook to first action', 'Alerts/s', 'Incidents before', 'p50', 'p99', 'Longest'],
    rows,
    notes: [
      `New alerts, at that rate for ${seconds} s, after ${warmUpSeconds} s of the same that have been worked through; ${kinds} runbooks in the mode Automatic. Target: p99 below 100 ms at 50 a second.`,
      'The way is whole: commit, acknowledgement, episode, incident, decision, claim, confirmation by two queries to Prometheus, plan, guards, intent committed, request on the wire. Prometheus and the system acted on answer at once.',
      'Each run also verifies its fix, ends, and resolves or keeps its incident within the measured time of others.',
    ],
  };
}

/** Resolves when every run that has acted has ended. */
async function allEnded(product: Product): Promise<void> {
  const limit = performance.now() + arrivalLimitMs;
  for (;;) {
    const { items } = (await product.get('/api/v1/runs?state=Running&limit=1')) as { items: unknown[] };
    if (items.length === 0) return;
    if (performance.now() > limit) throw new Error(`Runs did not end within ${arrivalLimitMs} ms.`);
    await delay(50);
  }
}

await runAsProgram(import.meta.main, benchFirstAction);
