/**
 * Failover in figures: `node bench/failover.ts [--write]`; minutes, so it stands beside `npm run bench`.
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
import { simulate } from '../src/failover/simulation/simulate.ts';
import { variants } from '../src/failover/simulation/variants.ts';
import { startRedis } from '../testbed/redis.ts';
import { figure, median } from './support/figures.ts';
import { runAsProgram, type Section } from './support/report.ts';

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
    // Memory is read when a minute has passed, the loss comes at a random moment between two renewals.
    await systemClock.sleep(60_000 + Math.random() * defaultParameters.renewMs);
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

/** Times of the simulator on one core: events of two regions with faults, hours of simulated time a minute. */
function simulatedHoursAMinute(): number {
  const started = performance.now();
  let simulated = 0;
  for (let seed = 1; performance.now() - started < 10_000; seed++)
    for (const variant of variants) simulated += simulate({ seed, variant }).simulatedMs;
  return simulated / 3_600_000 / ((performance.now() - started) / 60_000);
}

export async function benchFailover(settings = { runs: 5 }): Promise<Section> {
  const { runs } = settings;
  const switched: Awaited<ReturnType<typeof switchover>>[] = [];
  for (let i = 0; i < runs; i++) switched.push(await switchover());
  // Once for nothing, so that no run compiles what the others find compiled; then side by side: what is measured is waiting.
  await takeover();
  const taken = await Promise.all(Array.from({ length: runs }, takeover));
  const row = (what: string, values: readonly number[], unit: string, target: string) => [
    what,
    figure(median(values), unit),
    figure(Math.max(...values), unit),
    target,
  ];
  const seconds = (pick: (one: Takeover) => number) => taken.map((one) => pick(one) / 1000);
  const lost = switched.reduce((sum, one) => sum + one.lost, 0);
  const writes = switched.reduce((sum, one) => sum + one.writes, 0);
  return {
    name: 'failover',
    columns: ['Failover', 'Median', 'Worst', 'Target'],
    rows: [
      row(
        'Region lost to lease taken',
        seconds((t) => t.toLease),
        's',
        'median < 30 s, all < 33 s',
      ),
      row(
        'Region lost to first answer of the other',
        seconds((t) => t.toService),
        's',
        '',
      ),
      row(
        'Redis, planned: longest pause of writes',
        switched.map(({ pause }) => pause / 1000),
        's',
        '< 5 s',
      ),
      [`Redis, planned: writes lost of ${figure(writes)}`, String(lost), '', '0'],
      row(
        'Controller: memory after a minute',
        taken.map((t) => t.megabytes),
        'MB',
        '< 120 MB',
      ),
      row(
        'Controller: processor, active and idle',
        taken.map((t) => t.idle * 100),
        '% of a core',
        '< 1 %',
      ),
      ['Simulator, one core: simulated hours a minute', figure(simulatedHoursAMinute()), '', '> 150'],
    ],
    notes: [
      `${runs} runs of each; TTL 30 s, renewed every 10 s. The last renewal was 0 to 10 s old, so no lease ends sooner than 20 s after the loss, whatever anybody does.`,
      'Processes as the command line starts them, from the second start on: the first one compiles, and holds some 25 MB more.',
    ],
  };
}

await runAsProgram(import.meta.main, benchFailover);
