/** The whole product in a process of its own, as `catalyst-sre serve` starts it, with its defaults. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { startPostgres } from '../../testbed/postgres.ts';
import { freePort, type Server, startServer, temporaryDirectory } from '../../testbed/process.ts';
import type { Target } from './client.ts';
import { cpuSeconds, residentMegabytes } from './processes.ts';

export const databases = ['embedded', 'PostgreSQL'] as const;
export type DatabaseKind = (typeof databases)[number];

export interface Product {
  database: DatabaseKind;
  /** The door of alerts. */
  hook: Target;
  /** The API, as a sovereign-admin. */
  admin: Target;
  /** Of PostgreSQL; undefined for the embedded database. */
  databaseUrl: string | undefined;
  /** From the start of the process to the first 200 of /readyz, ms. */
  readyAfter: number;
  /** Processor time used up to now, seconds: the product's process, and the database server's. */
  cpu(): { product: number; database: number };
  memory(): { now: number; peak: number };
  /** GET of a path with the token of a sovereign-admin. */
  get(path: string): Promise<unknown>;
  /** Deliveries taken in and not worked through yet. */
  pending(): Promise<number>;
  /** Resolves when every delivery taken in is worked through. */
  drained(): Promise<void>;
  /** Stops the process and starts it again on the same data. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

export interface ProductOptions {
  database: DatabaseKind;
  /** Runbooks, as YAML, beside those of the handbook. */
  runbooks?: readonly string[];
  integrations?: object;
}

const tokens = {
  BENCH_INTAKE_TOKEN: 'intake-token-of-the-benchmark',
  BENCH_ADMIN_TOKEN: 'admin-token-of-the-benchmark',
};
/** A busy machine needs a few seconds. */
const startLimitMs = 60_000;
/** How long a pile of deliveries may take to be worked through. */
const drainLimitMs = 120_000;

export async function startProduct(options: ProductOptions): Promise<Product> {
  const directory = temporaryDirectory('bench');
  const postgres = options.database === 'PostgreSQL' ? await startPostgres() : undefined;
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const file = join(directory.path, 'config.json');
  // A folder of their own: beside the data, every write of the database would have them read again.
  const runbooks = join(directory.path, 'runbooks');
  mkdirSync(runbooks);
  for (const [index, text] of (options.runbooks ?? []).entries())
    writeFileSync(join(runbooks, `runbook-${index}.yaml`), text);
  writeFileSync(
    file,
    JSON.stringify({
      listen: `127.0.0.1:${port}`,
      dataDir: join(directory.path, 'data'),
      tokens: [
        { name: 'alertmanager', role: 'intake', tokenEnv: 'BENCH_INTAKE_TOKEN' },
        { name: 'admin', role: 'sovereign-admin', tokenEnv: 'BENCH_ADMIN_TOKEN' },
      ],
      sovereign: { name: 'bench', mode: 'Automatic' },
      login: { links: true },
      // One caller stands for many people.
      limits: { requestsPerMinute: 1_000_000 },
      catalog: { sources: options.runbooks ? [{ folder: runbooks }] : [] },
      ...(postgres ? { database: { url: postgres.url } } : {}),
      ...(options.integrations ? { integrations: options.integrations } : {}),
    }),
  );
  let server: Server | undefined;
  let readyAfter = 0;
  const start = async () => {
    const started = performance.now();
    server = startServer({
      name: 'catalyst-sre',
      program: process.execPath,
      args: [
        // As `npm start` and bin/catalyst-sre.js do.
        '--max-semi-space-size=8',
        ...extraNodeOptions(),
        join(import.meta.dirname, '..', '..', 'bin', 'catalyst-sre.js'),
        'serve',
        '--config',
        file,
      ],
      env: tokens,
      cwd: directory.path,
    });
    await ready(url, server, started);
    readyAfter = performance.now() - started;
  };
  const get = async (path: string) => {
    const response = await fetch(url + path, { headers: { authorization: `Bearer ${tokens.BENCH_ADMIN_TOKEN}` } });
    const text = await response.text();
    if (!response.ok) throw new Error(`${path} answers ${response.status}: ${text}`);
    return response.headers.get('content-type')?.includes('json') ? JSON.parse(text) : text;
  };
  const pending = async () => pendingOf(String(await get('/metrics')));
  const pid = () => {
    if (server?.pid === undefined) throw new Error('The product does not run.');
    return server.pid;
  };
  await start();
  return {
    database: options.database,
    hook: { url: `${url}/hooks/alertmanager`, token: tokens.BENCH_INTAKE_TOKEN },
    admin: { url, token: tokens.BENCH_ADMIN_TOKEN },
    databaseUrl: postgres?.url,
    get readyAfter() {
      return readyAfter;
    },
    cpu: () => ({ product: cpuSeconds(pid()), database: postgres ? cpuSeconds(postgres.pid()) : 0 }),
    memory: () => residentMegabytes(pid()),
    get,
    pending,
    drained: async () => {
      const limit = performance.now() + drainLimitMs;
      while ((await pending()) > 0) {
        if (performance.now() > limit) throw new Error(`Deliveries were not worked through within ${drainLimitMs} ms.`);
        await delay(25);
      }
    },
    restart: async () => {
      await server?.stop();
      await start();
    },
    stop: async () => {
      await server?.stop();
      await postgres?.stop();
      directory.remove();
    },
  };
}

/** For a profile: `BENCH_NODE_OPTIONS=--cpu-prof`, which NODE_OPTIONS does not take. */
function extraNodeOptions(): string[] {
  return process.env.BENCH_NODE_OPTIONS?.split(' ') ?? [];
}

async function ready(url: string, server: Server, started: number): Promise<void> {
  for (;;) {
    const answer = await fetch(`${url}/readyz`, { signal: AbortSignal.timeout(2_000) }).catch(() => undefined);
    await answer?.arrayBuffer();
    if (answer?.ok) return;
    if (server.ended() !== undefined || performance.now() - started > startLimitMs)
      throw new Error(`The product did not get ready (${server.ended() ?? 'too slow'}):\n${server.logs()}`);
    await delay(5);
  }
}

function pendingOf(metrics: string): number {
  return Number(/^catalyst_sre_intake_queue(?:\{\})? (\d+)/m.exec(metrics)?.[1] ?? Number.NaN);
}
