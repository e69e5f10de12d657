/** The database goes away, hangs, and comes back: nothing acknowledged is lost, and nobody has to start anything again. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sql } from 'kysely';
import { findPostgres, startPostgres } from '../../testbed/postgres.ts';
import { waitUntil } from '../../testbed/process.ts';
import { describeReal, sharedPostgres } from '../../testbed/real.ts';
import { layCable } from '../cable.ts';
import { delivery, type Product, startProduct } from './in-process.ts';

/** Alertmanager waits ten seconds by the configuration this product generates; past that it hears nothing at all. */
const alertmanagersPatience = 10_000;

const decided = async ({ database }: Product) =>
  (await database.db.selectFrom('decision').select('id').execute()).length;
const readiness = async (product: Product) => {
  const { status, body } = await product.get('/readyz');
  return { status, checks: (JSON.parse(body) as { checks: { name: string; healthy: boolean }[] }).checks };
};
/** The status of an answer that has to come while Alertmanager still listens. */
async function promptly(answer: Promise<number>): Promise<number> {
  const started = performance.now();
  const status = await answer;
  assert.ok(performance.now() - started < alertmanagersPatience, 'the answer came too late');
  return status;
}

describeReal('PostgreSQL', findPostgres, () => {
  test('killed: 503 at the door, alive, not ready; back: everything goes on by itself', async () => {
    const server = await startPostgres();
    try {
      await using product = await startProduct({ postgres: await server.createDatabase() });
      assert.equal(await product.deliver(delivery('Before')), 200);
      await waitUntil('a decision', 10_000, async () => (await decided(product)) === 1);

      await server.crash();
      const during = delivery('During');
      assert.equal(await promptly(product.deliver(during)), 503);
      assert.equal((await product.get('/livez')).status, 200);
      assert.equal((await readiness(product)).status, 503);
      const refused = await product.get('/api/v1/runs');
      assert.equal(refused.status, 503);
      assert.equal((JSON.parse(refused.body) as { code: string }).code, 'Unavailable');

      await server.restart();
      await waitUntil('readiness', 20_000, async () => (await readiness(product)).status === 200);
      assert.equal(await product.deliver(during), 200);
      // The loops back off for five seconds at most.
      await waitUntil('another decision', 20_000, async () => (await decided(product)) === 2);
      assert.doesNotMatch(product.log.join(''), /"level":"error"/);
    } finally {
      await server.stop();
    }
  });

  test('silent, as behind a pulled cable: 503 in time, alive, not ready; cut and back: it goes on', async () => {
    const server = await sharedPostgres();
    const cable = await layCable(await server.createDatabase());
    try {
      await using product = await startProduct({ postgres: cable.url });
      cable.hold();
      assert.equal(await promptly(product.deliver(delivery('During'))), 503);
      assert.equal((await product.get('/livez')).status, 200);
      assert.equal((await readiness(product)).status, 503);
      cable.cut();
      await waitUntil('readiness', 20_000, async () => (await readiness(product)).status === 200);
      assert.equal(await product.deliver(delivery('After')), 200);
      await waitUntil('a decision', 20_000, async () => (await decided(product)) >= 1);
    } finally {
      await cable.close();
    }
  });

  test('a statement that waits for a lock: 503 in time, alive; released: it goes on', async () => {
    const server = await sharedPostgres();
    const url = await server.createDatabase();
    await using product = await startProduct({ postgres: url });
    const locked = Promise.withResolvers<void>();
    const release = Promise.withResolvers<void>();
    const holding = product.database.db.transaction().execute(async (tx) => {
      await sql`LOCK TABLE delivery IN ACCESS EXCLUSIVE MODE`.execute(tx);
      locked.resolve();
      await release.promise;
    });
    await locked.promise;
    assert.equal(await promptly(product.deliver(delivery('During'))), 503);
    assert.equal((await product.get('/livez')).status, 200);
    release.resolve();
    await holding;
    assert.equal(await product.deliver(delivery('After')), 200);
  });
});

test('the embedded database is busy with one transaction: 503 in time, alive, not ready; done: it goes on', async () => {
  await using product = await startProduct();
  const begun = Promise.withResolvers<void>();
  const end = Promise.withResolvers<void>();
  // It has one connection: whatever else is asked waits for this.
  const holding = product.database.db.transaction().execute(async (tx) => {
    await sql`SELECT 1`.execute(tx);
    begun.resolve();
    await end.promise;
  });
  await begun.promise;
  assert.equal(await promptly(product.deliver(delivery('During'))), 503);
  assert.equal((await product.get('/livez')).status, 200);
  assert.equal((await readiness(product)).status, 503);
  end.resolve();
  await holding;
  assert.equal(await product.deliver(delivery('After')), 200);
  await waitUntil('a decision', 20_000, async () => (await decided(product)) >= 1);
  assert.equal((await readiness(product)).status, 200);
});
