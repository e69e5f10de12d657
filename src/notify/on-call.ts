/**
 * Who is on call. Pure. Turns are counted on the wall of the schedule's time zone: a handover at 9 o'clock stays at 9
 * o'clock through daylight saving time, and the shift of that night is an hour longer or shorter.
 */
import { Temporal } from 'temporal-polyfill';
import { weekdays } from '../catalog/kinds/business-calendar.ts';
import type { OnCallScheduleSpec } from '../catalog/kinds/on-call-schedule.ts';

const dayMs = 86_400_000;

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
  return whoAt(schedule, overridesBetween(schedule, at, at + 1), at);
}

/** The longest time that shifts are worked out for: four months, which is what a calendar shows. */
export const longestRange = 124 * dayMs;

/**
 * The shifts between two moments, in order, joined where the same person goes on; gaps are where nobody is on call. At
 * most `longestRange` is looked at.
 */
export function shiftsBetween(schedule: OnCallScheduleSpec, from: number, to: number): Shift[] {
  const shifts: Shift[] = [];
  const overrides = overridesBetween(schedule, from, to);
  const times = [...new Set([from, ...boundaries(schedule, overrides, from, to)])].sort((a, b) => a - b);
  for (const [index, start] of times.entries()) {
    const end = times[index + 1] ?? to;
    const now = end > start ? whoAt(schedule, overrides, start) : undefined;
    if (!now) continue;
    const last = shifts.at(-1);
    if (last && last.person === now.person && last.by === now.by && last.to === start) last.to = end;
    else shifts.push({ ...now, from: start, to: end });
  }
  return shifts;
}

/** Who is on call, until when, and who comes next. */
export interface OnCall {
  /** Undefined where nobody is on call. */
  person: string | undefined;
  by: string | undefined;
  /** When another person, or nobody, is on call; undefined where that is further away than is looked. */
  until: number | undefined;
  /** The first shift of another person after it. */
  next: Omit<Shift, 'to'> | undefined;
}

/** How far is looked for a handover, first and then: most rotas hand over within a week, and few take a quarter. */
const looks = [8 * dayMs, 92 * dayMs];

/** Who is on call at a moment (ms since the epoch), and what follows within a quarter of a year. */
export function onCallFrom(schedule: OnCallScheduleSpec, at: number): OnCall {
  const now = onCallAt(schedule, at);
  let until: number | undefined;
  for (const ahead of looks) {
    const shifts = shiftsBetween(schedule, at, at + ahead);
    until = now ? endOf(shifts, now.person, at + ahead) : shifts[0]?.from;
    const following = shifts.find(
      (shift) => shift.from > at && shift.from >= (until ?? at) && shift.person !== now?.person,
    );
    if (!following) continue;
    const { person, by, from } = following;
    return { person: now?.person, by: now?.by, until, next: { person, by, from } };
  }
  return { person: now?.person, by: now?.by, until, next: undefined };
}

/** When the person's time, which may be several shifts without a break, is over; undefined where it goes on to the end. */
function endOf(shifts: readonly Shift[], person: string, end: number): number | undefined {
  let until: number | undefined;
  for (const shift of shifts) {
    if (shift.person !== person || (until !== undefined && shift.from > until)) break;
    until = shift.to;
  }
  return until === end ? undefined : until;
}

function whoAt(
  { rotations, timeZone }: OnCallScheduleSpec,
  overrides: readonly Override[],
  at: number,
): { person: string; by: string } | undefined {
  const override = overrides.findLast(({ from, to }) => from <= at && at < to);
  if (override) return { person: override.person, by: 'override' };
  for (const rotation of rotations) {
    if (!covers(rotation, at, timeZone)) continue;
    const turn = turnAt(rotation, at, timeZone);
    if (turn === undefined) continue;
    const person = rotation.people[turn % rotation.people.length];
    if (person !== undefined) return { person, by: rotation.name };
  }
  return undefined;
}

interface Override {
  person: string;
  from: number;
  to: number;
}

/** Those that touch a time. A wall time is turned into a moment slowly, so that it is done once, and for these only. */
function overridesBetween({ overrides = [], timeZone }: OnCallScheduleSpec, from: number, to: number): Override[] {
  // No time zone is further than a day from UTC, and walls are compared as text.
  const wall = (at: number) => new Date(at).toISOString().slice(0, 16);
  const [first, last] = [wall(from - dayMs), wall(to + dayMs)];
  return overrides
    .filter((override) => override.to >= first && override.from <= last)
    .map(({ person, from, to }) => ({ person, from: instant(from, timeZone), to: instant(to, timeZone) }));
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

/** Every moment at which somebody may take over. */
function boundaries(
  { timeZone, rotations }: OnCallScheduleSpec,
  overrides: readonly Override[],
  from: number,
  to: number,
): number[] {
  const zoned = (ms: number) => Temporal.Instant.fromEpochMilliseconds(ms).toZonedDateTimeISO(timeZone);
  const walls = new Set<string>();
  for (const { start, during } of rotations) {
    walls.add(start.slice(11));
    if (during) walls.add(during.from).add(during.to);
  }
  const found = overrides.flatMap((override) => [override.from, override.to]);
  let day = zoned(from).toPlainDate().subtract({ days: 1 });
  const last = zoned(Math.min(to, from + longestRange))
    .toPlainDate()
    .add({ days: 1 });
  while (Temporal.PlainDate.compare(day, last) <= 0) {
    for (const wall of walls) found.push(day.toZonedDateTime({ timeZone, plainTime: wall }).epochMilliseconds);
    day = day.add({ days: 1 });
  }
  return found.filter((at) => at > from && at < to);
}
