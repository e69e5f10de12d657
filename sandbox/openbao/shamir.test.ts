import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { combine, split } from './shamir.ts';

describe('secret sharing', () => {
  it('gives the secret back from any three of five shares, in any order', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 1, maxLength: 40 }),
        fc.shuffledSubarray([0, 1, 2, 3, 4], { minLength: 3, maxLength: 5 }),
        (secret, chosen) => {
          const shares = split(secret, 5, 3);
          const some = chosen.map((n) => shares[n] ?? assert.fail());
          assert.deepEqual([...combine(some)], [...secret]);
        },
      ),
      { numRuns: 50 },
    );
  });

  it('does not give it from two shares, nor with one of another secret', () => {
    const secret = randomBytes(32);
    const [a, b, c] = split(secret, 5, 3);
    const [, , foreign] = split(randomBytes(32), 5, 3);
    assert.ok(a && b && c && foreign);
    assert.notDeepEqual(combine([a, b]), secret);
    assert.notDeepEqual(combine([a, b, foreign]), secret);
  });
});
