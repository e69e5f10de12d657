import assert from 'node:assert/strict';
import { after, it } from 'node:test';
import { createClient } from '@redis/client';
import { describeReal } from '../../../testbed/real.ts';
import { findRedis, startRedis } from '../../../testbed/redis.ts';
import { systemClock } from '../../clock.ts';
import type { Authority } from './layer.ts';
import { createValkey } from './valkey.ts';

const context = { signal: AbortSignal.timeout(120_000), clock: systemClock };

function authority(epoch: number, live = true): Authority {
  return {
    group: 'orders',
    region: 'a',
    epoch,
    demand: () => {
      if (!live) throw new Error('dead epoch');
    },
  };
}

async function pair() {
  const one = await startRedis();
  after(one.stop);
  const two = await startRedis({ replicaOf: one.address });
  after(two.stop);
  const valkey = (address: string, peerAddress: string) => {
    const component = createValkey({ name: 'cache', address, peerAddress, password: undefined });
    after(() => component.close?.());
    return component;
  };
  const a = valkey(one.address, two.address);
  const b = valkey(two.address, one.address);
  const client = async (address: string) => {
    const made = createClient({ url: `redis://${address}`, socket: { reconnectStrategy: false } });
    made.on('error', () => {});
    await made.connect();
    after(() => made.destroy());
    return made;
  };
  const caughtUp = async () => {
    const position = await a.position(context);
    for (let i = 0; i < 400; i++) {
      if ((await b.lag(context, position)).seconds === 0) return position;
      await systemClock.sleep(50);
    }
    throw new Error('the replica did not catch up');
  };
  await caughtUp();
  return { one, two, a, b, client, caughtUp };
}

describeReal('Valkey on real Redis', findRedis, () => {
  it('loses no write in a planned switchover with a writer running, and says how far it is', async () => {
    const { one, two, a, b, client } = await pair();
    const writers = { [one.address]: await client(one.address), [two.address]: await client(two.address) };
    const acknowledged: number[] = [];
    let longestPause = 0;
    let stop = false;
    const write = async () => {
      let at = one.address;
      let last = performance.now();
      for (let n = 0; !stop; n++) {
        for (;;) {
          try {
            await writers[at]?.set(`key:${n}`, String(n));
            break;
          } catch (error) {
            // A replica answers READONLY: the write did not take place, and goes to the other one.
            assert.match(String(error), /READONLY|UNBLOCKED/);
            at = at === one.address ? two.address : one.address;
            await systemClock.sleep(2);
          }
        }
        acknowledged.push(n);
        longestPause = Math.max(longestPause, performance.now() - last);
        last = performance.now();
      }
    };
    const writing = write();
    while (acknowledged.length < 500) await systemClock.sleep(5);
    const { sentence } = await a.demote(context, authority(1));
    assert.match(sentence, /handed over .* with every write/);
    await b.promote(context, authority(2), { planned: true });
    await b.verify(context);
    const before = acknowledged.length;
    while (acknowledged.length < before + 500) await systemClock.sleep(5);
    stop = true;
    await writing;
    for (const n of acknowledged) assert.equal(await writers[two.address]?.get(`key:${n}`), String(n));
    await assert.rejects(a.verify(context), /is a slave/);
    assert.ok(longestPause < 60_000, `writes paused for ${longestPause} ms`);
  });

  it('fences a primary so that it takes no write, and takes over from a lost one', async () => {
    const { one, two, a, b, client, caughtUp } = await pair();
    const onOne = await client(one.address);
    await onOne.set('kept', '1');
    const last = await caughtUp();
    await a.fence(context, authority(1));
    await assert.rejects(onOne.set('late', '1'), /READONLY/);
    assert.match((await a.fence(context, authority(1))).sentence, /is a replica/);

    await one.server.kill('SIGKILL');
    const lag = await b.lag(context, last);
    assert.equal(lag.seconds, 0, lag.sentence);
    await b.promote(context, authority(2), undefined);
    await b.verify(context);
    const onTwo = await client(two.address);
    assert.equal(await onTwo.get('kept'), '1');
    assert.match(await b.divergence(context, last), /nothing is missing up to offset/);
    await assert.rejects(a.position(context), /does not answer/);
  });

  it('does nothing under a dead epoch, and does not know a lag of another history', async () => {
    const { a, b } = await pair();
    await assert.rejects(b.promote(context, authority(2, false), undefined), /dead epoch/);
    await assert.rejects(a.demote(context, authority(2, false)), /dead epoch/);
    await a.verify(context);
    const foreign = await b.lag(context, { replid: 'f'.repeat(40), offset: 1 });
    assert.match(foreign.sentence, /heard from its primary/);
    assert.match(await b.divergence(context, undefined), /told no position/);
    const [check] = await a.checks(context);
    assert.equal(check?.verdict, 'passed');
  });
});
