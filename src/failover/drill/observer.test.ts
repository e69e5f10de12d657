import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parametersOf } from '../group-settings.ts';
import { brokenRules } from '../parameters.ts';
import { longestSilence, type Served, twoActive } from './observer.ts';
import { scaledTimings } from './stage.ts';

const served = (region: string, epoch: number, askedAt: number, answeredAt = askedAt + 5): Served => ({
  region,
  epoch,
  askedAt,
  answeredAt,
});

describe('the observer of a drill', () => {
  it('sees nothing wrong in a handover, nor in answers that merely overtook each other', () => {
    assert.equal(twoActive([]), undefined);
    assert.equal(twoActive([served('a', 1, 0), served('a', 1, 50), served('b', 2, 60), served('a', 3, 90)]), undefined);
    // Asked before the newer epoch had answered: it may have been answered before, too.
    assert.equal(twoActive([served('a', 1, 0, 100), served('b', 2, 50, 60)]), undefined);
  });

  it('sees an old epoch that still serves, and an epoch that both serve', () => {
    assert.match(twoActive([served('a', 1, 0), served('b', 2, 50), served('a', 1, 80)]) ?? '', /25 ms after b/);
    assert.match(twoActive([served('a', 1, 0), served('b', 1, 50)]) ?? '', /both served epoch 1/);
    assert.match(twoActive([served('a', 1, 80), served('b', 2, 50)]) ?? '', /a served epoch 1/);
  });

  it('measures the longest time without an answer', () => {
    assert.deepEqual(longestSilence([served('a', 1, 0), served('b', 2, 6000), served('b', 2, 6050)]), {
      ms: 6000,
      from: 5,
    });
  });

  it('uses times that keep every rule at every speed it allows', () => {
    for (const speed of [1, 2, 3, 5, 7, 10]) {
      const spec = { regions: ['a', 'b'], witnesses: ['w'], timings: scaledTimings(speed) };
      assert.deepEqual(brokenRules(parametersOf(spec), { resolvers: false, promote: false }), [], `speed ${speed}`);
    }
  });
});
