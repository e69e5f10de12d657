import assert from 'node:assert/strict';
import { test } from 'node:test';
import ICAL from 'ical.js';
import type { OnCallScheduleSpec } from '../catalog/kinds/on-call-schedule.ts';
import { shiftsBetween } from './on-call.ts';
import { calendarOf } from './on-call-calendar.ts';

const at = (text: string) => Date.parse(text);
const spec: OnCallScheduleSpec = {
  timeZone: 'Europe/Berlin',
  rotations: [
    { name: 'week, "days"; and\nmore', people: ['mira', 'jo', 'sam'], start: '2026-01-05T09:00', every: 'Week' },
  ],
};
const now = at('2026-03-20T10:00:00Z');
const write = (change: Partial<OnCallScheduleSpec> = {}, person?: string, when = now) =>
  calendarOf({ name: 'sre', organization: undefined, spec: { ...spec, ...change } }, when, person);

/** Read by a library of somebody else's. */
function read(text: string) {
  const calendar = new ICAL.Component(ICAL.parse(text));
  return calendar.getAllSubcomponents('vevent').map((component) => {
    const event = new ICAL.Event(component);
    return {
      uid: event.uid,
      summary: event.summary,
      description: event.description,
      from: event.startDate.toJSDate().getTime(),
      to: event.endDate.toJSDate().getTime(),
      zone: event.startDate.zone.tzid,
      stamp: (component.getFirstPropertyValue('dtstamp') as ICAL.Time).toJSDate().toISOString(),
    };
  });
}

test('another program reads the shifts back, in UTC, also over the night in which the clock changes', () => {
  const events = read(write());
  const shifts = shiftsBetween(spec, at('2026-02-01T00:00:00Z'), at('2026-06-01T00:00:00Z'));
  assert.deepEqual(
    events.map(({ summary, from, to }) => ({ summary, from, to })),
    shifts.map(({ person, from, to }) => ({ summary: `On call: ${person}`, from, to })),
  );
  assert.ok(events.every(({ zone }) => zone === 'UTC'));
  assert.ok(
    events.some(({ to }) => to === at('2026-03-30T07:00:00Z')),
    '9 o’clock in summer',
  );
  assert.equal(events[0]?.description, 'sre, rotation week, "days"; and\nmore');
});

test('the same version gives the same text all month long', () => {
  assert.equal(write(), write({}, undefined, at('2026-03-01T00:00:00Z')));
  assert.equal(write(), write({}, undefined, at('2026-03-31T23:59:59Z')));
  assert.equal(new Set(read(write()).map(({ uid }) => uid)).size, read(write()).length);
  assert.ok(read(write()).every(({ stamp }) => stamp === '2026-01-05T08:00:00.000Z'));
});

test('a swap changes the events it changes and no other, and none keeps its name', () => {
  const before = read(write());
  const after = read(write({ overrides: [{ person: 'jo', from: '2026-03-24T09:00', to: '2026-03-25T09:00' }] }));
  const names = new Set(before.map(({ uid }) => uid));
  const changed = after.filter(({ uid }) => !names.has(uid));
  assert.deepEqual(
    changed.map(({ summary, from }) => [summary, new Date(from).toISOString()]),
    [
      ['On call: sam', '2026-03-23T08:00:00.000Z'],
      ['On call: jo', '2026-03-24T08:00:00.000Z'],
      ['On call: sam', '2026-03-25T08:00:00.000Z'],
    ],
  );
  assert.equal(after.length, before.length + 2);
});

test("one person's calendar holds their shifts and no other", () => {
  const mine = read(write({}, 'mira'));
  assert.ok(mine.length > 4);
  assert.ok(mine.every(({ summary }) => summary === 'On call: mira'));
  const all = new Set(read(write()).map(({ uid }) => uid));
  assert.ok(mine.every(({ uid }) => all.has(uid)));
  assert.deepEqual(read(write({}, 'nobody')), []);
});

test('two schedules of one name, of two Organizations, do not share an event', () => {
  const of = (organization: string) =>
    new Set(read(calendarOf({ name: 'sre', organization, spec }, now)).map(({ uid }) => uid));
  const theirs = of('globex');
  assert.deepEqual(
    [...of('acme')].filter((uid) => theirs.has(uid)),
    [],
  );
});
