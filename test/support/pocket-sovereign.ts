/** The whole product beside a pocket Sovereign, on a clock that runs fast: what journeys are told with. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fingerprintOf } from '../../src/alert/fingerprint.ts';
import { type SandboxApp, type SandboxAppOptions, startSandboxApp } from '../../src/app/sandbox.ts';
import { type Clock, systemClock } from '../../src/clock.ts';
import { createLog } from '../../src/telemetry/log.ts';
import { furnish } from '../fresh-database.ts';
import { fastClock } from '../integrations/support.ts';

/** So many times as fast as the machine's. A fact may take 10 s, which leaves it two seconds of real time. */
const speed = 5;
/** What has not come after this much real time never will, ms. */
const patience = 150_000;

/** Time runs at a multiple of the machine's; sockets and databases live on as they are. */
export function journeyClock(): Clock {
  return fastClock(speed, Date.now());
}

export interface PocketSovereign extends SandboxApp {
  clock: Clock;
  /** Lines of the log so far, as JSON. */
  log: Record<string, unknown>[];
  get<T = Item>(path: string): Promise<T>;
  list(path: string): Promise<Item[]>;
  /** Answer of a command; throws for an error unless a status is expected. */
  post(path: string, body?: object, status?: number): Promise<Item>;
  /** A delivery of its Alertmanager. */
  deliver(body: object): Promise<void>;
  /** The same, of alerts that fire now. */
  fire(...alerts: { labels: Record<string, string>; summary: string }[]): Promise<void>;
  /** Waits for a state; the error says what it was waiting for. */
  until<T>(what: string, look: () => Promise<T | undefined | false>): Promise<T>;
}
// biome-ignore lint/suspicious/noExplicitAny: answers of the API, asserted on field by field.
export type Item = Record<string, any>;

export async function startPocketSovereign(options: Partial<SandboxAppOptions> = {}): Promise<PocketSovereign> {
  const dataDir = await mkdtemp(join(tmpdir(), 'journey-'));
  await furnish(options.dataDir ?? dataDir);
  const clock = journeyClock();
  const log: Item[] = [];
  const app = await startSandboxApp({
    clock,
    environment: {},
    version: 'test',
    dataDir,
    listen: '127.0.0.1:0',
    log: createLog({ level: 'info', stream: { write: (line) => log.push(JSON.parse(line)) } }),
    ...options,
  });
  const call = async (method: string, path: string, token: string, body?: object, status?: number) => {
    const response = await fetch(`${app.url}${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, ...(body ? { 'content-type': 'application/json' } : {}) },
      ...(body ? { body: JSON.stringify(body) } : {}),
    });
    const text = await response.text();
    if (status === undefined ? !response.ok : response.status !== status)
      throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return text === '' ? {} : JSON.parse(text);
  };
  const deliver = (body: object) => call('POST', '/hooks/alertmanager', app.intakeToken, body);
  return {
    ...app,
    clock,
    log,
    get: (path) => call('GET', path, app.token),
    list: async (path) => (await call('GET', path, app.token)).items,
    post: (path, body, status) => call('POST', path, app.token, body, status),
    deliver,
    fire: (...alerts) =>
      deliver({
        version: '4',
        groupKey: '{}',
        status: 'firing',
        receiver: 'r',
        groupLabels: {},
        commonLabels: {},
        commonAnnotations: {},
        externalURL: 'http://alertmanager.example',
        truncatedAlerts: 0,
        alerts: alerts.map(({ labels, summary }) => ({
          status: 'firing',
          labels,
          annotations: { summary },
          startsAt: new Date(clock.now()).toISOString(),
          endsAt: '0001-01-01T00:00:00Z',
          generatorURL: 'http://prometheus.example',
          fingerprint: fingerprintOf(labels),
        })),
      }),
    until: async (what, look) => {
      for (const end = performance.now() + patience; performance.now() < end; ) {
        const seen = await look();
        if (seen !== undefined && seen !== false) return seen;
        await systemClock.sleep(50);
      }
      throw new Error(`It did not come to this: ${what}.`);
    },
    stop: async () => {
      await app.stop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}
