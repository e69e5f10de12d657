import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { after, describe, it } from 'node:test';
import fc from 'fast-check';
import { systemClock } from '../../clock.ts';
import { createElapsed } from '../elapsed-clock.ts';
import { Gate } from './gate.ts';
import { gateReply, parseGateAnswer } from './gate-answer.ts';
import { startSidecar } from './gate-sidecar.ts';

describe('a gate', () => {
  it('is shut at the start, open under a deadline, and shut at the deadline without being told', () => {
    let now = 1000;
    const gate = new Gate('orders', () => now);
    assert.equal(gate.read().open, false);
    assert.ok(gate.extend(3, 1500, 0));
    assert.deepEqual([gate.read().open, gate.read().remainingMs], [true, 500]);
    now = 1500;
    assert.equal(gate.read().open, false);
    assert.match(gate.read().sentence, /deadline of epoch 3 has passed/);
  });

  it('is shut after a pause that only the time of day shows, and open again with the next renewal', () => {
    const clock = { monotonic: 0, wall: 0 };
    const elapsed = createElapsed({
      monotonic: () => clock.monotonic,
      uptime: () => undefined,
      wall: () => clock.wall,
    });
    const gate = new Gate('orders', elapsed);
    gate.extend(3, 26_000, 0);
    clock.monotonic = 100;
    clock.wall = 60_100;
    assert.equal(gate.read().open, false);
    gate.extend(3, elapsed() + 26_000, elapsed());
    assert.equal(gate.read().open, true);
  });

  it('takes no word about an epoch older than one it has seen', () => {
    const gate = new Gate('orders', () => 0);
    gate.extend(3, 100, 0);
    gate.shut(3, 'fenced');
    assert.equal(gate.extend(2, 200, 0), false);
    assert.equal(gate.read().open, false);
    assert.ok(gate.extend(4, 200, 0));
    gate.shut(3, 'a late word about an old epoch');
    assert.equal(gate.read().open, true);
  });

  it('is, whatever comes in whatever order, open only under the last word about its newest epoch', () => {
    const event = fc.record({
      kind: fc.constantFrom('extend', 'shut', 'wait'),
      epoch: fc.integer({ min: 1, max: 4 }),
      ms: fc.integer({ min: 0, max: 100 }),
    });
    fc.assert(
      fc.property(fc.array(event, { maxLength: 60 }), (events) => {
        let now = 0;
        const gate = new Gate('g', () => now);
        let newest = 0;
        let deadline = 0;
        for (const { kind, epoch, ms } of events) {
          if (kind === 'wait') now += ms;
          if (kind === 'extend') assert.equal(gate.extend(epoch, now + ms, 0), epoch >= newest);
          if (kind === 'shut') gate.shut(epoch, 'x');
          if (kind !== 'wait' && epoch >= newest) {
            newest = epoch;
            deadline = kind === 'extend' ? now + ms : 0;
          }
          assert.equal(gate.read().open, deadline > now);
        }
      }),
    );
  });

  it('answers 200 only while open, and what it answers can be read back', () => {
    const gate = new Gate('orders', () => 0);
    assert.equal(gateReply('orders', gate.read()).status, 503);
    gate.extend(7, 1234.9, 0);
    const reply = gateReply('orders', gate.read());
    assert.deepEqual([reply.status, reply.headers['cache-control']], [200, 'no-store']);
    assert.equal(parseGateAnswer('orders', reply.body)?.remainingMs, 1234);
    assert.equal(gateReply('other', undefined).status, 404);
  });

  it('takes nothing for an answer that is not one of its group', () => {
    const good = { group: 'g', open: true, epoch: 1, remainingMs: 10, sentence: '' };
    assert.ok(parseGateAnswer('g', JSON.stringify(good)));
    const bad = [{ group: 'h' }, { open: 1 }, { epoch: -1 }, { epoch: 1.5 }, { remainingMs: 1e12 }, { sentence: 4 }];
    for (const change of bad) assert.equal(parseGateAnswer('g', JSON.stringify({ ...good, ...change })), undefined);
    for (const text of ['', 'null', '[]', '<html>']) assert.equal(parseGateAnswer('g', text), undefined);
  });
});

describe('a sidecar', () => {
  /** Stands for the controller: says what it is told to say, or nothing at all. */
  async function controller() {
    const state = { answer: { group: 'g', open: false, epoch: 0, remainingMs: 0, sentence: 'x' }, silent: false };
    const server = createServer((_request, response) => {
      if (!state.silent) response.end(JSON.stringify(state.answer));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    after(() => {
      server.closeAllConnections();
      server.close();
    });
    return { state, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
  }

  async function workload() {
    const server = createServer((_request, response) => response.end('served'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    after(() => server.close());
    return { host: '127.0.0.1', port: (server.address() as AddressInfo).port };
  }

  const until = async (what: () => Promise<boolean> | boolean) => {
    const limit = Date.now() + 20_000;
    while (!(await what())) {
      assert.ok(Date.now() < limit, 'it did not come to that');
      await systemClock.sleep(20);
    }
  };

  it('follows its controller, and shuts at its own deadline when the controller says no more', async () => {
    const { state, url } = await controller();
    let offset = 0;
    const elapsed = () => performance.now() + offset;
    const any = { host: '127.0.0.1', port: 0 };
    const sidecar = await startSidecar({
      group: 'g',
      controller: url,
      layer: 'traffic',
      keys: undefined,
      listen: any,
      forward: [{ listen: any, to: await workload() }],
      elapsed,
      clock: systemClock,
    });
    after(() => sidecar.stop());
    const status = async () => (await fetch(`${sidecar.url}/gate/g`)).status;
    const served = () =>
      fetch(`http://127.0.0.1:${sidecar.ports[0]}/`, { headers: { connection: 'close' } }).then(
        (response) => response.text(),
        () => 'refused',
      );
    assert.deepEqual([await status(), await served()], [503, 'refused']);

    state.answer = { ...state.answer, open: true, epoch: 5, remainingMs: 60_000 };
    await until(async () => (await status()) === 200);
    assert.equal(await served(), 'served');

    const held = connect(sidecar.ports[0] ?? 0, '127.0.0.1');
    const closed = new Promise((resolve) => held.once('close', resolve));
    await new Promise((resolve) => held.once('connect', resolve));

    state.silent = true;
    offset = 61_000;
    assert.deepEqual([await status(), await served()], [503, 'refused']);
    await closed;

    // A controller that comes back under the same epoch, whose deadline has passed meanwhile, may extend it.
    state.silent = false;
    await until(async () => (await status()) === 200);
    state.answer = { ...state.answer, open: false, epoch: 0, sentence: 'shut: no lease has been seen' };
    await until(async () => (await status()) === 503);
    state.answer = { ...state.answer, open: true, epoch: 4 };
    await systemClock.sleep(1200);
    assert.equal(await status(), 503, 'an older epoch opens nothing');
    assert.equal((await fetch(`${sidecar.url}/gate/other`)).status, 404);
  });
});
