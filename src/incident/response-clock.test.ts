import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { BusinessCalendarSpec } from '../catalog/kinds/business-calendar.ts';
import { calendarOf, defaultCalendar, respondBy } from './response-clock.ts';

const berlin: BusinessCalendarSpec = {
  timeZone: 'Europe/Berlin',
  days: ['Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday'],
  from: '09:00',
  to: '17:00',
  holidays: [{ date: '2026-12-25' }, { date: '2027-01-01', name: 'New Year' }],
};
const p4 = (opened: string, calendar = berlin) => new Date(respondBy('P4', Date.parse(opened), calendar)).toISOString();

test('P1, P2 and P3 run at night and on holidays, and through a change of the clock (handbook §13.1)', () => {
  for (const opened of ['2026-12-25T02:00:00Z', '2026-03-29T00:55:00Z', '2026-10-25T00:55:00Z']) {
    const at = Date.parse(opened);
    assert.equal(respondBy('P1', at, berlin) - at, 15 * 60_000);
    assert.equal(respondBy('P2', at, berlin) - at, 3_600_000);
    assert.equal(respondBy('P3', at, berlin) - at, 4 * 3_600_000);
  }
});

test('P4 is answered by the end of the next business day', () => {
  assert.equal(p4('2026-11-02T12:00:00Z'), '2026-11-03T16:00:00.000Z', 'Monday noon: Tuesday');
  assert.equal(p4('2026-11-02T05:00:00Z'), '2026-11-02T16:00:00.000Z', 'before the day begins: that day');
  assert.equal(p4('2026-11-06T20:00:00Z'), '2026-11-09T16:00:00.000Z', 'Friday night: Monday');
  assert.equal(p4('2026-12-24T12:00:00Z'), '2026-12-28T16:00:00.000Z', 'a holiday and a weekend');
  assert.equal(p4('2026-12-31T12:00:00Z'), '2027-01-04T16:00:00.000Z', 'over the end of the year');
});

test('a business day is read on the wall: summer and winter', () => {
  assert.equal(p4('2026-03-27T12:00:00Z'), '2026-03-30T15:00:00.000Z', 'the weekend on which summer begins');
  assert.equal(p4('2026-10-23T12:00:00Z'), '2026-10-26T16:00:00.000Z', 'and on which it ends');
  assert.equal(p4('2026-11-02T23:30:00Z', { ...berlin, timeZone: 'Asia/Tokyo' }), '2026-11-03T08:00:00.000Z');
});

/**
 * The same rule by another way, to hold the product's against: every quarter of an hour from the opening on is read on the wall of the
 * time zone, by the platform's own calendar, and the first one that begins a business day decides.
 */
function firstBusinessMorning(opened: number, { timeZone, days, holidays = [] }: BusinessCalendarSpec) {
  const wall = new Intl.DateTimeFormat('en-GB', {
    timeZone,
    weekday: 'long',
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
  });
  const quarter = 15 * 60_000; // every time zone of the property stands a whole number of quarters from UTC
  for (let at = Math.floor(opened / quarter) * quarter + quarter; ; at += quarter) {
    const part = new Map(wall.formatToParts(at).map(({ type, value }) => [type, value]));
    if (`${part.get('hour')}:${part.get('minute')}` !== '09:00') continue;
    const date = `${part.get('year')}-${part.get('month')}-${part.get('day')}`;
    if (!days.some((day) => day === part.get('weekday')) || holidays.some((holiday) => holiday.date === date)) continue;
    return at;
  }
}

test('whatever the calendar, P4 is answered by the end of the first business day that begins after the opening', () => {
  const days = fc.subarray([...defaultCalendar.days], { minLength: 1 });
  fc.assert(
    fc.property(
      fc.integer({ min: Date.parse('2026-01-01'), max: Date.parse('2027-12-31') }),
      days,
      fc.constantFrom('UTC', 'America/St_Johns', 'Pacific/Apia', 'Europe/Berlin'),
      (opened, worked, timeZone) => {
        const calendar: BusinessCalendarSpec = { ...berlin, days: [...worked], timeZone };
        // The clock of none of these time zones is changed between 9 and 17 o'clock: the day ends eight hours later.
        const expected = firstBusinessMorning(opened, calendar) + 8 * 3_600_000;
        assert.equal(respondBy('P4', opened, calendar), expected);
      },
    ),
    {
      numRuns: 200,
      // Two Fridays in a row are holidays: three weeks.
      examples: [[Date.parse('2026-12-18T09:00:00Z'), ['Friday'], 'UTC']],
    },
  );
});

test("an Organization's own calendar goes before the Sovereign's, and without one there is a default", () => {
  const of = (name: string, organization?: string) => ({
    metadata: { name },
    spec: { ...berlin, timeZone: name },
    provenance: { organization },
  });
  const calendars = [of('Asia/Tokyo', 'acme'), of('Europe/Paris')];
  assert.equal(calendarOf(calendars, 'acme').timeZone, 'Asia/Tokyo');
  assert.equal(calendarOf(calendars, 'globex').timeZone, 'Europe/Paris');
  assert.equal(calendarOf(calendars, undefined).timeZone, 'Europe/Paris');
  assert.equal(calendarOf([], 'acme'), defaultCalendar);
});
