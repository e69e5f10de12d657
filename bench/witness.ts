/**
 * How many compare-and-sets a second our own witness answers, each one fsynced before its answer, and how long one takes
 * at a steady pace: `node bench/witness.ts [--write]`. The service runs as its own process, as it does in production;
 * requests are signed beforehand, so that the client's signatures are not measured.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { generateKey, type SigningKey, signingKey } from '../src/failover/keys.ts';
import { authorizationText, leasePath, signedText } from '../src/failover/witness/http-wire.ts';
import { answers, freePort, startServer, waitUntil } from '../testbed/process.ts';
import { figure, median, percentile } from './support/figures.ts';
import { runAsProgram, type Section } from './support/report.ts';

/** Groups that are written at the same time: each has one writer, as a lease has one holder. */
const writers = 64;
/** Compare-and-sets of one round at full speed; the first round warms up and is not counted. */
const perRound = 8_000;
/** The pace at which latency is measured, a second: twenty times what ten groups with two regions need. */
const pace = 200;
const paceSeconds = 5;

interface Prepared {
  path: string;
  headers: Record<string, string>;
  body: string;
}

function prepare(key: SigningKey, host: string, group: string, seq: number): Prepared {
  const next = {
    ...{ group, holder: 'fsn', epoch: 1, seq, ttlMs: 30_000, nonce: `n${seq}` },
    acquiredBy: { mode: 'Automatic', actor: 'fsn', reason: 'bench' },
    payload: {
      positions: { postgres: '0/3000148', cache: 123_456_789 },
      changedAgoMs: 1_000,
      takeoversAgoMs: [],
      handover: null,
    },
  };
  const body = JSON.stringify({ expect: seq === 1 ? null : { epoch: 1, seq: seq - 1 }, next });
  const signed = {
    method: 'POST',
    host,
    path: leasePath(group),
    region: 'fsn',
    time: Date.now(),
    nonce: 'bench-bench-bench',
    body,
  };
  const authorization = authorizationText({ ...signed, signature: key.sign(signedText(signed)) });
  const headers = {
    authorization,
    'content-type': 'application/json',
    'content-length': String(Buffer.byteLength(body)),
  };
  return { path: signed.path, headers, body };
}

/** Sends one write and checks that it was applied; ms. */
function write(agent: Agent, port: number, { path, headers, body }: Prepared): Promise<number> {
  const started = performance.now();
  return new Promise((done, reject) => {
    const sent = request({ host: '127.0.0.1', port, path, method: 'POST', headers, agent }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('end', () =>
        text.includes('"applied"') ? done(performance.now() - started) : reject(new Error(text)),
      );
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

/** A number the service tells about itself. */
async function metric(host: string, name: string): Promise<number> {
  const text = await (await fetch(`http://${host}/metrics`)).text();
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1] ?? 0);
}

/** What the disk itself takes for a commit's worth of bytes, ms, ascending: no answer after fsync can be faster than that. */
async function fsyncTimes(folder: string): Promise<number[]> {
  const file = await open(join(folder, 'fsync'), 'w');
  // Two pages and their frame headers: what SQLite appends to its log for one lease.
  const bytes = Buffer.alloc(8_240);
  const times: number[] = [];
  for (let i = 0; i < pace * paceSeconds; i++) {
    const started = performance.now();
    await file.write(bytes);
    await file.datasync();
    times.push(performance.now() - started);
  }
  await file.close();
  return times.sort((a, b) => a - b);
}

export async function benchWitness(settings = { rounds: 5 }): Promise<Section> {
  const rounds = settings.rounds;
  const agent = new Agent({ keepAlive: true, maxSockets: writers });
  const directory = mkdtempSync(join(tmpdir(), 'bench-witness-'));
  const { privateKeyPem, publicKey } = generateKey();
  const key = signingKey(privateKeyPem);
  const port = await freePort();
  const host = `127.0.0.1:${port}`;
  const configuration = join(directory, 'witness.yaml');
  writeFileSync(configuration, `regions: [{ name: fsn, publicKey: '${publicKey}' }]\nmaxClockSkewSeconds: 3600\n`);
  const main = resolve(import.meta.dirname, '../src/main.ts');
  const args = [main, 'witness', '--listen', host, '--data', join(directory, 'data'), '--config', configuration];
  const server = startServer({ name: 'witness', program: process.execPath, args });
  try {
    await waitUntil('the witness', 30_000, () => answers(`http://${host}/healthz`), [server]);
    const seqs = new Map<string, number>();
    const nextOf = (group: string): Prepared => {
      const seq = (seqs.get(group) ?? 0) + 1;
      seqs.set(group, seq);
      return prepare(key, host, group, seq);
    };
    const rates: number[] = [];
    const costs: number[] = [];
    for (let round = 0; round <= rounds; round++) {
      const each = Math.floor(perRound / writers);
      const work = Array.from({ length: writers }, (_, w) => Array.from({ length: each }, () => nextOf(`g${w}`)));
      const cpu = await metric(host, 'process_cpu_seconds_total');
      const started = performance.now();
      await Promise.all(
        work.map(async (own) => {
          for (const prepared of own) await write(agent, port, prepared);
        }),
      );
      const seconds = (performance.now() - started) / 1000;
      if (round === 0) continue;
      rates.push((each * writers) / seconds);
      costs.push((((await metric(host, 'process_cpu_seconds_total')) - cpu) * 1e6) / (each * writers));
    }
    const p50s: number[] = [];
    const p99s: number[] = [];
    for (let round = 0; round < rounds; round++) {
      // Signed while nothing is measured, and sent in time whether or not the one before has been answered.
      const work = Array.from({ length: pace * paceSeconds }, (_, i) => nextOf(`p${i % writers}`));
      const started = performance.now();
      const times: Promise<number>[] = [];
      for (const [i, prepared] of work.entries()) {
        const wait = started + (i * 1000) / pace - performance.now();
        if (wait > 0) await delay(wait);
        times.push(write(agent, port, prepared));
      }
      const sorted = (await Promise.all(times)).sort((a, b) => a - b);
      p50s.push(percentile(sorted, 0.5));
      p99s.push(percentile(sorted, 0.99));
    }
    const disk = await fsyncTimes(directory);
    const batch =
      (await metric(host, 'catalyst_sre_witness_committed_writes_total')) /
      (await metric(host, 'catalyst_sre_witness_commit_seconds_count'));
    return {
      name: 'witness',
      columns: ['Witness', 'Median', 'Target'],
      rows: [
        [`Compare-and-sets a second, ${writers} writers`, figure(median(rates)), '> 2,000'],
        ['Processor time of the service for one', figure(median(costs), 'µs'), ''],
        [`p50 at ${pace} a second`, figure(median(p50s), 'ms'), ''],
        [`p99 at ${pace} a second`, figure(median(p99s), 'ms'), '< 20 ms'],
        ['fsync alone on this disk, p50', figure(percentile(disk, 0.5), 'ms'), ''],
        ['fsync alone on this disk, p99', figure(percentile(disk, 0.99), 'ms'), ''],
      ],
      notes: [
        `Over HTTP, every answer after fsync; medians of ${rounds} rounds. A commit held ${figure(batch)} writes.`,
        'The client signs beforehand and shares the machine with the service.',
      ],
    };
  } finally {
    agent.destroy();
    await server.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

await runAsProgram(import.meta.main, benchWitness);
