/** What the API says about who is on call. */
import Type, { type TSchema } from 'typebox';
import { json, maybe, text, time } from './views.ts';

const onCallProperties = {
  name: text('Name of the schedule.'),
  organization: maybe(text('Organization whose schedule it is; absent for those of the Sovereign.')),
  timeZone: text('Where its times are read on the wall.'),
  people: Type.Array(Type.String(), { description: 'Everybody who takes turns.' }),
  person: maybe(text('Who is on call; absent where nobody is.')),
  by: maybe(text('Name of the rotation, or override.')),
  until: maybe(time('When somebody else, or nobody, is on call; absent where that is more than a quarter away.')),
  next: maybe(
    Type.Object(
      {
        person: text('Who.'),
        by: text('Name of the rotation, or override.'),
        from: time('From when.'),
      },
      { description: 'Who comes next; absent where nobody does within a quarter.' },
    ),
  ),
};
export const OnCall = Type.Object(onCallProperties, { description: 'A schedule, and who is on call by it.' });
export const OnCallDetail = Type.Object(
  { ...onCallProperties, spec: json('spec as it was declared.') },
  { description: 'A schedule, who is on call by it, and its rotations and overrides.' },
);
export const OnCallShift = Type.Object(
  {
    person: text('Who is on call.'),
    by: text('Name of the rotation, or override.'),
    from: time('From when.'),
    to: time('Until when.'),
  },
  { description: 'A time in which one person is on call.' },
);

/** The schemas that have a name of their own in OpenAPI. */
export const onCallViews: Readonly<Record<string, TSchema>> = { OnCall, OnCallDetail, OnCallShift };
