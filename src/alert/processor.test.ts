import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import fc from 'fast-check';
import { type KyselyPlugin, sql } from 'kysely';
import { openTestDatabase } from '../../test/open-test-database.ts';
import { appendRecord, readRecord } from '../audit/record-store.ts';
import { VirtualClock } from '../clock.ts';
import type { OpenDatabase } from '../database/open.ts';
import { closeAlerts, countFiring, decisionsOf, getAlert, linkAlerts, listAlerts } from './alert-store.ts';
import { countDeliveries, forgetDeliveries, listDeadLetters } from './delivery-store.ts';
import { createIntake, type Intake } from './intake.ts';
import { processDeliveries } from './processor.ts';

let database: OpenDatabase;
let intake: Intake;
const clock = new VirtualClock();
before(async () => {
  database = await openTestDatabase();
  intake = createIntake({ db: database.db, clock });
});
after(async () => {
  await intake.stop();
  await database.close();
});
beforeEach(async () => {
  await sql`TRUNCATE delivery, alert, decision`.execute(database.db);
});

const minute = 60_000;
const alert = (name: string, over: object = {}) => ({
  status: 'firing',
  labels: { alertname: name, namespace: 'shop' },
  annotations: { summary: `${name} is on` },
  startsAt: new Date(clock.now()).toISOString(),
  endsAt: '0001-01-01T00:00:00Z',
  generatorURL: 'http://prometheus/graph',
  ...over,
});
const send = (alerts: unknown[], over: { source?: string; organization?: string; truncatedAlerts?: number } = {}) => {
  const { truncatedAlerts = 0, ...rest } = over;
  const body = Buffer.from(JSON.stringify({ version: '4', truncatedAlerts, externalURL: 'http://am', alerts }));
  return intake.accept({ source: 'am', ...rest, body });
};
const process = (limit = 100) =>
  database.db.transaction().execute(async (tx) => {
    const processed = await processDeliveries(tx, { limit, now: clock.now() });
    await appendRecord(tx, processed.entries);
    return processed;
  });
const states = async () =>
  (await database.db.selectFrom('delivery').select(['state', 'problem']).orderBy('id').execute()).map((r) => r.state);

test('a delivery becomes an alert, a change and an entry of the record', async () => {
  await intake.accept({
    source: 'am',
    organization: 'acme',
    body: Buffer.from(JSON.stringify({ alerts: [alert('Fresh')], externalURL: 'http://am' })),
    traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
  });
  const { changes, deliveries } = await process();
  assert.equal(deliveries, 1);
  assert.equal(changes[0]?.kind, 'Fired');
  const kept = await getAlert(database.db, changes[0]?.alert.id ?? '');
  assert.deepEqual(kept, changes[0]?.alert);
  assert.equal(kept?.organization, 'acme');
  assert.equal(kept?.traceparent, '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01');
  assert.deepEqual(kept?.annotations, { summary: 'Fresh is on' });
  assert.deepEqual(await states(), ['Processed']);
  const entry = (await readRecord(database.db, { limit: 1000 })).at(-1);
  assert.equal(entry?.kind, 'alert.fired');
  assert.equal(entry?.alertId, kept?.id);
  assert.match(entry?.sentence ?? '', /^Fresh: It fires since/);
});

test('copies in one delivery, in one batch and in a later one are the same episode', async () => {
  await send([alert('Copied'), alert('Copied')]);
  await send([alert('Copied')]);
  assert.deepEqual(
    (await process()).changes.map((c) => c.kind),
    ['Fired', 'Repeat', 'Repeat'],
  );
  await send([alert('Copied', { annotations: { summary: 'worse now' } })]);
  const [again] = (await process()).changes;
  assert.equal(again?.kind, 'Repeat');
  assert.equal((await listAlerts(database.db, { limit: 10 })).length, 1);
  const kept = await getAlert(database.db, again?.alert.id ?? '');
  assert.equal(kept?.deliveries, 4);
  assert.equal(kept?.annotations.summary, 'worse now');
});

test('a change shows the alert as it stands after the batch', async () => {
  await send([alert('Short')]);
  await send([alert('Short', { status: 'resolved', endsAt: new Date(clock.now() + minute).toISOString() })]);
  const { changes } = await process();
  assert.deepEqual(
    changes.map((c) => [c.kind, c.alert.state]),
    [
      ['Fired', 'Resolved'],
      ['ResolvedReported', 'Resolved'],
    ],
  );
});

test('resolved, false resolve, lost resolve and late copy are stored as decided', async () => {
  const start = clock.now();
  const at = (ms: number) => ({ startsAt: new Date(start + ms).toISOString() });
  const end = (ms: number) => ({ status: 'resolved', endsAt: new Date(start + ms).toISOString() });
  const steps = [
    alert('Life', at(0)),
    alert('Life', { ...at(0), ...end(minute) }),
    alert('Life', at(0)),
    alert('Life', at(30 * minute)),
    alert('Life', at(0)),
    alert('Life', { ...at(0), ...end(9 * minute) }),
  ];
  const kinds: string[] = [];
  for (const step of steps) {
    await send([step]);
    kinds.push(...(await process()).changes.map((c) => c.kind));
  }
  assert.deepEqual(kinds, [
    'Fired',
    'ResolvedReported',
    'Reopened',
    'Superseded',
    'Fired',
    'Stale',
    'ResolvedReported',
  ]);
  const kept = await listAlerts(database.db, { name: 'Life', limit: 10 });
  assert.deepEqual(
    kept.map((a) => [a.startsAt - start, a.state]).sort(),
    [
      [0, 'Resolved'],
      [30 * minute, 'Firing'],
    ].sort(),
  );
});

test('of an alert with a long history the open episode and the one with the same start are found', async () => {
  const start = clock.now();
  const at = (i: number) => ({ startsAt: new Date(start + i * 10 * minute).toISOString() });
  const over = (i: number) => ({
    ...at(i),
    status: 'resolved',
    endsAt: new Date(start + i * 10 * minute + 1).toISOString(),
  });
  for (let i = 1; i <= 12; i++) {
    await send([alert('Flapping', over(i))]);
    await process();
  }
  await send([alert('Flapping', at(0))]);
  assert.deepEqual(
    (await process()).changes.map((c) => c.kind),
    ['Fired'],
  );
  await send([alert('Flapping', at(0)), alert('Flapping', over(1)), alert('Flapping', over(0))]);
  assert.deepEqual(
    (await process()).changes.map((c) => c.kind),
    ['Repeat', 'Repeat', 'ResolvedReported'],
  );
  assert.equal((await listAlerts(database.db, { limit: 100 })).length, 13);
});

test('equal fingerprints of another source or another Organization are other alerts', async () => {
  await send([alert('Same')]);
  await send([alert('Same')], { source: 'am-b' });
  await send([alert('Same')], { organization: 'acme' });
  await send([alert('Same', { status: 'resolved' })], { organization: 'globex' });
  assert.deepEqual(
    (await process()).changes.map((c) => c.kind),
    ['Fired', 'Fired', 'Fired', 'ResolvedUnknown'],
  );
  assert.equal((await listAlerts(database.db, { state: 'Firing', limit: 10 })).length, 3);
  assert.equal((await listAlerts(database.db, { organization: 'acme', limit: 10 })).length, 1);
});

test('what cannot be read becomes a dead letter, with the reason, and stops nobody', async () => {
  await intake.accept({ source: 'am', body: Buffer.from('{"alerts": oops') });
  await send([alert('Good'), { status: 'firing' }]);
  await intake.accept({ source: 'am', body: new Uint8Array([0xff, 0x00, 0xfe]) });
  await send([alert('Fine')]);
  const processed = await process();
  assert.equal(processed.deliveries, 4);
  assert.equal(processed.deadLetters, 3);
  assert.deepEqual(
    processed.changes.map((c) => c.alert.name),
    ['Good', 'Fine'],
  );
  assert.deepEqual(await states(), ['DeadLetter', 'DeadLetter', 'DeadLetter', 'Processed']);
  const letters = await listDeadLetters(database.db, { limit: 2 });
  assert.equal(letters[0]?.size, 3);
  assert.match(
    letters[1]?.problem ?? '',
    /^1 of 2 alerts cannot be read, the others were processed. Alert 2: it has no labels/,
  );
  const older = await listDeadLetters(database.db, { limit: 2, before: letters[1]?.id ?? 0 });
  assert.deepEqual(
    older.map((l) => l.beginning),
    ['{"alerts": oops'],
  );
  assert.equal((await countDeliveries(database.db)).deadLetters, 3);
});

test('a delivery the database will not take becomes a dead letter alone', async () => {
  await sql`ALTER TABLE alert ADD CONSTRAINT no_poison CHECK (name <> 'Poison')`.execute(database.db);
  try {
    await send([alert('Before')]);
    await send([alert('Poison')]);
    await send([alert('After')]);
    const processed = await process();
    assert.deepEqual(await states(), ['Processed', 'DeadLetter', 'Processed']);
    assert.deepEqual(
      processed.changes.map((c) => c.alert.name),
      ['Before', 'After'],
    );
    assert.equal(processed.entries.filter((e) => e.kind === 'delivery.deadLettered').length, 1);
  } finally {
    await sql`ALTER TABLE alert DROP CONSTRAINT no_poison`.execute(database.db);
  }
});

test('a database that fails otherwise dead-letters nothing: the deliveries stay pending', async () => {
  await send([alert('Waiting')]);
  await sql`ALTER TABLE alert RENAME TO gone`.execute(database.db);
  await assert.rejects(process(), /alert/);
  await sql`ALTER TABLE gone RENAME TO alert`.execute(database.db);
  assert.deepEqual(await states(), ['Pending']);
  assert.deepEqual(
    (await process()).changes.map((c) => c.kind),
    ['Fired'],
  );
});

test('what was left out by max_alerts is told', async () => {
  await send([alert('Cut')], { truncatedAlerts: 7 });
  assert.equal((await process()).truncatedAlerts, 7);
  const row = await database.db.selectFrom('delivery').select(['state', 'problem']).executeTakeFirstOrThrow();
  assert.equal(row.state, 'Processed');
  assert.match(row.problem ?? '', /left out 7 alerts/);
});

test('a transaction that rolls back leaves its deliveries to be processed again', async () => {
  await send([alert('Again')]);
  await assert.rejects(
    database.db.transaction().execute(async (tx) => {
      assert.equal((await processDeliveries(tx, { limit: 10, now: clock.now() })).changes.length, 1);
      throw new Error('crash');
    }),
    /crash/,
  );
  assert.deepEqual(await states(), ['Pending']);
  assert.equal((await process()).changes[0]?.kind, 'Fired');
});

test('deliveries are taken in order and up to the limit', async () => {
  for (const name of ['A', 'B', 'C']) await send([alert(name)]);
  const first = await process(2);
  assert.deepEqual([first.changes.map((c) => c.alert.name), first.more], [['A', 'B'], true]);
  assert.equal((await countDeliveries(database.db)).pending, 1);
  const second = await process(2);
  assert.deepEqual([second.changes.map((c) => c.alert.name), second.more], [['C'], false]);
  assert.deepEqual(await process(2), {
    deliveries: 0,
    more: false,
    deadLetters: 0,
    truncatedAlerts: 0,
    leftOut: [],
    changes: [],
    entries: [],
  });
});

test('deliveries are taken up to so many bytes, and one that has more is taken alone', async () => {
  const long = { ...alert('Long'), annotations: { description: 'x'.repeat(5_000) } };
  for (const one of [alert('A'), alert('B'), long, alert('C')]) await send([one]);
  const rounds = [];
  for (let more = true; more; ) {
    const round = await database.db
      .transaction()
      .execute((tx) => processDeliveries(tx, { limit: 10, bytes: 3_000, now: clock.now() }));
    rounds.push(round.changes.map((change) => change.alert.name));
    more = round.more;
  }
  assert.deepEqual(rounds, [['A', 'B'], ['Long'], ['C']]);
});

test('a second replica finds the processing taken and leaves it', async (t) => {
  if (database.kind !== 'postgres') return t.skip('the embedded database has one connection');
  await send([alert('Once')]);
  await database.db.transaction().execute(async (tx) => {
    assert.equal((await processDeliveries(tx, { limit: 10, now: clock.now() })).deliveries, 1);
    assert.equal((await process()).deliveries, 0);
  });
});

test('alerts are listed the last heard of first, page by page', async () => {
  for (const name of ['A', 'B', 'C']) {
    await send([alert(name), alert(`${name}2`)]);
    await process();
    await clock.advance(1000);
  }
  const first = await listAlerts(database.db, { limit: 3 });
  const last = first.at(-1);
  assert.ok(last);
  const rest = await listAlerts(database.db, { limit: 10, before: { lastSeen: last.lastSeen, id: last.id } });
  assert.equal(new Set([...first, ...rest].map((a) => a.name)).size, 6);
  assert.deepEqual(first.map((a) => a.name[0]).join(''), 'CCB');
});

test('alerts are linked to incidents, counted, and closed when found not to fire', async () => {
  await send([alert('One'), alert('Two')]);
  const ids = (await process()).changes.map((c) => c.alert.id);
  await database.db.transaction().execute(async (tx) => {
    await linkAlerts(
      tx,
      ids.map((alertId) => ({ alertId, incidentId: 'i1' })),
    );
    await closeAlerts(tx, ids.slice(1), clock.now());
  });
  assert.deepEqual(await countFiring(database.db, ['i1', 'i2']), new Map([['i1', 1]]));
  await send([alert('One')]);
  assert.equal((await process()).changes[0]?.alert.incidentId, 'i1');
});

test('decisions about an alert are read the newest first', async () => {
  for (const reason of ['NoRunbook', 'Cooldown'])
    await database.db
      .insertInto('decision')
      .values({
        at: new Date(clock.now()),
        alert_id: 'a1',
        outcome: 'NotActed',
        reason,
        sentence: 'x',
        considered: '[]',
      })
      .execute();
  assert.deepEqual(
    (await decisionsOf(database.db, 'a1', 10)).map((d) => d.reason),
    ['Cooldown', 'NoRunbook'],
  );
});

test('processed deliveries can be forgotten; pending ones and dead letters stay', async () => {
  await send([alert('Old')]);
  await intake.accept({ source: 'am', body: Buffer.from('x') });
  await process();
  await send([alert('New')]);
  assert.equal(await forgetDeliveries(database.db, { receivedBefore: clock.now() + 1, limit: 10 }), 1);
  assert.deepEqual(await states(), ['DeadLetter', 'Pending']);
});

test('ten thousand alerts in one delivery take a bounded number of statements', async () => {
  const alerts = Array.from({ length: 10_000 }, (_, i) =>
    alert('Storm', { labels: { alertname: 'Storm', pod: `shop-${i}`, namespace: 'shop', cluster: 'hz-fsn-rtz-prod' } }),
  );
  await send(alerts);
  let statements = 0;
  const count: KyselyPlugin = {
    transformQuery: ({ node }) => {
      statements += 1;
      return node;
    },
    transformResult: async ({ result }) => result,
  };
  const { changes } = await database.db
    .withPlugin(count)
    .transaction()
    .execute((tx) => processDeliveries(tx, { limit: 1, now: clock.now() }));
  assert.equal(changes.length, 10_000);
  // It is eight, however many the alerts are; one for each would be ten thousand.
  assert.ok(statements > 0 && statements < 20, `${statements} statements`);
});

test('whatever is delivered, every delivery ends Processed or DeadLetter', async () => {
  const value = fc.oneof(fc.jsonValue(), fc.string({ unit: 'binary' }));
  const body = fc.oneof(
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 100 }) },
    {
      weight: 4,
      arbitrary: fc
        .array(
          fc.record(
            {
              status: fc.constantFrom('firing', 'resolved', 'odd'),
              labels: fc.dictionary(
                fc.oneof(fc.constantFrom('alertname', '__proto__'), fc.string({ unit: 'binary' })),
                value,
              ),
              annotations: value,
              startsAt: fc.constantFrom(
                '0001-01-01T00:00:00Z',
                '9999-12-31T23:59:59Z',
                '2026-01-01T00:00:00.5+14:00',
                7,
              ),
              endsAt: fc.constantFrom('1970-01-01T00:00:00.001Z', '', null),
              fingerprint: fc.constantFrom('f1', 'f2', '', '\u0000'),
              generatorURL: value,
            },
            { requiredKeys: [] },
          ),
          { maxLength: 5 },
        )
        .map((alerts) => Buffer.from(JSON.stringify({ alerts, externalURL: '\u0000\ud800' }))),
    },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(body, { minLength: 1, maxLength: 4 }), async (bodies) => {
      await sql`TRUNCATE delivery`.execute(database.db);
      await Promise.all(bodies.map((one) => intake.accept({ source: 'am', body: one })));
      assert.equal((await process()).deliveries, bodies.length);
      assert.ok((await states()).every((state) => state !== 'Pending'));
    }),
    { numRuns: 40 },
  );
});
