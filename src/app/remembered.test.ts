import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { VirtualClock } from '../clock.ts';
import { remembered } from './remembered.ts';

test('asked once for all who ask meanwhile, and again after an error', async () => {
  const clock = new VirtualClock();
  let asked = 0;
  let fails = false;
  const ask = remembered(clock, 10_000, String, async (question: number) => {
    const nth = ++asked;
    // It lasts as long as it may from here on.
    await clock.advance(100);
    if (fails) throw new Error('away');
    return question * 10 + nth;
  });
  assert.deepEqual(await Promise.all([ask(1), ask(1), ask(2)]), [11, 11, 22]);
  await clock.advance(9_000);
  assert.equal(await ask(1), 11);
  fails = true;
  await assert.rejects(ask(3), /away/);
  fails = false;
  assert.equal(await ask(3), 34);
});

test('when its time is over nobody waits for the next answer, and an old one is given no longer than twice its time', async () => {
  const clock = new VirtualClock();
  const answers: PromiseWithResolvers<string>[] = [];
  const ask = remembered(clock, 10_000, String, (_: number) => {
    const next = Promise.withResolvers<string>();
    answers.push(next);
    return next.promise;
  });
  const first = ask(1);
  await clock.advance(100);
  answers[0]?.resolve('first');
  assert.equal(await first, 'first');
  await clock.advance(10_000);
  assert.deepEqual(await Promise.all([ask(1), ask(1)]), ['first', 'first']);
  assert.equal(answers.length, 2, 'asked once by those two');
  answers[1]?.reject(new Error('away'));
  await turn();
  assert.equal(await ask(1), 'first', 'an answer that stands is not lost to an error');
  assert.equal(answers.length, 3, 'and the next who asks tries again');
  await clock.advance(100);
  answers[2]?.resolve('second');
  await turn();
  assert.equal(await ask(1), 'second');
  await clock.advance(20_000);
  const late = ask(1);
  answers[3]?.resolve('third');
  assert.equal(await late, 'third');
  assert.equal(answers.length, 4);
});

test('what is quick to work out is soon asked again', async () => {
  const clock = new VirtualClock();
  let asked = 0;
  const ask = remembered(clock, 10_000, String, async (_: number) => {
    asked += 1;
    await clock.advance(5);
    return asked;
  });
  assert.equal(await ask(1), 1);
  await clock.advance(400);
  assert.equal(await ask(1), 1);
  await clock.advance(600);
  assert.equal(await ask(1), 2);
});
