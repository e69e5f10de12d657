/** Deliveries become incidents, and incidents end: the steps together, on a database. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { sql } from 'kysely';
import { openTestDatabase } from '../../test/open-test-database.ts';
import { listAlerts } from '../alert/alert-store.ts';
import { insertDeliveries } from '../alert/delivery-store.ts';
import { processDeliveries } from '../alert/processor.ts';
import { appendRecord, readRecord, verifyChain } from '../audit/record-store.ts';
import { VirtualClock } from '../clock.ts';
import type { OpenDatabase } from '../database/open.ts';
import type { FiringOracle } from '../integrations/contract.ts';
import { type Correlated, correlate } from './correlate.ts';
import type { Incident } from './incident.ts';
import { checkDue } from './incident-check.ts';
import { resolveVerified } from './incident-command.ts';
import { clearFor, recheckAfter, settleTime } from './incident-decision.ts';
import { plainTypes as types, withoutPolicy } from './incident-fixture.ts';
import { createIncidentService, type IncidentService } from './incident-service.ts';
import { getIncident, listIncidents } from './incident-store.ts';

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
  await sql`TRUNCATE delivery, alert, incident`.execute(database.db);
});

const minute = 60_000;
const actor = 'user/sre';
const firing = (labels: Record<string, string>, startsAt = clock.now()) => ({
  status: 'firing',
  labels: { alertname: 'A', namespace: 'shop', ...labels },
  startsAt: new Date(startsAt).toISOString(),
});
const resolved = (labels: Record<string, string>, startsAt: number) => ({
  ...firing(labels, startsAt),
  status: 'resolved',
  endsAt: new Date(clock.now()).toISOString(),
});

async function deliver(alerts: unknown[], organization?: string): Promise<Correlated> {
  const body = Buffer.from(JSON.stringify({ alerts }));
  await insertDeliveries(database.db, [
    { receivedAt: clock.now(), source: 'am', organization, body, traceparent: undefined },
  ]);
  return database.db.transaction().execute(async (tx) => {
    const processed = await processDeliveries(tx, { limit: 10, now: clock.now() });
    const correlated = await correlate(tx, processed.changes, { types, now: clock.now() });
    await appendRecord(tx, [...processed.entries, ...correlated.entries]);
    return correlated;
  });
}
const touched = ({ touched: all }: Correlated) => all.map((t) => [t.kind, t.incident.type, t.alerts.length]);
async function only(): Promise<Incident> {
  const [incident, ...others] = await listIncidents(database.db, { limit: 10 });
  assert.ok(incident);
  assert.deepEqual(others, []);
  return incident;
}
const timeline = async (incidentId: string) =>
  (await readRecord(database.db, { incidentId, limit: 100 })).map((e) => e.kind);
const verified = (incidentId: string, alertIds: string[]) =>
  database.db.transaction().execute(async (tx) => {
    const fix = {
      incidentId,
      runId: 'r1',
      alertIds,
      sentence: 'It holds.',
      evidence: { sealed: false },
      now: clock.now(),
    };
    const [commanded] = await resolveVerified(tx, [fix]);
    assert.ok(commanded);
    await appendRecord(tx, commanded.entries);
    return commanded.incident;
  });
/** Answers by the label `pod`, or one answer for all. */
const oracle = (
  answer: 'firing' | 'notFiring' | 'silenced' | 'unknown' | Record<string, 'firing' | 'notFiring'>,
): FiringOracle => ({
  confirmFiring: async (_context, { labels }) => ({
    answer: typeof answer === 'string' ? answer : (answer[labels.pod ?? ''] ?? 'unknown'),
    sentence: 'as the test says',
  }),
});
const check = (answer: Parameters<typeof oracle>[0]) =>
  checkDue({ db: database.db, clock, types, oracle: oracle(answer) });

test('alerts of one kind and place share an incident, opened once', async () => {
  assert.deepEqual(touched(await deliver([firing({ pod: 'a' }), firing({ pod: 'b' })])), [['Opened', 'A', 2]]);
  assert.deepEqual(touched(await deliver([firing({ pod: 'c' })])), [['Joined', 'A', 1]]);
  assert.deepEqual(touched(await deliver([firing({ pod: 'c' })])), []);
  const incident = await only();
  assert.equal(incident.title, 'Something: shop');
  assert.equal(incident.respondBy, incident.openedAt + 4 * 60 * minute);
  const alerts = await listAlerts(database.db, { incidentId: incident.id, limit: 10 });
  assert.equal(alerts.length, 3);
  assert.deepEqual(await timeline(incident.id), ['incident.opened', 'incident.alertJoined', 'incident.alertJoined']);
});

test('another place, type or Organization is another incident', async () => {
  await deliver([firing({}), firing({ namespace: 'other' }), firing({ type: 'B' })]);
  await deliver([firing({})], 'acme');
  await deliver([firing({})], 'globex');
  assert.equal((await listIncidents(database.db, { limit: 10 })).length, 5);
  assert.equal((await listIncidents(database.db, { organization: 'acme', limit: 10 })).length, 1);
});

test('a worse alert raises the severity and shortens the response time', async () => {
  await deliver([firing({ type: 'T' })]);
  await deliver([firing({ type: 'T', severity: 'critical' })]);
  const incident = await only();
  assert.equal(incident.severity, 'P1');
  assert.equal(incident.respondBy, incident.openedAt + 15 * minute);
  assert.ok((await timeline(incident.id)).includes('incident.severityChanged'));
});

test('a "resolved" of the source resolves nothing: facts are asked, twice', async () => {
  const start = clock.now();
  await deliver([firing({})]);
  await clock.advance(minute);
  await deliver([resolved({}, start)]);
  let incident = await only();
  assert.equal(incident.state, 'Open');
  assert.equal(incident.checkAt, clock.now());

  assert.deepEqual(
    (await check('notFiring')).map((c) => c.outcome),
    ['ClearOnce'],
  );
  assert.deepEqual(await check('notFiring'), []);
  await clock.advance(clearFor);
  assert.deepEqual(
    (await check('notFiring')).map((c) => c.outcome),
    ['Clear'],
  );
  incident = await only();
  assert.equal(incident.state, 'Resolved');
  assert.equal(incident.resolvedHow, 'Checked');
  assert.match(incident.resolution ?? '', /A does not fire, as found twice, 30 s apart/);
  assert.deepEqual(await timeline(incident.id), [
    'incident.opened',
    'alert.resolvedReported',
    'incident.checked',
    'incident.resolved',
  ]);
  assert.equal((await verifyChain(database.db)).intact, true);
});

test('it stays open, and says why, while an alert fires, is silenced, or cannot be asked about', async () => {
  const start = clock.now();
  await deliver([firing({})]);
  await deliver([resolved({}, start)]);
  for (const [answer, why] of [
    ['firing', /A still fires: as the test says/],
    ['silenced', /A is silenced/],
    ['unknown', /Whether A still fires is not known/],
  ] as const) {
    await check(answer);
    const incident = await only();
    assert.equal(incident.state, 'Open');
    assert.match(incident.checkSentence ?? '', why);
    assert.equal(incident.checkAt, clock.now() + recheckAfter);
    await clock.advance(recheckAfter);
  }
});

test('an alert that fires between two clear answers starts the count again', async () => {
  await deliver([firing({ pod: 'a' })]);
  await clock.advance(recheckAfter);
  assert.deepEqual(
    (await check('notFiring')).map((c) => c.outcome),
    ['ClearOnce'],
  );
  await deliver([firing({ pod: 'b' })]);
  await clock.advance(clearFor);
  assert.deepEqual(
    (await check({ a: 'notFiring', b: 'firing' })).map((c) => c.outcome),
    ['StillFiring'],
  );
  assert.equal((await only()).state, 'Open');
});

test('an incident whose source lost the "resolved" is asked about by itself, and its alerts are closed', async () => {
  await deliver([firing({})]);
  await clock.advance(recheckAfter);
  await check('notFiring');
  await clock.advance(clearFor);
  await check('notFiring');
  assert.equal((await only()).state, 'Resolved');
  assert.deepEqual(
    (await listAlerts(database.db, { limit: 10 })).map((a) => a.state),
    ['Resolved'],
  );
});

test('a system that does not answer within the limit is "unknown"', async () => {
  await deliver([firing({})]);
  await clock.advance(recheckAfter);
  const asked = Promise.withResolvers<void>();
  const silent: FiringOracle = {
    confirmFiring: () => {
      asked.resolve();
      return new Promise(() => {});
    },
  };
  const checking = checkDue({ db: database.db, clock, types, oracle: silent });
  await asked.promise;
  await clock.advance(30_000);
  assert.deepEqual(
    (await checking).map((c) => [c.outcome, c.sentence]),
    [['Unknown', 'Whether A still fires is not known: no answer within 30 s']],
  );
});

test('an incident that changes while its alerts are asked about is asked about again', async () => {
  await deliver([firing({})]);
  await clock.advance(recheckAfter);
  const { id } = await only();
  const slow: FiringOracle = {
    confirmFiring: async () => {
      await service.note({ incidentId: id, actor, text: 'I am on it' });
      return { answer: 'notFiring', sentence: '' };
    },
  };
  assert.deepEqual(
    (await checkDue({ db: database.db, clock, types, oracle: slow })).map((c) => c.outcome),
    ['Changed'],
  );
  assert.equal((await only()).checkAt, clock.now() + clearFor);
});

test('a verified run resolves the incident when no other alert of it fires', async () => {
  const {
    touched: [opened],
  } = await deliver([firing({})]);
  const incident = await verified(opened?.incident.id ?? '', [opened?.alerts[0]?.id ?? '']);
  assert.deepEqual([incident.state, incident.resolvedHow, incident.version], ['Resolved', 'Verified', 2]);
  assert.deepEqual(await getIncident(database.db, incident.id), incident);
});

test('a verified run mitigates an incident that has other alerts, and a new alert undoes the mitigation', async () => {
  const {
    touched: [opened],
  } = await deliver([firing({ pod: 'a' }), firing({ pod: 'b' })]);
  const incident = await verified(opened?.incident.id ?? '', [opened?.alerts[0]?.id ?? '']);
  assert.equal(incident.state, 'Mitigated');
  await deliver([firing({ pod: 'c' })]);
  assert.equal((await only()).state, 'Open');
});

test('fixes that are verified together resolve, mitigate or leave their incidents as one after the other would', async () => {
  const { touched: opened } = await deliver([
    firing({}),
    firing({ namespace: 'bank', pod: 'b' }),
    firing({ namespace: 'bank', pod: 'c' }),
  ]);
  assert.equal(opened.length, 2);
  const [shop, bank] = opened;
  const fix = (of: (typeof opened)[number] | undefined, runId: string, alerts: (string | undefined)[]) => ({
    incidentId: of?.incident.id ?? '',
    runId,
    alertIds: alerts.map((id) => id ?? ''),
    sentence: 'It holds.',
    evidence: {},
    now: clock.now(),
  });
  const commanded = await database.db
    .transaction()
    .execute((tx) =>
      resolveVerified(tx, [
        fix(bank, 'r1', [bank?.alerts[0]?.id]),
        fix(shop, 'r2', [shop?.alerts[0]?.id]),
        fix(bank, 'r3', bank?.alerts.map(({ id }) => id) ?? []),
        fix(shop, 'r4', []),
      ]),
    );
  assert.deepEqual(
    commanded.map(({ incident, entries }) => [
      incident.id,
      incident.state,
      incident.version,
      entries.map(({ kind }) => kind),
    ]),
    [
      [bank?.incident.id, 'Mitigated', 2, ['incident.mitigated']],
      [shop?.incident.id, 'Resolved', 2, ['incident.resolved']],
      [bank?.incident.id, 'Resolved', 3, ['incident.resolved']],
      [shop?.incident.id, 'Resolved', 2, []],
    ],
  );
  assert.deepEqual(await getIncident(database.db, bank?.incident.id ?? ''), commanded[2]?.incident);
  assert.deepEqual(await getIncident(database.db, shop?.incident.id ?? ''), commanded[1]?.incident);
});

test('what a verified fix left mitigated counts as fixed once nothing fires, unless somebody took it', async () => {
  for (const taken of [false, true]) {
    const {
      touched: [opened],
    } = await deliver([firing({ pod: 'a' }), firing({ pod: 'b' })]);
    const incidentId = opened?.incident.id ?? '';
    await verified(incidentId, [opened?.alerts[0]?.id ?? '']);
    if (taken) await service.acknowledge({ incidentId, actor });
    for (const outcome of ['ClearOnce', 'Clear']) {
      await clock.advance(Math.max(0, ((await getIncident(database.db, incidentId))?.checkAt ?? 0) - clock.now()));
      assert.deepEqual(
        (await check('notFiring')).map((c) => c.outcome),
        [outcome],
      );
    }
    const incident = await getIncident(database.db, incidentId);
    assert.deepEqual([incident?.state, incident?.resolvedHow], ['Resolved', taken ? 'Checked' : 'Verified']);
    await clock.advance(60 * minute);
  }
});

test('after a verified fix the source may lag; what still fires later reopens the incident', async () => {
  const start = clock.now();
  const {
    touched: [opened],
  } = await deliver([firing({})]);
  await clock.advance(minute);
  await verified(opened?.incident.id ?? '', [opened?.alerts[0]?.id ?? '']);
  assert.deepEqual(touched(await deliver([firing({}, start)])), []);
  assert.equal((await only()).state, 'Resolved');
  await clock.advance(settleTime);
  assert.deepEqual(
    (await check('firing')).map((c) => c.outcome),
    ['Reopened'],
  );
  const incident = await only();
  assert.equal(incident.state, 'Open');
  assert.equal(incident.resolvedAt, undefined);
  assert.equal(incident.respondBy, clock.now() + 4 * 60 * minute);
});

test('after a verified fix an unanswered question leaves the incident resolved, unless the alert was reported since', async () => {
  const start = clock.now();
  const {
    touched: [opened],
  } = await deliver([firing({})]);
  const alertIds = [opened?.alerts[0]?.id ?? ''];
  await verified(opened?.incident.id ?? '', alertIds);
  await clock.advance(settleTime);
  assert.deepEqual(
    (await check('unknown')).map((c) => c.outcome),
    ['Clear'],
  );
  assert.equal((await only()).state, 'Resolved');
  assert.deepEqual(touched(await deliver([firing({}, start)])), [['Reopened', 'A', 1]]);
  assert.equal((await only()).state, 'Open');
});

test('a person cannot resolve what still fires without force and a reason; the same firing then does not reopen it', async () => {
  const start = clock.now();
  await deliver([firing({})]);
  const { id: incidentId } = await only();
  await assert.rejects(service.resolve({ incidentId, actor }), {
    code: 'InvalidState',
    message: '1 of its alerts still fires.',
  });
  await assert.rejects(service.resolve({ incidentId, actor, force: true, reason: ' ' }), { code: 'BadRequest' });
  const incident = await service.resolve({ incidentId, actor, force: true, reason: 'known false alarm' });
  assert.equal(incident.resolvedHow, 'Forced');
  await clock.advance(settleTime);
  assert.deepEqual(touched(await deliver([firing({}, start)])), []);
  assert.deepEqual(touched(await deliver([firing({}, clock.now())])), [['Opened', 'A', 1]]);
  await assert.rejects(service.resolve({ incidentId, actor }), { code: 'InvalidState' });
});

test('a person resolves what does not fire any more', async () => {
  const start = clock.now();
  await deliver([firing({})]);
  await deliver([resolved({}, start)]);
  const { id: incidentId } = await only();
  const incident = await service.resolve({ incidentId, actor, reason: 'restarted it' });
  assert.deepEqual([incident.state, incident.resolvedHow, incident.resolvedBy], ['Resolved', 'Person', actor]);
  assert.deepEqual(await check('firing'), []);
});

test('acknowledging, noting and escalating grow the version; an old one is refused', async () => {
  await deliver([firing({})]);
  const { id: incidentId } = await only();
  const acknowledged = await service.acknowledge({ incidentId, actor, expectedVersion: 1 });
  assert.deepEqual([acknowledged.state, acknowledged.acknowledgedBy, acknowledged.version], ['Acknowledged', actor, 2]);
  assert.deepEqual(await service.acknowledge({ incidentId, actor }), acknowledged);
  await assert.rejects(service.note({ incidentId, actor, text: 'x', expectedVersion: 1 }), { code: 'Conflict' });
  await service.note({ incidentId, actor, text: 'Unsealing by hand.' });
  await service.escalate({ incidentId, actor, comment: 'needs the network team' });
  assert.equal((await only()).version, 4);
  await assert.rejects(service.note({ incidentId, actor, text: '  ' }), { code: 'BadRequest' });
  await assert.rejects(service.note({ incidentId: 'nope', actor, text: 'x' }), { code: 'NotFound' });
  assert.deepEqual((await timeline(incidentId)).slice(1), [
    'incident.acknowledged',
    'incident.noted',
    'incident.escalated',
  ]);
});

test('an alert that fired and ended within one batch still opens an incident, which is asked about at once', async () => {
  const start = clock.now();
  assert.deepEqual(touched(await deliver([firing({}), resolved({}, start)])), [['Opened', 'A', 1]]);
  assert.equal((await only()).checkAt, clock.now());
});

test('an end without a firing opens nothing, however often it is told', async () => {
  const start = clock.now();
  await deliver([resolved({}, start)]);
  await deliver([resolved({}, start), resolved({}, start)]);
  assert.deepEqual(await listIncidents(database.db, { limit: 10 }), []);
});

test('an end told again does not reopen a resolved incident', async () => {
  const start = clock.now();
  const {
    touched: [opened],
  } = await deliver([firing({})]);
  await verified(opened?.incident.id ?? '', [opened?.alerts[0]?.id ?? '']);
  await clock.advance(settleTime);
  await deliver([resolved({}, start)]);
  assert.deepEqual(touched(await deliver([resolved({}, start)])), []);
  assert.equal((await only()).state, 'Resolved');
  assert.deepEqual(
    (await check('firing')).map((c) => c.outcome),
    ['Clear'],
  );
  assert.equal((await only()).state, 'Resolved');
});

test('incidents are listed the last opened first, page by page', async () => {
  for (const namespace of ['a', 'b', 'c']) {
    await deliver([firing({ namespace })]);
    await clock.advance(1000);
  }
  const first = await listIncidents(database.db, { limit: 2, open: true });
  const last = first.at(-1);
  const rest = await listIncidents(database.db, {
    limit: 2,
    before: { openedAt: last?.openedAt ?? 0, id: last?.id ?? '' },
  });
  assert.deepEqual([...first, ...rest].map((i) => i.title.slice(-1)).join(''), 'cba');
});

test('a storm costs a fixed number of statements', async () => {
  let statements = 0;
  const alerts = Array.from({ length: 3000 }, (_, i) => firing({ pod: `p${i}`, namespace: `n${i % 7}` }));
  const counting = database.db.withPlugin({
    transformQuery: ({ node }) => {
      statements++;
      return node;
    },
    transformResult: async ({ result }) => result,
  });
  await insertDeliveries(database.db, [
    {
      receivedAt: clock.now(),
      source: 'am',
      organization: undefined,
      body: Buffer.from(JSON.stringify({ alerts })),
      traceparent: undefined,
    },
  ]);
  const correlated = await counting.transaction().execute(async (tx) => {
    const { changes } = await processDeliveries(tx, { limit: 10, now: clock.now() });
    return correlate(tx, changes, { types, now: clock.now() });
  });
  assert.deepEqual(
    correlated.touched.map((t) => t.kind),
    Array(7).fill('Opened'),
  );
  assert.equal(correlated.incidentOf.size, 3000);
  assert.ok(statements < 25, `${statements} statements`);
});
