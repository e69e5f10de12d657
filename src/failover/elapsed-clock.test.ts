import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { createElapsed, parseUptime } from './elapsed-clock.ts';

/** A machine whose clocks a test sets, ms. */
function machine(uptime: number | undefined = 5_000) {
  const now: { monotonic: number; uptime: number | undefined; wall: number } = {
    monotonic: 1_000,
    uptime,
    wall: 1_000_000,
  };
  const elapsed = createElapsed({
    monotonic: () => now.monotonic,
    uptime: () => now.uptime,
    wall: () => now.wall,
  });
  /** Every clock that runs goes on. */
  const pass = (ms: number) => {
    now.monotonic += ms;
    if (now.uptime !== undefined) now.uptime += ms;
    now.wall += ms;
  };
  return { now, elapsed, pass };
}

describe('the elapsed time of the machine', () => {
  it('does not run fast however often it is read: hundredths are not added up', () => {
    const now = { ms: 5 };
    const elapsed = createElapsed({
      monotonic: () => now.ms,
      uptime: () => Math.floor(now.ms / 10) * 10,
      wall: () => Math.floor(now.ms),
    });
    for (; now.ms < 30_005; now.ms += 0.5) elapsed();
    assert.equal(elapsed(), 30_000);
    assert.equal(elapsed(0), 30_000);
  });

  it('counts what was slept through, once', () => {
    const { now, elapsed, pass } = machine();
    pass(1_000);
    assert.equal(elapsed(), 1_000);
    now.uptime = 66_000;
    now.wall += 60_000;
    assert.equal(elapsed(), 61_000, 'the uptime counts sleep, the monotonic clock does not');
    assert.equal(elapsed(0), 61_000, 'which the time of day shows as well, and is not counted twice');
    pass(100);
    now.uptime = undefined;
    assert.equal(elapsed(), 61_100);
  });

  it('a pause that shows in the time of day alone ends a deadline, and does not shorten a wait', () => {
    const { now, elapsed, pass } = machine();
    pass(2_000);
    const sent = elapsed();
    pass(10);
    now.wall += 30_000;
    assert.equal(elapsed(), 2_010);
    assert.equal(elapsed(sent), 32_010);
    pass(100);
    assert.equal(elapsed(sent), 32_110, 'it is counted once');
    assert.equal(elapsed(elapsed()), 2_110, 'a deadline that was set afterwards is not touched');
  });

  it('a clock that is set back holds nothing back, and the next pause shows all the same', () => {
    const { now, elapsed, pass } = machine(undefined);
    now.wall = 10;
    pass(500);
    assert.equal(elapsed(0), 500);
    const sent = elapsed();
    pass(10);
    now.wall += 5_000;
    assert.equal(elapsed(sent), 5_510);
  });

  it('never goes back, is never behind the monotonic clock, and a deadline never has longer than a wait', () => {
    const steps = fc.array(fc.tuple(fc.nat(10_000), fc.option(fc.nat(1e6), { nil: undefined }), fc.integer()), {
      minLength: 1,
    });
    fc.assert(
      fc.property(steps, (readings) => {
        const { now, elapsed } = machine(0);
        let before = 0;
        for (const [step, uptime, wall] of readings) {
          Object.assign(now, { monotonic: now.monotonic + step, uptime, wall });
          const passed = elapsed();
          assert.ok(passed >= before && passed >= now.monotonic - 1_000);
          assert.ok(elapsed(before) >= passed);
          before = passed;
        }
      }),
    );
  });

  it('reads the first field of /proc/uptime, or nothing', () => {
    assert.equal(parseUptime('35011.79 69321.47\n'), 35_011_790);
    for (const text of ['', 'never', '-1 2', 'NaN']) assert.equal(parseUptime(text), undefined);
  });
});
