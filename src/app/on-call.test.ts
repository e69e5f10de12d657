import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { OnCallSchedule, OnCallScheduleSpec } from '../catalog/kinds/on-call-schedule.ts';
import type { Kind, Resource } from '../catalog/resource.ts';
import { VirtualClock } from '../clock.ts';
import { linkKeysOf } from '../notify/signed-link.ts';
import { onCallModel } from './on-call.ts';

const spec: OnCallScheduleSpec = {
  timeZone: 'UTC',
  rotations: [{ name: 'week', people: ['mira', 'jo'], start: '2026-01-05T09:00', every: 'Week' }],
};
const schedule = (name: string, organization?: string, people = ['mira', 'jo']): OnCallSchedule => ({
  apiVersion: 'catalyst.openova.io/v1alpha1',
  kind: 'OnCallSchedule',
  metadata: { name },
  spec: { ...spec, rotations: spec.rotations.map((rotation) => ({ ...rotation, people })) },
  provenance: {
    source: 'test',
    file: `${name}.yaml`,
    line: 1,
    digest: name,
    ...(organization ? { organization } : {}),
  },
});

function modelOf(documents: OnCallSchedule[]) {
  const clock = new VirtualClock(Date.parse('2026-01-06T00:00:00Z'));
  const catalog = { resources: <R extends Resource>(_kind: Kind) => documents as unknown as R[] };
  return {
    clock,
    documents,
    model: onCallModel({ catalog, clock, keys: async () => linkKeysOf('a secret of the test') }),
  };
}

test("an Organization's own schedule goes before the Sovereign's of the same name", async () => {
  const { model } = modelOf([schedule('sre'), schedule('sre', 'acme', ['sam']), schedule('lab', 'globex', ['kim'])]);
  const seen = async (organization?: string) =>
    (await model.list({ limit: 50, organization }, {})).items.map((item) => [
      item.name,
      item.organization,
      item.person,
    ]);
  assert.deepEqual(await seen('acme'), [['sre', 'acme', 'sam']]);
  assert.deepEqual(await seen('globex'), [
    ['lab', 'globex', 'kim'],
    ['sre', undefined, 'mira'],
  ]);
  assert.equal((await seen()).length, 3);
  assert.equal((await model.find('sre', 'acme'))?.person, 'sam');
  assert.equal((await model.find('sre', undefined))?.person, 'mira');
  assert.equal(await model.find('lab', 'acme'), undefined);
  assert.equal((await model.find('lab', undefined))?.person, 'kim', 'who sees all sees it, too');
  assert.equal(await model.shifts('lab', 'acme', { from: 0, to: 1 }), undefined);
  assert.equal(await model.calendar('lab', 'acme', undefined), undefined);
});

test('schedules come page by page, each once', async () => {
  const { model } = modelOf([schedule('b'), schedule('a', 'acme'), schedule('a'), schedule('c')]);
  const names: string[] = [];
  for (let after: string | undefined = ''; after !== undefined; ) {
    const page: Awaited<ReturnType<typeof model.list>> = await model.list(
      { limit: 1, after, organization: undefined },
      {},
    );
    names.push(...page.items.map((item) => `${item.name}/${item.organization ?? ''}`));
    after = page.next;
  }
  assert.deepEqual(names, ['a/', 'a/acme', 'b/', 'c/']);
});

test('who is on call changes at the moment of the handover, and with the document', async () => {
  const { clock, documents, model } = modelOf([schedule('sre')]);
  const person = async () => (await model.find('sre', undefined))?.person;
  assert.equal(await person(), 'mira');
  await clock.advance(Date.parse('2026-01-12T08:59:59Z') - clock.now());
  assert.equal(await person(), 'mira');
  await clock.advance(1_000);
  assert.equal(await person(), 'jo');
  documents[0] = schedule('sre', undefined, ['sam']);
  assert.equal(await person(), 'sam');
});
