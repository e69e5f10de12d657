/** The stage of a drill: a witness and two pocket regions, each a controller and a gate in front of a small workload. */
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { dump } from 'js-yaml';
import { apiVersion } from '../../catalog/resource.ts';
import { CatalystError } from '../../errors.ts';
import { generateKey } from '../keys.ts';
import { defaultParameters } from '../parameters.ts';
import { type Link, layLink } from './link.ts';
import { epochHeader } from './observer.ts';
import { type Child, mainProgram, startChild } from './processes.ts';

export const regionNames = ['hz-fsn-rtz-prod', 'hz-hel-rtz-prod'] as const;
export type RegionName = (typeof regionNames)[number];
export const group = 'orders';

export interface Region {
  name: RegionName;
  /** Where a client reaches the workload: through the gate. */
  url: string;
  controller: Child;
  gate: Child;
  /** To the witness. */
  link: Link;
  /** Kills controller and gate, and cuts the region off. */
  lose(): Promise<void>;
  /** Starts what was lost again, from the same disk. */
  reboot(): Promise<void>;
}

export interface Stage {
  regions: readonly [Region, Region];
  killWitness(): Promise<void>;
  restartWitness(): Promise<void>;
  /** Between the controllers, both ways. */
  cutCables(): void;
  mendCables(): void;
  recordOf(region: RegionName): string;
  stop(): Promise<void>;
}

export interface StageOptions {
  /** The handbook's times are divided by it. */
  speed: number;
  onLog: (region: RegionName, reason: string, sentence: string) => void;
}

/** The handbook's times, made shorter. Every admission rule is homogeneous, so what held before still holds. */
export function scaledTimings(speed: number): Record<string, string> {
  const { ttlMs, renewMs, retryMs, softMs, hardMs, fenceMs, waitMs, promiseMs, pollMs } = defaultParameters;
  const times = { ttl: ttlMs, renew: renewMs, retry: retryMs, softLimit: softMs, fenceBudget: fenceMs };
  const more = { hardLimit: hardMs, wait: waitMs, promise: promiseMs, poll: pollMs };
  return Object.fromEntries(
    Object.entries({ ...times, ...more }).map(([name, ms]) => [name, `${Math.round(ms / speed)}ms`]),
  );
}

export async function setStage(options: StageOptions): Promise<Stage> {
  const folder = await mkdtemp(join(tmpdir(), 'catalyst-sre-failover-drill-'));
  const cleanUps: (() => Promise<unknown>)[] = [() => rm(folder, { recursive: true, force: true })];
  const stop = async () => {
    for (const cleanUp of cleanUps.reverse()) await cleanUp();
  };
  try {
    const keys = Object.fromEntries(regionNames.map((name) => [name, generateKey()]));
    const known = regionNames.flatMap((name) => ['--region', `${name}=${keys[name]?.publicKey}`]);
    const witnessArgs = (port: number) => [
      ...[mainProgram, 'witness', '--listen', `127.0.0.1:${port}`, '--data', join(folder, 'witness')],
      ...known,
    ];
    const witnessReady = /listens at (http:\S+) and keeps/;
    let witness = await startChild(witnessArgs(0), witnessReady, () => {});
    const port = Number(new URL(witness.said).port);
    cleanUps.push(() => witness.child.signal('SIGKILL'));
    const regions: Region[] = [];
    const cables: Link[] = [];
    // The controllers' doors for each other, and the cable between them, which every message of either passes.
    const doors = { [regionNames[0]]: await freePort(), [regionNames[1]]: await freePort() };
    for (const [i, name] of regionNames.entries()) {
      const other = regionNames[1 - i] ?? name;
      const link = await layLink({ host: '127.0.0.1', port });
      const cable = await layLink({ host: '127.0.0.1', port: doors[other] ?? 0 });
      cleanUps.push(
        () => link.close(),
        () => cable.close(),
      );
      cables.push(cable);
      const peer = {
        region: other,
        url: cable.url,
        publicKey: keys[other]?.publicKey ?? '',
        listen: `127.0.0.1:${doors[name]}`,
      };
      const region = await startRegion(name, keys[name]?.privateKeyPem ?? '', join(folder, name), link, peer, options);
      cleanUps.push(region.close);
      regions.push(region);
    }
    const [one, two] = regions;
    if (!one || !two) throw new Error('two regions are needed');
    return {
      regions: [one, two],
      killWitness: () => witness.child.signal('SIGKILL'),
      restartWitness: async () => {
        witness = await startChild(witnessArgs(port), witnessReady, () => {});
      },
      cutCables: () => {
        for (const cable of cables) cable.cut();
      },
      mendCables: () => {
        for (const cable of cables) cable.mend();
      },
      recordOf: (region) => join(folder, region, 'data', 'record.jsonl'),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

interface PeerSettings {
  region: string;
  url: string;
  publicKey: string;
  listen: string;
}

async function startRegion(
  name: RegionName,
  privateKeyPem: string,
  folder: string,
  link: Link,
  peer: PeerSettings,
  { speed, onLog }: StageOptions,
): Promise<Region & { close(): Promise<void> }> {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'region.pem'), privateKeyPem, { mode: 0o600 });
  const spec = { mode: 'Automatic', regions: regionNames, witnesses: ['third-site'], timings: scaledTimings(speed) };
  await writeFile(
    join(folder, 'groups.yaml'),
    dump({ apiVersion, kind: 'FailoverGroup', metadata: { name: group }, spec }),
  );
  const config = (listen: string) => ({
    region: name,
    listen,
    dataDir: join(folder, 'data'),
    groups: ['groups.yaml'],
    witnesses: [{ name: 'third-site', http: { url: link.url } }],
    privateKeyFile: join(folder, 'region.pem'),
    peer,
  });
  const tell = (line: string) => {
    const { reason, msg } = parseLine(line);
    if (reason !== undefined && msg !== undefined) onLog(name, reason, msg);
  };
  const startController = async (listen: string) => {
    await writeFile(join(folder, 'failover.yaml'), dump(config(listen)));
    const args = [mainProgram, 'failover', '--config', join(folder, 'failover.yaml')];
    return startChild(args, /listens at (http:\S+?)\.$/, tell);
  };
  let controller = await startController('127.0.0.1:0');
  const controllerUrl = controller.said;
  const gateUrl = { value: '' };
  const workload = await startWorkload(() => gateUrl.value);
  const workloadPort = (workload.address() as AddressInfo).port;
  const entry = await freePort();
  const startGate = () =>
    startChild(
      [
        ...[mainProgram, 'gate', '--group', group, '--controller', controllerUrl, '--listen', '127.0.0.1:0'],
        ...['--protect', `127.0.0.1:${entry}=127.0.0.1:${workloadPort}`],
      ],
      /answered at (http:\S+?)\.$/,
      () => {},
    );
  let gate = await startGate();
  gateUrl.value = gate.said;
  return {
    name,
    url: `http://127.0.0.1:${entry}/`,
    get controller() {
      return controller.child;
    },
    get gate() {
      return gate.child;
    },
    link,
    lose: async () => {
      link.cut();
      await Promise.all([controller.child.signal('SIGKILL'), gate.child.signal('SIGKILL')]);
    },
    reboot: async () => {
      link.mend();
      controller = await startController(new URL(controllerUrl).host);
      gate = await startGate();
      gateUrl.value = gate.said;
    },
    close: async () => {
      await Promise.all([controller.child.signal('SIGKILL'), gate.child.signal('SIGKILL')]);
      workload.closeAllConnections();
      await new Promise((resolve) => workload.close(resolve));
    },
  };
}

/** Answers with the epoch its gate is open under, as an application does that asks before it writes. */
async function startWorkload(gate: () => string): Promise<Server> {
  const server = createServer((_request, response) => {
    fetch(gate()).then(
      async (answer) => {
        await answer.arrayBuffer();
        response.writeHead(answer.status, { [epochHeader]: answer.headers.get(epochHeader) ?? '' }).end();
      },
      () => response.writeHead(503).end(),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}

/**
 * A port for a process that is started later. Below those that systems deal out by themselves (32768 and more on Linux), as
 * one of them may be somebody's end of a connection by then.
 */
async function freePort(): Promise<number> {
  const [first, count, attempts] = [20_000, 10_000, 50];
  for (let attempt = 0; attempt < attempts; attempt++) {
    const port = first + randomInt(count);
    const server = createServer();
    const heard = once(server, 'listening').then(
      () => true,
      () => false,
    );
    server.listen(port, '127.0.0.1');
    if (!(await heard)) continue;
    await new Promise((closed) => server.close(closed));
    return port;
  }
  throw new CatalystError('Unavailable', `No port is free among ${first} to ${first + count} of 127.0.0.1.`);
}

function parseLine(line: string): { reason?: string; msg?: string } {
  try {
    return JSON.parse(line) as { reason?: string; msg?: string };
  } catch {
    return {};
  }
}
