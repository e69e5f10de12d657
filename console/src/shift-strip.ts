/** A schedule as a strip of days: where each shift lies on it. Days are those of the wall here, so one may have 23 or 25 hours. Pure. */
import type { OnCallShift } from './server/api-types.ts';

export interface StripDay {
  /** Local midnights, ms since the epoch. */
  from: number;
  to: number;
}
export interface StripShift {
  shift: OnCallShift;
  /** Shares of the whole strip, 0 to 1. */
  left: number;
  width: number;
  /** Place of the person among all that are on the strip, by first appearance. */
  person: number;
}

/** So many days from the local midnight before `now` on. */
export function stripDays(now: number, count: number): StripDay[] {
  const midnight = (ahead: number) => {
    const day = new Date(now);
    day.setHours(0, 0, 0, 0);
    day.setDate(day.getDate() + ahead);
    return day.getTime();
  };
  return Array.from({ length: count }, (_, index) => ({ from: midnight(index), to: midnight(index + 1) }));
}

/** Shifts that touch the days, cut to them. */
export function stripShifts(shifts: readonly OnCallShift[], days: readonly StripDay[]): StripShift[] {
  const people = [...new Set(shifts.map(({ person }) => person))];
  const place = (at: number) => {
    const index = days.findIndex(({ to }) => at < to);
    const day = days[index];
    if (!day) return 1;
    return (index + Math.max(0, at - day.from) / (day.to - day.from)) / days.length;
  };
  return shifts.flatMap((shift) => {
    const left = place(Date.parse(shift.from));
    const width = place(Date.parse(shift.to)) - left;
    return width > 0 ? [{ shift, left, width, person: people.indexOf(shift.person) }] : [];
  });
}

/** Where a moment lies on the strip, 0 to 1; undefined outside. */
export function stripPlace(at: number, days: readonly StripDay[]): number | undefined {
  const index = days.findIndex(({ from, to }) => from <= at && at < to);
  const day = days[index];
  return day && (index + (at - day.from) / (day.to - day.from)) / days.length;
}
