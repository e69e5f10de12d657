/** Alertmanager 0.25 from Debian's packages: a single one, on loopback. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  answers,
  demand,
  findPrograms,
  freePort,
  orStop,
  type Programs,
  type Running,
  startServer,
  temporaryDirectory,
  waitUntil,
} from './process.ts';

export interface AlertmanagerOptions {
  /** As in alertmanager.yml: an object, or the text of the file. */
  config: object | string;
}

export interface Alertmanager extends Running {
  /** Base URL, `http://127.0.0.1:<port>`; the API is below `/api/v2`. */
  readonly url: string;
  readonly pid: number;
  /** Replaces the configuration; rejects with Alertmanager's own words, and keeps the old one, when it is wrong. */
  reload(config: object | string): Promise<void>;
}

/** An idle machine needs half a second. */
const START_LIMIT_MS = 30_000;
const PROGRAM = 'prometheus-alertmanager';

/** Whether Alertmanager and amtool can be started here. */
export function findAlertmanager(): Programs<typeof PROGRAM | 'amtool'> {
  return findPrograms([PROGRAM, 'amtool'], ['/usr/bin']);
}

/** Starts an Alertmanager without history on a free loopback port; returns when it is ready. */
export async function startAlertmanager(options: AlertmanagerOptions): Promise<Alertmanager> {
  const programs = demand(findAlertmanager());
  const directory = temporaryDirectory('alertmanager');
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const file = join(directory.path, 'alertmanager.yml');
  writeFileSync(file, asText(options.config));
  const server = startServer({
    name: 'alertmanager',
    program: programs[PROGRAM],
    args: [
      `--config.file=${file}`,
      `--storage.path=${join(directory.path, 'data')}`,
      `--web.listen-address=127.0.0.1:${port}`,
      // Empty: no gossip, no second port.
      '--cluster.listen-address=',
    ],
    cwd: directory.path,
  });
  const stop = async (): Promise<void> => {
    await server.stop();
    directory.remove();
  };
  await orStop(
    () => waitUntil(`alertmanager at ${url}`, START_LIMIT_MS, () => answers(`${url}/-/ready`), [server]),
    stop,
  );
  return {
    url,
    pid: server.pid ?? 0,
    stop,
    logs: server.logs,
    reload: async (config) => {
      writeFileSync(file, asText(config));
      const response = await fetch(`${url}/-/reload`, { method: 'POST', signal: AbortSignal.timeout(10_000) });
      const text = await response.text();
      if (!response.ok) throw new Error(`alertmanager refuses its configuration: ${text.trim()}`);
    },
  };
}

function asText(config: object | string): string {
  // JSON is YAML.
  return typeof config === 'string' ? config : JSON.stringify(config);
}
