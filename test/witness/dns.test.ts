/** RFC 2136 on a real primary, Knot DNS. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { systemClock } from '../../src/clock.ts';
import { createDnsWitness } from '../../src/failover/witness/dns.ts';
import { findKnot, type Knot, startKnot } from '../../testbed/knot.ts';
import { describeReal } from '../../testbed/real.ts';
import { conforms, leaseOf, newGroup, patient } from './suite.ts';

describeReal('witness: the primary of a DNS zone', findKnot, () => {
  let knot: Knot;
  before(async () => {
    knot = await startKnot();
  });
  after(() => knot?.stop());
  const open = (name: string, url = knot.url, key = knot.key) =>
    createDnsWitness({
      name,
      server: { host: '127.0.0.1', port: Number(new URL(url).port) },
      zone: knot.zone,
      key: async () => ({ name: key.name, secret: Buffer.from(key.secret, 'base64') }),
      clock: systemClock,
    });
  conforms('DNS UPDATE', async () => ({ open, url: knot.url }), { tellsExpiry: false });

  test('a lease of the largest size passes, in strings of 255 bytes', async () => {
    const witness = open('a');
    const group = newGroup();
    const first = leaseOf(group, undefined, { payload: 'é"\\;'.repeat(2_000) });
    assert.deepEqual(await witness.compareAndSet(group, undefined, first, patient()), { result: 'applied' });
    const fresh = open('b');
    assert.deepEqual((await fresh.read(group, patient())).lease, first);
    const second = leaseOf(group, first, { payload: first.payload });
    assert.deepEqual(await fresh.compareAndSet(group, first, second, patient()), { result: 'applied' });
  });

  test('with a wrong secret or another name of the key nothing is known, and nothing written', async () => {
    const group = newGroup();
    for (const key of [
      { ...knot.key, secret: Buffer.alloc(32).toString('base64') },
      { ...knot.key, name: 'stranger' },
    ]) {
      const witness = open('a', knot.url, key);
      await assert.rejects(
        witness.compareAndSet(group, undefined, leaseOf(group, undefined), patient()),
        /TSIG error|not signed/,
      );
      await assert.rejects(witness.read(group, patient()), /TSIG error|not signed/);
    }
    assert.equal((await open('b').read(group, patient())).lease, undefined);
  });
});
