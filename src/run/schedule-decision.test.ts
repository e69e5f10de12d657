import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { dueTimes, nextDue, planCatchup } from './schedule-decision.ts';

const day = 24 * 3_600_000;
const at = (text: string) => Date.parse(text);

test('the hour that comes twice in autumn runs a nightly job once', () => {
  const times = dueTimes(
    { cron: '30 2 * * *', timeZone: 'Europe/Berlin' },
    at('2026-10-24T12:00Z'),
    at('2026-10-26T12:00Z'),
  );
  assert.deepEqual(
    times.map((t) => t.localTime),
    ['2026-10-25T02:30', '2026-10-26T02:30'],
  );
});

test('a time that spring leaves out is run once, at the next there is', () => {
  const times = dueTimes(
    { cron: '0 3 * * 0', timeZone: 'Europe/Helsinki' },
    at('2026-03-28T00:00Z'),
    at('2026-03-30T00:00Z'),
  );
  assert.deepEqual(
    times.map((t) => [new Date(t.at).toISOString(), t.localTime]),
    [['2026-03-29T01:00:00.000Z', '2026-03-29T04:00']],
  );
});

test('every local date has exactly one nightly run, in any zone and year', () => {
  const zones = [
    'UTC',
    'Europe/Berlin',
    'Europe/Helsinki',
    'America/New_York',
    'Australia/Lord_Howe',
    'Asia/Kolkata',
    'America/Santiago',
  ];
  fc.assert(
    fc.property(
      fc.constantFrom(...zones),
      fc.integer({ min: 0, max: 23 }),
      fc.integer({ min: 0, max: 59 }),
      fc.integer({ min: 2024, max: 2035 }),
      (timeZone, hour, minute, year) => {
        const times = dueTimes(
          { cron: `${minute} ${hour} * * *`, timeZone },
          Date.UTC(year, 0, 2),
          Date.UTC(year, 11, 30),
        );
        const dates = times.map((t) => t.localTime.slice(0, 10));
        assert.equal(new Set(dates).size, dates.length);
        assert.ok(dates.length >= 361 && dates.length <= 364, `${dates.length} dates`);
      },
    ),
    { numRuns: 25 },
  );
});

test('after an outage only the newest missed time runs, and only if it is not older than a day', () => {
  const nightly = { cron: '0 2 * * *', timeZone: 'UTC' };
  const now = at('2026-05-10T09:00Z');

  const afterDays = planCatchup(nightly, now - 3 * day, now);
  assert.equal(afterDays.run?.localTime, '2026-05-10T02:00');
  assert.deepEqual(
    afterDays.missed.map((t) => t.localTime),
    ['2026-05-08T02:00', '2026-05-09T02:00'],
  );

  const weekly = planCatchup({ cron: '0 2 * * 5', timeZone: 'UTC' }, now - 4 * day, now);
  assert.equal(weekly.run, undefined);
  assert.deepEqual(
    weekly.missed.map((t) => t.localTime),
    ['2026-05-08T02:00'],
  );
});

test('a schedule that never comes has no next time', () => {
  assert.equal(nextDue({ cron: '0 0 30 2 *', timeZone: 'UTC' }, at('2026-01-01T00:00Z')), undefined);
});
