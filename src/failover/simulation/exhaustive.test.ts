import assert from 'node:assert/strict';
import { test } from 'node:test';
import { coarseRules, conditionsOf, explore } from './exhaustive.ts';

test('the coarse numbers keep the rules of production', () => assert.deepEqual(coarseRules(), []));

test('one witness: every change of the network at every second, and never two open regions', () => {
  const conditions = conditionsOf(['all', 'none', 'answers lost', 'held']);
  const { states, counterexample } = explore({ witnesses: 1, conditions, seconds: 22, changes: 1 });
  assert.equal(counterexample, undefined);
  assert.ok(states > 10_000, `${states}`);
});

test('one witness: two changes, of the conditions that cut and hold', () => {
  const conditions = conditionsOf(['all', 'held']).filter(({ paused }) => paused !== 'b');
  assert.equal(explore({ witnesses: 1, conditions, seconds: 16, changes: 2 }).counterexample, undefined);
});

test('three witnesses: each region cut from some, all or none of them', () => {
  const conditions = conditionsOf(['all', 'none', 'first', 'last', 'held']);
  assert.equal(explore({ witnesses: 3, conditions, seconds: 18, changes: 1 }).counterexample, undefined);
});

test('it finds what is wrong: gates that cut after the lease has ended', () => {
  const conditions = conditionsOf(['all', 'none']);
  const { counterexample } = explore({
    witnesses: 1,
    conditions,
    seconds: 20,
    changes: 1,
    parameters: { softMs: 14_000, hardMs: 16_000 },
  });
  assert.ok(counterexample);
});
