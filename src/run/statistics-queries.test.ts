/** Figures over incidents whose times are known. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openTestDatabase } from '../../test/open-test-database.ts';
import type { OpenDatabase } from '../database/open.ts';
import { insertIncident, insertRun, minutesAfterNoon, noon } from './history-fixture.ts';
import { readStatistics, type StatisticsQuestion } from './statistics-queries.ts';

let database: OpenDatabase;
const ask = (change: Partial<StatisticsQuestion> = {}) =>
  readStatistics(database.db, {
    by: 'type',
    from: noon - 60_000,
    to: noon + 24 * 3_600_000,
    organization: undefined,
    limit: 100,
    ...change,
  });

before(async () => {
  database = await openTestDatabase();
  const { db } = database;
  const ended = { state: 'Resolved' } as const;
  // Acknowledged after 5, 10 and 30 minutes; resolved after 20, 40 and 90. The last of them late: it had 15 minutes.
  for (const [id, acknowledged, resolved] of [
    ['i1', 5, 20],
    ['i2', 10, 40],
    ['i3', 30, 90],
  ] as const)
    await insertIncident(db, id, {
      ...ended,
      organization: 'acme',
      acknowledged_at: minutesAfterNoon(acknowledged),
      resolved_at: minutesAfterNoon(resolved),
      resolved_how: id === 'i1' ? 'Verified' : 'Person',
    });
  await insertRun(db, 'r1', { incident_id: 'i1', organization: 'acme' });
  await insertRun(db, 'r2', {
    incident_id: 'i2',
    organization: 'acme',
    outcome: 'Failed',
    reason: 'VerificationFailed',
  });
  await insertRun(db, 'r2b', { incident_id: 'i2', organization: 'acme', runbook: 'second', reason: 'Verified' });
  await insertRun(db, 'r3', { incident_id: 'i3', organization: 'acme', acted_at: null, outcome: 'Suggested' });
  // By itself, of the Sovereign; and one that is open with nobody on it.
  await insertIncident(db, 'i4', {
    ...ended,
    type: 'gitea',
    resolved_at: minutesAfterNoon(2),
    resolved_how: 'Checked',
  });
  await insertIncident(db, 'i5', { type: 'gitea', organization: 'globex', opened_at: minutesAfterNoon(60) });
  // None of these counts.
  await insertIncident(db, 'm', { ...ended, resolved_how: 'Merged', merged_into: 'i1' });
  await insertIncident(db, 'f', { ...ended, resolved_how: 'FalseAlarm', resolved_at: minutesAfterNoon(1) });
  await insertIncident(db, 'old', { opened_at: minutesAfterNoon(-60) });
});
after(() => database.close());

test('times count from the opening, medians and means with how many they are of', async () => {
  const { total, items } = await ask();
  assert.equal(total.incidents, 5);
  assert.deepEqual(
    items.map(({ key, incidents }) => [key, incidents]),
    [
      ['openbao-sealed', 3],
      ['gitea', 2],
    ],
  );
  const [sealed, gitea] = items;
  assert.deepEqual(sealed?.acknowledge, { count: 3, mean: 15 * 60, median: 10 * 60 });
  assert.deepEqual(sealed?.resolve, { count: 3, mean: 50 * 60, median: 40 * 60 });
  assert.deepEqual(gitea?.acknowledge, { count: 0, mean: undefined, median: undefined });
  assert.deepEqual([sealed?.inTime.count, sealed?.inTime.of], [2, 3]);
  // Over in two minutes is in time, and one nobody answered is not.
  assert.deepEqual([gitea?.inTime.count, gitea?.inTime.of], [1, 2]);
});

test('fixed by automation is what a run verified; self-healing is what ended with nobody near', async () => {
  const { total, items } = await ask();
  assert.deepEqual([total.fixedByAutomation.count, total.fixedByAutomation.of], [1, 4]);
  // Without a run that acted: i3, which a person ended, and i4.
  assert.deepEqual([total.selfHealing.count, total.selfHealing.of], [1, 2]);
  assert.deepEqual([items[0]?.selfHealing.count, items[0]?.selfHealing.of], [0, 1]);
});

test('by runbook: the incidents in which it acted, and those it fixed itself', async () => {
  const { total, items } = await ask({ by: 'runbook' });
  assert.equal(total.incidents, 5, 'the total counts each incident once');
  assert.deepEqual(
    items.map(({ key, incidents, fixedByAutomation }) => [key, incidents, fixedByAutomation.count]),
    [
      ['openbao-sealed', 2, 1],
      ['second', 1, 0],
    ],
  );
});

test('by Organization, within the slice of who asks, and within the window', async () => {
  const { items } = await ask({ by: 'organization' });
  assert.deepEqual(
    items.map(({ key, incidents }) => [key, incidents]),
    [
      ['acme', 3],
      ['globex', 1],
      [undefined, 1],
    ],
  );
  const own = await ask({ by: 'organization', organization: 'globex' });
  assert.deepEqual(
    own.items.map(({ key }) => key),
    ['globex'],
  );
  assert.equal(own.total.incidents, 1);
  assert.equal((await ask({ to: noon + 1 })).total.incidents, 4);
  assert.equal((await ask({ from: noon + 48 * 3_600_000, to: noon + 72 * 3_600_000 })).total.incidents, 0);
  assert.equal((await ask({ limit: 1 })).items.length, 1);
});
