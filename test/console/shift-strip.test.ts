import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stripDays, stripPlace, stripShifts } from '../../console/src/shift-strip.ts';

// The wall of a zone whose clocks go back in the night to 25 October 2026.
process.env.TZ = 'Europe/Berlin';
const days = stripDays(Date.parse('2026-10-24T13:00:00Z'), 3);
const shift = (person: string, from: string, to: string) => ({ person, by: 'week', from, to });

test('days begin at local midnights, and the one on which clocks go back has 25 hours', () => {
  assert.deepEqual(
    days.map(({ from, to }) => [new Date(from).toISOString(), (to - from) / 3_600_000]),
    [
      ['2026-10-23T22:00:00.000Z', 24],
      ['2026-10-24T22:00:00.000Z', 25],
      ['2026-10-25T23:00:00.000Z', 24],
    ],
  );
});

test('shifts are cut to the days, lie where their hours are, and keep their person', () => {
  const strip = stripShifts(
    [
      shift('mira', '2026-10-20T07:00:00Z', '2026-10-24T10:00:00Z'),
      shift('jo', '2026-10-24T10:00:00Z', '2026-10-25T23:00:00Z'),
      shift('mira', '2026-10-25T23:00:00Z', '2026-11-30T00:00:00Z'),
      shift('kim', '2026-11-30T00:00:00Z', '2026-12-01T00:00:00Z'),
    ],
    days,
  );
  const near = (value: number) => Number(value.toFixed(4));
  assert.deepEqual(
    strip.map(({ left, width, person }) => [near(left), near(width), person]),
    [
      [0, near(0.5 / 3), 0],
      [near(0.5 / 3), near(1.5 / 3), 1],
      [near(2 / 3), near(1 / 3), 0],
    ],
  );
});

test('a moment has its place, and none outside', () => {
  assert.equal(stripPlace(days[1]?.from ?? 0, days), 1 / 3);
  assert.equal(stripPlace(days[2]?.to ?? 0, days), undefined);
});
