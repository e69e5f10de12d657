/** Merging and splitting, with deliveries and runs around them, on a database. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import fc from 'fast-check';
import { sql } from 'kysely';
import { openTestDatabase } from '../../test/open-test-database.ts';
import { listAlerts } from '../alert/alert-store.ts';
import { insertDeliveries } from '../alert/delivery-store.ts';
import { processDeliveries } from '../alert/processor.ts';
import { appendRecord, readRecord, verifyChain } from '../audit/record-store.ts';
import { VirtualClock } from '../clock.ts';
import type { OpenDatabase } from '../database/open.ts';
import { CatalystError } from '../errors.ts';
import { correlate, newIncident } from './correlate.ts';
import { type Incident, isWorse } from './incident.ts';
import { withoutPolicy } from './incident-fixture.ts';
import { createIncidentService, type IncidentService } from './incident-service.ts';
import { getIncident, listIncidents } from './incident-store.ts';
import type { IncidentTypes } from './incident-types.ts';
import { mergedTarget } from './merge-decision.ts';
import { defaultCalendar } from './response-clock.ts';

let database: OpenDatabase;
let service: IncidentService;
let clock: VirtualClock;
before(async () => {
  database = await openTestDatabase();
});
after(() => database.close());
beforeEach(async () => {
  clock = new VirtualClock();
  service = createIncidentService({ db: database.db, clock, escalation: withoutPolicy(database.db, clock), types });
  await sql`TRUNCATE delivery, alert, incident, incident_alias, incident_run, run CASCADE`.execute(database.db);
});

const minute = 60_000;
const types: IncidentTypes = {
  calendarFor: () => defaultCalendar,
  forAlert: (labels) => ({
    type: labels.alertname ?? '',
    known: true,
    title: `Something of ${labels.alertname}`,
    severity: labels.severity === 'critical' ? 'P1' : 'P3',
    scope: ['namespace'],
    runbooks: [],
    guidance: undefined,
  }),
};

async function deliver(
  labels: Record<string, string>,
  startsAt = clock.now(),
  organization?: string,
  ended?: number,
): Promise<void> {
  const alert = {
    status: ended === undefined ? 'firing' : 'resolved',
    ...(ended === undefined ? {} : { endsAt: new Date(ended).toISOString() }),
    labels: { namespace: 'shop', ...labels },
    startsAt: new Date(startsAt).toISOString(),
  };
  const body = Buffer.from(JSON.stringify({ alerts: [alert] }));
  await insertDeliveries(database.db, [
    { receivedAt: clock.now(), source: 'am', organization, body, traceparent: undefined },
  ]);
  await database.db.transaction().execute(async (tx) => {
    const processed = await processDeliveries(tx, { limit: 10, now: clock.now() });
    const { entries } = await correlate(tx, processed.changes, { types, now: clock.now() });
    await appendRecord(tx, [...processed.entries, ...entries]);
  });
}
/** The incident of this type that was opened last. */
async function incidentOf(type: string): Promise<Incident> {
  const [found] = await listIncidents(database.db, { type, limit: 1 });
  assert.ok(found, type);
  return found;
}
const alertsOf = (incidentId: string) => listAlerts(database.db, { incidentId, limit: 100 });
const again = async (id: string) => (await getIncident(database.db, id)) as Incident;
const entriesOf = async (incidentId: string) =>
  (await readRecord(database.db, { incidentId, limit: 100 })).filter(({ kind }) => /merged|split|severity/.test(kind));
const run = (id: string, incidentId: string, alertId: string) =>
  database.db
    .insertInto('run')
    .values({
      id,
      runbook: 'r',
      document: '{}',
      trigger: '{}',
      dedupe_key: id,
      alert_id: alertId,
      incident_id: incidentId,
      mode: 'Automatic',
      inputs: '{}',
      requested_by: 'engine',
      state: 'Running',
      sentence: 'It runs.',
      created_at: new Date(clock.now()),
    })
    .execute();
const error = (code: string, sentence: RegExp) => (thrown: unknown) => {
  assert.ok(thrown instanceof CatalystError, String(thrown));
  assert.equal(thrown.code, code);
  assert.match(thrown.message, sentence);
  return true;
};

test('merged: alerts, runs and all that comes of its kind go over, and both timelines say so', async () => {
  await deliver({ alertname: 'Cause' });
  await deliver({ alertname: 'Effect', severity: 'critical', pod: 'a' });
  const [cause, effect] = [await incidentOf('Cause'), await incidentOf('Effect')];
  const [alert] = await alertsOf(effect.id);
  await run('r1', effect.id, alert?.id ?? '');
  await clock.advance(minute);
  const target = await service.merge({
    incidentId: effect.id,
    into: cause.id,
    actor: 'user/sre',
    expectedVersion: effect.version,
    expectedIntoVersion: cause.version,
  });

  const source = await again(effect.id);
  assert.deepEqual([source.state, source.resolvedHow, source.mergedInto], ['Resolved', 'Merged', cause.id]);
  assert.deepEqual([source.escalateAt, source.checkAt], [undefined, undefined]);
  // The promise of the P1 that went over counts, from when that one was opened.
  assert.equal(target.severity, 'P1');
  assert.equal(target.respondBy, effect.openedAt + 15 * minute);
  assert.equal(target.escalateAt, target.clockFrom);
  assert.equal((await alertsOf(cause.id)).length, 2);
  assert.deepEqual(await alertsOf(effect.id), []);
  const moved = await database.db.selectFrom('run').select('incident_id').where('id', '=', 'r1').executeTakeFirst();
  assert.equal(moved?.incident_id, cause.id);
  const shown = await database.db.selectFrom('incident_run').selectAll().execute();
  assert.deepEqual(shown, [{ incident_id: effect.id, run_id: 'r1' }]);
  assert.deepEqual(
    (await entriesOf(cause.id)).map(({ kind }) => kind),
    ['incident.merged', 'incident.severityChanged'],
  );
  assert.match(
    (await entriesOf(effect.id))[0]?.sentence ?? '',
    /user\/sre merged it into .*, with 1 alert and 1 run\./,
  );

  // A repeat, a new firing and another alert of the kind: all join what goes on.
  const labels = { alertname: 'Effect', severity: 'critical', pod: 'a' };
  await deliver(labels, effect.openedAt);
  await deliver(labels, effect.openedAt, undefined, clock.now());
  await clock.advance(minute);
  await deliver(labels);
  await deliver({ alertname: 'Effect', pod: 'b' });
  assert.equal((await alertsOf(cause.id)).length, 4);
  assert.equal((await listIncidents(database.db, { open: true, limit: 10 })).length, 1);
  assert.equal((await verifyChain(database.db)).intact, true);
});

test('what was merged into a merged one leads on, until the one that goes on is resolved', async () => {
  for (const alertname of ['A', 'B', 'C']) await deliver({ alertname });
  const [a, b, c] = [await incidentOf('A'), await incidentOf('B'), await incidentOf('C')];
  await service.merge({ incidentId: a.id, into: b.id, actor: 'user/sre' });
  await service.merge({ incidentId: b.id, into: c.id, actor: 'user/sre' });
  assert.equal((await again(a.id)).mergedInto, c.id);
  await deliver({ alertname: 'A', pod: 'new' });
  assert.equal((await alertsOf(c.id)).length, 4);
  await service.resolve({ incidentId: c.id, actor: 'user/sre', reason: 'done', force: true });
  // Opened later than the others, so that it is the newest.
  await clock.advance(minute);
  await deliver({ alertname: 'A', pod: 'later' });
  const fresh = await incidentOf('A');
  assert.ok(![a.id, b.id, c.id].includes(fresh.id));
  assert.equal(fresh.state, 'Open');
});

test('an acknowledgement of the source does not carry over; of the target it stays', async () => {
  for (const alertname of ['A', 'B', 'C']) await deliver({ alertname });
  const [a, b, c] = [await incidentOf('A'), await incidentOf('B'), await incidentOf('C')];
  await service.acknowledge({ incidentId: a.id, actor: 'user/sre' });
  const open = await service.merge({ incidentId: a.id, into: b.id, actor: 'user/sre' });
  assert.equal(open.state, 'Open');
  assert.equal(open.escalateAt, open.clockFrom);
  await service.acknowledge({ incidentId: c.id, actor: 'user/sre' });
  const taken = await service.merge({ incidentId: b.id, into: c.id, actor: 'user/sre' });
  assert.deepEqual([taken.state, taken.escalateAt], ['Acknowledged', undefined]);
});

test('two people at once: the second is told who did what', async () => {
  await deliver({ alertname: 'A' });
  await deliver({ alertname: 'B' });
  const [a, b] = [await incidentOf('A'), await incidentOf('B')];
  await service.acknowledge({ incidentId: a.id, actor: 'user/alice' });
  await assert.rejects(
    service.merge({ incidentId: a.id, into: b.id, actor: 'user/bob', expectedVersion: a.version }),
    error('Conflict', /has changed since you read it\. .*user\/alice: user\/alice acknowledged it/),
  );
  const both = [
    service.merge({ incidentId: a.id, into: b.id, actor: 'user/alice' }),
    service.merge({ incidentId: b.id, into: a.id, actor: 'user/bob' }),
  ];
  const results = await Promise.allSettled(both);
  const failed = results.filter((one) => one.status === 'rejected');
  assert.equal(failed.length, 1);
  error('InvalidState', /merged into .* by user\/(alice|bob)|is resolved; only an open one/)(failed[0]?.reason);
});

test('refused: into itself, into what is over, across Organizations, and what is not there', async () => {
  await deliver({ alertname: 'A' }, clock.now(), 'acme');
  await deliver({ alertname: 'B' }, clock.now(), 'globex');
  await deliver({ alertname: 'C' });
  const [a, b, c] = [await incidentOf('A'), await incidentOf('B'), await incidentOf('C')];
  const into = (other: string) => service.merge({ incidentId: a.id, into: other, actor: 'token/root' });
  await assert.rejects(into(a.id), error('BadRequest', /into itself/));
  await assert.rejects(into(b.id), error('BadRequest', /different Organizations/));
  await assert.rejects(into(c.id), error('BadRequest', /different Organizations/));
  await assert.rejects(into('none'), error('NotFound', /no incident none/));
  await service.resolve({ incidentId: a.id, actor: 'user/sre', reason: 'x', force: true });
  await deliver({ alertname: 'D' }, clock.now(), 'acme');
  const d = await incidentOf('D');
  await assert.rejects(
    service.merge({ incidentId: d.id, into: a.id, actor: 'user/sre' }),
    error('InvalidState', /only an open one/),
  );
});

test('split: its clock runs since the first of its alerts fired, and the alerts stay with it', async () => {
  await deliver({ alertname: 'A', pod: 'one' });
  await clock.advance(10 * minute);
  await deliver({ alertname: 'A', pod: 'two', severity: 'critical' });
  const whole = await incidentOf('A');
  const two = (await alertsOf(whole.id)).find(({ labels }) => labels.pod === 'two');
  await run('r2', whole.id, two?.id ?? '');
  const fired = clock.now();
  await clock.advance(20 * minute);
  const made = await service.split({ incidentId: whole.id, alertIds: [two?.id ?? ''], actor: 'user/sre' });

  assert.notEqual(made.id, whole.id);
  assert.deepEqual([made.severity, made.state, made.splitFrom], ['P1', 'Open', whole.id]);
  assert.deepEqual([made.clockFrom, made.respondBy], [fired, fired + 15 * minute]);
  // That time is over already, so that somebody is called at once.
  assert.ok(made.respondBy < clock.now() && made.escalateAt === clock.now());
  assert.equal(made.title, 'Something of A: shop');
  assert.deepEqual(
    (await alertsOf(made.id)).map(({ id }) => id),
    [two?.id],
  );
  const moved = await database.db.selectFrom('run').select('incident_id').where('id', '=', 'r2').executeTakeFirst();
  assert.equal(moved?.incident_id, made.id);
  assert.equal((await entriesOf(whole.id)).at(-1)?.kind, 'incident.split');
  assert.match((await entriesOf(made.id))[0]?.sentence ?? '', /split 1 alert off from .*Its clock runs since/);

  // A new firing of the alert that left follows it; others of its kind stay.
  const labels = { alertname: 'A', pod: 'two', severity: 'critical' };
  await deliver(labels, fired, undefined, clock.now());
  await clock.advance(minute);
  await deliver(labels);
  await deliver({ alertname: 'A', pod: 'three' });
  assert.equal((await alertsOf(made.id)).length, 2);
  assert.equal((await alertsOf(whole.id)).length, 2);
  assert.equal((await verifyChain(database.db)).intact, true);
});

test('split is refused for all of the alerts, for others, and for none of its own', async () => {
  await deliver({ alertname: 'A', pod: 'one' });
  await deliver({ alertname: 'B', pod: 'two' });
  const [a, b] = [await incidentOf('A'), await incidentOf('B')];
  const [one] = await alertsOf(a.id);
  const [two] = await alertsOf(b.id);
  const split = (...alertIds: string[]) => service.split({ incidentId: a.id, alertIds, actor: 'user/sre' });
  await assert.rejects(split(one?.id ?? ''), error('BadRequest', /all of its alerts/));
  await assert.rejects(split(two?.id ?? ''), error('BadRequest', /does not belong/));
});

test('a merge never makes the one that goes on milder, later or quieter', () => {
  const severity = fc.constantFrom('P1', 'P2', 'P3', 'P4');
  const incident = fc.record({ severity, at: fc.nat(100), acknowledged: fc.boolean() }).map((one) => {
    const match = { ...types.forAlert({}, undefined), severity: one.severity as Incident['severity'] };
    const opened = Date.UTC(2026, 0, 5, 12) + one.at * minute;
    const made = newIncident(undefined, match, { key: '', title: '', calendar: defaultCalendar }, opened);
    return one.acknowledged ? { ...made, acknowledgedAt: opened, escalateAt: undefined } : made;
  });
  fc.assert(
    fc.property(incident, incident, fc.nat(3), (source, target, firing) => {
      const now = Date.UTC(2026, 0, 5, 14);
      const next = mergedTarget({ source, target, firing, calendar: defaultCalendar, now });
      assert.ok(!isWorse(target.severity, next.severity) && !isWorse(source.severity, next.severity));
      assert.ok(next.respondBy <= target.respondBy);
      assert.equal(next.escalateAt === undefined, target.acknowledgedAt !== undefined);
    }),
  );
});
