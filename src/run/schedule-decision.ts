/**
 * When schedules are due. Pure; the cron arithmetic over time zones is croner's.
 */
import { Cron } from 'croner';

export interface Schedule {
  cron: string;
  /** IANA name. */
  timeZone: string;
}

export interface DueTime {
  /** Milliseconds since the epoch. */
  at: number;
  /**
   * The wall-clock time it stands for, `2026-10-25T02:30` in the schedule's zone: what a run is keyed by. The hour that
   * comes twice in autumn is run once, and a time that spring leaves out is run at the next one there is.
   */
  localTime: string;
}

/** A schedule that fires each second would have this many times in a week; more are never listed. */
const mostTimes = 1_000;

/** The times after `from`, up to and including `until` (ms since the epoch), each wall-clock time once. */
export function dueTimes({ cron, timeZone }: Schedule, from: number, until: number): DueTime[] {
  const job = new Cron(cron, { timezone: timeZone, paused: true });
  const times: DueTime[] = [];
  let at = job.nextRun(new Date(from));
  while (at && at.getTime() <= until && times.length < mostTimes) {
    const localTime = wallClock(at, timeZone);
    if (times.at(-1)?.localTime !== localTime) times.push({ at: at.getTime(), localTime });
    at = job.nextRun(at);
  }
  return times;
}

/** When it is due next, ms since the epoch; undefined for a schedule that never comes, such as 30 February. */
export function nextDue({ cron, timeZone }: Schedule, after: number): number | undefined {
  return new Cron(cron, { timezone: timeZone, paused: true }).nextRun(new Date(after))?.getTime();
}

/** What to do after a time without anyone looking, such as an outage. */
export interface Catchup {
  /** The one to run: the newest, because running a nightly job five times over helps nobody. */
  run: DueTime | undefined;
  /** Those that were missed for good. */
  missed: DueTime[];
}

/** How late a run may still start: a day, the longest interval of the handbook's frequent schedules (§6, §11.2). */
export const catchupWindow = 24 * 3_600_000;

export function planCatchup(schedule: Schedule, consideredUntil: number, now: number): Catchup {
  const due = dueTimes(schedule, Math.max(consideredUntil, now - 7 * catchupWindow), now);
  const newest = due.at(-1);
  if (!newest) return { run: undefined, missed: [] };
  return now - newest.at <= catchupWindow ? { run: newest, missed: due.slice(0, -1) } : { run: undefined, missed: due };
}

function wallClock(at: Date, timeZone: string): string {
  // Swedish writes dates as ISO 8601 does.
  const text = new Intl.DateTimeFormat('sv-SE', { timeZone, dateStyle: 'short', timeStyle: 'short' }).format(at);
  return text.replace(' ', 'T');
}
