/** The Cloudflare Worker with its Durable Object, on the real workerd. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { systemClock } from '../../src/clock.ts';
import { generateKey, signingKey } from '../../src/failover/keys.ts';
import { createHttpWitness } from '../../src/failover/witness/http.ts';
import { waitUntil } from '../../testbed/process.ts';
import { type RunningWorker, startWorker } from './cloudflare.ts';
import { conforms, leaseOf, newGroup, patient } from './suite.ts';

const keys = { fsn: generateKey(), hel: generateKey(), stranger: generateKey() };
const regions = [
  { name: 'fsn', publicKey: keys.fsn.publicKey },
  { name: 'hel', publicKey: keys.hel.publicKey, groups: ['shop'] },
];

describe('witness: the Cloudflare Worker', () => {
  const directory = mkdtempSync(join(tmpdir(), 'worker-'));
  let worker: RunningWorker;
  before(async () => {
    worker = await startWorker(regions, directory);
  });
  after(async () => {
    await worker?.stop();
    rmSync(directory, { recursive: true, force: true });
  });
  const open = (name: string, url = worker.url, region: keyof typeof keys = 'fsn') =>
    createHttpWitness({
      name,
      url,
      region,
      key: async () => signingKey(keys[region].privateKeyPem),
      clock: systemClock,
    });
  conforms('workerd', async () => ({ open: (name, url) => open(name, url), url: worker.url }), { tellsExpiry: true });

  test('a region writes its own name, and passes on only what is its own', async () => {
    const [fsn, hel] = [open('a'), open('b', worker.url, 'hel')];
    const first = leaseOf('shop', undefined, { holder: 'fsn' });
    await assert.rejects(hel.compareAndSet('shop', undefined, first, patient()), /may release or hand over only/);
    await fsn.compareAndSet('shop', undefined, first, patient());
    await assert.rejects(
      hel.compareAndSet('shop', first, leaseOf('shop', first, { holder: '' }), patient()),
      /fsn holds this one/,
    );
    const handover = leaseOf('shop', first, { holder: 'hel', epoch: 2 });
    assert.deepEqual(await fsn.compareAndSet('shop', first, handover, patient()), { result: 'applied' });
    assert.deepEqual(
      await hel.compareAndSet('shop', handover, leaseOf('shop', handover, { holder: 'hel' }), patient()),
      { result: 'applied' },
    );
  });

  test('a stranger and a group of others are refused', async () => {
    const group = newGroup();
    await assert.rejects(open('a', worker.url, 'stranger').read(group, patient()), /not signed by the key/);
    await assert.rejects(open('b', worker.url, 'hel').read(group, patient()), /has no business/);
    assert.equal((await fetch(`${worker.url}/v1/leases/${group}`)).status, 401);
    assert.equal(
      (await fetch(`${worker.url}/v1/leases/${group}`, { method: 'POST', body: 'x'.repeat(40_000) })).status,
      413,
    );
    assert.equal((await fetch(`${worker.url}/elsewhere`)).status, 404);
  });

  test('the lease is mirrored to KV for readers, and survives a restart of the object', async () => {
    const group = newGroup();
    const witness = open('a');
    const first = leaseOf(group, undefined);
    await witness.compareAndSet(group, undefined, first, patient());
    await waitUntil('the mirror', 10_000, async () => (await worker.mirror(group)) !== null);
    assert.deepEqual(JSON.parse((await worker.mirror(group)) ?? ''), first);
    await worker.stop();
    worker = await startWorker(regions, directory);
    assert.deepEqual((await open('b').read(group, patient())).lease, first);
  });
});
