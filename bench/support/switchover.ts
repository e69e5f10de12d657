/**
 * Planned switchovers of a Redis as its users feel them: two controllers and a witness as processes with the handbook's
 * times, a gate in front of each Redis, and a writer that never waits and takes whichever region lets it in.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { createClient } from '@redis/client';
import { systemClock } from '../../src/clock.ts';
import { mainProgram, startChild } from '../../src/failover/drill/processes.ts';
import {
  command,
  group,
  isReady,
  regionKeys,
  regionNames,
  startRegion,
  startWitness,
  statusOf,
  until,
} from '../../test/support/failover-site.ts';
import { freePort, temporaryDirectory } from '../../testbed/process.ts';
import { startRedis } from '../../testbed/redis.ts';

export interface Switchovers {
  /** The longest time between two acknowledged writes in each of them, ms. */
  pauses: readonly number[];
  writes: number;
  /** Acknowledged writes that are not there in the end. */
  lost: number;
}

/** @param timings of the group; the handbook's where it says nothing */
export async function measureSwitchovers(runs: number, timings: object = {}): Promise<Switchovers> {
  const cleanUps: (() => Promise<unknown>)[] = [];
  try {
    const { urls, entries, servers } = await setUp(cleanUps, timings);
    const serves = (i: number) =>
      until(`${regionNames[i]} serves`, async () => (await fetch(`${urls[i]}/gate/${group}`)).ok);
    await serves(0);
    const writer = startWriter(entries);
    cleanUps.push(() => writer.stop());
    const pauses: number[] = [];
    for (let run = 0; run < runs; run++) {
      const [from, to] = [run % 2, 1 - (run % 2)];
      // A region that has just started is bound by what it may have promised, and would keep everybody waiting.
      await until('the other region stands by', async () => (await statusOf(urls[to] ?? '')).reason === 'PeerActive');
      await until('a switchover is possible', () => isReady(urls[from] ?? ''));
      writer.longestPause();
      await command(urls[from] ?? '', 'switchover', { reason: 'it is measured' });
      await serves(to);
      await until('writes arrive there', () => writer.at() === to);
      await delay(1_000);
      pauses.push(writer.longestPause());
    }
    await writer.stop();
    return { pauses, writes: writer.written(), lost: await missing(servers[runs % 2] ?? '', writer.written()) };
  } finally {
    for (const cleanUp of cleanUps.reverse()) await cleanUp();
  }
}

async function setUp(cleanUps: (() => Promise<unknown>)[], timings: object) {
  const folder = temporaryDirectory('bench-switchover');
  cleanUps.push(async () => folder.remove());
  const first = await startRedis();
  cleanUps.push(() => first.stop());
  const second = await startRedis({ replicaOf: first.address });
  cleanUps.push(() => second.stop());
  const servers = [first.address, second.address];
  const keys = regionKeys();
  const witness = await startWitness(keys, {
    listen: `127.0.0.1:${await freePort()}`,
    data: `${folder.path}/witness`,
    folder: folder.path,
  });
  cleanUps.push(() => witness.kill('SIGKILL'));
  const doors = [await freePort(), await freePort()];
  const address = Object.fromEntries(regionNames.map((name, i) => [name, servers[i]]));
  const urls: string[] = [];
  const entries: number[] = [];
  for (const i of [0, 1] as const) {
    const controller = await startRegion(i, keys, {
      folder: `${folder.path}/${i}`,
      listen: `127.0.0.1:${await freePort()}`,
      witness: { url: witness.url },
      peerUrl: `http://127.0.0.1:${doors[1 - i]}`,
      peerListen: `127.0.0.1:${doors[i]}`,
      spec: { mode: 'SemiAutomatic', timings, components: [{ name: 'cache', adapter: 'Valkey', address }] },
    });
    cleanUps.push(() => controller.kill('SIGKILL'));
    urls.push(controller.url);
    const entry = await freePort();
    const gate = await startChild(
      [
        ...[mainProgram, 'gate', '--group', group, '--controller', controller.url, '--listen', '127.0.0.1:0'],
        ...['--protect', `127.0.0.1:${entry}=${servers[i]}`],
      ],
      /answered at (http:\S+?)\.$/,
      () => {},
    );
    cleanUps.push(() => gate.child.signal('SIGKILL'));
    entries.push(entry);
  }
  return { urls, entries, servers };
}

interface Writer {
  /** The region the newest write was acknowledged by. */
  at(): number;
  written(): number;
  /** Since it was last asked, ms. */
  longestPause(): number;
  stop(): Promise<void>;
}

/** Writes one key after the other, each until it is acknowledged. */
function startWriter(entries: readonly number[]): Writer {
  let at = 0;
  let writes = 0;
  let pause = 0;
  let stopped = false;
  let last = performance.now();
  const work = (async () => {
    for (let tried = 0; !stopped; tried = 1 - tried) {
      const client = createClient({
        socket: { host: '127.0.0.1', port: entries[tried] ?? 0, reconnectStrategy: false },
        disableOfflineQueue: true,
      });
      client.on('error', () => {});
      try {
        await client.connect();
        while (!stopped) {
          await client.set(`k${writes}`, String(writes));
          writes += 1;
          at = tried;
          pause = Math.max(pause, performance.now() - last);
          last = performance.now();
        }
      } catch {
        // The gate is shut, or this Redis takes no writes: the other region, at once.
        await systemClock.sleep(2);
      }
      client.destroy();
    }
  })();
  return {
    at: () => at,
    written: () => writes,
    longestPause: () => {
      const longest = pause;
      pause = 0;
      return longest;
    },
    stop: async () => {
      stopped = true;
      await work;
    },
  };
}

/** How many of the keys the writer got acknowledged are not there. */
async function missing(address: string, writes: number): Promise<number> {
  const client = createClient({ url: `redis://${address}` });
  await client.connect();
  let lost = 0;
  const batch = 1_000;
  for (let from = 0; from < writes; from += batch) {
    const numbers = Array.from({ length: Math.min(batch, writes - from) }, (_, i) => String(from + i));
    const values = await client.mGet(numbers.map((n) => `k${n}`));
    lost += values.filter((value, i) => value !== numbers[i]).length;
  }
  client.destroy();
  return lost;
}
