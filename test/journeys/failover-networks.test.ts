/**
 * Two controllers and the witness in three networks of their own, with a cable between each two: cables that are pulled,
 * and cables that carry one way only. Judged by an observer that asks both gates all the time.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { systemClock } from '../../src/clock.ts';
import { startObserver, twoActive } from '../../src/failover/drill/observer.ts';
import { scaledTimings } from '../../src/failover/drill/stage.ts';
import { verifyRecordFile } from '../../src/failover/record-file.ts';
import { findNetworks, startNetworks } from '../../testbed/namespaces.ts';
import { findPrograms, runProgram, temporaryDirectory } from '../../testbed/process.ts';
import {
  group,
  regionKeys,
  regionNames,
  reigns,
  startRegion,
  startWitness,
  statusOf,
  until,
} from '../support/failover-site.ts';
import { openWayIn } from '../support/way-in.ts';

const [fsn, hel] = regionNames;
/** TTL 7.5 s: a promise has a second and a half, its fsync included. Flapping is what the test does on purpose. */
const spec = { mode: 'Automatic', timings: scaledTimings(4), minimumDwell: '0s', maximumTakeovers: 9 };
const missing = [findNetworks(), findPrograms(['openssl'], ['/usr/bin'])].find(({ available }) => !available);
const skip =
  missing?.available === false ? `${missing.reason}; the drill "partition" cuts the same links as TCP relays` : false;

/** A certificate of its own for a server at these addresses. */
function certificate(folder: string, addresses: readonly string[]): { certFile: string; keyFile: string } {
  const [certFile, keyFile] = [join(folder, 'witness.crt'), join(folder, 'witness.key')];
  runProgram('openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '1'],
    ...['-subj', '/CN=witness', '-addext', `subjectAltName=${addresses.map((ip) => `IP:${ip}`).join()}`],
    ...['-keyout', keyFile, '-out', certFile],
  ]);
  return { certFile, keyFile };
}

describe('failover between networks that come apart', { skip }, () => {
  it('answers that are lost one way, then a cable that is pulled: fenced first, taken over then, never two', async (t) => {
    const cleanUps: (() => Promise<void>)[] = [];
    t.after(async () => {
      for (const cleanUp of cleanUps.reverse()) await cleanUp();
    });
    const folder = temporaryDirectory('failover-networks');
    cleanUps.push(async () => folder.remove());
    const net = await startNetworks(['fsn', 'hel', 'witness']);
    cleanUps.push(() => net.stop());
    const keys = regionKeys();
    const witness = await startWitness(keys, {
      enter: net.enter('witness'),
      listen: '0.0.0.0:8470',
      data: join(folder.path, 'witness'),
      tls: certificate(folder.path, [net.address('fsn', 'witness'), net.address('hel', 'witness')]),
      folder: folder.path,
    });
    cleanUps.push(() => witness.stop());
    const region = async (i: 0 | 1) => {
      const [here, there] = i === 0 ? (['fsn', 'hel'] as const) : (['hel', 'fsn'] as const);
      const controller = await startRegion(i, keys, {
        enter: net.enter(here),
        folder: join(folder.path, here),
        listen: '127.0.0.1:8480',
        witness: { url: `https://${net.address(here, 'witness')}:8470`, caFile: join(folder.path, 'witness.crt') },
        peerUrl: `http://${net.address(here, there)}:8481`,
        peerListen: '0.0.0.0:8481',
        spec,
      });
      cleanUps.push(() => controller.kill('SIGKILL'));
      const wayIn = await openWayIn(net.enter(here), 8480);
      cleanUps.push(() => wayIn.close());
      return { controller, url: wayIn.url, record: join(folder.path, here, 'data', 'record.jsonl') };
    };
    const one = await region(0);
    const two = await region(1);
    const observer = startObserver(
      [
        { name: fsn, url: `${one.url}/gate/${group}` },
        { name: hel, url: `${two.url}/gate/${group}` },
      ],
      systemClock,
      () => {},
    );
    cleanUps.push(() => observer.stop());
    const servers = [one.controller, two.controller, witness];
    const serves = (name: string | undefined) =>
      until(`${name ?? 'nobody'} serves`, () => observer.serving() === name, servers);
    const reason = async (url: string) => (await statusOf(url)).reason;
    await serves(fsn);

    // The witness hears each renewal and keeps it; its answers are lost. The peer's word carries, for longer than a lease.
    net.lose('witness', 'fsn');
    const missed = async () => (await statusOf(one.url)).witnesses.every(({ reachable }) => !reachable);
    await until('the witness is silent for a whole lease', missed, servers);
    assert.equal(await reason(one.url), 'ActiveOnPromise');
    await serves(fsn);
    net.mend('witness', 'fsn');
    await until('the lease carries again', async () => (await reason(one.url)) === 'ActiveOnLease', servers);

    // Now the peer's answers are lost as well, while what this region says still arrives at both.
    net.lose('witness', 'fsn');
    net.lose('hel', 'fsn');
    await serves(undefined);
    await serves(hel);
    net.mend('witness', 'fsn');
    net.mend('hel', 'fsn');
    await until('the old one stands by', async () => (await reason(one.url)) === 'PeerActive', servers);
    await serves(hel);

    net.unplug('hel', 'witness');
    net.unplug('hel', 'fsn');
    await serves(undefined);
    await serves(fsn);
    net.mend('hel', 'witness');
    net.mend('hel', 'fsn');
    await until('the old one stands by', async () => (await reason(two.url)) === 'PeerActive', servers);
    await serves(fsn);

    await observer.stop();
    assert.equal(twoActive(observer.answers), undefined);
    assert.deepEqual(reigns(observer.answers), [`${fsn} 1`, `${hel} 2`, `${fsn} 3`]);
    for (const { record } of [one, two]) assert.equal((await verifyRecordFile(record)).intact, true);
  });
});
