/** Conditional writes of S3, against their published shape. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { systemClock } from '../../src/clock.ts';
import { createS3Witness } from '../../src/failover/witness/s3.ts';
import { type S3Server, startS3 } from './s3-server.ts';
import { conforms, leaseOf, newGroup, patient, resultsOf } from './suite.ts';

const [bucket, id, secret] = ['leases', 'AKIDEXAMPLE', 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY'];

describe('witness: S3', () => {
  let s3: S3Server;
  before(async () => {
    s3 = await startS3(bucket, id, secret);
  });
  after(() => s3?.stop());
  const open = (name: string, url = s3.url, more: { bucket?: string; secret?: string } = {}) =>
    createS3Witness({
      name,
      url,
      bucket: more.bucket ?? bucket,
      region: 'eu-central-1',
      prefix: 'failover/',
      credentials: async () => ({ accessKeyId: id, secretAccessKey: more.secret ?? secret }),
      clock: systemClock,
    });
  conforms('S3', async () => ({ open: (name, url) => open(name, url), url: s3.url }), { tellsExpiry: true });

  test('409 is tried again, and an error when it does not end', async () => {
    const group = newGroup();
    const witness = open('a');
    const first = leaseOf(group, undefined);
    s3.busy(2);
    assert.deepEqual(await witness.compareAndSet(group, undefined, first, patient()), { result: 'applied' });
    s3.busy(100);
    await assert.rejects(
      witness.compareAndSet(group, first, leaseOf(group, first), patient()),
      /refuses a write over the current object/,
    );
    s3.busy(0);
    assert.deepEqual(await witness.compareAndSet(group, first, leaseOf(group, first), patient()), {
      result: 'applied',
    });
  });

  test('an object that others rewrote or removed is seen for what it is', async () => {
    const group = newGroup();
    const witness = open('a');
    const first = leaseOf(group, undefined);
    await witness.compareAndSet(group, undefined, first, patient());
    // The same content under another ETag: no conflict.
    s3.put(`failover/${group}.json`, JSON.stringify(first, null, 2));
    const second = leaseOf(group, first);
    assert.deepEqual(await witness.compareAndSet(group, first, second, patient()), { result: 'applied' });
    s3.remove(`failover/${group}.json`);
    assert.deepEqual(await witness.compareAndSet(group, second, leaseOf(group, second), patient()), {
      result: 'conflict',
      current: undefined,
    });
    s3.put(`failover/${group}.json`, 'hello');
    await assert.rejects(witness.read(group, patient()), /no lease/);
  });

  test('a wrong bucket and a wrong secret are errors, not an empty register', async () => {
    const group = newGroup();
    await assert.rejects(open('a', s3.url, { bucket: 'elsewhere' }).read(group, patient()), /404 and not NoSuchKey/);
    await assert.rejects(open('b', s3.url, { secret: 'x'.repeat(40) }).read(group, patient()), /403/);
    const write = open('c', s3.url, { bucket: 'elsewhere' }).compareAndSet(
      group,
      undefined,
      leaseOf(group, undefined),
      patient(),
    );
    await assert.rejects(write);
  });

  test('a store that calls itself compatible and ignores conditions is found out', async () => {
    const careless = await startS3(bucket, id, secret);
    careless.ignoreConditions();
    const failed = (await resultsOf((name) => open(name, careless.url))).filter(({ outcome }) => outcome === 'failed');
    await careless.stop();
    assert.ok(
      failed.some(({ name }) => name.includes('first write is refused')),
      JSON.stringify(failed),
    );
    assert.ok(
      failed.some(({ name }) => name.includes('after a takeover')),
      JSON.stringify(failed),
    );
  });
});
