/**
 * What happens to the processes themselves: a disk that is full under the witness or under a controller, a witness that
 * stands still, a controller that is killed and comes back. Two controllers and a witness as the command line starts them.
 */
import assert from 'node:assert/strict';
import { mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { systemClock } from '../../src/clock.ts';
import { type Observer, startObserver, twoActive } from '../../src/failover/drill/observer.ts';
import { scaledTimings } from '../../src/failover/drill/stage.ts';
import type { Lease } from '../../src/failover/lease.ts';
import { openRecordFile, verifyRecordFile } from '../../src/failover/record-file.ts';
import type { CasAnswer } from '../../src/failover/witness/witness.ts';
import { findSmallDisks, type SmallDisk, startSmallDisk } from '../../testbed/namespaces.ts';
import { freePort, temporaryDirectory } from '../../testbed/process.ts';
import {
  group,
  type Program,
  regionKeys,
  regionNames,
  reigns,
  startRegion,
  startWitness,
  statusOf,
  until,
  witnessClient,
} from '../support/failover-site.ts';
import { leaseOf } from '../witness/suite.ts';

const [fsn, hel] = regionNames;
/** TTL 7.5 s: between a renewal that failed and the fence a promise has a second and a half, its fsync included. */
const spec = { mode: 'Automatic', timings: scaledTimings(4), minimumDwell: '0s', maximumTakeovers: 9 };

interface Disks {
  witness?: SmallDisk;
  standby?: SmallDisk;
}

interface Site {
  witness: Program;
  controllers: [Program, Program];
  observer: Observer;
  /** Waits until this region serves. */
  serves(region: string): Promise<void>;
  reason(i: 0 | 1): Promise<string>;
  /** The lease as the witness has it. */
  lease(): Promise<Lease>;
  /** Acquires the lease of another group, that nobody else asks for. */
  acquireSpare(): Promise<CasAnswer>;
  spare(): Promise<Lease | undefined>;
  health(): Promise<number>;
  restart(i: 0 | 1): Promise<void>;
  recordOf(i: 0 | 1): string;
}

async function setUp(t: TestContext, disks: Disks = {}): Promise<Site> {
  const cleanUps: (() => Promise<unknown>)[] = [];
  t.after(async () => {
    for (const cleanUp of cleanUps.reverse()) await cleanUp();
  });
  const folder = temporaryDirectory('failover-processes');
  cleanUps.push(async () => folder.remove());
  const keys = regionKeys();
  const witness = await startWitness(keys, {
    enter: disks.witness?.enter ?? [],
    listen: `127.0.0.1:${await freePort()}`,
    data: join(disks.witness?.path ?? folder.path, 'witness'),
    folder: folder.path,
  });
  cleanUps.push(() => witness.kill('SIGKILL'));
  const doors = [await freePort(), await freePort()] as const;
  const places = await Promise.all(
    ([0, 1] as const).map(async (i) => ({
      enter: (i === 1 && disks.standby?.enter) || [],
      folder: join(folder.path, regionNames[i]),
      dataDir: join((i === 1 && disks.standby?.path) || join(folder.path, regionNames[i]), 'data'),
      listen: `127.0.0.1:${await freePort()}`,
      witness: { url: witness.url },
      peerUrl: `http://127.0.0.1:${doors[1 - i]}`,
      peerListen: `127.0.0.1:${doors[i]}`,
      spec,
    })),
  );
  const start = async (i: 0 | 1) => {
    const place = places[i];
    assert.ok(place);
    const controller = await startRegion(i, keys, place);
    cleanUps.push(() => controller.kill('SIGKILL'));
    return controller;
  };
  const controllers: [Program, Program] = [await start(0), await start(1)];
  const observer = startObserver(
    controllers.map(({ url }, i) => ({ name: regionNames[i] ?? '', url: `${url}/gate/${group}` })),
    systemClock,
    () => {},
  );
  cleanUps.push(() => observer.stop());
  const client = witnessClient(keys, witness.url, systemClock);
  cleanUps.push(() => client.close());
  const spare = leaseOf('spare', undefined, { holder: fsn });
  const limited = () => ({ signal: AbortSignal.timeout(5_000) });
  const site: Site = {
    witness,
    controllers,
    observer,
    serves: (region) => until(`${region} serves`, () => observer.serving() === region),
    reason: async (i) => (await statusOf(controllers[i].url)).reason,
    lease: async () => {
      const { lease } = await client.read(group, limited());
      assert.ok(lease);
      return lease;
    },
    acquireSpare: () => client.compareAndSet(spare.group, undefined, spare, limited()),
    spare: async () => (await client.read(spare.group, limited())).lease,
    health: async () => (await fetch(`${witness.url}/healthz`, limited())).status,
    restart: async (i) => {
      controllers[i] = await start(i);
    },
    recordOf: (i) =>
      i === 1 && disks.standby
        ? join(disks.standby.outside, 'data', 'record.jsonl')
        : join(places[i]?.dataDir ?? '', 'record.jsonl'),
  };
  await site.serves(fsn);
  return site;
}

/** What must hold at the end, whatever happened. */
async function judge({ observer, recordOf }: Site, expected: readonly string[]): Promise<void> {
  await observer.stop();
  assert.equal(twoActive(observer.answers), undefined);
  assert.deepEqual(reigns(observer.answers), expected);
  for (const i of [0, 1] as const) assert.equal((await verifyRecordFile(recordOf(i))).intact, true);
}

/** Takes all the room there is; what it returns gives it back. */
function fill({ outside }: SmallDisk): () => void {
  const filler = join(outside, 'filler');
  assert.throws(() => writeFileSync(filler, Buffer.alloc(diskBytes)), /ENOSPC/);
  return () => rmSync(filler);
}

/** A disk gives a file whole pages: leaves less of the last one than any entry takes. */
async function padToPage(path: string): Promise<void> {
  const pageBytes = 4096;
  const record = await openRecordFile(path, Date.now);
  const entry = { kind: 'padding', group, region: hel, epoch: 0, actor: hel, facts: null };
  const { size: before } = statSync(path);
  await record.append({ ...entry, sentence: '' });
  const { size } = statSync(path);
  // A few bytes to spare: the number of the next entry may have a digit more.
  const whole = size + (size - before) + 8;
  await record.append({ ...entry, sentence: 'x'.repeat(pageBytes - (whole % pageBytes)) });
  await record.close();
}

const diskBytes = 2 ** 20;
const smallDisks = findSmallDisks();
const skip = smallDisks.available
  ? false
  : `${smallDisks.reason}; lease-file.test.ts and record-file.test.ts fail writes by a limit instead`;

describe('failover when processes and disks fail', { concurrency: true }, () => {
  it('the disk of the witness is full: it grants nothing, the active goes on by promise, and with room on its lease', {
    skip,
  }, async (t) => {
    const disk = await startSmallDisk(diskBytes);
    t.after(() => disk.stop());
    const site = await setUp(t, { witness: disk });

    const giveBack = fill(disk);
    await until('a write finds no room', async () => (await site.health()) === 503, [site.witness]);
    const full = await site.lease();
    await until('the promise carries', async () => (await site.reason(0)) === 'ActiveOnPromise');
    await assert.rejects(site.acquireSpare(), /has no room to write/);
    assert.deepEqual([await site.lease(), await site.spare()], [full, undefined], 'nothing was granted');
    await site.serves(fsn);

    giveBack();
    await until('the lease carries again', async () => (await site.reason(0)) === 'ActiveOnLease');
    const { epoch, seq } = await site.lease();
    assert.deepEqual([epoch, seq > full.seq], [full.epoch, true]);
    assert.equal(await site.health(), 200);
    assert.deepEqual(await site.acquireSpare(), { result: 'applied' });
    await judge(site, [`${fsn} 1`]);
  });

  it('the disk of the standby is full: what is not on record is not begun, and with room it takes over', {
    skip,
  }, async (t) => {
    const disk = await startSmallDisk(diskBytes);
    t.after(() => disk.stop());
    mkdirSync(join(disk.outside, 'data'), { mode: 0o700 });
    const site = await setUp(t, { standby: disk });

    // Started again on the full disk: not even that it has started can be put on record.
    await site.controllers[1].kill('SIGKILL');
    await padToPage(site.recordOf(1));
    const giveBack = fill(disk);
    await site.restart(1);
    await until('it stands by all the same', async () => (await site.reason(1)) === 'PeerActive');
    const { epoch } = await site.lease();
    await site.controllers[0].kill('SIGKILL');
    await until('the intent finds no room', async () => (await site.reason(1)) === 'RecordFailed');
    const held = await site.lease();
    assert.deepEqual([held.holder, held.epoch], [fsn, epoch], 'no acquisition was sent');

    giveBack();
    await site.serves(hel);
    await judge(site, [`${fsn} 1`, `${hel} 2`]);
    const record = await openRecordFile(site.recordOf(1), Date.now);
    t.after(() => record.close());
    const kinds = record.recent(group, 100).map(({ kind }) => kind);
    assert.deepEqual(kinds.slice(kinds.indexOf('intent')).slice(0, 3), ['intent', 'acquired', 'activated']);
  });

  it('the witness stands still and wakes up, the active controller is killed and comes back: never two', async (t) => {
    const site = await setUp(t);

    // It takes connections and answers none. What was sent to it meanwhile is carried out when it wakes up.
    process.kill(site.witness.pid ?? 0, 'SIGSTOP');
    const missed = async () => (await statusOf(site.controllers[0].url)).witnesses.every((one) => !one.reachable);
    await until('the witness is silent for a whole lease', missed);
    assert.equal(await site.reason(0), 'ActiveOnPromise');
    process.kill(site.witness.pid ?? 0, 'SIGCONT');
    await until('the lease carries again', async () => (await site.reason(0)) === 'ActiveOnLease');
    assert.equal((await site.lease()).epoch, 1);

    await site.controllers[0].kill('SIGKILL');
    await site.serves(hel);
    await site.restart(0);
    await until('what came back stands by', async () => (await site.reason(0)) === 'PeerActive');
    await site.serves(hel);
    await judge(site, [`${fsn} 1`, `${hel} 2`]);
  });
});
