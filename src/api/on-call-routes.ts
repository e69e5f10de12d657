/** Who is on call: now, over a time, and as a calendar. */
import Type from 'typebox';
import type { Clock } from '../clock.ts';
import { CatalystError } from '../errors.ts';
import type { Actor } from './access.ts';
import { type Api, actorOf, answers } from './fastify.ts';
import { OnCall, OnCallDetail, OnCallShift } from './on-call-views.ts';
import type { OnCallSummary, OnCalls } from './ports.ts';
import { listOf, PageQuery, withTimes } from './views.ts';

const maybe = Type.Optional;
const day = 86_400_000;
/** As far as a screen shows it. */
const defaultRange = 28 * day;
/** Four months: what the calendar holds. Working more out would take time from everybody else. */
const longestRange = 124 * day;

const Schedule = Type.Object({ schedule: Type.String({ description: 'Name of the schedule.', maxLength: 253 }) });
const whose = {
  organization: maybe(
    Type.String({
      description: 'Whose schedule, where several have the name; for callers that see the whole Sovereign.',
      maxLength: 253,
    }),
  ),
};
const person = maybe(Type.String({ description: "Only this person's.", maxLength: 63 }));
const moment = (description: string) => Type.String({ format: 'date-time', description });

const presentOnCall = (onCall: OnCallSummary) => ({
  ...withTimes(onCall, ['until']),
  next: onCall.next && withTimes(onCall.next, ['from']),
});

/** The schedule, or NotFound. */
function known<T>(schedule: T | undefined, name: string): T {
  if (schedule !== undefined) return schedule;
  throw new CatalystError('NotFound', `There is no schedule ${name}.`, {
    hint: 'List them with GET /api/v1/on-call; you see those of your Organization and of the Sovereign.',
  });
}

export function onCallRoutes(app: Api, onCall: OnCalls, clock: Clock): void {
  feedRoutes(app, onCall);
  app.get(
    '/api/v1/on-call',
    {
      config: { access: 'read' },
      schema: {
        operationId: 'listOnCall',
        summary: 'Who is on call, by schedule',
        tags: ['on-call'],
        querystring: Type.Object(PageQuery, { additionalProperties: false }),
        response: answers(listOf(OnCall, 'schedules')),
      },
    },
    async (request) => {
      const { organization } = actorOf(request);
      const { items, next } = await onCall.list({ ...request.query, organization }, {});
      return { items: items.map((item) => presentOnCall(item)), ...(next === undefined ? {} : { next }) };
    },
  );

  app.get(
    '/api/v1/on-call/:schedule',
    {
      config: { access: 'read' },
      schema: {
        operationId: 'getOnCall',
        summary: 'Who is on call by one schedule, and the schedule',
        tags: ['on-call'],
        params: Schedule,
        querystring: Type.Object(whose, { additionalProperties: false }),
        response: answers(OnCallDetail),
      },
    },
    async (request) => {
      const { schedule } = request.params;
      const slice = sliceOf(actorOf(request), request.query.organization);
      return presentOnCall(known(await onCall.find(schedule, slice), schedule));
    },
  );

  app.get(
    '/api/v1/on-call/:schedule/shifts',
    {
      config: { access: 'read' },
      schema: {
        operationId: 'listShifts',
        summary: 'The shifts of a schedule, oldest first; gaps are where nobody is on call',
        tags: ['on-call'],
        params: Schedule,
        querystring: Type.Object(
          {
            ...whose,
            from: maybe(moment('From when. Default: now.')),
            to: maybe(moment('Until when, at most 124 days later. Default: four weeks later.')),
          },
          { additionalProperties: false },
        ),
        response: answers(Type.Object({ items: Type.Array(OnCallShift, { description: 'The shifts.' }) })),
      },
    },
    async (request) => {
      const { schedule } = request.params;
      const { organization } = request.query;
      const range = rangeOf(request.query, clock.now());
      const shifts = await onCall.shifts(schedule, sliceOf(actorOf(request), organization), range);
      return { items: known(shifts, schedule).map((shift) => withTimes(shift, ['from', 'to'])) };
    },
  );

  app.get(
    '/api/v1/on-call/:schedule.ics',
    {
      config: { access: 'read' },
      schema: {
        operationId: 'getCalendar',
        summary: 'The shifts of four months as iCalendar (RFC 5545)',
        tags: ['on-call'],
        params: Schedule,
        querystring: Type.Object({ ...whose, person }, { additionalProperties: false }),
        response: {
          200: { description: 'A calendar.', content: { 'text/calendar': { schema: Type.String() } } },
        },
      },
    },
    async (request, reply) => {
      const { schedule } = request.params;
      const { organization, person } = request.query;
      const text = await onCall.calendar(schedule, sliceOf(actorOf(request), organization), person);
      return reply
        .type('text/calendar; charset=utf-8')
        .header('content-disposition', `attachment; filename="${schedule.replaceAll(/[^\w.-]/g, '_')}.ics"`)
        .send(known(text, schedule));
    },
  );
}

/** Calendar programs send no header and no cookie: an address that cannot be guessed stands for both. */
function feedRoutes(app: Api, onCall: OnCalls): void {
  app.get(
    '/api/v1/on-call/:schedule/feed',
    {
      config: { access: 'read', sensitive: 'the address of an on-call calendar' },
      schema: {
        operationId: 'getCalendarFeed',
        summary: 'Where a calendar program gets the schedule, without logging in',
        tags: ['on-call'],
        params: Schedule,
        querystring: Type.Object(whose, { additionalProperties: false }),
        response: answers(
          Type.Object({
            path: Type.String({
              description:
                'Path of this server. Whoever has it can read the calendar until the key of links is replaced; add person=<name> for one person only.',
            }),
          }),
        ),
      },
    },
    async (request) => {
      const { schedule } = request.params;
      const slice = sliceOf(actorOf(request), request.query.organization);
      return { path: known(await onCall.feedPath(schedule, slice), schedule) };
    },
  );

  app.get(
    '/calendars/:schedule/:token',
    {
      config: { access: 'public', login: true, secretPath: true },
      schema: {
        hide: true,
        params: Type.Object({ schedule: Type.String({ maxLength: 253 }), token: Type.String({ maxLength: 64 }) }),
        querystring: Type.Object({ organization: whose.organization, person }, { additionalProperties: false }),
      },
    },
    async (request, reply) => {
      const { schedule: name, token } = request.params;
      const { organization, person } = request.query;
      const text = await onCall.feed({ name, organization }, token, person);
      if (text === undefined)
        throw new CatalystError('NotFound', 'There is no calendar at this address.', {
          hint: 'Get the address anew with: catalyst-sre on-call feed NAME',
        });
      return reply.type('text/calendar; charset=utf-8').send(text);
    },
  );
}

/** Whose schedules are looked at: the caller's own, or those a caller that sees the whole Sovereign names. */
function sliceOf(actor: Actor, organization: string | undefined): string | undefined {
  if (actor.organization === undefined || organization === undefined || organization === actor.organization)
    return actor.organization ?? organization;
  throw new CatalystError('Forbidden', `You belong to ${actor.organization}, not to ${organization}.`);
}

function rangeOf(query: { from?: string; to?: string }, now: number): { from: number; to: number } {
  const from = query.from === undefined ? now : Date.parse(query.from);
  const to = query.to === undefined ? from + defaultRange : Date.parse(query.to);
  if (!(from < to) || to - from > longestRange)
    throw new CatalystError('BadRequest', '`to` is not after `from`, or more than 124 days later.', {
      hint: 'Ask for less, and again from where it ended.',
    });
  return { from, to };
}
