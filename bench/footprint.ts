/** How long a start takes and how much memory the product holds. */
import { alert, webhookBody } from './support/alerts.ts';
import { closedLoop, postRequest } from './support/client.ts';
import { figure, median } from './support/figures.ts';
import { type DatabaseKind, databases, startProduct } from './support/product.ts';
import { runAsProgram, type Section } from './support/report.ts';

interface FootprintSettings {
  databases: readonly DatabaseKind[];
  firstStarts: number;
  laterStarts: number;
  /** Deliveries of fifty alerts each, after which memory is read again. */
  deliveries: number;
}

export async function benchFootprint(
  settings: FootprintSettings = { databases, firstStarts: 3, laterStarts: 3, deliveries: 400 },
): Promise<Section> {
  const rows: string[][] = [];
  for (const database of settings.databases) {
    const first: { ready: number; cpu: number }[] = [];
    const later: { ready: number; cpu: number; memory: number }[] = [];
    let loaded = Number.NaN;
    for (let start = 0; start < settings.firstStarts; start++) {
      const product = await startProduct({ database });
      try {
        first.push({ ready: product.readyAfter, cpu: product.cpu().product });
        if (start < settings.firstStarts - 1) continue;
        for (let again = 0; again < settings.laterStarts; again++) {
          await product.restart();
          later.push({ ready: product.readyAfter, cpu: product.cpu().product, memory: product.memory().now });
        }
        const requests = Array.from({ length: 20 }, (_, body) =>
          postRequest(product.hook, webhookBody(Array.from({ length: 50 }, (_, n) => alert(body * 50 + n)))),
        );
        await closedLoop(product.hook, requests, { connections: 16, count: settings.deliveries });
        await product.drained();
        loaded = product.memory().now;
      } finally {
        await product.stop();
      }
    }
    rows.push([
      `Catalyst SRE, ${database}`,
      figure(median(first.map((one) => one.ready)) / 1000, 's'),
      figure(median(first.map((one) => one.cpu)), 's'),
      figure(median(later.map((one) => one.ready)) / 1000, 's'),
      figure(median(later.map((one) => one.cpu)), 's'),
      figure(median(later.map((one) => one.memory)), 'MB'),
      figure(loaded, 'MB'),
    ]);
  }
  return {
    name: 'footprint',
    columns: [
      'Starting, and memory',
      'First start',
      'its CPU',
      'Later start',
      'its CPU',
      'Memory started',
      'Memory after load',
    ],
    rows,
    notes: [
      `From the start of the process to the first 200 of /readyz; medians of ${settings.firstStarts} first starts (empty database) and ${settings.laterStarts} later ones. Targets: 6 s and 3 s.`,
      `Resident memory of the product's process after a later start, and after ${settings.deliveries} deliveries of fifty alerts. Targets: 250 MB with PostgreSQL, 700 MB embedded.`,
    ],
  };
}

await runAsProgram(import.meta.main, benchFootprint);
