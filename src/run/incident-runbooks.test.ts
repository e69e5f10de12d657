/** The runbooks for an incident, out of a catalog and a database. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openTestDatabase } from '../../test/open-test-database.ts';
import { vocabulary } from '../../test/support/vocabulary.ts';
import { loadDocuments } from '../catalog/document.ts';
import type { Runbook } from '../catalog/kinds/runbook.ts';
import type { Problem } from '../catalog/resource.ts';
import { compileRunbook } from '../catalog/runbook-compile.ts';
import { createLanguage } from '../check/language.ts';
import { VirtualClock } from '../clock.ts';
import type { OpenDatabase } from '../database/open.ts';
import { readTypeHistory } from './effectiveness-queries.ts';
import { insertAlert, insertIncident, insertRun, minutesAfterNoon, noon } from './history-fixture.ts';
import { runbooksForIncident } from './incident-runbooks.ts';

let database: OpenDatabase;
const clock = new VirtualClock(noon + 10 * 60_000);
const language = createLanguage(vocabulary());
const runbook = (name: string, triggers: string) => {
  const text = `apiVersion: catalyst.openova.io/v1alpha1
kind: Runbook
metadata: { name: ${name} }
spec:
  triggers: ${triggers}
  preconditions: [{ check: spire.server.healthy }]
  steps:
    - run: openbao operator unseal --auto-shamir
    - verify: openbao.status.sealed == false
`;
  const { resources, problems } = loadDocuments(text, {
    source: 'git:acme/runbooks',
    revision: 'c0ffee',
    file: `${name}.yaml`,
  });
  assert.deepEqual(problems, []);
  const compiled = compileRunbook(resources[0] as Runbook, language);
  assert.ok(compiled.runbook, JSON.stringify(compiled.problems));
  return compiled.runbook;
};
const runbooks = [
  runbook('openbao-sealed', '[{ alertName: OpenBaoSealed }]'),
  runbook('openbao-closer', `[{ alertName: OpenBaoSealed, matchers: ['namespace="catalyst-system"'] }]`),
  runbook('openbao-look', '[]'),
  runbook('on-incident', '[{ incident: openbao-sealed }]'),
  runbook('other', '[{ alertName: HighLatency }]'),
];
const stale: Problem = {
  severity: 'warning',
  rule: 'last-good-serves',
  sentence: 'The last good version is still serving.',
  source: 'git:acme/runbooks',
  file: 'openbao-look.yaml',
  line: 1,
  column: 1,
  resource: 'Runbook/openbao-look',
};
const ask = (id: string, organization?: string) =>
  runbooksForIncident(
    {
      db: database.db,
      clock,
      catalog: { runbooks: () => runbooks, problems: () => [stale] },
      history: (question) => readTypeHistory(database.db, question),
      listed: () => ['openbao-sealed', 'openbao-look'],
    },
    id,
    organization,
  );

before(async () => {
  database = await openTestDatabase();
  const { db } = database;
  await insertIncident(db, 'now', { organization: 'acme' });
  await insertAlert(db, 'a-now', { incident_id: 'now', organization: 'acme' });
  const over = { state: 'Resolved', resolved_at: minutesAfterNoon(-60), opened_at: minutesAfterNoon(-90) } as const;
  // The closer one failed in three incidents, the other fixed two; two ended with nobody's help, of three without a run.
  for (const [id, organization] of [
    ['f1', 'acme'],
    ['f2', 'acme'],
    ['f3', 'globex'],
  ] as const) {
    await insertIncident(db, id, { ...over, organization, resolved_how: 'Person' });
    await insertRun(db, `r-${id}`, {
      incident_id: id,
      organization,
      runbook: 'openbao-closer',
      outcome: 'Failed',
      reason: 'VerificationFailed',
    });
  }
  for (const id of ['g1', 'g2']) {
    await insertIncident(db, id, { ...over, organization: 'acme', resolved_how: 'Verified' });
    await insertRun(db, `r-${id}`, { incident_id: id, organization: 'acme', target_key: 'runbook/openbao-sealed' });
  }
  for (const id of ['e1', 'e2'])
    await insertIncident(db, id, { ...over, organization: 'acme', resolved_how: 'Checked' });
  await insertIncident(db, 'e3', {
    ...over,
    organization: 'acme',
    resolved_how: 'Person',
    acknowledged_at: minutesAfterNoon(-80),
  });
  // Neither counts: one was no incident of its own, nothing was wrong in the other, and one is too long ago.
  await insertIncident(db, 'm1', { ...over, organization: 'acme', resolved_how: 'Merged', merged_into: 'e1' });
  await insertIncident(db, 'm2', { ...over, organization: 'acme', resolved_how: 'FalseAlarm' });
  await insertIncident(db, 'm3', {
    ...over,
    organization: 'acme',
    resolved_how: 'Checked',
    opened_at: minutesAfterNoon(-60 * 24 * 100),
  });
});
after(() => database.close());

test('ranked by match, proof and health, each with its figures', async () => {
  const found = await ask('now');
  assert.deepEqual(
    found?.items.map(({ name, match, health, success }) => [name, match.kind, health.state, success.count, success.of]),
    [
      ['openbao-sealed', 'Alert', 'Good', 2, 2],
      ['on-incident', 'Incident', 'Untried', 0, 0],
      ['openbao-look', 'Listed', 'OldVersion', 0, 0],
      ['openbao-closer', 'Alert', 'Failing', 0, 3],
    ],
  );
  const last = found?.items.at(-1);
  assert.equal(last?.chosen, true, 'the engine still takes the closer one, and it shows');
  assert.match(last?.sentence ?? '', /1 matcher holds.*None of its last 3 runs.*it failed lately/);
  assert.equal(found?.items[0]?.alertId, 'a-now');
  assert.equal(found?.items[0]?.runbook.resource.provenance.revision, 'c0ffee');
  assert.deepEqual([found?.selfHealing.count, found?.selfHealing.of], [2, 3]);
});

test('an Organization is told of its own incidents only, and figures of its own', async () => {
  assert.equal(await ask('now', 'globex'), undefined);
  assert.equal(await ask('none'), undefined);
  const own = await ask('now', 'acme');
  const closer = own?.items.find(({ name }) => name === 'openbao-closer');
  assert.deepEqual([closer?.success.count, closer?.success.of], [0, 2]);
  assert.equal(closer?.lastRuns.length, 2);
});

test('a guard that holds one back puts it last', async () => {
  await insertRun(database.db, 'r-now', {
    incident_id: 'now',
    organization: 'acme',
    target_key: 'runbook/openbao-sealed',
    acted_at: minutesAfterNoon(8),
    ended_at: minutesAfterNoon(9),
  });
  const found = await ask('now');
  const last = found?.items.at(-1);
  assert.equal(last?.name, 'openbao-sealed');
  assert.equal(last?.suppressed?.reason, 'Cooldown');
  assert.match(last?.sentence ?? '', /acted on this target 1m ago/);
});
