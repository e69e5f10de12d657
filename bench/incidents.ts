/**
 * What people read at 3 a.m., over a full database: lists, filters, details, runs, timelines and statistics at a steady
 * rate, and how soon an entry of the record arrives at every open tab.
 */
import { request } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { getRequest, openLoop } from './support/client.ts';
import { figure, percentile } from './support/figures.ts';
import { seedHistory } from './support/history.ts';
import { startProduct } from './support/product.ts';
import { runAsProgram, type Section } from './support/report.ts';

interface IncidentsSettings {
  incidents: number;
  /** Entries of the journals of all runs; each incident has one run. */
  steps: number;
  /** Reads a second. */
  rate: number;
  seconds: number;
  /** Seconds of the mix before anything is measured, and of each kind alone. */
  warmUp: number;
  alone: number;
  tabs: number;
  /** Notes that are followed to every tab. */
  notes: number;
}

const full = {
  incidents: 100_000,
  steps: 1_000_000,
  rate: 300,
  seconds: 20,
  warmUp: 5,
  alone: 3,
  tabs: 200,
  notes: 50,
};

export async function benchIncidents(settings: IncidentsSettings = full): Promise<Section> {
  const { incidents, steps, rate, seconds, warmUp, alone, tabs, notes } = settings;
  const product = await startProduct({ database: 'PostgreSQL' });
  try {
    const started = performance.now();
    const entries = await seedHistory(product, { incidents, steps });
    const filledIn = (performance.now() - started) / 1000;
    const rows: string[][] = [];
    const kinds = reads.map(([name, path]) => ({
      name,
      // Prime numbers: every read meets other incidents than the one before.
      requests: Array.from({ length: 997 }, (_, n) =>
        getRequest(product.admin, path(String((n * 7919) % incidents).padStart(8, '0'))),
      ),
    }));
    // Mixed: one of each kind in turn.
    const mixed = Array.from({ length: 100 }, (_, n) => kinds.map(({ requests }) => requests[n] as Buffer)).flat();
    // A server that has just started compiles while it answers.
    await openLoop(product.admin, mixed, { connections: 8, rate: 50, seconds: warmUp });
    for (const { name, requests } of kinds) {
      const { latencies, failed } = await openLoop(product.admin, requests, {
        connections: 8,
        rate: 50,
        seconds: alone,
      });
      rows.push([name, '50', ...shares(latencies), String(failed)]);
    }
    const load = await openLoop(product.admin, mixed, { connections: 16, rate, seconds });
    rows.push([`all of these, mixed`, figure(rate), ...shares(load.latencies), String(load.failed)]);
    const arrivals = await followed(product.admin, { tabs, notes, incident: 'i00000000' });
    rows.push([`an entry at ${tabs} tabs`, 'n/a', ...shares(arrivals), String(tabs * notes - arrivals.length)]);
    return {
      name: 'incidents',
      columns: ['Reading incidents', 'Requests/s', 'p50', 'p95', 'Longest', 'Failed'],
      rows,
      notes: [
        `${incidents.toLocaleString('en')} incidents, as many alerts and runs, ${steps.toLocaleString('en')} journal entries and ${entries.toLocaleString('en')} entries of the record on PostgreSQL, filled in ${figure(filledIn, 's')}. Targets: p95 of the mix below 50 ms at ${rate} requests a second; p95 of an entry below 100 ms.`,
        `Each kind of read alone at 50 a second, after ${warmUp} s of all, then all of them in turn. The latency counts from when a request was due.`,
        `An entry: from the request that adds a note to its arrival at each of ${tabs} tabs, ${notes} notes.`,
      ],
    };
  } finally {
    await product.stop();
  }
}

const reads: readonly (readonly [string, (number: string) => string])[] = [
  ['list', () => '/api/v1/incidents?limit=50'],
  ['list, filtered', (n) => `/api/v1/incidents?limit=50&severity=P${(Number(n) % 4) + 1}`],
  ['one', (n) => `/api/v1/incidents/i${n}`],
  ['its runs', (n) => `/api/v1/runs?incidentId=i${n}`],
  ['a journal', (n) => `/api/v1/runs/r${n}/journal`],
  ['its timeline', (n) => `/api/v1/incidents/i${n}/timeline`],
  ['its runbooks', (n) => `/api/v1/incidents/i${n}/runbooks`],
  ['the record, newest first', () => '/api/v1/record?order=desc&limit=50'],
  ['statistics', (n) => `/api/v1/statistics/incidents?by=${Number(n) % 2 ? 'type' : 'runbook'}`],
];

function shares(sample: readonly number[]): string[] {
  return [0.5, 0.95, 1].map((share) => figure(percentile(sample, share), 'ms'));
}

/** Opens the tabs, adds notes, and says how long each took to each tab, ms. */
async function followed(
  { url, token = '' }: { url: string; token?: string },
  { tabs, notes, incident }: { tabs: number; notes: number; incident: string },
): Promise<number[]> {
  const sent = new Map<string, number>();
  const times: number[] = [];
  const { origin } = new URL(url);
  const headers = { authorization: `Bearer ${token}` };
  const opened = Array.from({ length: tabs }, () => {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const tab = request(`${origin}/api/v1/stream`, { headers, agent: false }, (answer) => {
      answer.setEncoding('utf8');
      answer.on('data', (text: string) => {
        resolve();
        const now = performance.now();
        for (const [, note] of text.matchAll(/"text":"(bench-\d+)"/g)) {
          const at = sent.get(note ?? '');
          if (at !== undefined) times.push(now - at);
        }
      });
    });
    tab.on('error', reject);
    tab.end();
    return { tab, ready: promise };
  });
  await Promise.all(opened.map(({ ready }) => ready));
  for (let n = 0; n < notes; n++) {
    const text = `bench-${n}`;
    sent.set(text, performance.now());
    const body = JSON.stringify({ text });
    const type = { 'content-type': 'application/json' };
    const answer = await fetch(`${origin}/api/v1/incidents/${incident}/notes`, {
      method: 'POST',
      headers: { ...headers, ...type },
      body,
    });
    if (!answer.ok) throw new Error(`A note is answered ${answer.status}: ${await answer.text()}`);
    await delay(100);
  }
  // The last note may be on its way still.
  for (const end = performance.now() + 10_000; times.length < tabs * notes && performance.now() < end; )
    await delay(20);
  for (const { tab } of opened) tab.on('error', () => {}).destroy();
  return times;
}

await runAsProgram(import.meta.main, benchIncidents);
