/**
 * By when an incident has to be acknowledged (handbook §13.1). Pure: times come in and go out as milliseconds since the
 * epoch; what a business day is, is read on the wall of the calendar's time zone, so that neither daylight saving time
 * nor the end of a year shifts it.
 */
import { Temporal } from 'temporal-polyfill';
import { type BusinessCalendarSpec, type Weekday, weekdays } from '../catalog/kinds/business-calendar.ts';
import type { Severity } from '../catalog/kinds/incident-type.ts';

const minute = 60_000;
const hour = 60 * minute;

/** Monday to Friday, 9 to 17 o'clock UTC: for a Sovereign that declares no BusinessCalendar. */
export const defaultCalendar: BusinessCalendarSpec = {
  timeZone: 'UTC',
  days: ['Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday'],
  from: '09:00',
  to: '17:00',
};

/**
 * P1 within 15 minutes, P2 one hour, P3 four hours, at any time of the week; P4 by the end of the next business day, that
 * is of the first one that begins after the incident was opened.
 */
export function respondBy(severity: Severity, openedAt: number, calendar: BusinessCalendarSpec): number {
  switch (severity) {
    case 'P1':
      return openedAt + 15 * minute;
    case 'P2':
      return openedAt + hour;
    case 'P3':
      return openedAt + 4 * hour;
    case 'P4':
      return endOfNextBusinessDay(openedAt, calendar);
  }
}

/** A calendar of holidays only is a mistake; the search ends after a year, and the last day looked at counts. */
const longestSearchDays = 366;

function endOfNextBusinessDay(after: number, calendar: BusinessCalendarSpec): number {
  const { timeZone, from, to } = calendar;
  let day = Temporal.Instant.fromEpochMilliseconds(after).toZonedDateTimeISO(timeZone).toPlainDate();
  for (let looked = 0; looked < longestSearchDays; looked++) {
    if (isBusinessDay(day, calendar) && at(day, from, timeZone) > after) break;
    day = day.add({ days: 1 });
  }
  return at(day, to, timeZone);
}

export function isBusinessDay(day: Temporal.PlainDate, { days, holidays = [] }: BusinessCalendarSpec): boolean {
  const text = day.toString();
  return days.includes(weekdayOf(day)) && !holidays.some(({ date }) => date === text);
}

function weekdayOf(day: Temporal.PlainDate): Weekday {
  // ISO 8601 counts from Monday, 1, to Sunday, 7.
  return weekdays[day.dayOfWeek - 1] as Weekday;
}

/** A wall time that spring leaves out is an hour later, one that comes twice in autumn is the first. */
function at(day: Temporal.PlainDate, time: string, timeZone: string): number {
  return day.toZonedDateTime({ timeZone, plainTime: Temporal.PlainTime.from(time) }).epochMilliseconds;
}

/** The calendar of an Organization: the first of its own by name, else the Sovereign's first, else the default. */
export function calendarOf(
  calendars: readonly {
    metadata: { name: string };
    spec: BusinessCalendarSpec;
    provenance: { organization?: string | undefined };
  }[],
  organization: string | undefined,
): BusinessCalendarSpec {
  const own = calendars.find((calendar) => calendar.provenance.organization === organization);
  const sovereigns = calendars.find((calendar) => calendar.provenance.organization === undefined);
  return (own ?? sovereigns)?.spec ?? defaultCalendar;
}
