/** Two replicas share one PostgreSQL: whichever is told, and however often, one firing is one run. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findPostgres } from '../../testbed/postgres.ts';
import { waitUntil } from '../../testbed/process.ts';
import { describeReal, sharedPostgres } from '../../testbed/real.ts';
import { serve } from '../integrations/support.ts';
import { delivery, startProduct } from './in-process.ts';

const runbook = (url: string) => `
apiVersion: catalyst.openova.io/v1alpha1
kind: Runbook
metadata: {name: act-once}
spec:
  mode: Automatic
  triggers: [{alertName: Once}]
  guards: {cooldown: 0s, maxRuns: {count: 1000, per: 1s}, concurrencyKey: "\${{ alert.fingerprint }}"}
  steps:
    - run: http request POST ${url}/act
`;

describeReal('two replicas on one PostgreSQL', findPostgres, () => {
  test('the same firing, delivered to both at once and again, starts one run that acts once', async () => {
    await using world = await serve(() => [200, {}]);
    const options = {
      postgres: await (await sharedPostgres()).createDatabase(),
      runbooks: runbook(world.url),
      config: { integrations: { http: { hosts: { [new URL(world.url).host]: {} } } } },
    };
    await using first = await startProduct(options);
    await using second = await startProduct(options);
    const bodies = Array.from({ length: 20 }, () => delivery('Once'));
    const answers = await Promise.all(
      bodies.flatMap((body) => [first.deliver(body), second.deliver(body), first.deliver(body)]),
    );
    assert.ok(
      answers.every((status) => status === 200),
      answers.join(' '),
    );
    const { db } = first.database;
    const ended = () => db.selectFrom('run').select('id').where('state', '=', 'Ended').execute();
    await waitUntil('the end of every run', 60_000, async () => (await ended()).length >= bodies.length);
    const decisions = await db.selectFrom('decision').select('outcome').execute();
    assert.equal(decisions.length, answers.length);
    assert.equal(decisions.filter(({ outcome }) => outcome === 'RunStarted').length, bodies.length);
    assert.equal((await ended()).length, bodies.length);
    const keys = world.requests.map(({ headers }) => headers['idempotency-key']);
    assert.deepEqual([keys.length, new Set(keys).size], [bodies.length, bodies.length]);
  });
});
