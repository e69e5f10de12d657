import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createElapsed } from './elapsed-clock.ts';

describe('the elapsed time of the machine', () => {
  it('does not run fast however often it is read: hundredths are not added up', () => {
    const now = { ms: 5 };
    const elapsed = createElapsed({ monotonic: () => now.ms, uptime: () => Math.floor(now.ms / 10) * 10 });
    for (; now.ms < 30_005; now.ms += 1) elapsed();
    assert.equal(elapsed(), 30_000);
  });

  it('counts what was slept through, once, and never goes back', () => {
    const now = { monotonic: 0, uptime: 1000 as number | undefined };
    const elapsed = createElapsed({ monotonic: () => now.monotonic, uptime: () => now.uptime });
    now.monotonic = 100;
    now.uptime = 21_100;
    assert.equal(elapsed(), 20_100);
    now.monotonic = 200;
    now.uptime = 21_200;
    assert.equal(elapsed(), 20_200);
    now.uptime = undefined;
    now.monotonic = 300;
    assert.equal(elapsed(), 20_300);
  });
});
