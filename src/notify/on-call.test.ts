import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { OnCallScheduleSpec } from '../catalog/kinds/on-call-schedule.ts';
import { onCallAt, onCallFrom, shiftsBetween } from './on-call.ts';

const at = (text: string) => Date.parse(text);
const weekly: OnCallScheduleSpec = {
  timeZone: 'Europe/Berlin',
  rotations: [{ name: 'week', people: ['mira', 'jo', 'sam'], start: '2026-01-05T09:00', every: 'Week' }],
};

test('people take turns, week by week, at the same time on the wall', () => {
  const who = (text: string) => onCallAt(weekly, at(text))?.person;
  assert.equal(who('2026-01-05T07:59:59Z'), undefined, 'before it starts');
  assert.equal(who('2026-01-05T08:00:00Z'), 'mira');
  assert.equal(who('2026-01-12T07:59:59Z'), 'mira');
  assert.equal(who('2026-01-12T08:00:00Z'), 'jo');
  assert.equal(who('2026-01-26T08:00:00Z'), 'mira', 'and begin anew');
  // Since 29 March 9 o'clock is 07:00 UTC.
  assert.equal(who('2026-03-30T06:59:59Z'), 'sam');
  assert.equal(who('2026-03-30T07:00:00Z'), 'mira');
});

test('the week in which the clock changes is an hour shorter, and an hour longer', () => {
  const length = (from: string) => {
    const shift = shiftsBetween(weekly, at(from), at(from) + 9 * 86_400_000)[0];
    return shift && (shift.to - shift.from) / 3_600_000;
  };
  assert.equal(length('2026-03-23T08:00:00Z'), 167);
  assert.equal(length('2026-10-19T07:00:00Z'), 169);
  assert.equal(length('2026-12-28T08:00:00Z'), 168, 'over the end of the year');
});

test('a handover in the hour that comes twice happens once, and one in the hour that is left out happens', () => {
  const nightly = (start: string): OnCallScheduleSpec => ({
    timeZone: 'Europe/Berlin',
    rotations: [{ name: 'night', people: ['mira', 'jo'], start, every: 'Day' }],
  });
  const people = (start: string, day: string) =>
    shiftsBetween(nightly(start), at(`${day}T00:00:00Z`), at(`${day}T03:00:00Z`)).map((shift) => shift.person);
  assert.deepEqual(people('2026-10-24T02:30', '2026-10-25'), ['mira', 'jo']);
  assert.deepEqual(people('2026-03-28T02:30', '2026-03-29'), ['mira', 'jo']);
});

test('office hours and nights are two rotations; a night belongs to the day it begins on', () => {
  const schedule: OnCallScheduleSpec = {
    timeZone: 'UTC',
    rotations: [
      {
        name: 'office',
        people: ['jo'],
        start: '2026-01-05T09:00',
        every: 'Week',
        during: { days: ['Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday'], from: '09:00', to: '17:00' },
      },
      {
        name: 'friday-night',
        people: ['sam'],
        start: '2026-01-05T09:00',
        every: 'Week',
        during: { days: ['Friday'], from: '22:00', to: '06:00' },
      },
      { name: 'rest', people: ['mira'], start: '2026-01-05T09:00', every: 'Week' },
    ],
  };
  assert.deepEqual(
    shiftsBetween(schedule, at('2026-01-09T12:00:00Z'), at('2026-01-10T12:00:00Z')).map((s) => [
      s.person,
      s.by,
      new Date(s.from).toISOString().slice(8, 16),
    ]),
    [
      ['jo', 'office', '09T12:00'],
      ['mira', 'rest', '09T17:00'],
      ['sam', 'friday-night', '09T22:00'],
      ['mira', 'rest', '10T06:00'],
    ],
  );
});

test('an override goes before the rotations, and the later one before the earlier', () => {
  const schedule = {
    ...weekly,
    overrides: [
      { person: 'jo', from: '2026-01-06T09:00', to: '2026-01-07T09:00' },
      { person: 'sam', from: '2026-01-06T20:00', to: '2026-01-06T22:00' },
    ],
  };
  assert.deepEqual(
    shiftsBetween(schedule, at('2026-01-06T00:00:00Z'), at('2026-01-08T00:00:00Z')).map((s) => [s.person, s.by]),
    [
      ['mira', 'week'],
      ['jo', 'override'],
      ['sam', 'override'],
      ['jo', 'override'],
      ['mira', 'week'],
    ],
  );
});

test('it says until when somebody is on call, and who comes next', () => {
  const when = (text: string, schedule = weekly) => {
    const { person, until, next } = onCallFrom(schedule, at(text));
    const time = (ms: number | undefined) => ms && new Date(ms).toISOString();
    return [person, time(until), next?.person, time(next?.from)];
  };
  const handover = '2026-01-12T08:00:00.000Z';
  assert.deepEqual(when('2026-01-06T00:00:00Z'), ['mira', handover, 'jo', handover]);
  assert.deepEqual(
    when('2026-01-01T00:00:00Z'),
    [undefined, '2026-01-05T08:00:00.000Z', 'mira', '2026-01-05T08:00:00.000Z'],
    'nobody yet',
  );
  const [rotation] = weekly.rotations;
  assert.ok(rotation);
  const slow = { ...weekly, rotations: [{ ...rotation, length: 8 }] };
  assert.deepEqual(when('2026-01-06T00:00:00Z', slow).slice(1, 3), ['2026-03-02T08:00:00.000Z', 'jo'], 'in weeks');
  const alone = { ...weekly, rotations: [{ ...rotation, people: ['mira'] }] };
  assert.deepEqual(when('2026-01-06T00:00:00Z', alone), ['mira', undefined, undefined, undefined]);
  const during = { days: ['Tuesday' as const], from: '09:00', to: '17:00' };
  const office = { ...weekly, rotations: [{ ...rotation, during }] };
  assert.deepEqual(
    when('2026-01-06T10:00:00Z', office),
    ['mira', '2026-01-06T16:00:00.000Z', 'jo', '2026-01-13T08:00:00.000Z'],
    'then nobody, and then another',
  );
  const overridden = {
    ...weekly,
    overrides: [
      { person: 'mira', from: '2026-01-07T09:00', to: '2026-01-08T09:00' },
      { person: 'sam', from: '2026-01-08T09:00', to: '2026-01-09T09:00' },
    ],
  };
  const swap = '2026-01-08T08:00:00.000Z';
  assert.deepEqual(when('2026-01-06T00:00:00Z', overridden), ['mira', swap, 'sam', swap], 'one person, two shifts');
});

test('shifts say what asking at each moment says, without overlap', () => {
  const zones = fc.constantFrom('UTC', 'Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe', 'Asia/Kolkata');
  const time = fc
    .integer({ min: 0, max: 47 })
    .map((half) => `${String(half >> 1).padStart(2, '0')}:${half % 2 ? '30' : '00'}`);
  const days = fc.subarray(['Monday', 'Wednesday', 'Friday', 'Saturday', 'Sunday'] as const, { minLength: 1 });
  const rotation = fc.record({
    name: fc.constantFrom('a', 'b'),
    people: fc.array(fc.constantFrom('mira', 'jo', 'sam'), { minLength: 1, maxLength: 3 }),
    start: time.map((wall) => `2026-03-20T${wall}`),
    every: fc.constantFrom('Day' as const, 'Week' as const),
    length: fc.integer({ min: 1, max: 3 }),
    during: fc.record({ days: days.map((list) => [...list]), from: time, to: time }),
  });
  const schedule = fc.record({ timeZone: zones, rotations: fc.array(rotation, { minLength: 1, maxLength: 3 }) });
  const from = fc.constantFrom(at('2026-03-26T00:00:00Z'), at('2026-10-23T00:00:00Z'), at('2026-12-30T00:00:00Z'));
  fc.assert(
    fc.property(
      schedule,
      from,
      fc.array(fc.integer({ min: 0, max: 6 * 1440 - 1 }), { minLength: 5, maxLength: 5 }),
      (plan, start, minutes) => {
        const shifts = shiftsBetween(plan, start, start + 6 * 86_400_000);
        for (const [i, shift] of shifts.entries())
          assert.ok(shift.from < shift.to && shift.from >= (shifts[i - 1]?.to ?? 0));
        for (const minute of minutes) {
          const moment = start + minute * 60_000;
          const shift = shifts.find((one) => one.from <= moment && moment < one.to);
          assert.equal(onCallAt(plan, moment)?.person, shift?.person);
        }
      },
    ),
    { numRuns: 60 },
  );
});
