/**
 * Failover in figures: `node bench/failover.ts [RUNS]`.
 * Takeover: a region is killed at a random moment between two renewals, with the handbook's times (TTL 30 s), and the time
 * until the other controller holds the lease and serves is taken. Floor: the last renewal was 0 to 10 s ago, so the lease runs out 20 to
 * 30 s after the loss, whatever anybody does.
 * Switchover: Redis with a writer that never waits; the longest time between two acknowledged writes, and the writes lost.
 */
import { readFileSync } from 'node:fs';
import { createClient } from '@redis/client';
import { systemClock } from '../src/clock.ts';
import { startObserver } from '../src/failover/drill/observer.ts';
import { setStage } from '../src/failover/drill/stage.ts';
import { createValkey } from '../src/failover/layers/valkey.ts';
import { defaultParameters } from '../src/failover/parameters.ts';
import { startRedis } from '../testbed/redis.ts';

const runs = Number(process.argv[2] ?? 5);
const median = (values: readonly number[]) =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
const seconds = (ms: number) => `${(ms / 1000).toFixed(2)} s`;
const row = (what: string, middle: string, worst: string, target: string) =>
  process.stdout.write(`${what.padEnd(44)} ${middle.padStart(10)} ${worst.padStart(10)}   ${target}\n`);

/** Resident memory, MB, and processor time, s, of a process. Linux. */
function usage(pid: number): { megabytes: number; cpu: number } {
  const kilobytes = Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  // utime and stime are the 14th and 15th field, in hundredths.
  return { megabytes: kilobytes / 1024, cpu: (Number(fields[11]) + Number(fields[12])) / 100 };
}

interface Takeover {
  toLease: number;
  toService: number;
  megabytes: number;
  idle: number;
}

async function takeover(): Promise<Takeover> {
  const marks = new Map<string, number>();
  const stage = await setStage({
    speed: 1,
    onLog: (region, reason) => marks.set(`${region} ${reason}`, performance.now()),
  });
  const [one, two] = stage.regions;
  const observer = startObserver([one, two], systemClock, () => {});
  const until = async (look: () => boolean) => {
    while (!look()) await systemClock.sleep(10);
  };
  try {
    await until(() => observer.serving() === one.name);
    const before = usage(one.controller.pid);
    const idleFrom = performance.now();
    await systemClock.sleep(20_000 + Math.random() * defaultParameters.renewMs);
    const after = usage(one.controller.pid);
    const idle = (after.cpu - before.cpu) / ((performance.now() - idleFrom) / 1000);
    const lost = performance.now();
    await one.lose();
    await until(() => observer.serving() === two.name);
    const served = observer.answers.find(({ region }) => region === two.name)?.answeredAt ?? Number.NaN;
    const leased = marks.get(`${two.name} Activating`) ?? Number.NaN;
    return { toLease: leased - lost, toService: served - lost, megabytes: after.megabytes, idle };
  } finally {
    await observer.stop();
    await stage.stop();
  }
}

async function switchover(): Promise<{ pause: number; writes: number; lost: number }> {
  const one = await startRedis();
  const two = await startRedis({ replicaOf: one.address });
  const context = { clock: systemClock, signal: AbortSignal.timeout(60_000) };
  const make = (address: string, peerAddress: string) =>
    createValkey({ name: 'cache', address, peerAddress, password: undefined });
  const a = make(one.address, two.address);
  const b = make(two.address, one.address);
  const open = async (address: string) => {
    const client = createClient({ url: `redis://${address}` });
    client.on('error', () => {});
    await client.connect();
    return client;
  };
  const clients = [await open(one.address), await open(two.address)] as const;
  while ((await b.lag(context, await a.position(context))).seconds !== 0) await systemClock.sleep(50);
  let at: 0 | 1 = 0;
  let writes = 0;
  let pause = 0;
  let stop = false;
  const writer = (async () => {
    let last = performance.now();
    while (!stop) {
      try {
        await clients[at].set(`k${writes}`, String(writes));
      } catch {
        at = at === 0 ? 1 : 0;
        await systemClock.sleep(1);
        continue;
      }
      writes += 1;
      pause = Math.max(pause, performance.now() - last);
      last = performance.now();
    }
  })();
  await systemClock.sleep(1_000);
  pause = 0;
  const authority = { group: 'g', region: 'a', epoch: 1, demand: () => {} };
  await a.demote(context, authority);
  await b.promote(context, { ...authority, epoch: 2 }, null);
  await systemClock.sleep(1_000);
  stop = true;
  await writer;
  let lost = 0;
  for (let i = 0; i < writes; i++) if ((await clients[1].get(`k${i}`)) !== String(i)) lost += 1;
  for (const client of clients) client.destroy();
  await Promise.all([a.close?.(), b.close?.(), one.stop(), two.stop()]);
  return { pause, writes, lost };
}

const switched: Awaited<ReturnType<typeof switchover>>[] = [];
for (let i = 0; i < runs; i++) switched.push(await switchover());
// Side by side: what is measured is waiting.
const taken = await Promise.all(Array.from({ length: runs }, takeover));
const column = (pick: (one: Takeover) => number) => taken.map(pick);
const worst = (values: readonly number[]) => Math.max(...values);
process.stdout.write(`${runs} runs of each\n`);
row('', 'median', 'worst', 'target');
const [lease, service] = [column((t) => t.toLease), column((t) => t.toService)];
row('region lost to lease taken, TTL 30 s', seconds(median(lease)), seconds(worst(lease)), 'median < 30 s, all < 33 s');
row('region lost to first answer of the other', seconds(median(service)), seconds(worst(service)), '-');
const pauses = switched.map(({ pause }) => pause);
row('Redis, planned: longest pause of writes', seconds(median(pauses)), seconds(worst(pauses)), '< 5 s');
const lost = switched.reduce((sum, one) => sum + one.lost, 0);
const writes = switched.reduce((sum, one) => sum + one.writes, 0);
row(`Redis, planned: writes lost of ${writes}`, String(lost), String(lost), '0');
const [memory, idle] = [column((t) => t.megabytes), column((t) => t.idle * 100)];
row('controller, resident memory', `${median(memory).toFixed(0)} MB`, `${worst(memory).toFixed(0)} MB`, '< 120 MB');
row(
  'controller, processor when active and idle',
  `${median(idle).toFixed(2)} %`,
  `${worst(idle).toFixed(2)} %`,
  '< 1 % of a core',
);
