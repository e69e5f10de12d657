/** The whole product in this process, on a free port, with a configuration of the test's own. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type App, startApp } from '../../src/app/app.ts';
import { checkConfig } from '../../src/app/config.ts';
import { IntegrationsConfig } from '../../src/integrations/all.ts';
import { createLog, type LogLevel } from '../../src/telemetry/log.ts';
import { furnish } from '../fresh-database.ts';

export interface Product extends App {
  directory: string;
  /** What it logged. */
  log: string[];
  /** GET as sovereign-admin; the body as text. */
  get(path: string): Promise<{ status: number; body: string }>;
  post(path: string, body: unknown, token?: string): Promise<{ status: number; body: string }>;
  /** Hands a body over as Alertmanager does. */
  deliver(body: string | Uint8Array): Promise<number>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface ProductOptions {
  /** Over the usual configuration; a folder named RUNBOOKS is that of `runbooks`. */
  config?: Record<string, unknown>;
  /** YAML of the catalog. */
  runbooks?: string;
  /** URL of a PostgreSQL database; without it the embedded one. */
  postgres?: string;
  environment?: Record<string, string>;
  logLevel?: LogLevel;
}

const admin = 'token-of-the-sovereign-admin';
const intake = 'token-of-the-alertmanager';

export async function startProduct(options: ProductOptions = {}): Promise<Product> {
  const directory = await mkdtemp(join(tmpdir(), 'catalyst-sre-product-'));
  await mkdir(join(directory, 'runbooks'));
  await writeFile(join(directory, 'runbooks/test.yaml'), options.runbooks ?? '');
  if (options.postgres === undefined) await furnish(join(directory, 'data'));
  const wanted = {
    listen: '127.0.0.1:0',
    dataDir: join(directory, 'data'),
    ...(options.postgres === undefined ? {} : { database: { urlEnv: 'DATABASE' } }),
    tokens: [
      { name: 'admin', role: 'sovereign-admin', tokenEnv: 'ADMIN' },
      { name: 'alertmanager', role: 'intake', tokenEnv: 'INTAKE' },
    ],
    sovereign: { name: 'test', mode: 'Automatic' },
    policy: { confirmFiring: false },
    catalog: { sources: [{ folder: join(directory, 'runbooks') }] },
    limits: { takeOverAfter: '3s' },
    ...options.config,
  };
  const checked = checkConfig(
    JSON.stringify(wanted).replace('"RUNBOOKS"', JSON.stringify(join(directory, 'runbooks'))),
    'test',
    IntegrationsConfig,
  );
  if (!('config' in checked)) throw new Error(checked.problems.map(({ sentence }) => sentence).join(' '));
  const log: string[] = [];
  const environment: Record<string, string> & { ADMIN: string; INTAKE: string } = {
    ADMIN: admin,
    INTAKE: intake,
    ...(options.postgres === undefined ? {} : { DATABASE: options.postgres }),
    ...options.environment,
  };
  const stream = { write: (line: string) => void log.push(line) };
  const level = options.logLevel ?? 'warn';
  const app = await startApp({
    config: checked.config,
    environment,
    version: 'test',
    log: createLog({ level, stream }),
  });
  const send = async (path: string, init: RequestInit = {}, token = environment.ADMIN) => {
    const response = await fetch(app.url + path, {
      ...init,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      signal: AbortSignal.timeout(20_000),
    });
    return { status: response.status, body: await response.text() };
  };
  return {
    ...app,
    directory,
    log,
    get: (path) => send(path),
    post: (path, body, token) => send(path, { method: 'POST', body: JSON.stringify(body) }, token),
    deliver: async (body) => (await send('/hooks/alertmanager', { method: 'POST', body }, environment.INTAKE)).status,
    [Symbol.asyncDispose]: async () => {
      await app.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

let alerts = 0;

/** A delivery of one firing alert. */
export function delivery(alertname: string, labels: Record<string, string> = {}, fingerprint = `f${++alerts}`): string {
  const alert = { labels: { alertname, ...labels }, startsAt: new Date().toISOString(), fingerprint };
  return JSON.stringify({ version: '4', status: 'firing', alerts: [{ ...alert, status: 'firing' }] });
}
