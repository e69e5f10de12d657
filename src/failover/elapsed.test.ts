import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Elapsed, parseUptime } from './elapsed.ts';

const reading = (monotonic: number, uptime: number | undefined, wall: number) => ({ monotonic, uptime, wall });

test('while the machine sleeps, time passes', () => {
  const elapsed = new Elapsed(reading(1_000, 5_000, 1_000_000));
  assert.equal(elapsed.advance(reading(2_000, 6_000, 1_001_000)), 1_000);
  assert.equal(
    elapsed.advance(reading(2_010, 66_000, 1_001_010)),
    61_000,
    'the uptime counts sleep, the monotonic clock does not',
  );
  assert.equal(
    elapsed.advance(reading(3_010, 67_000, 1_032_010)),
    92_000,
    'a paused virtual machine shows in the time of day alone',
  );
});

test('a clock that is set back holds nothing back', () => {
  const elapsed = new Elapsed(reading(0, undefined, 1_000_000));
  assert.equal(elapsed.advance(reading(500, undefined, 10)), 500);
  assert.equal(elapsed.advance(reading(900, undefined, 20)), 900);
});

test('elapsed time never goes back, and is never behind the monotonic clock', () => {
  const readings = fc.array(fc.tuple(fc.nat(10_000), fc.option(fc.nat(1e6), { nil: undefined }), fc.integer()), {
    minLength: 1,
  });
  fc.assert(
    fc.property(readings, (steps) => {
      let monotonic = 0;
      let before = 0;
      const elapsed = new Elapsed(reading(0, 0, 0));
      for (const [step, uptime, wall] of steps) {
        monotonic += step;
        const now = elapsed.advance(reading(monotonic, uptime, wall));
        assert.ok(now >= before && now >= monotonic);
        before = now;
      }
    }),
  );
});

test('the first field of /proc/uptime, or nothing', () => {
  assert.equal(parseUptime('35011.79 69321.47\n'), 35_011_790);
  for (const text of ['', 'never', '-1 2', 'NaN']) assert.equal(parseUptime(text), undefined);
});
