import assert from 'node:assert/strict';
import { test } from 'node:test';
import { scaledTimings } from '../src/failover/drill/stage.ts';
import { findAlertmanager } from '../testbed/alertmanager.ts';
import { findPostgres } from '../testbed/postgres.ts';
import { describeReal } from '../testbed/real.ts';
import { findRedis } from '../testbed/redis.ts';
import { benchFirstAction } from './first-action.ts';
import { benchIncidents } from './incidents.ts';
import { benchIntake } from './intake.ts';
import { median, percentile } from './support/figures.ts';
import { measureSwitchovers } from './support/switchover.ts';

test('percentiles are values of the sample, by nearest rank', () => {
  const sample = Array.from({ length: 100 }, (_, index) => 100 - index);
  assert.deepEqual(
    [0.01, 0.5, 0.99, 1].map((share) => percentile(sample, share)),
    [1, 50, 99, 100],
  );
  assert.equal(median([7]), 7);
  assert.ok(Number.isNaN(median([])));
});

describeReal('reading is still measured', findPostgres, () => {
  test('every kind of read is answered, and a note arrives at every tab', async () => {
    const settings = { incidents: 200, steps: 400, rate: 20, seconds: 1, tabs: 3, notes: 2, warmUp: 0.5, alone: 0.2 };
    const { rows } = await benchIncidents(settings);
    assert.ok(rows.length > 5);
    for (const row of rows) assert.equal(row.at(-1), '0', JSON.stringify(row));
    assert.ok(!rows.some(([, , ...times]) => times.includes('n/a')), JSON.stringify(rows));
  });
});

describeReal('benchmarks still run', [findAlertmanager, findPostgres], () => {
  test('taking alerts in, beside Alertmanager', async () => {
    const { columns, rows } = await benchIntake({
      rounds: 1,
      requests: new Map([[50, 20]]),
      databases: ['PostgreSQL'],
    });
    assert.deepEqual(
      rows.map(([name]) => name),
      ['Alertmanager, in memory', 'Catalyst SRE, PostgreSQL'],
    );
    for (const row of rows) assert.equal(row.length, columns.length);
    assert.ok(!rows.flat().includes('n/a'), JSON.stringify(rows));
  });

  test('from webhook to first action', async () => {
    const cases = [{ database: 'PostgreSQL', rate: 20, incidents: 100 }] as const;
    const { rows } = await benchFirstAction({ cases, warmUpSeconds: 0.5, seconds: 1 });
    assert.equal(rows.length, 1);
    assert.ok(!rows.flat().includes('n/a'), JSON.stringify(rows));
  });
});

describeReal('the benchmark of failover still runs', findRedis, () => {
  test('there and back with a writer running: no write that was acknowledged is lost', async () => {
    // TTL 7.5 s: what is measured does not wait for a lease, but starting does.
    const { pauses, writes, lost } = await measureSwitchovers(2, scaledTimings(4));
    assert.deepEqual([pauses.length, writes > 0, lost], [2, true, 0]);
  });
});
