import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { saidShare, shareOf } from './share.ts';

test('the interval is the one of Wilson', () => {
  // Brown, Cai, DasGupta 2001: 0 of 10 ends at 0.2775, 10 of 10 begins at 0.7225.
  assert.equal(shareOf(0, 10).high.toFixed(4), '0.2775');
  assert.equal(shareOf(10, 10).low.toFixed(4), '0.7225');
  assert.deepEqual(shareOf(0, 0), { count: 0, of: 0, share: undefined, low: 0, high: 1 });
  assert.equal(saidShare(shareOf(3, 4)), '3 of 4 (75 %)');
});

test('the share lies in its interval, and more of the same makes it narrower', () => {
  fc.assert(
    fc.property(fc.nat(1000), fc.integer({ min: 1, max: 1000 }), (a, of) => {
      const count = Math.min(a, of);
      const one = shareOf(count, of);
      const ten = shareOf(count * 10, of * 10);
      assert.ok(one.low >= 0 && one.high <= 1);
      assert.ok(one.low <= (one.share ?? 0) + 1e-9 && (one.share ?? 0) <= one.high + 1e-9);
      assert.ok(ten.high - ten.low < one.high - one.low);
    }),
  );
});
