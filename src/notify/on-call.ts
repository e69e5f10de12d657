/**
 * Who is on call. Pure. Turns are counted on the wall of the schedule's time zone: a handover at 9 o'clock stays at 9
 * o'clock through daylight saving time, and the shift of that night is an hour longer or shorter.
 */
import { Temporal } from 'temporal-polyfill';
import { weekdays } from '../catalog/kinds/business-calendar.ts';
import type { OnCallScheduleSpec } from '../catalog/kinds/on-call-schedule.ts';

export interface Shift {
  person: string;
  /** Milliseconds since the epoch; `to` is the first moment that is not part of it. */
  from: number;
  to: number;
  /** Name of the rotation, or `override`. */
  by: string;
}

/** Who is on call at a moment (ms since the epoch); undefined where nobody is. */
export function onCallAt(schedule: OnCallScheduleSpec, at: number): { person: string; by: string } | undefined {
  const { timeZone, overrides = [] } = schedule;
  const override = overrides.findLast(({ from, to }) => instant(from, timeZone) <= at && at < instant(to, timeZone));
  if (override) return { person: override.person, by: 'override' };
  for (const rotation of schedule.rotations) {
    if (!covers(rotation, at, timeZone)) continue;
    const turn = turnAt(rotation, at, timeZone);
    if (turn === undefined) continue;
    const person = rotation.people[turn % rotation.people.length];
    if (person !== undefined) return { person, by: rotation.name };
  }
  return undefined;
}

/** The shifts between two moments, in order, joined where the same person goes on; gaps are where nobody is on call. */
export function shiftsBetween(schedule: OnCallScheduleSpec, from: number, to: number): Shift[] {
  const shifts: Shift[] = [];
  const times = [...new Set([from, ...boundaries(schedule, from, to)])].sort((a, b) => a - b);
  for (const [index, start] of times.entries()) {
    const end = times[index + 1] ?? to;
    const now = end > start ? onCallAt(schedule, start) : undefined;
    if (!now) continue;
    const last = shifts.at(-1);
    if (last && last.person === now.person && last.by === now.by && last.to === start) last.to = end;
    else shifts.push({ ...now, from: start, to: end });
  }
  return shifts;
}

type Rotation = OnCallScheduleSpec['rotations'][number];

/** Counts turns from 0; undefined before the rotation starts. */
function turnAt({ start, every, length = 1 }: Rotation, at: number, timeZone: string): number | undefined {
  const first = Temporal.PlainDateTime.from(start);
  const days = (every === 'Week' ? 7 : 1) * length;
  // Moments are compared, not walls: the hour that comes twice in autumn hands over once.
  const begins = (turn: number) => first.add({ days: turn * days }).toZonedDateTime(timeZone).epochMilliseconds;
  if (at < begins(0)) return undefined;
  let turn = Math.floor((at - begins(0)) / (days * dayMs));
  // Daylight saving time puts the estimate off by an hour, and so by one turn at most.
  if (begins(turn + 1) <= at) turn += 1;
  else if (begins(turn) > at) turn -= 1;
  return turn;
}

const dayMs = 86_400_000;

function covers({ during }: Rotation, at: number, timeZone: string): boolean {
  if (!during) return true;
  const today = Temporal.Instant.fromEpochMilliseconds(at).toZonedDateTimeISO(timeZone).toPlainDate();
  // Over midnight: the evening belongs to its day, the small hours to the day before.
  return [today, today.subtract({ days: 1 })].some((day) => {
    const end = during.to > during.from ? day : day.add({ days: 1 });
    return (
      during.days.includes(weekdays[day.dayOfWeek - 1] ?? 'Monday') &&
      instant(`${day}T${during.from}`, timeZone) <= at &&
      at < instant(`${end}T${during.to}`, timeZone)
    );
  });
}

function instant(local: string, timeZone: string): number {
  return Temporal.PlainDateTime.from(local).toZonedDateTime(timeZone).epochMilliseconds;
}

/** A schedule is looked at for a quarter of a year at most; more days are never walked through. */
const mostDays = 100;

/** Every moment at which somebody may take over. */
function boundaries({ timeZone, rotations, overrides = [] }: OnCallScheduleSpec, from: number, to: number): number[] {
  const zoned = (ms: number) => Temporal.Instant.fromEpochMilliseconds(ms).toZonedDateTimeISO(timeZone);
  const walls = new Set<string>();
  for (const { start, during } of rotations) {
    walls.add(start.slice(11));
    if (during) walls.add(during.from).add(during.to);
  }
  const found = overrides.flatMap((o) => [instant(o.from, timeZone), instant(o.to, timeZone)]);
  let day = zoned(from).toPlainDate().subtract({ days: 1 });
  const last = zoned(to).toPlainDate().add({ days: 1 });
  for (let walked = 0; walked < mostDays && Temporal.PlainDate.compare(day, last) <= 0; walked++) {
    for (const wall of walls) found.push(day.toZonedDateTime({ timeZone, plainTime: wall }).epochMilliseconds);
    day = day.add({ days: 1 });
  }
  return found.filter((at) => at > from && at < to);
}
