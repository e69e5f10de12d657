/** Shifts as an iCalendar (RFC 5545). Pure. */
import { createHash } from 'node:crypto';
import ical, { ICalCalendarMethod, ICalEventTransparency } from 'ical-generator';
import { Temporal } from 'temporal-polyfill';
import type { OnCallScheduleSpec } from '../catalog/kinds/on-call-schedule.ts';
import { type Shift, shiftsBetween } from './on-call.ts';

export interface CalendarOf {
  name: string;
  organization: string | undefined;
  spec: OnCallScheduleSpec;
}

/** Calendar programs ask again so often, s: a swap made today is seen before tonight. */
const refreshSeconds = 3_600;

/**
 * The shifts from the month before to the end of the second month after the present one, or those of one person. The same
 * schedule gives the same text all month long: an event is named after all it says (UID), so that one that changes is
 * another event and no calendar program keeps an old one; and it is stamped (DTSTAMP) with the time the schedule begins.
 *
 * @param now milliseconds since the epoch
 */
export function calendarOf({ name, organization, spec }: CalendarOf, now: number, person?: string): string {
  const { from, to } = monthsAround(now);
  const stamp = new Date(beginningOf(spec));
  const calendar = ical({
    name: person === undefined ? `On call: ${name}` : `On call: ${name}, ${person}`,
    prodId: { company: 'Catalyst', product: 'Catalyst SRE', language: 'EN' },
    method: ICalCalendarMethod.PUBLISH,
    ttl: refreshSeconds,
  });
  for (const shift of shiftsBetween(spec, from, to)) {
    if (person !== undefined && shift.person !== person) continue;
    calendar.createEvent({
      id: uidOf(name, organization, shift),
      stamp,
      start: new Date(shift.from),
      end: new Date(shift.to),
      summary: `On call: ${shift.person}`,
      description: shift.by === 'override' ? `${name}, in place of the rotation` : `${name}, rotation ${shift.by}`,
      // Whoever is on call may still be invited to lunch.
      transparency: ICalEventTransparency.TRANSPARENT,
    });
  }
  return calendar.toString();
}

function uidOf(name: string, organization: string | undefined, { person, by, from, to }: Shift): string {
  const all = JSON.stringify([organization ?? null, name, person, by, from, to]);
  return `${createHash('sha256').update(all).digest('hex').slice(0, 40)}@catalyst-sre`;
}

/** From month to month, in UTC: a window that moved with every second would cut the first shift differently each time. */
function monthsAround(now: number): { from: number; to: number } {
  const month = Temporal.Instant.fromEpochMilliseconds(now).toZonedDateTimeISO('UTC').toPlainDate().with({ day: 1 });
  const at = (months: number) => month.add({ months }).toZonedDateTime('UTC').epochMilliseconds;
  return { from: at(-1), to: at(3) };
}

/** When the first rotation begins. */
function beginningOf({ rotations, timeZone }: OnCallScheduleSpec): number {
  return Math.min(
    ...rotations.map(({ start }) => Temporal.PlainDateTime.from(start).toZonedDateTime(timeZone).epochMilliseconds),
  );
}
