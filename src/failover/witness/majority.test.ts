import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VirtualClock } from '../../clock.ts';
import { askEach } from './majority.ts';
import { createMemoryWitness } from './memory.ts';
import type { Witness } from './witness.ts';

test('each witness answers for itself: one that is deaf and one that fails hide nothing', async () => {
  const clock = new VirtualClock();
  const good = createMemoryWitness('good', new Map(), clock);
  const deaf: Witness = { ...good, name: 'deaf', read: () => new Promise(() => {}) };
  const broken: Witness = { ...good, name: 'broken', read: () => Promise.reject(new TypeError('nobody foresaw this')) };
  const told: string[] = [];
  const asking = { clock, timeoutMs: 2_000, signal: new AbortController().signal };
  const all = askEach(
    [deaf, good, broken],
    (witness, context) => witness.read('shop', context),
    asking,
    ({ witness }) => told.push(witness),
  );
  while (told.length < 2) await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(told.sort(), ['broken', 'good']);
  await clock.advance(2_000);
  const answers = Object.fromEntries((await all).map((answer) => [answer.witness, answer]));
  assert.deepEqual(answers.good?.outcome, { answer: { lease: undefined, expired: undefined } });
  const errorOf = (name: string) => {
    const outcome = answers[name]?.outcome;
    assert.ok(outcome && 'error' in outcome);
    return outcome.error;
  };
  assert.deepEqual([errorOf('deaf').code, errorOf('deaf').certain], ['TimedOut', false]);
  assert.deepEqual([errorOf('broken').code, errorOf('broken').certain], ['UpstreamUnavailable', false]);
  assert.equal(answers.deaf?.tookMs, 2_000);
});
