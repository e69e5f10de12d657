import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openTestDatabase } from '../../test/open-test-database.ts';
import { readRecord } from '../audit/record-store.ts';
import { createCatalog } from '../catalog/catalog.ts';
import { compile, load, saidSource } from '../catalog/catalog-fixture.ts';
import { VirtualClock } from '../clock.ts';
import type { OpenDatabase } from '../database/open.ts';
import { createCatalogRecord } from './catalog-record.ts';

let database: OpenDatabase;
before(async () => {
  database = await openTestDatabase();
});
after(() => database.close());

async function replica(files: Record<string, string>, clock = new VirtualClock()) {
  const source = saidSource('git:acme/runbooks', 10);
  const fail = (_part: string, error: unknown) => assert.fail(String(error));
  const catalog = createCatalog({ sources: [source], load, compile, clock, onError: fail });
  const started = catalog.start();
  source.say(files);
  await started;
  return { source, catalog, clock, round: createCatalogRecord({ db: database.db, clock, catalog }) };
}

const recorded = async () =>
  (await readRecord(database.db, { after: 0, limit: 100 })).map(({ kind, sentence, data }) => [
    kind,
    sentence,
    (data as { name: string | null }).name,
  ]);

test('what changed while it runs is on record once, however many replicas see it', async () => {
  const first = { 'a.yaml': 'Runbook a one', 'b.yaml': 'Runbook b one' };
  const one = await replica(first);
  const two = await replica(first);
  assert.equal(await one.round(), false, 'what is there at first is no news');

  const second = { 'a.yaml': 'Runbook a two', 'c.yaml': 'Runbook c ?' };
  for (const { source, round } of [one, two]) {
    source.say(second);
    await round();
  }
  assert.equal(await one.round(), false);
  const changed = [
    ['catalog.changed', 'Runbook a was changed: git:acme/runbooks, a.yaml.', 'a'],
    ['catalog.changed', 'Runbook b was removed: git:acme/runbooks, b.yaml.', 'b'],
    ['catalog.problem', 'git:acme/runbooks, c.yaml:1: wrong: Runbook c ?', 'c'],
  ];
  assert.deepEqual(await recorded(), changed);

  // Back and forth within minutes is three changes, not one.
  one.source.say({ ...second, 'a.yaml': 'Runbook a one' });
  assert.equal(await one.round(), true);
  one.source.say(second);
  assert.equal(await one.round(), true);
  assert.equal((await recorded()).length, changed.length + 2);
});

test('what could not be written is written once it can be', async () => {
  const { source, catalog, clock } = await replica({ 'a.yaml': 'Runbook z one' });
  let away = true;
  const db = new Proxy(database.db, {
    get: (real, name) => {
      if (name === 'transaction' && away) throw new Error('The database is away.');
      const value = Reflect.get(real, name);
      return typeof value === 'function' ? value.bind(real) : value;
    },
  });
  const round = createCatalogRecord({ db, clock, catalog });
  source.say({ 'a.yaml': 'Runbook z two' });
  await assert.rejects(round(), /is away/);
  away = false;
  assert.equal(await round(), true);
  assert.match(String((await recorded()).at(-1)?.[1]), /^Runbook z was changed/);
});
