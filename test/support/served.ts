/** Catalyst SRE in this process, from a configuration file's content, read over HTTP as a person with every right reads it. */
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type App, startApp } from '../../src/app/app.ts';
import { checkConfig } from '../../src/app/config.ts';
import type { Clock } from '../../src/clock.ts';
import { IntegrationsConfig } from '../../src/integrations/all.ts';
import { furnish } from '../fresh-database.ts';

export interface Served {
  app: App;
  /** Reads the HTTP API as a sovereign-admin. */
  get<Body>(path: string): Promise<Body>;
  /** Sends a command as a sovereign-admin. */
  post<Body>(path: string, body: object): Promise<Body>;
}

/** Writes a file that only its owner may read; returns its path. */
export function privateFile(directory: string, name: string, text: string): string {
  const path = join(directory, name);
  writeFileSync(path, text, { mode: 0o600 });
  return path;
}

/** @param config  what serve reads, without dataDir, which is in `directory`; a token of a sovereign-admin is added. */
export async function startServed(
  directory: string,
  clock: Clock,
  config: Record<string, unknown> & { tokens: readonly object[] },
): Promise<Served> {
  const admin = randomBytes(24).toString('hex');
  const adminFile = privateFile(directory, 'admin-token', admin);
  const dataDir = join(directory, 'data');
  if (!('database' in config)) await furnish(dataDir);
  const wanted = {
    dataDir,
    telemetry: { logLevel: 'error' },
    ...config,
    tokens: [...config.tokens, { name: 'admin', role: 'sovereign-admin', tokenFile: adminFile }],
  };
  const checked = checkConfig(JSON.stringify(wanted), 'the test', IntegrationsConfig);
  if (!('config' in checked)) throw new Error(checked.problems.map(({ sentence }) => sentence).join(' '));
  const app = await startApp({ config: checked.config, environment: {}, version: 'test', clock });
  const ask = async <Body>(path: string, init: RequestInit) => {
    const headers = { authorization: `Bearer ${admin}`, ...init.headers };
    const answer = await fetch(`${app.url}${path}`, { ...init, headers });
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    return (await answer.json()) as Body;
  };
  return {
    app,
    get: (path) => ask(path, {}),
    post: (path, body) =>
      ask(path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
  };
}
