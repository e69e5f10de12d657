/**
 * How many deliveries a second the product commits and acknowledges, beside the real Alertmanager's `POST /api/v2/alerts`,
 * which keeps alerts in memory. In turns, on one machine, with the same client and the same alerts.
 */
import { startAlertmanager } from '../testbed/alertmanager.ts';
import { alert, alertmanagerBody, webhookBody } from './support/alerts.ts';
import { closedLoop, postRequest, type Target } from './support/client.ts';
import { figure, median } from './support/figures.ts';
import { cpuSeconds } from './support/processes.ts';
import { type DatabaseKind, databases, type Product, startProduct } from './support/product.ts';
import { runAsProgram, type Section } from './support/report.ts';

interface IntakeSettings {
  databases: readonly DatabaseKind[];
  rounds: number;
  /** Requests of one round, by alerts in a body. */
  requests: ReadonlyMap<number, number>;
}

/** Connections that send at once. */
const connections = 16;
/** Rounds that do not count: until then Node compiles what is used most, once in the life of a server that runs for weeks. */
const warmUpRounds = 2;
/** Alerts that go round: every one is told again and again, as Prometheus and Alertmanager do. */
const distinctAlerts = 1_000;

const fullIntake: IntakeSettings = {
  databases,
  rounds: 5,
  requests: new Map([
    [1, 10_000],
    [50, 500],
  ]),
};

interface Peer {
  name: string;
  target: Target;
  body: (alerts: ReturnType<typeof alert>[]) => string;
  /** Processor time used so far, seconds. */
  cpu: () => number;
  product?: Product;
}

export async function benchIntake(settings: IntakeSettings = fullIntake): Promise<Section> {
  const alertmanager = await startAlertmanager({
    config: { route: { receiver: 'nobody' }, receivers: [{ name: 'nobody' }] },
  });
  const products = [];
  try {
    for (const database of settings.databases) products.push(await startProduct({ database }));
    const peers: Peer[] = [
      {
        name: 'Alertmanager, in memory',
        target: { url: `${alertmanager.url}/api/v2/alerts` },
        body: alertmanagerBody,
        cpu: () => cpuSeconds(alertmanager.pid),
      },
      ...products.map((product) => ({
        name: `Catalyst SRE, ${product.database}`,
        target: product.hook,
        body: webhookBody,
        cpu: () => product.cpu().product + product.cpu().database,
        product,
      })),
    ];
    const rows: string[][] = [];
    for (const [size, requests] of settings.requests)
      rows.push(...(await compare(peers, size, requests, settings.rounds)));
    return {
      name: 'intake',
      columns: [
        'Taking alerts in',
        'Alerts a body',
        'Requests/s',
        'Alerts/s',
        'Ratio',
        'CPU a request',
        'Worked through, alerts/s',
      ],
      rows,
      notes: [
        `Medians of ${settings.rounds} rounds in turns; ${connections} connections, each waiting for its answer.`,
        'Ratio: median of the ratios to Alertmanager in the same round. Target 0.3 with one alert a body, 0.5 with fifty.',
        'Catalyst SRE answers after the commit, and works through what it took in at the same time: episodes, incidents, decisions, record.',
        'CPU includes that work to its end, and the database server.',
      ],
    };
  } finally {
    for (const product of products) await product.stop();
    await alertmanager.stop();
  }
}

interface Round {
  rate: number;
  cpu: number;
  throughput: number;
}

async function compare(peers: readonly Peer[], size: number, count: number, rounds: number): Promise<string[][]> {
  const results = new Map<Peer, Round[]>(peers.map((peer) => [peer, []]));
  for (let round = 0; round < warmUpRounds + rounds; round++) {
    for (const peer of peers) {
      const result = await measure(peer, size, count);
      if (round >= warmUpRounds) results.get(peer)?.push(result);
    }
  }
  const base = results.get(peers[0] as Peer) ?? [];
  return [...results].map(([peer, all]) => {
    const rate = median(all.map((one) => one.rate));
    return [
      peer.name,
      String(size),
      figure(rate),
      figure(rate * size),
      figure(median(all.map((one, index) => one.rate / (base[index]?.rate ?? Number.NaN)))),
      figure(median(all.map((one) => one.cpu)) * 1000, 'ms'),
      peer.product ? figure(median(all.map((one) => one.throughput))) : '',
    ];
  });
}

async function measure(peer: Peer, size: number, count: number): Promise<Round> {
  const alerts = Array.from({ length: distinctAlerts }, (_, index) => alert(index));
  const requests = Array.from({ length: distinctAlerts / size }, (_, index) =>
    postRequest(peer.target, peer.body(alerts.slice(index * size, (index + 1) * size))),
  );
  const cpu = peer.cpu();
  const started = performance.now();
  const { answered, failed, seconds } = await closedLoop(peer.target, requests, { connections, count });
  if (failed > 0) throw new Error(`${peer.name}: ${failed} of ${count} requests failed.`);
  await peer.product?.drained();
  const total = (performance.now() - started) / 1000;
  return { rate: answered / seconds, cpu: (peer.cpu() - cpu) / count, throughput: (count * size) / total };
}

await runAsProgram(import.meta.main, benchIntake);
