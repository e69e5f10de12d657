/** Starts the pocket Sovereign: one world, and every server that looks at it. */
import { randomBytes } from 'node:crypto';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Clock, systemClock } from '../src/clock.ts';
import { Alertmanager } from './alertmanager/alertmanager.ts';
import { startAlertmanager } from './alertmanager/server.ts';
import type { Webhook } from './alertmanager/webhook.ts';
import { FAULTS, type FaultName } from './faults.ts';
import { Forge } from './gitea/forge.ts';
import { startGitea } from './gitea/server.ts';
import type { Listening } from './http.ts';
import { startKubernetes } from './kubernetes/server.ts';
import { startBao } from './openbao/server.ts';
import { type Page, startPager } from './pager.ts';
import { Prometheus } from './prometheus/prometheus.ts';
import { startPrometheus } from './prometheus/server.ts';
import { startSpire } from './spire.ts';
import { World } from './world.ts';

export interface SandboxOptions {
  clock?: Clock;
  /** Port per server; those not named get free ones. */
  ports?: Partial<Record<ServerName, number>>;
  host?: string;
  /** Where Alertmanager sends its notifications. */
  alertWebhook?: Webhook;
  /** 1 is the laptop's pace; 10 is ten times as fast. */
  speed?: number;
  /** Where to lay the unseal key shares, one file each; nowhere when absent. */
  sharesDirectory?: string;
  /** Gitea of the 1.24 generation. */
  legacyGitea?: boolean;
}

export type ServerName =
  | 'kubernetes'
  | 'openbao-0'
  | 'openbao-1'
  | 'openbao-2'
  | 'spire'
  | 'prometheus'
  | 'alertmanager'
  | 'gitea'
  | 'pager';

export interface Sandbox {
  /** Plain HTTP on loopback: there is no certificate to check. `readOnlyToken` may only look, and at no secret. */
  kubernetes: { url: string; token: string; readOnlyToken: string };
  openbao: {
    pods: { name: string; url: string }[];
    shares: string[];
    rootToken: string;
    unsealSharesDirectory?: string;
  };
  spire: { url: string };
  prometheus: { url: string } & Pick<Prometheus, 'addSteady' | 'addTarget' | 'knows' | 'load'>;
  alertmanager: { url: string; setWebhook(webhook: Webhook | undefined): void };
  gitea: { url: string; token: string };
  pager: { url: string; received(): Page[]; failNext(count: number): void };
  world: World;
  inject(fault: FaultName): void;
  isHealthy(fault: FaultName): boolean;
  /** Resolves when no notification of Alertmanager is on its way. */
  idle(): Promise<void>;
  stop(): Promise<void>;
}

const secret = () => randomBytes(20).toString('hex');

/** What the servers look at. */
interface Systems {
  clock: Clock;
  world: World;
  prometheus: Prometheus;
  alertmanager: Alertmanager;
  forge: Forge;
}

/** Starts everything; resolves when every server listens. */
export async function startSandbox(options: SandboxOptions = {}): Promise<Sandbox> {
  const { clock = systemClock, speed = 1, sharesDirectory } = options;
  const world = new World(clock, speed);
  const alertmanager = new Alertmanager(clock, world.pace);
  alertmanager.webhook = options.alertWebhook;
  const prometheus = new Prometheus(world, (alerts) => alertmanager.receive(alerts));
  const forge = new Forge(clock, world.pace, options.legacyGitea);
  const running: Listening[] = [];
  const closeAll = async () => {
    await Promise.all(running.map((listening) => listening.close()));
  };
  try {
    const servers = await startServers({ clock, world, prometheus, alertmanager, forge }, options, running);
    if (sharesDirectory !== undefined) await layShares(sharesDirectory, world.bao.shares);
    const loop = startLoop(world, () => {
      world.tick();
      prometheus.tick();
      alertmanager.tick();
      forge.tick();
    });
    return {
      ...servers,
      world,
      inject: (fault) => FAULTS[fault].inject(world),
      isHealthy: (fault) => FAULTS[fault].isHealthy(world),
      idle: () => alertmanager.idle(),
      stop: async () => {
        loop.stop();
        await alertmanager.stop();
        await closeAll();
      },
    };
  } catch (error) {
    await closeAll();
    throw error;
  }
}

type Servers = Pick<Sandbox, 'kubernetes' | 'openbao' | 'spire' | 'prometheus' | 'alertmanager' | 'gitea' | 'pager'>;

/** Starts the servers one by one; those that listen are in `running`, whatever happens to the next. */
async function startServers(systems: Systems, options: SandboxOptions, running: Listening[]): Promise<Servers> {
  const { clock, world, prometheus, alertmanager, forge } = systems;
  const { host = '127.0.0.1', ports = {}, sharesDirectory } = options;
  const at = (name: ServerName) => ({ host, port: ports[name] ?? 0 });
  const start = async <T extends Listening>(starting: Promise<T>): Promise<T> => {
    const listening = await starting;
    running.push(listening);
    return listening;
  };
  const kubernetes = { token: secret(), readOnlyToken: secret() };
  const virtual = world.podMetrics.bind(world);
  const podLog = world.podLog.bind(world);
  const api = await start(
    startKubernetes({ ...at('kubernetes'), ...kubernetes, store: world.store, clock, virtual, podLog }),
  );
  const { bao: cluster } = world;
  const pods: { name: string; url: string }[] = [];
  for (const node of cluster.nodes) {
    const isRunning = () => world.isRunning('openbao', node.name);
    const { url } = await start(startBao({ ...at(node.name as ServerName), cluster, node, clock, isRunning }));
    pods.push({ name: node.name, url });
  }
  const spire = await start(startSpire(world, host, at('spire').port));
  const query = await start(startPrometheus({ ...at('prometheus'), prometheus, clock }));
  const alerts = await start(startAlertmanager({ ...at('alertmanager'), alertmanager, clock }));
  const token = secret();
  const gitea = await start(startGitea({ ...at('gitea'), forge, token }));
  const pager = await start(startPager(clock, host, at('pager').port));
  prometheus.externalUrl = query.url;
  alertmanager.externalUrl = alerts.url;
  const setWebhook = (webhook: Webhook | undefined) => {
    alertmanager.webhook = webhook;
  };
  const directory = sharesDirectory === undefined ? {} : { unsealSharesDirectory: sharesDirectory };
  return {
    kubernetes: { url: api.url, ...kubernetes },
    openbao: { pods, shares: cluster.shares, rootToken: cluster.rootToken, ...directory },
    spire: { url: spire.url },
    prometheus: {
      url: query.url,
      addSteady: (series) => prometheus.addSteady(series),
      addTarget: (target, job) => prometheus.addTarget(target, job),
      knows: (expr) => prometheus.knows(expr),
      load: (rules) => prometheus.load(rules),
    },
    alertmanager: { url: alerts.url, setWebhook },
    gitea: { url: gitea.url, token },
    pager: { url: pager.url, received: pager.received, failNext: pager.failNext },
  };
}

/** Takes a step each tick of the clock. A step that throws ends the process loudly: the world would be a lie. */
function startLoop({ clock, pace }: World, step: () => void): { stop(): void } {
  let isStopped = false;
  const run = async () => {
    // Stopping waits for no timer: the last sleep, a tenth of a second, ends by itself.
    for (;;) {
      await clock.sleep(pace.tickMs);
      if (isStopped) return;
      step();
    }
  };
  void run();
  return {
    stop: () => {
      isStopped = true;
    },
  };
}

async function layShares(directory: string, shares: string[]): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  for (const [at, share] of shares.entries()) {
    const file = join(directory, `share-${at + 1}`);
    await writeFile(file, `${share}\n`, { mode: 0o600 });
    // An older file keeps its mode when it is written anew.
    await chmod(file, 0o600);
  }
}
