import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { newId, timeOfId } from '../ids.ts';
import { createStopwatch, type RunningClock } from './response-stopwatch.ts';

const minute = 60_000;
const start = Date.UTC(2026, 0, 5, 12);

/** A machine: time passes, its clock is set, and it restarts. */
function machine() {
  let wall = start;
  let elapsed = 0;
  const read = { now: () => wall, monotonic: () => elapsed };
  return {
    now: () => wall,
    pass(ms: number) {
      elapsed += ms;
      wall += ms;
    },
    set(by: number) {
      wall += by;
    },
    boot: () => createStopwatch(read),
  };
}
const clockOf = (clockFrom: number, after: number, madeAt = clockFrom): RunningClock => ({
  id: newId(madeAt),
  clockFrom,
  escalateAt: clockFrom + after,
});

test('an id says when it was made', () => {
  fc.assert(fc.property(fc.integer({ min: 0, max: 2 ** 48 - 1 }), (at) => assert.equal(timeOfId(newId(at)), at)));
});

test('a clock that is seen to begin runs out after its time, however often and far the machine’s clock is set', () => {
  const jump = fc.integer({ min: -400, max: 400 }).map((days) => days * 86_400_000 + 12_345);
  const step = fc.record({ pass: fc.integer({ min: 0, max: 30 }), jump: fc.option(jump, { nil: 0, freq: 3 }) });
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 40 }), fc.integer({ min: 0, max: 300 }), (steps, seconds) => {
      const m = machine();
      const stopwatch = m.boot();
      stopwatch.due([]);
      const clock = clockOf(m.now(), seconds * 1_000);
      let passed = 0;
      for (const { pass, jump: by } of steps) {
        m.set(by ?? 0);
        assert.deepEqual(stopwatch.due([clock]), passed >= seconds ? [clock.id] : []);
        assert.equal(stopwatch.timeOf(clock), clock.clockFrom + passed * 1_000);
        m.pass(pass * 1_000);
        passed += pass;
      }
    }),
  );
});

test('a clock that another machine began is measured by time that passes, whatever that machine’s clock says', () => {
  for (const skew of [-60 * minute, 60 * minute]) {
    const m = machine();
    const stopwatch = m.boot();
    stopwatch.due([]);
    m.pass(1_000);
    const clock = clockOf(m.now() + skew, 15 * minute);
    assert.deepEqual(stopwatch.due([clock]), []);
    m.pass(15 * minute - 1_000);
    // One second was between the looks: it may have run for that long.
    assert.deepEqual(stopwatch.due([clock]), skew < 0 ? [clock.id] : []);
    m.pass(1_000);
    assert.deepEqual(stopwatch.due([clock]), [clock.id]);
  }
});

test('after a restart the time in between counts; set back meanwhile, it begins anew and not later', () => {
  const m = machine();
  const clock = clockOf(m.now(), 15 * minute);
  m.pass(14 * minute);
  assert.deepEqual(m.boot().due([clock]), []);
  m.pass(minute);
  assert.deepEqual(m.boot().due([clock]), [clock.id]);
  m.set(-24 * 60 * minute);
  const stopwatch = m.boot();
  assert.deepEqual(stopwatch.due([clock]), []);
  m.pass(15 * minute);
  assert.deepEqual(stopwatch.due([clock]), [clock.id]);
});

test('a clock that began anew runs from its beginning', () => {
  const m = machine();
  const stopwatch = m.boot();
  const clock = clockOf(m.now(), 15 * minute);
  stopwatch.due([clock]);
  m.pass(20 * minute);
  const reopened = { ...clock, clockFrom: m.now(), escalateAt: m.now() + 15 * minute };
  assert.deepEqual(stopwatch.due([reopened]), []);
  m.pass(15 * minute);
  assert.deepEqual(stopwatch.due([reopened]), [clock.id]);
});

test('what was split off has waited since before it was made', () => {
  const m = machine();
  const stopwatch = m.boot();
  stopwatch.due([]);
  const clock = clockOf(m.now() - 10 * minute, 15 * minute, m.now());
  assert.deepEqual(stopwatch.due([clock]), []);
  m.pass(5 * minute);
  assert.deepEqual(stopwatch.due([clock]), [clock.id]);
});

test('a clock that has stopped is forgotten', () => {
  const m = machine();
  const stopwatch = m.boot();
  const clock = clockOf(m.now(), 15 * minute);
  stopwatch.due([clock]);
  m.pass(20 * minute);
  assert.deepEqual(stopwatch.due([]), []);
  assert.deepEqual(stopwatch.due([{ ...clockOf(m.now(), minute) }]), []);
});
