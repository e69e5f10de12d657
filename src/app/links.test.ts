/** The link in a page, over a database: who may use it, once, and until when. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { sql } from 'kysely';
import { openTestDatabase } from '../../test/open-test-database.ts';
import { readRecord } from '../audit/record-store.ts';
import { VirtualClock } from '../clock.ts';
import type { OpenDatabase } from '../database/open.ts';
import { newId } from '../ids.ts';
import type { EscalationPorts } from '../incident/escalation.ts';
import type { Incident } from '../incident/incident.ts';
import { plainTypes } from '../incident/incident-fixture.ts';
import { createIncidentService, type IncidentService } from '../incident/incident-service.ts';
import { getIncident, saveIncidents } from '../incident/incident-store.ts';
import { createPage } from '../notify/notify.ts';
import type { Page } from '../notify/page.ts';
import { listPages } from '../notify/page-store.ts';
import { linkKeysOf, signClaim } from '../notify/signed-link.ts';
import { escalationPorts } from './escalation.ts';
import { acknowledgeLinks, linkKeyReplacement, openLinkKeys, pageLinks } from './links.ts';

const keys = linkKeysOf('a secret of the test');
let database: OpenDatabase;
let clock: VirtualClock;
let incidents: IncidentService;
before(async () => {
  database = await openTestDatabase();
});
after(() => database.close());
beforeEach(async () => {
  clock = new VirtualClock();
  const catalog = { resources: () => [] };
  const escalation: EscalationPorts = escalationPorts({ db: database.db, clock, catalog, reach: () => [] });
  incidents = createIncidentService({ db: database.db, clock, escalation, types: plainTypes });
  await sql`TRUNCATE incident, page`.execute(database.db);
});

async function open(): Promise<Incident> {
  const now = clock.now();
  const incident = {
    id: newId(now),
    type: 'OpenBaoSealed',
    title: 'OpenBao is sealed',
    severity: 'P1',
    state: 'Open',
    correlationKey: newId(now),
    openedAt: now,
    clockFrom: now,
    respondBy: now + 900_000,
    escalateAt: now,
    escalationStep: 0,
    version: 1,
  } as Incident;
  await database.db.transaction().execute((tx) => saveIncidents(tx, [incident]));
  return incident;
}
async function page({ id }: Incident, receiver = 'mira'): Promise<Page> {
  const body = { receiver, severity: 'P1', subject: 'P1', body: '', incidentId: id, dedupeKey: `${id}/${receiver}` };
  return database.db.transaction().execute(async (tx) => (await createPage(tx, body, clock.now())).page);
}
const linksWith = (own = keys) => acknowledgeLinks({ db: database.db, clock, keys: async () => own, incidents });
async function tokenOf(written: Page, own = keys): Promise<string> {
  const links = await pageLinks(
    async () => own,
    () => 'https://sre.example/',
  )(written);
  assert.equal(links?.url, `https://sre.example/incidents/${written.incidentId}`);
  return links?.acknowledgeUrl.replace('https://sre.example/ack/', '') ?? '';
}
const stateOf = async ({ id }: Incident) => (await getIncident(database.db, id))?.state;

test('it acknowledges as the receiver that was paged, and the record says by which page', async () => {
  const incident = await open();
  const written = await page(incident);
  const links = linksWith();
  assert.equal((await links.look(await tokenOf(written))).state, 'Open');
  assert.equal(await stateOf(incident), 'Open');
  const { done, now } = await links.acknowledge(await tokenOf(written));
  assert.deepEqual([done, now.state], [true, 'Acknowledged']);
  const entry = (await readRecord(database.db, { incidentId: incident.id, limit: 100 })).at(-1);
  assert.deepEqual(
    [entry?.kind, entry?.actor, entry?.sentence],
    ['incident.acknowledged', 'receiver/mira', `receiver/mira acknowledged it, by the link of page ${written.id}.`],
  );
  assert.deepEqual(entry?.data, { minutes: 0, pageId: written.id });
});

test('used again it changes nothing and says who was first, also when that was somebody else', async () => {
  const incident = await open();
  const [mira, jo] = [await page(incident), await page(incident, 'jo')];
  const links = linksWith();
  const both = await Promise.all([links.acknowledge(await tokenOf(mira)), links.acknowledge(await tokenOf(jo))]);
  assert.deepEqual(both.map(({ done }) => done).sort(), [false, true]);
  const { acknowledgedBy, version } = (await getIncident(database.db, incident.id)) ?? {};
  for (const { now } of both) assert.ok(now.state === 'Acknowledged' && now.by === acknowledgedBy);
  for (const written of [mira, jo]) assert.equal((await links.acknowledge(await tokenOf(written))).done, false);
  assert.equal((await getIncident(database.db, incident.id))?.version, version);
});

test('it is good for 24 hours, and not when the incident is over', async () => {
  const [incident, other] = [await open(), await open()];
  const [written, ended] = [await page(incident), await page(other)];
  await incidents.resolve({ incidentId: other.id, actor: 'user/sre', reason: 'mended' });
  const links = linksWith();
  assert.deepEqual((await links.acknowledge(await tokenOf(ended))).now, {
    state: 'Resolved',
    about: { id: other.id, title: 'OpenBao is sealed', severity: 'P1', openedAt: clock.now() },
    by: 'user/sre',
    at: clock.now(),
  });
  await clock.advance(24 * 3_600_000 - 1);
  assert.equal((await links.look(await tokenOf(written))).state, 'Open');
  await clock.advance(1);
  assert.deepEqual(await links.acknowledge(await tokenOf(written)), { done: false, now: { state: 'Expired' } });
  assert.equal(await stateOf(incident), 'Open');
});

test('forged, for another incident or receiver, or made with another key: it is not known', async () => {
  const [incident, other] = [await open(), await open()];
  const written = await page(incident);
  const claim = { pageId: written.id, incidentId: incident.id, receiver: 'mira', expiresAt: clock.now() + 1_000 };
  const wrong = [
    'nonsense',
    `${await tokenOf(written)}x`,
    await tokenOf(written, linkKeysOf('another secret')),
    signClaim(keys.acknowledge, { ...claim, incidentId: other.id }),
    signClaim(keys.acknowledge, { ...claim, receiver: 'jo' }),
    signClaim(keys.acknowledge, { ...claim, pageId: newId(clock.now()) }),
    signClaim(keys.calendar, claim),
  ];
  for (const token of wrong)
    assert.deepEqual(await linksWith().acknowledge(token), { done: false, now: { state: 'Unknown' } }, token);
  assert.deepEqual([await stateOf(incident), await stateOf(other)], ['Open', 'Open']);
});

test('a page has the same link each time it is sent, none without a public URL, and keeps none', async () => {
  const written = await page(await open());
  assert.equal(await tokenOf(written), await tokenOf(written));
  assert.equal(
    await pageLinks(
      async () => keys,
      () => undefined,
    )(written),
    undefined,
  );
  assert.equal(
    await pageLinks(
      async () => keys,
      () => 'https://sre.example',
    )({ ...written, incidentId: undefined }),
    undefined,
  );
  assert.ok(!JSON.stringify(await listPages(database.db, { limit: 10 })).includes(await tokenOf(written)));
});

test('the key is that of the file, or one that all replicas share', async () => {
  const ports = { db: database.db, clock, environment: {} };
  const folder = await mkdtemp(join(tmpdir(), 'key-'));
  try {
    const [first, second] = await Promise.all([openLinkKeys({}, ports), openLinkKeys({}, ports)]);
    const [one, two] = await Promise.all([first(), second()]);
    assert.deepEqual(one, two);
    await linkKeyReplacement({}, ports)('token/root');
    assert.notDeepEqual(await first(), one);
    assert.deepEqual(await second(), await first(), 'it is another one for every replica, at once');
    assert.equal((await readRecord(database.db, { limit: 1, order: 'desc' }))[0]?.kind, 'access.linkKeyReplaced');
    const file = join(folder, 'key');
    await writeFile(file, `${'0123456789abcdef'.repeat(4)}\n`);
    const own = await (await openLinkKeys({ linkKeyFile: file }, ports))();
    await assert.rejects(linkKeyReplacement({ linkKeyFile: file }, ports)('token/root'), { code: 'NotConfigured' });
    assert.deepEqual(own, linkKeysOf('0123456789abcdef'.repeat(4)));
    assert.notDeepEqual(own, one);
    await writeFile(file, 'short');
    await assert.rejects(openLinkKeys({ linkKeyFile: file }, ports), { code: 'InvalidResource', hint: /openssl rand/ });
  } finally {
    await rm(folder, { recursive: true });
  }
});
