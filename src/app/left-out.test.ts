import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VirtualClock } from '../clock.ts';
import { createLeftOutReader } from './left-out.ts';

const group = { source: 'am', organization: undefined, receiver: 'web.hook', externalUrl: 'http://am' };
type Accepted = { source: string; alerts: unknown[]; externalURL: string };

function scene(alerts: number | Error) {
  const clock = new VirtualClock(Date.UTC(2026, 0, 5));
  const asked: string[] = [];
  const accepted: Accepted[] = [];
  const errors: unknown[] = [];
  const read = createLeftOutReader({
    clock,
    alertmanager: {
      firingFor: async (_context, receiver) => {
        asked.push(receiver);
        if (alerts instanceof Error) throw alerts;
        return Array.from({ length: alerts }, (_, i) => ({ status: 'firing', labels: { alertname: `A${i}` } }));
      },
    },
    intake: {
      accept: async ({ source, body }) => {
        accepted.push({ source, ...JSON.parse(Buffer.from(body).toString()) });
        return { deliveryId: accepted.length };
      },
    },
    onError: (_part, error) => errors.push(error),
  });
  const settled = async () => {
    for (let i = 0; i < 10; i++) await Promise.resolve();
  };
  return { clock, asked, accepted, errors, read, settled };
}

test('what fires for the receiver is taken in as by the same source, in parts', async () => {
  const s = scene(1_001);
  s.read([group]);
  await s.settled();
  assert.deepEqual(
    s.accepted.map(({ source, alerts, externalURL }) => [source, alerts.length, externalURL]),
    [
      ['am', 1_000, 'http://am'],
      ['am', 1, 'http://am'],
    ],
  );
});

test('a group that is always too large is asked for twice a minute at most, another one by itself', async () => {
  const s = scene(1);
  s.read([group, group]);
  s.read([group, { ...group, receiver: 'other' }]);
  await s.settled();
  assert.deepEqual(s.asked, ['web.hook', 'other']);
  await s.clock.advance(30_000);
  s.read([group]);
  await s.settled();
  assert.deepEqual(s.asked, ['web.hook', 'other', 'web.hook']);
});

test('an Alertmanager that does not answer is told of, and asked again with the next delivery', async () => {
  const s = scene(new Error('away'));
  s.read([group]);
  await s.settled();
  assert.equal(s.errors.length, 1);
  assert.deepEqual(s.accepted, []);
});

test('without an Alertmanager nobody is asked', () => {
  const read = createLeftOutReader({
    clock: new VirtualClock(0),
    alertmanager: { firingFor: undefined },
    intake: { accept: () => Promise.reject(new Error('nothing is taken in')) },
    onError: (_part, error) => assert.fail(String(error)),
  });
  read([group]);
});
