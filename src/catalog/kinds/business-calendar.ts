/**
 * The BusinessCalendar: when an Organization works, so that "next business day" (handbook §13.1, P4) is a time. An
 * Organization without one of its own has the Sovereign's.
 */
import Type, { type Static } from 'typebox';
import type { Kind, Resource, SpecProblem } from '../resource.ts';

const Strict = { additionalProperties: false } as const;

export const weekdays = ['Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday'] as const;
export type Weekday = (typeof weekdays)[number];

/** An IANA time zone; whether there is such a one is checked when the document is loaded. */
export const TimeZone = (description: string) =>
  Type.String({ description, pattern: '^[A-Za-z][A-Za-z0-9_+/-]*$', maxLength: 64, examples: ['Europe/Berlin'] });
/** A time of day on the wall: `09:00`. */
export const WallTime = (description: string) =>
  Type.String({ description, pattern: '^([01][0-9]|2[0-3]):[0-5][0-9]$', maxLength: 5, examples: ['09:00'] });
export const weekday = (description: string) =>
  Type.Unsafe<Weekday>(Type.String({ enum: [...weekdays], description, examples: ['Monday'] }));

export const BusinessCalendarSpec = Type.Object(
  {
    timeZone: TimeZone('Where the hours below are read on the wall.'),
    days: Type.Array(weekday('A day people work.'), { description: 'The days people work.', minItems: 1, maxItems: 7 }),
    from: WallTime('When a day begins.'),
    to: WallTime('When it ends; later than from.'),
    holidays: Type.Optional(
      Type.Array(
        Type.Object(
          {
            date: Type.String({
              description: 'The day, in the calendar of the time zone.',
              pattern: '^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$',
              maxLength: 10,
              examples: ['2026-12-25'],
            }),
            name: Type.Optional(Type.String({ description: 'What is celebrated.', maxLength: 128 })),
          },
          { ...Strict, description: 'A day nobody works.' },
        ),
        { description: 'Days nobody works although they are in days.', maxItems: 1000 },
      ),
    ),
  },
  { ...Strict, description: 'When people work.' },
);

export type BusinessCalendarSpec = Static<typeof BusinessCalendarSpec>;
export type BusinessCalendar = Resource<BusinessCalendarSpec>;

export const businessCalendarKind: Kind = {
  kind: 'BusinessCalendar',
  plural: 'businesscalendars',
  shortNames: ['bcal'],
  description: 'When people work: what the next business day is (handbook §13.1).',
  spec: BusinessCalendarSpec,
  check: ({ timeZone, from, to, holidays = [] }: BusinessCalendarSpec): SpecProblem[] => [
    ...wrongTimeZone(timeZone, ['spec', 'timeZone']),
    ...(from < to
      ? []
      : [{ rule: 'day-without-hours', path: ['spec', 'to'], sentence: `A day from ${from} to ${to} has no hours.` }]),
    ...holidays.flatMap(({ date }, i) => wrongDate(date, ['spec', 'holidays', i, 'date'])),
  ],
};

/** A problem where there is no such time zone. */
export function wrongTimeZone(name: string, path: SpecProblem['path']): SpecProblem[] {
  try {
    Intl.DateTimeFormat('en', { timeZone: name });
    return [];
  } catch {
    return [
      { rule: 'bad-time-zone', path, sentence: `There is no time zone ${name}. Write one such as Europe/Berlin.` },
    ];
  }
}

/** A problem where the calendar has no such day: the schema lets 30 February pass. */
export function wrongDate(text: string, path: SpecProblem['path']): SpecProblem[] {
  const date = text.slice(0, 10);
  const real = new Date(`${date}T00:00:00Z`);
  if (!Number.isNaN(real.getTime()) && real.toISOString().startsWith(date)) return [];
  return [{ rule: 'bad-date', path, sentence: `There is no day ${date}.` }];
}
