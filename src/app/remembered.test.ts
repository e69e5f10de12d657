import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VirtualClock } from '../clock.ts';
import { remembered } from './remembered.ts';

test('asked once for all who ask meanwhile, again when its time is over, and again after an error', async () => {
  const clock = new VirtualClock();
  let asked = 0;
  let fails = false;
  const ask = remembered(clock, 10_000, String, async (question: number) => {
    asked += 1;
    if (fails) throw new Error('away');
    return question * 10 + asked;
  });
  assert.deepEqual(await Promise.all([ask(1), ask(1), ask(2)]), [11, 11, 22]);
  await clock.advance(9_999);
  assert.equal(await ask(1), 11);
  await clock.advance(1);
  assert.equal(await ask(1), 13);
  fails = true;
  await assert.rejects(ask(3), /away/);
  fails = false;
  assert.equal(await ask(3), 35);
});
