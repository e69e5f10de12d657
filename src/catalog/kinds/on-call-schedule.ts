/**
 * The OnCallSchedule: who is on call when. People take turns in rotations, the first rotation that covers a moment counts,
 * and an override goes before all of them.
 */
import Type, { type Static } from 'typebox';
import type { Kind, Resource, SpecProblem } from '../resource.ts';
import { TimeZone, WallTime, weekday, wrongDate, wrongTimeZone } from './business-calendar.ts';

const Strict = { additionalProperties: false } as const;

/** A person is the name of a receiver: how they are reached is configured there. */
const Person = (description: string) =>
  Type.String({ description, pattern: '^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$', maxLength: 63, examples: ['mira'] });
const LocalTime = (description: string) =>
  Type.String({
    description,
    pattern: '^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]$',
    maxLength: 16,
    examples: ['2026-01-05T09:00'],
  });

const Rotation = Type.Object(
  {
    name: Type.String({ description: 'Name of the rotation.', minLength: 1, maxLength: 63, examples: ['weekdays'] }),
    people: Type.Array(Person('A receiver.'), {
      description: 'Who takes turns, in order.',
      minItems: 1,
      maxItems: 100,
    }),
    start: LocalTime('When the first person begins, on the wall of the time zone.'),
    every: Type.Unsafe<'Day' | 'Week'>(
      Type.String({ enum: ['Day', 'Week'], description: 'How often the next one takes over, at the time of start.' }),
    ),
    length: Type.Optional(
      Type.Integer({ description: 'So many days or weeks in one turn. Default 1.', minimum: 1, maximum: 52 }),
    ),
    during: Type.Optional(
      Type.Object(
        {
          days: Type.Array(weekday('A day.'), { description: 'Only on these days.', minItems: 1, maxItems: 7 }),
          from: WallTime('Only from this time of the day on.'),
          to: WallTime('Only before this time; at or before from, it is of the next day.'),
        },
        { ...Strict, description: 'The part of the week it covers. Without it all of it.' },
      ),
    ),
  },
  { ...Strict, description: 'People taking turns.' },
);

export const OnCallScheduleSpec = Type.Object(
  {
    timeZone: TimeZone('Where the times below are read on the wall.'),
    rotations: Type.Array(Rotation, {
      description: 'The first one that covers a moment counts.',
      minItems: 1,
      maxItems: 16,
    }),
    overrides: Type.Optional(
      Type.Array(
        Type.Object(
          {
            person: Person('Who is on call instead.'),
            from: LocalTime('From when.'),
            to: LocalTime('Until when.'),
          },
          { ...Strict, description: 'Somebody takes over for a while.' },
        ),
        { description: 'Go before the rotations; a later one goes before an earlier one.', maxItems: 1000 },
      ),
    ),
  },
  { ...Strict, description: 'Who is on call when.' },
);

export type OnCallScheduleSpec = Static<typeof OnCallScheduleSpec>;
export type OnCallSchedule = Resource<OnCallScheduleSpec>;

export const onCallScheduleKind: Kind = {
  kind: 'OnCallSchedule',
  plural: 'oncallschedules',
  shortNames: ['oncall'],
  description: 'Who is on call when: rotations and overrides.',
  spec: OnCallScheduleSpec,
  check: ({ timeZone, rotations, overrides = [] }: OnCallScheduleSpec): SpecProblem[] => [
    ...wrongTimeZone(timeZone, ['spec', 'timeZone']),
    ...rotations.flatMap(({ start }, i) => wrongDate(start, ['spec', 'rotations', i, 'start'])),
    ...overrides.flatMap(({ from, to }, i) => [
      ...wrongDate(from, ['spec', 'overrides', i, 'from']),
      ...wrongDate(to, ['spec', 'overrides', i, 'to']),
      ...(from < to
        ? []
        : [
            {
              rule: 'override-without-time',
              path: ['spec', 'overrides', i, 'to'],
              sentence: `An override from ${from} to ${to} has no time.`,
            },
          ]),
    ]),
  ],
};
