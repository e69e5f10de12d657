/** Time as people read it: how long ago, how long still, and the moment itself in their own zone. */

/** One clock for the page, so that all that counts down counts together. */
export const clock = $state({ now: Date.now() });
setInterval(() => {
  clock.now = Date.now();
}, 1_000);

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;

/** `850 ms`, `12 s`, `3 m 20 s`, `2 h 5 m`, `4 d`: two units at most. @param ms milliseconds, not negative */
export function duration(ms: number): string {
  if (ms < 1_000) return `${Math.max(0, Math.round(ms))} ms`;
  if (ms < minute) return `${ms < 10_000 ? Math.floor(ms / 100) / 10 : Math.floor(ms / 1_000)} s`;
  if (ms < hour) return two(ms, minute, 'm', 1_000, 's');
  if (ms < day) return two(ms, hour, 'h', minute, 'm');
  return two(ms, day, 'd', hour, 'h');
}

function two(ms: number, big: number, bigName: string, small: number, smallName: string): string {
  const rest = Math.floor((ms % big) / small);
  return `${Math.floor(ms / big)} ${bigName}${rest > 0 ? ` ${rest} ${smallName}` : ''}`;
}

/** As `duration`, in whole seconds: for what changes while one looks at it. */
export const wholeSeconds = (ms: number) =>
  ms < 1_000 ? '0 s' : duration(ms < minute ? Math.floor(ms / 1_000) * 1_000 : ms).replace('.0', '');

export function ago(at: number, now: number): string {
  const past = now - at;
  return past < 5_000 ? 'now' : `${wholeSeconds(past)} ago`;
}

const time = new Intl.DateTimeFormat(undefined, {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  hour12: false,
});
const dateTime = new Intl.DateTimeFormat(undefined, {
  month: 'short',
  day: 'numeric',
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  hour12: false,
});

/** Time of day where it is today, with the day where it is not. */
export function moment(at: number, now: number): string {
  const today = new Date(at).toDateString() === new Date(now).toDateString();
  return (today ? time : dateTime).format(at);
}

const weekTime = new Intl.DateTimeFormat(undefined, {
  weekday: 'short',
  day: 'numeric',
  month: 'short',
  hour: '2-digit',
  minute: '2-digit',
  hour12: false,
});

/** `Mon, 30 Nov, 09:00`: for what is planned. */
export const planned = (at: number) => weekTime.format(at);

const weekDay = new Intl.DateTimeFormat(undefined, { weekday: 'short', day: 'numeric' });
/** `Mon 30` */
export const dayName = (at: number) => weekDay.format(at);

export const utc = (at: number) => new Date(at).toISOString().replace('T', ' ').replace('Z', ' UTC');
