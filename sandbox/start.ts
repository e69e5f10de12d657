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
  prometheus: { url: string };
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

/** Starts everything; resolves when every server listens. */
export async function startSandbox(options: SandboxOptions = {}): Promise<Sandbox> {
  const { clock = systemClock, host = '127.0.0.1', ports = {}, speed = 1 } = options;
  const world = new World(clock, speed);
  const alertmanager = new Alertmanager(clock, world.pace);
  alertmanager.webhook = options.alertWebhook;
  const prometheus = new Prometheus(world, (alerts) => alertmanager.receive(alerts));
  const forge = new Forge(clock, world.pace, options.legacyGitea);
  const tokens = { kubernetes: secret(), readOnly: secret(), gitea: secret() };
  const running: Listening[] = [];
  const at = (name: ServerName) => ({ host, port: ports[name] ?? 0 });
  const start = async <T extends Listening>(starting: Promise<T>): Promise<T> => {
    const listening = await starting;
    running.push(listening);
    return listening;
  };
  const closeAll = async () => {
    await Promise.all(running.map((listening) => listening.close()));
  };
  try {
    const kubernetes = await start(
      startKubernetes({
        ...at('kubernetes'),
        store: world.store,
        clock,
        token: tokens.kubernetes,
        readOnlyToken: tokens.readOnly,
        virtual: (type, namespace) => world.podMetrics(type, namespace),
        podLog: (pod) => world.podLog(pod),
      }),
    );
    const pods: { name: string; url: string }[] = [];
    for (const node of world.bao.nodes) {
      const isRunning = () => world.isRunning('openbao', node.name);
      const bao = await start(startBao({ ...at(node.name as ServerName), cluster: world.bao, node, clock, isRunning }));
      pods.push({ name: node.name, url: bao.url });
    }
    const spire = await start(startSpire(world, host, at('spire').port));
    const prometheusServer = await start(startPrometheus({ ...at('prometheus'), prometheus, clock }));
    const alertmanagerServer = await start(startAlertmanager({ ...at('alertmanager'), alertmanager, clock }));
    const gitea = await start(startGitea({ ...at('gitea'), forge, token: tokens.gitea }));
    const pager = await start(startPager(clock, host, at('pager').port));
    prometheus.externalUrl = prometheusServer.url;
    alertmanager.externalUrl = alertmanagerServer.url;
    const { sharesDirectory } = options;
    if (sharesDirectory !== undefined) await layShares(sharesDirectory, world.bao.shares);
    const loop = startLoop(world, () => {
      world.tick();
      prometheus.tick();
      alertmanager.tick();
      forge.tick();
    });
    return {
      kubernetes: { url: kubernetes.url, token: tokens.kubernetes, readOnlyToken: tokens.readOnly },
      openbao: {
        pods,
        shares: world.bao.shares,
        rootToken: world.bao.rootToken,
        ...(sharesDirectory === undefined ? {} : { unsealSharesDirectory: sharesDirectory }),
      },
      spire: { url: spire.url },
      prometheus: { url: prometheusServer.url },
      alertmanager: {
        url: alertmanagerServer.url,
        setWebhook: (webhook) => {
          alertmanager.webhook = webhook;
        },
      },
      gitea: { url: gitea.url, token: tokens.gitea },
      pager: { url: pager.url, received: pager.received, failNext: pager.failNext },
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
