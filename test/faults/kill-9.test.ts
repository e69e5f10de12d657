/**
 * The product, killed with SIGKILL again and again under load: a few times, twice as often with CI=true. `npm run chaos` is
 * the long setting, and docs/reliability.md says what it proves. CATALYST_CHAOS_SEED repeats a run that failed.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { findPostgres } from '../../testbed/postgres.ts';
import { describeReal, sharedPostgres } from '../../testbed/real.ts';
import { type ChaosOptions, runChaos } from './chaos/chaos.ts';

/** Each kill costs some four seconds of both processors. */
const often = process.env.CI === 'true' ? 2 : 1;

async function survives(context: TestContext, options: Omit<ChaosOptions, 'seed'>) {
  const seed = Number(process.env.CATALYST_CHAOS_SEED ?? Math.floor(Math.random() * 2 ** 31));
  context.diagnostic(`CATALYST_CHAOS_SEED=${seed}`);
  const report = await runChaos({ ...options, seed });
  assert.deepEqual(report.problems, [], JSON.stringify(report, undefined, 2));
  assert.equal(report.kills.all, options.kills);
  assert.ok(report.counts.alertsAcknowledged > 0 && report.counts.effects > 0, JSON.stringify(report.counts));
}

test('killed again and again, one replica loses nothing acknowledged and does nothing twice', (t) =>
  survives(t, { kills: 2 * often }));

describeReal('two replicas on one PostgreSQL', findPostgres, () => {
  test('killed again and again, they lose nothing acknowledged and do nothing twice', async (t) => {
    const server = await sharedPostgres();
    await survives(t, { kills: 3 * often, postgres: await server.createDatabase() });
  });
});
