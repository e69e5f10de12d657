import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { sql } from 'kysely';
import { layCable } from '../../test/cable.ts';
import { openTestDatabase, type TestDatabase } from '../../test/open-test-database.ts';
import { VirtualClock } from '../clock.ts';
import { openDatabase } from '../database/open.ts';
import { createIntake } from './intake.ts';

let database: TestDatabase;
const clock = new VirtualClock();
before(async () => {
  database = await openTestDatabase();
});
after(() => database.close());
beforeEach(async () => {
  await sql`TRUNCATE delivery`.execute(database.db);
});

const bodyOf = (text: string) => Buffer.from(text);
const bodies = async () =>
  (await database.db.selectFrom('delivery').select(['id', 'body']).orderBy('id').execute()).map((row) => ({
    deliveryId: row.id,
    text: Buffer.from(row.body).toString(),
  }));

test('resolves with the id of a row that is committed, body kept to the byte', async () => {
  const intake = createIntake({ db: database.db, clock });
  const hostile = [
    Buffer.from([0, 1, 2, 0xff, 0xfe]),
    Buffer.from('{"ü":"\\u0000"}\u0000'),
    Buffer.from('\ufeff{}\r\n'),
    Buffer.from(''),
  ];
  const ids = await Promise.all(
    hostile.map((body) => intake.accept({ source: 'a\u0000m', body, traceparent: 'junk' })),
  );
  const rows = await database.db.selectFrom('delivery').selectAll().orderBy('id').execute();
  assert.deepEqual(
    rows.map((row) => ({ id: row.id, hex: Buffer.from(row.body).toString('hex') })),
    hostile.map((body, i) => ({ id: ids[i]?.deliveryId, hex: body.toString('hex') })),
  );
  assert.equal(rows[0]?.traceparent, null);
  assert.equal(rows[0]?.state, 'Pending');
});

test('deliveries that come together are committed together, each with its own id', async () => {
  const intake = createIntake({ db: database.db, clock });
  const texts = Array.from({ length: 1000 }, (_, i) => `delivery ${i}`);
  const ids = await Promise.all(texts.map((text) => intake.accept({ source: 'am', body: bodyOf(text) })));
  const kept = new Map((await bodies()).map((row) => [row.deliveryId, row.text]));
  assert.deepEqual(
    ids.map(({ deliveryId }) => kept.get(deliveryId)),
    texts,
  );
  // Two batches of at most 512.
  assert.deepEqual(intake.stats(), { queued: 0, queuedBytes: 0, accepted: 1000, refused: 0, commits: 2 });
});

test('a body over the limit is refused as too large', async () => {
  const intake = createIntake({ db: database.db, clock, limits: { bodyBytes: 10 } });
  await assert.rejects(intake.accept({ source: 'am', body: bodyOf('x'.repeat(11)) }), { code: 'TooLarge' });
});

test('when too many wait, more are refused, and taken again afterwards', async () => {
  const intake = createIntake({ db: database.db, clock, limits: { queued: 2, queuedBytes: 1000 } });
  const accepted = ['1', '2'].map((text) => intake.accept({ source: 'am', body: bodyOf(text) }));
  await assert.rejects(intake.accept({ source: 'am', body: bodyOf('3') }), { code: 'Unavailable', status: 503 });
  await Promise.all(accepted);
  const large = intake.accept({ source: 'am', body: bodyOf('x'.repeat(900)) });
  await assert.rejects(intake.accept({ source: 'am', body: bodyOf('y'.repeat(900)) }), { code: 'Unavailable' });
  await large;
  assert.equal((await bodies()).length, 3);
});

test('a database that fails makes it Unavailable, and it goes on when the database does', async () => {
  const intake = createIntake({ db: database.db, clock });
  await sql`ALTER TABLE delivery RENAME TO gone`.execute(database.db);
  const failed = await Promise.allSettled(
    ['1', '2', '3'].map((text) => intake.accept({ source: 'am', body: bodyOf(text) })),
  );
  await sql`ALTER TABLE gone RENAME TO delivery`.execute(database.db);
  assert.deepEqual(
    failed.map((f) => f.status === 'rejected' && f.reason.code),
    ['Unavailable', 'Unavailable', 'Unavailable'],
  );
  assert.deepEqual(await bodies(), []);
  const { deliveryId } = await intake.accept({ source: 'am', body: bodyOf('4') });
  assert.deepEqual(await bodies(), [{ deliveryId, text: '4' }]);
});

test('a database that does not answer makes it Unavailable within the limit of time', async () => {
  const intake = createIntake({ db: database.db, clock, limits: { commitMs: 3000 } });
  let release = () => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const locked = Promise.withResolvers<void>();
  const holder = database.db.transaction().execute(async (tx) => {
    await sql`LOCK TABLE delivery IN ACCESS EXCLUSIVE MODE`.execute(tx);
    locked.resolve();
    await held;
  });
  await locked.promise;
  const waiting = assert.rejects(intake.accept({ source: 'am', body: bodyOf('slow') }), { code: 'Unavailable' });
  // The commit is under way.
  await setImmediate();
  await clock.advance(3000);
  await waiting;
  release();
  await holder;
  await intake.accept({ source: 'am', body: bodyOf('next') });
  // Refused, and written all the same: the sender sends it again, and a copy changes nothing.
  while ((await bodies()).length < 2) await setImmediate();
  assert.deepEqual((await bodies()).map((row) => row.text).sort(), ['next', 'slow']);
});

test('with two commits at a time, what comes during one does not wait for its end, and nothing is lost or written twice', async () => {
  const underWay: (() => void)[] = [];
  const slow = database.db.withPlugin({
    transformQuery: ({ node }) => node,
    transformResult: async ({ result }) => {
      await new Promise<void>((resolve) => underWay.push(resolve));
      return result;
    },
  });
  const intake = createIntake({ db: slow, clock, limits: { commits: 2 } });
  const accept = (text: string) => intake.accept({ source: 'am', body: bodyOf(text) });
  const until = async (count: number) => {
    while (underWay.length < count) await setImmediate();
  };
  const first = accept('1');
  await until(1);
  const second = accept('2');
  await until(2);
  // The third waits: two are under way.
  const third = accept('3');
  for (let turn = 0; turn < 5; turn++) await setImmediate();
  assert.equal(underWay.length, 2);
  underWay[1]?.();
  await second;
  await until(3);
  underWay[0]?.();
  underWay[2]?.();
  await Promise.all([first, third]);
  await intake.stop();
  assert.deepEqual((await bodies()).map((row) => row.text).sort(), ['1', '2', '3']);
  assert.deepEqual(intake.stats(), { queued: 0, queuedBytes: 0, accepted: 3, refused: 0, commits: 3 });
});

test('whose turn comes too late for Alertmanager to listen is refused and not written', async () => {
  const slow = database.db.withPlugin({
    transformQuery: ({ node }) => node,
    transformResult: async ({ result }) => {
      await clock.advance(2_000);
      return result;
    },
  });
  const intake = createIntake({ db: slow, clock, limits: { commitMs: 3_000, batch: 1 } });
  const settled = await Promise.allSettled(
    ['1', '2', '3', '4'].map((text) => intake.accept({ source: 'am', body: bodyOf(text) })),
  );
  assert.deepEqual(
    settled.map((one) => (one.status === 'rejected' ? one.reason.code : 'accepted')),
    ['accepted', 'accepted', 'Unavailable', 'Unavailable'],
  );
  assert.deepEqual((await bodies()).map((row) => row.text).sort(), ['1', '2']);
  assert.deepEqual(intake.stats(), { queued: 0, queuedBytes: 0, accepted: 2, refused: 2, commits: 2 });
});

test('connections that break in the middle of a commit make it Unavailable, and the next one works', async (t) => {
  if (!database.url) return t.skip('the embedded database has no connections');
  const cable = await layCable(database.url);
  const far = await openDatabase({ kind: 'postgres', url: cable.url });
  t.after(async () => {
    await far.close();
    await cable.close();
  });
  const intake = createIntake({ db: far.db, clock });
  cable.hold();
  const refused = assert.rejects(intake.accept({ source: 'am', body: bodyOf('cut') }), { code: 'Unavailable' });
  await cable.sent();
  cable.cut();
  await refused;
  await intake.accept({ source: 'am', body: bodyOf('next') });
  assert.ok((await bodies()).some((row) => row.text === 'next'));
});

test('stopping commits what was accepted and refuses what comes after', async () => {
  const intake = createIntake({ db: database.db, clock });
  const accepted = ['1', '2', '3'].map((text) => intake.accept({ source: 'am', body: bodyOf(text) }));
  const stopped = intake.stop();
  await assert.rejects(intake.accept({ source: 'am', body: bodyOf('4') }), { code: 'Unavailable' });
  await stopped;
  assert.equal((await bodies()).length, 3);
  await Promise.all(accepted);
});

test('a delivery stands in no line with the work that queues for the database', async () => {
  const order: string[] = [];
  const gate = Promise.withResolvers<void>();
  // On PostgreSQL the work holds every connection until the delivery is in; the embedded database does one thing at a time.
  if (!database.url) gate.resolve();
  const work = Array.from({ length: 40 }, (_, index) =>
    database.db.transaction().execute(async (tx) => {
      await sql`SELECT 1`.execute(tx);
      await gate.promise;
      await setImmediate();
      order.push(`work ${index}`);
    }),
  );
  const intake = createIntake({ db: database.intake, clock });
  try {
    await intake.accept({ source: 'am', body: bodyOf('{}') });
    order.push('delivery');
  } finally {
    gate.resolve();
    await Promise.all(work);
  }
  assert.ok(order.indexOf('delivery') < 39, order.join(', '));
});

test('work that can give way waits while deliveries come in, and no longer than it says', async () => {
  const gate = Promise.withResolvers<void>();
  const locked = Promise.withResolvers<void>();
  const holding = database.db.transaction().execute(async (tx) => {
    await sql`LOCK TABLE delivery IN SHARE ROW EXCLUSIVE MODE`.execute(tx);
    locked.resolve();
    await gate.promise;
  });
  await locked.promise;
  const intake = createIntake({ db: database.intake, clock });
  assert.equal(await intake.whenQuiet(1_000, async () => 'at once'), 'at once');
  const first = intake.accept({ source: 'am', body: bodyOf('1') });
  const done: string[] = [];
  const work = (name: string, takes: number) => async () => {
    await clock.advance(takes);
    done.push(name);
  };
  try {
    const impatient = intake.whenQuiet(50, work('first', 30));
    for (let passed = 0; passed < 50; passed += 5) {
      assert.deepEqual(done, []);
      await clock.advance(5);
    }
    await impatient;
    // It waited for 50 ms and worked for 30: the next piece of work need not wait.
    await intake.whenQuiet(50, work('second', 30));
    const patient = intake.whenQuiet(1_000, work('third', 0));
    await clock.advance(500);
    assert.deepEqual(done, ['first', 'second']);
    gate.resolve();
    await Promise.all([holding, first]);
    // A moment later nothing has come any more.
    while (done.length < 3) {
      await clock.advance(5);
      await setImmediate();
    }
    await patient;
  } finally {
    gate.resolve();
  }
});

test('what arrives at the same time shares a commit', async () => {
  const intake = createIntake({ db: database.intake, clock });
  const early = intake.accept({ source: 'am', body: bodyOf('0') });
  const others = Array.from({ length: 15 }, (_, i) => intake.accept({ source: 'am', body: bodyOf(String(i + 1)) }));
  await Promise.all([early, ...others]);
  assert.equal(intake.stats().commits, 1);
});
