import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { freshnessMs, remember, rpoVerdict } from './rpo-decision.ts';

const db = { name: 'db', rpoSeconds: 5 };
const at = (seconds: number | undefined, when: number) => remember(undefined, { seconds, sentence: 'said', at: when });

describe('the RPO verdict', () => {
  it('is ok within the limit, over beyond it, and unknown where nothing was ever read', () => {
    assert.equal(rpoVerdict(db, at(5, 0), 0, 0).verdict, 'ok');
    assert.equal(rpoVerdict(db, at(5.1, 0), 0, 0).verdict, 'over');
    for (const history of [undefined, at(undefined, 0), at(Number.NaN, 0), at(Number.POSITIVE_INFINITY, 0)])
      assert.equal(rpoVerdict(db, history, 0, 0).verdict, 'unknown');
  });

  it('takes the last word from when the active lived, and no older one', () => {
    const known = at(1, 100_000);
    const silent = remember(known, { seconds: undefined, sentence: 'absent', at: 130_000 });
    // The active was last heard of just after the reading: half a minute later that still counts.
    assert.equal(rpoVerdict(db, silent, 130_000, 105_000).verdict, 'ok');
    assert.equal(rpoVerdict(db, silent, 130_000, 100_000 + freshnessMs + 1).verdict, 'unknown');
    // While the active lives, silence of its own is not excused for long.
    assert.equal(rpoVerdict(db, silent, 130_000, undefined).verdict, 'unknown');
  });

  it('never says ok of a lag above the limit or of one that is not known', () => {
    const time = fc.integer({ min: 0, max: 1_000_000 });
    const lag = fc.option(fc.double({ min: 0, max: 1000, noNaN: true }), { nil: undefined });
    fc.assert(
      fc.property(lag, time, time, fc.option(time, { nil: undefined }), (seconds, when, now, alive) => {
        const { verdict } = rpoVerdict(db, at(seconds, when), now, alive);
        if (seconds === undefined || seconds > 5) assert.notEqual(verdict, 'ok');
      }),
    );
  });
});
