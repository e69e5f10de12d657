/** How long a delivery waits for its 200, at a steady rate that does not wait for answers. */
import { alert, webhookBody } from './support/alerts.ts';
import { openLoop, postRequest } from './support/client.ts';
import { figure, percentile } from './support/figures.ts';
import { type DatabaseKind, databases, startProduct } from './support/product.ts';
import { runAsProgram, type Section } from './support/report.ts';

interface AcknowledgementSettings {
  databases: readonly DatabaseKind[];
  /** Deliveries a second. */
  rate: number;
  warmUpSeconds: number;
  seconds: number;
}

/** As many as Alertmanagers of a large fleet keep open. */
const connections = 128;
const distinctAlerts = 1_000;

export async function benchAcknowledgement(
  settings: AcknowledgementSettings = { databases, rate: 1_000, warmUpSeconds: 5, seconds: 10 },
): Promise<Section> {
  const { rate, warmUpSeconds, seconds } = settings;
  const rows: string[][] = [];
  for (const database of settings.databases) {
    const product = await startProduct({ database });
    try {
      const requests = Array.from({ length: distinctAlerts }, (_, n) =>
        postRequest(product.hook, webhookBody([alert(n)])),
      );
      await openLoop(product.hook, requests, { connections, rate, seconds: warmUpSeconds });
      const cpu = product.cpu();
      const result = await openLoop(product.hook, requests, { connections, rate, seconds });
      const used = product.cpu();
      if (result.failed > 0) throw new Error(`${result.failed} deliveries were not taken.`);
      const pending = await product.pending();
      await product.drained();
      rows.push([
        `Catalyst SRE, ${database}`,
        figure(result.answered / result.seconds),
        ...[0.5, 0.99, 1].map((share) => figure(percentile(result.latencies, share), 'ms')),
        figure(((used.product - cpu.product) / result.seconds) * 100, '%'),
        figure(((used.database - cpu.database) / result.seconds) * 100, '%'),
        String(pending),
      ]);
    } finally {
      await product.stop();
    }
  }
  return {
    name: 'acknowledgement',
    columns: [
      'Acknowledging',
      'Deliveries/s',
      'p50',
      'p99',
      'Longest',
      'CPU product',
      'CPU database',
      'Left to work through',
    ],
    rows,
    notes: [
      `${rate} deliveries a second with one alert each for ${seconds} s, after ${warmUpSeconds} s of the same; ${connections} connections. Target: p99 below 50 ms.`,
      'Open loop: the time counts from when a delivery was due, so that one the client could not send in time counts as late.',
      'Each delivery is also worked through, at the same time and in the same process; 100 % of CPU is one processor.',
    ],
  };
}

await runAsProgram(import.meta.main, benchAcknowledgement);
