/** Who is on call, over the schedules of the catalog. */
import type { OnCallDetail, OnCallSummary, OnCalls } from '../api/ports.ts';
import type { Catalog } from '../catalog/catalog.ts';
import { type OnCallSchedule, onCallScheduleKind } from '../catalog/kinds/on-call-schedule.ts';
import type { Clock } from '../clock.ts';
import type { Json } from '../integrations/contract.ts';
import { type OnCall, onCallFrom, shiftsBetween } from '../notify/on-call.ts';
import { calendarOf } from '../notify/on-call-calendar.ts';
import { calendarToken, isCalendarToken } from '../notify/signed-link.ts';
import type { LinkKeySource } from './links.ts';

type Schedules = Pick<Catalog, 'resources'>;

export function onCallModel(ports: { catalog: Schedules; clock: Clock; keys: LinkKeySource }): OnCalls {
  const { catalog, clock, keys } = ports;
  const lookUp = onCallLookUp();
  const summary = (schedule: OnCallSchedule): OnCallSummary => {
    const { metadata, provenance, spec } = schedule;
    const { person, by, until, next } = lookUp(schedule, clock.now());
    return {
      name: metadata.name,
      organization: provenance.organization,
      timeZone: spec.timeZone,
      people: [...new Set(spec.rotations.flatMap(({ people }) => people))].sort(),
      person,
      by,
      until,
      next,
    };
  };
  const found = (name: string, organization: string | undefined) => {
    const schedule = scheduleOf(catalog, name, organization);
    // Who looks at the whole Sovereign sees those of every Organization, too.
    return schedule ?? (organization === undefined ? namedSo(catalog, name)[0] : undefined);
  };
  const calendar = ({ metadata, provenance, spec }: OnCallSchedule, person: string | undefined) =>
    calendarOf({ name: metadata.name, organization: provenance.organization, spec }, clock.now(), person);
  return {
    list: async ({ after, limit, organization }) => {
      const all = seenBy(catalog, organization);
      const rest = after === undefined ? all : all.filter((schedule) => keyOf(schedule) > after);
      const items = rest.slice(0, limit).map(summary);
      const last = rest[limit - 1];
      return last && rest.length > limit ? { items, next: keyOf(last) } : { items };
    },
    find: async (name, organization): Promise<OnCallDetail | undefined> => {
      const schedule = found(name, organization);
      return schedule && { ...summary(schedule), spec: schedule.spec as unknown as Json };
    },
    shifts: async (name, organization, { from, to }) => {
      const schedule = found(name, organization);
      return schedule && shiftsBetween(schedule.spec, from, to);
    },
    calendar: async (name, organization, person) => {
      const schedule = found(name, organization);
      return schedule && calendar(schedule, person);
    },
    feedPath: async (name, organization) => {
      const schedule = found(name, organization);
      if (!schedule) return undefined;
      const owner = schedule.provenance.organization;
      const token = calendarToken((await keys()).calendar, { name, organization: owner });
      const query = owner === undefined ? '' : `?organization=${encodeURIComponent(owner)}`;
      return `/calendars/${encodeURIComponent(name)}/${token}.ics${query}`;
    },
    feed: async ({ name, organization }, word, person) => {
      const token = word.replace(/\.ics$/, '');
      if (!isCalendarToken((await keys()).calendar, token, { name, organization })) return undefined;
      const schedule = namedSo(catalog, name).find(({ provenance }) => provenance.organization === organization);
      return schedule && calendar(schedule, person);
    },
  };
}

/** The schedule of that name as the Organization sees it: its own before the Sovereign's. */
export function scheduleOf(catalog: Schedules, name: string, organization: string | undefined) {
  const named = namedSo(catalog, name);
  return (
    named.find(({ provenance }) => organization !== undefined && provenance.organization === organization) ??
    named.find(({ provenance }) => provenance.organization === undefined)
  );
}

function namedSo(catalog: Schedules, name: string): OnCallSchedule[] {
  return catalog.resources<OnCallSchedule>(onCallScheduleKind).filter(({ metadata }) => metadata.name === name);
}

/** By name; an Organization sees its own and the Sovereign's, and its own where both have the name. */
function seenBy(catalog: Schedules, organization: string | undefined): OnCallSchedule[] {
  return catalog
    .resources<OnCallSchedule>(onCallScheduleKind)
    .filter(
      (schedule) =>
        organization === undefined || scheduleOf(catalog, schedule.metadata.name, organization) === schedule,
    )
    .sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
}

/** Two Organizations may have schedules of one name; neither part can hold a slash. The Sovereign's come first. */
const keyOf = ({ metadata, provenance }: OnCallSchedule) => `${metadata.name}/${provenance.organization ?? ''}`;

/** An answer holds until somebody takes over; where nobody does, it is worked out anew so often, ms. */
const longestMemory = 3_600_000;

/** Works out who is on call, once for each turn: going through the days of a quarter takes a tenth of a second. */
function onCallLookUp(): (schedule: OnCallSchedule, at: number) => OnCall {
  const known = new WeakMap<OnCallSchedule, { from: number; to: number; onCall: OnCall }>();
  return (schedule, at) => {
    const last = known.get(schedule);
    if (last && last.from <= at && at < last.to) return last.onCall;
    const onCall = onCallFrom(schedule.spec, at);
    const to = Math.min(at + longestMemory, onCall.until ?? Infinity);
    known.set(schedule, { from: at, to, onCall });
    return onCall;
  };
}
