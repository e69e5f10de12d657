/**
 * A chaos run: the product under load, killed with SIGKILL again and again at random moments, started again each time,
 * and judged at the end.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type DatabaseLocation, openDatabase } from '../../../src/database/open.ts';
import { freePort, temporaryDirectory } from '../../../testbed/process.ts';
import { furnish } from '../../fresh-database.ts';
import { dice } from './chance.ts';
import { type Replica, replica } from './product.ts';
import { runbooks } from './runbooks.ts';
import { type Sender, startSender } from './sender.ts';
import { judge, type Verdict } from './verdict.ts';
import { openWorld, type World } from './world.ts';

export interface ChaosOptions {
  kills: number;
  seed: number;
  /** URL of an empty PostgreSQL database that two replicas share; without it one replica with the embedded database. */
  postgres?: string;
  /** Told of each kill. */
  onKill?(kill: number, sentence: string): void;
}

export interface ChaosReport extends Verdict {
  seed: number;
  replicas: number;
  kills: { all: number; whileStarting: number; whileServing: number };
  sent: Sender['counts'];
  /** How often the world answered in which way. */
  moods: Record<string, number>;
  seconds: number;
  /** The last lines of the product, where something is wrong. */
  lines: string[];
}

/** Two of ten kills hit a process that is still starting: recovery has to survive its own end, too. */
const whileStarting = 0.2;
/** A start is over within this time on an idle machine, ms. */
const startTakes = 2_500;
/** Longest a process serves before it is killed, ms: as long as the slowest step takes. */
const servesFor = 1_500;
/** A run that is not stuck does something within this time, ms: the slowest verification takes a third of it. */
const stuckAfter = 60_000;

export async function runChaos(options: ChaosOptions): Promise<ChaosReport> {
  const started = performance.now();
  const directory = temporaryDirectory('chaos');
  const world = await openWorld(options.seed);
  const product = await configure(directory.path, world, options.postgres);
  try {
    for (const one of product.replicas) one.start();
    await Promise.all(product.replicas.map((one) => one.ready()));
    const sender = startSender({ seed: options.seed, token: product.tokens.intake, urls: product.urls });
    const kills = await killAgainAndAgain(product.replicas, options);
    // Everything has to end under load as well as in peace.
    await delay(1_000);
    await sender.finish();
    const idle = await drained(product);
    const codes = await Promise.all(product.replicas.map((one) => one.stop()));
    const database = await openDatabase(product.location);
    try {
      const verdict = await judge(database.db, sender, world);
      if (!idle)
        verdict.problems.unshift(`After the last kill no run ended for ${stuckAfter / 1000} s, and not all had.`);
      if (codes.some((code) => code !== 0)) verdict.problems.push(`Asked to stop, the product ended with ${codes}.`);
      return {
        ...verdict,
        seed: options.seed,
        replicas: product.replicas.length,
        kills,
        sent: sender.counts,
        moods: Object.fromEntries(world.moods),
        seconds: Math.round((performance.now() - started) / 1000),
        lines: verdict.problems.length === 0 ? [] : product.replicas.flatMap((one) => one.lines),
      };
    } finally {
      await database.close();
    }
  } finally {
    await Promise.all(product.replicas.map((one) => one.kill()));
    await world.close();
    directory.remove();
  }
}

async function killAgainAndAgain(replicas: readonly Replica[], options: ChaosOptions): Promise<ChaosReport['kills']> {
  const roll = dice(options.seed, 'kills');
  const kills = { all: 0, whileStarting: 0, whileServing: 0 };
  while (kills.all < options.kills) {
    const number = roll.whole(0, replicas.length - 1);
    const victim = replicas[number] as Replica;
    const early = roll.next() < whileStarting;
    if (!early) await victim.ready();
    const after = roll.whole(0, early ? startTakes : servesFor);
    await delay(after);
    await victim.kill();
    kills.all += 1;
    kills[early ? 'whileStarting' : 'whileServing'] += 1;
    options.onKill?.(
      kills.all,
      `replica ${number + 1}, ${after} ms ${early ? 'into its start' : 'after it was ready'}`,
    );
    victim.start();
  }
  await Promise.all(replicas.map((one) => one.ready()));
  return kills;
}

interface Product {
  replicas: Replica[];
  urls: string[];
  tokens: { admin: string; intake: string };
  location: DatabaseLocation;
}

async function configure(directory: string, world: World, postgres: string | undefined): Promise<Product> {
  const tokens = { admin: 'chaos-admin-token', intake: 'chaos-intake-token' };
  await mkdir(join(directory, 'runbooks'));
  await writeFile(join(directory, 'runbooks/chaos.yaml'), runbooks(world.url));
  for (const [name, token] of Object.entries(tokens)) await writeFile(join(directory, name), token);
  if (postgres !== undefined) await writeFile(join(directory, 'database-url'), postgres);
  const replicas: Replica[] = [];
  const urls: string[] = [];
  const dataDir = join(directory, 'data-0');
  if (postgres === undefined) await furnish(dataDir);
  for (let number = 0; number < (postgres === undefined ? 1 : 2); number++) {
    const listen = `127.0.0.1:${await freePort()}`;
    const file = join(directory, `replica-${number}.yaml`);
    const config = {
      listen,
      dataDir: join(directory, `data-${number}`),
      ...(postgres === undefined ? {} : { database: { urlFile: join(directory, 'database-url'), poolSize: 20 } }),
      tokens: [
        { name: 'admin', role: 'sovereign-admin', tokenFile: join(directory, 'admin') },
        { name: 'alertmanager', role: 'intake', tokenFile: join(directory, 'intake') },
      ],
      sovereign: { name: 'chaos', mode: 'Automatic' },
      policy: { confirmFiring: false },
      catalog: { sources: [{ folder: join(directory, 'runbooks') }] },
      integrations: {
        http: { hosts: { [new URL(world.url).host]: {} } },
        notify: { receivers: { oncall: { webhook: { url: `${world.url}/page` } } } },
      },
      limits: { concurrentRuns: 50, takeOverAfter: '3s' },
      telemetry: { logLevel: 'warn' },
    };
    await writeFile(file, JSON.stringify(config));
    replicas.push(replica(file));
    urls.push(`http://${listen}`);
  }
  const location: DatabaseLocation =
    postgres === undefined ? { kind: 'embedded', directory: dataDir } : { kind: 'postgres', url: postgres };
  return { replicas, urls, tokens, location };
}

/** Waits until every delivery is read and every run has ended or waits for a person. @returns false when it stands still before. */
async function drained({ urls, tokens }: Product): Promise<boolean> {
  const headers = { authorization: `Bearer ${tokens.admin}` };
  const get = async (url: string) => fetch(url, { headers, signal: AbortSignal.timeout(30_000) });
  const measures = async () =>
    (await Promise.all(urls.map(async (url) => (await get(`${url}/metrics`)).text()))).join('');
  const busy = async (metrics: string): Promise<boolean> => {
    if (!/^catalyst_sre_intake_queue(\{\})? 0$/m.test(metrics)) return true;
    for (const state of ['Pending', 'Running', 'RollingBack']) {
      const answer = await (await get(`${urls[0]}/api/v1/runs?state=${state}&limit=1`)).json();
      if ((answer as { items: unknown[] }).items.length > 0) return true;
    }
    return false;
  };
  let ended = '';
  for (let since = performance.now(); performance.now() - since < stuckAfter; await delay(250)) {
    const metrics = await measures();
    if (!(await busy(metrics))) return true;
    const now = (metrics.match(/^catalyst_sre_runs_total.*$/gm) ?? []).join();
    if (now !== ended) since = performance.now();
    ended = now;
  }
  return false;
}
