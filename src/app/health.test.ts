import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { OnCallSchedule } from '../catalog/kinds/on-call-schedule.ts';
import { VirtualClock } from '../clock.ts';
import type { Integration } from '../integrations/contract.ts';
import { checkHealth, type HealthPorts } from './health.ts';

const schedule = (people: string[], override: string) =>
  ({
    spec: {
      timeZone: 'UTC',
      rotations: [{ name: 'week', people, start: '2026-01-05T09:00', every: 'Week' }],
      overrides: [{ person: override, from: '2026-01-06T09:00', to: '2026-01-07T09:00' }],
    },
  }) as OnCallSchedule;

async function checksOf(schedules: OnCallSchedule[], paging: HealthPorts['paging']) {
  const { ready, checks } = await checkHealth({
    database: { ping: async () => {} } as HealthPorts['database'],
    integrations: [],
    catalog: { problems: () => [], all: () => [], resources: () => schedules as never[] },
    clock: new VirtualClock(),
    paging,
  });
  assert.equal(ready, true, 'whoever cannot be paged keeps no alert from being taken');
  return Object.fromEntries(checks.map(({ name, healthy, sentence }) => [name, [healthy, sentence]]));
}

test('it says who takes turns and cannot be reached, and that pages have no links', async () => {
  const reach = (person: string) => (person === 'mira' ? ['mira-phone'] : []);
  const checks = await checksOf([schedule(['mira', 'jo'], 'sam')], { reach, publicUrl: () => undefined });
  assert.deepEqual(checks['on-call'], [
    false,
    'jo, sam have no receiver under integrations.notify; the default receiver is paged instead.',
  ]);
  assert.deepEqual(checks['page links'], [
    false,
    'Pages have no links, and nobody can acknowledge by one: publicUrl is not set.',
  ]);
  const well = await checksOf([schedule(['mira'], 'mira')], { reach, publicUrl: () => 'https://sre.example' });
  assert.deepEqual([well['on-call']?.[0], well['page links']?.[0]], [true, true]);
});

test('without a schedule it says who is paged, and without a receiver it says nothing of either', async () => {
  const checks = await checksOf([], { reach: () => [], publicUrl: () => 'https://sre.example' });
  assert.deepEqual(checks['on-call'], [true, 'No OnCallSchedule is declared; the default receiver is paged.']);
  assert.equal((await checksOf([], undefined))['on-call'], undefined);
});

const integration = (name: string, health: Integration['health']): Integration => ({
  name,
  description: name,
  configured: true,
  facts: [],
  actions: [],
  health,
});

const nothing: HealthPorts['catalog'] = { problems: () => [], all: () => [], resources: () => [] };

test('a system that hangs is told from those that answer, and does not take the product out of service', async () => {
  const machine = new VirtualClock(0);
  const clock = new VirtualClock(0);
  const asked = Promise.withResolvers<AbortSignal>();
  const answer = checkHealth({
    database: { ping: async () => {} } as HealthPorts['database'],
    integrations: [
      integration('prometheus', async () => ({ healthy: true, sentence: 'It answers.' })),
      integration('gitea', ({ signal }) => {
        asked.resolve(signal);
        return new Promise(() => {});
      }),
    ],
    catalog: nothing,
    clock,
    machine,
    paging: undefined,
  });
  const given = await asked.promise;
  await clock.advance(3_600_000);
  assert.equal(given.aborted, false, 'a clock that runs fast takes nothing of the time a system has to answer');
  await machine.advance(700);
  const { ready, checks } = await answer;
  assert.equal(ready, true);
  assert.deepEqual(
    checks.map(({ name, healthy }) => [name, healthy]),
    [
      ['database', true],
      ['catalog', true],
      ['prometheus', true],
      ['gitea', false],
    ],
  );
  assert.match(checks.at(-1)?.sentence ?? '', /within 600 ms/);
  assert.equal(given.aborted, true);
});

test('a database that hangs is not ready, in time for the probe of Kubernetes', async () => {
  const machine = new VirtualClock(0);
  const ping = () => new Promise<void>(() => {});
  const database = { ping } as HealthPorts['database'];
  const answer = checkHealth({
    database,
    integrations: [],
    catalog: nothing,
    clock: machine,
    machine,
    paging: undefined,
  });
  await machine.advance(999);
  const { ready, checks } = await answer;
  assert.equal(ready, false);
  assert.match(checks[0]?.sentence ?? '', /within 900 ms/);
});
