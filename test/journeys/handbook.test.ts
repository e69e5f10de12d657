/** Handbook §4.2: the rows that the pocket Sovereign can show, from the fault to the verified fix, all at once. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { FAULTS, type FaultName } from '../../sandbox/faults.ts';
import { type PocketSovereign, startPocketSovereign } from '../support/pocket-sovereign.ts';

describe('handbook §4.2', () => {
  let s: PocketSovereign;
  before(async () => {
    s = await startPocketSovereign();
    for (const fault of Object.keys(FAULTS) as FaultName[]) s.sandbox.inject(fault);
  });
  after(() => s.stop());

  const rows = [
    ['openbao-sealed', 'openbao-sealed', 'openbao operator unseal', 'P1'],
    ['pod-crash-loop', 'pod-crash-loop-backoff', 'kubernetes delete pod', undefined],
    ['high-error-rate', 'high-error-rate', 'kubernetes rollback deployment', undefined],
    ['high-memory', 'high-memory-usage', 'kubernetes scale', undefined],
  ] as const;
  for (const [fault, runbook, action, severity] of rows) {
    test(`${FAULTS[fault].alert}: ${FAULTS[fault].repair}`, async () => {
      const run = await s.until(`${runbook} has verified its fix`, async () => {
        const runs = await s.list(`/api/v1/runs?runbook=${runbook}`);
        const failed = runs.find(({ outcome }) => ['Failed', 'Unknown', 'RolledBack'].includes(outcome));
        assert.equal(failed, undefined, failed?.sentence);
        return runs.find(({ outcome }) => outcome === 'Succeeded');
      });
      assert.equal(run.reason, 'Verified');
      assert.ok(s.sandbox.isHealthy(fault));
      const journal = await s.list(`/api/v1/runs/${run.id}/journal`);
      const acted = journal.filter(({ kind }) => kind === 'StepStarted');
      assert.deepEqual(
        acted.map(({ data }) => data.action),
        [action],
      );
      const incident = await s.until('the incident is resolved by facts', async () => {
        const found = await s.get(`/api/v1/incidents/${run.incidentId}`);
        return found.state === 'Resolved' && found;
      });
      if (severity) assert.equal(incident.severity, severity);
      const timeline = (await s.list(`/api/v1/incidents/${run.incidentId}/timeline?limit=200`)).map(({ kind }) => kind);
      for (const kind of ['incident.opened', 'run.created', 'run.ended', 'incident.resolved'])
        assert.ok(timeline.includes(kind), kind);
    });
  }

  test('every alert that came has its decision, and the record is intact', async () => {
    for (const alert of await s.list('/api/v1/alerts')) {
      const decisions = await s.list(`/api/v1/decisions?alertId=${alert.id}`);
      assert.ok(
        decisions.some(({ outcome }) => outcome === 'RunStarted'),
        alert.name,
      );
    }
    assert.equal((await s.get('/api/v1/record/verify')).intact, true);
  });

  test('every line of the log that is about a run says which, and whose', () => {
    const lines = s.log.filter(({ entry }) => entry !== undefined);
    assert.ok(lines.length > 10);
    for (const { run, runbook, alert, incident } of lines) assert.ok(run && runbook && alert && incident);
  });
});
