/** Incidents that follow from others: the decision, and the paging it holds back, on a database. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openTestDatabase } from '../../test/open-test-database.ts';
import { insertDeliveries } from '../alert/delivery-store.ts';
import { processDeliveries } from '../alert/processor.ts';
import { appendRecord, readRecord } from '../audit/record-store.ts';
import { VirtualClock } from '../clock.ts';
import type { OpenDatabase } from '../database/open.ts';
import { causeOf, heldBackUntil, type Placed } from './cause-decision.ts';
import { correlate } from './correlate.ts';
import { type EscalationPorts, escalateDue } from './escalation.ts';
import { withoutPolicy } from './incident-fixture.ts';
import { createIncidentService } from './incident-service.ts';
import { listIncidents } from './incident-store.ts';
import type { IncidentTypes } from './incident-types.ts';
import { defaultCalendar } from './response-clock.ts';

const minute = 60_000;
const placed = (id: string, type: string, labels: Record<string, string>, more: Partial<Placed['incident']> = {}) => ({
  incident: { id, type, organization: undefined, openedAt: 0, causedBy: undefined, state: 'Open' as const, ...more },
  labels,
});
const rules = [{ type: 'gitea', same: ['cluster'] }];

test('a cause is open, named by the type and in the same place', () => {
  const flux = placed('f', 'flux', { cluster: 'fsn', namespace: 'flux-system' });
  const of = (...open: Placed[]) => causeOf(flux, rules, open)?.cause;
  assert.equal(of(placed('g', 'gitea', { cluster: 'fsn' })), 'g');
  assert.equal(of(placed('g', 'gitea', { cluster: 'hel' })), undefined);
  assert.equal(of(placed('g', 'gitea', {})), undefined);
  assert.equal(of(placed('g', 'harbor', { cluster: 'fsn' })), undefined);
  assert.equal(of(placed('g', 'gitea', { cluster: 'fsn' }, { state: 'Resolved' })), undefined);
  assert.equal(causeOf(placed('f', 'flux', {}), rules, [placed('g', 'gitea', {})])?.cause, 'g');
  const first = placed('old', 'gitea', { cluster: 'fsn' }, { openedAt: -1 });
  assert.equal(of(placed('g', 'gitea', { cluster: 'fsn' }), first), 'old');
  assert.equal(
    causeOf(flux, rules, [placed('g', 'gitea', { cluster: 'fsn' })])?.sentence,
    'Caused by g: flux follows from gitea, and both are of cluster fsn.',
  );
});

test("never another Organization's, and never what follows from it itself", () => {
  const flux = placed('f', 'flux', { cluster: 'fsn' }, { organization: 'acme' });
  const gitea = (more: Partial<Placed['incident']>) => placed('g', 'gitea', { cluster: 'fsn' }, more);
  assert.equal(causeOf(flux, rules, [gitea({ organization: 'globex' })]), undefined);
  assert.equal(causeOf(flux, rules, [gitea({ organization: 'acme' })])?.cause, 'g');
  assert.equal(causeOf(flux, rules, [gitea({})])?.cause, 'g');
  const sovereigns = placed('f', 'flux', { cluster: 'fsn' });
  assert.equal(causeOf(sovereigns, rules, [gitea({ organization: 'acme' })]), undefined);
  assert.equal(causeOf(flux, rules, [flux, gitea({ causedBy: 'f' })]), undefined);
  const between = placed('b', 'between', {}, { causedBy: 'f' });
  assert.equal(causeOf(flux, rules, [between, gitea({ causedBy: 'b' })]), undefined);
});

test('a P1 is never held back, and nothing beyond its response time', () => {
  const open = { state: 'Acknowledged' as const };
  assert.equal(heldBackUntil({ severity: 'P2', respondBy: 10 }, open, 5), 10);
  assert.equal(heldBackUntil({ severity: 'P2', respondBy: 10 }, open, 10), undefined);
  assert.equal(heldBackUntil({ severity: 'P1', respondBy: 10 }, open, 5), undefined);
  assert.equal(heldBackUntil({ severity: 'P2', respondBy: 10 }, { state: 'Resolved' }, 5), undefined);
  assert.equal(heldBackUntil({ severity: 'P2', respondBy: 10 }, undefined, 5), undefined);
});

let database: OpenDatabase;
const clock = new VirtualClock();
before(async () => {
  database = await openTestDatabase();
});
after(() => database.close());
const types: IncidentTypes = {
  calendarFor: () => defaultCalendar,
  forAlert: (labels) => ({
    type: labels.alertname ?? '',
    known: true,
    title: labels.alertname ?? '',
    severity: labels.alertname === 'gitea' ? 'P1' : 'P2',
    scope: ['cluster'],
    runbooks: [],
    guidance: undefined,
  }),
  causes: { of: (type) => (type === 'flux' ? rules : []), effectsOf: (type) => (type === 'gitea' ? ['flux'] : []) },
};

test('linked in either order, not paged while the cause is open, paged when it ends first', async () => {
  const { db } = database;
  const paged: string[] = [];
  const service = createIncidentService({ db, clock, escalation: withoutPolicy(db, clock), types });
  const fire = async (alertname: string, cluster: string) => {
    const alert = { status: 'firing', labels: { alertname, cluster }, startsAt: new Date(clock.now()).toISOString() };
    const body = Buffer.from(JSON.stringify({ alerts: [alert] }));
    await insertDeliveries(db, [
      { receivedAt: clock.now(), source: 'am', organization: undefined, body, traceparent: undefined },
    ]);
    await db.transaction().execute(async (tx) => {
      const processed = await processDeliveries(tx, { limit: 10, now: clock.now() });
      const { entries } = await correlate(tx, processed.changes, { types, now: clock.now() });
      await appendRecord(tx, [...processed.entries, ...entries]);
    });
  };
  const escalation: EscalationPorts = {
    ...withoutPolicy(db, clock),
    policyOf: () => ({ name: 'everybody', steps: [{ after: 0, notify: [{ receiver: 'ops' }] }] }),
    receiversOf: () => ({ receivers: ['ops'] }),
    page: async (_tx, page) => {
      paged.push(page.subject);
      return [];
    },
    reached: async () => true,
  };
  const escalate = () => escalateDue(escalation);
  const one = async (type: string) => (await listIncidents(db, { type, open: true, limit: 1 }))[0];

  await fire('gitea', 'fsn');
  await fire('flux', 'fsn');
  const [gitea, flux] = [await one('gitea'), await one('flux')];
  assert.equal(flux?.causedBy, gitea?.id);
  const told = (await readRecord(db, { incidentId: flux?.id ?? '', limit: 10 })).find(
    (e) => e.kind === 'incident.caused',
  );
  assert.match(
    told?.sentence ?? '',
    /follows from gitea, and both are of cluster fsn\. While that one is open, nobody/,
  );
  await escalate();
  assert.deepEqual(paged, ['P1 gitea: fsn']);
  await clock.advance(10 * minute);
  await escalate();
  assert.deepEqual(paged, ['P1 gitea: fsn']);
  await service.resolve({ incidentId: gitea?.id ?? '', actor: 'user/sre', reason: 'back', force: true });
  await clock.advance(minute);
  await escalate();
  assert.deepEqual(paged, ['P1 gitea: fsn', 'P2 flux: fsn']);

  // The effect is heard of first: it is linked when its cause is opened.
  await fire('flux', 'hel');
  assert.equal((await one('flux'))?.causedBy, undefined);
  await fire('gitea', 'hel');
  assert.equal((await one('flux'))?.causedBy, (await one('gitea'))?.id);
});
