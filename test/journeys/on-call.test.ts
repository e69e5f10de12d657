/** Somebody is called: who is on call first, then the next one; the link in the page acknowledges, and nobody is told twice. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { serve, type TestServer } from '../integrations/support.ts';
import { type Item, type PocketSovereign, startPocketSovereign } from '../support/pocket-sovereign.ts';

const documents = `
apiVersion: catalyst.openova.io/v1alpha1
kind: OnCallSchedule
metadata: { name: sre }
spec:
  timeZone: Europe/Berlin
  rotations: [{ name: week, people: [mira], start: 2026-01-05T09:00, every: Week }]
---
apiVersion: catalyst.openova.io/v1alpha1
kind: EscalationPolicy
metadata: { name: major-feature-broken }
spec:
  severities: [P2]
  steps:
    - { after: 0s, notify: [{ schedule: sre }] }
    - { after: 40m, notify: [{ receiver: lead }] }
    - { after: 50m, notify: [{ receiver: boss }] }
`;
const publicUrl = 'http://127.0.0.1:9';

describe('on-call', () => {
  let s: PocketSovereign;
  let phone: TestServer;
  let homeserver: TestServer;
  let boss: TestServer;
  let folder: string;
  let phoneIsOff = true;
  const events = new Map<string, Item>();
  const tokens: string[] = [];
  before(async () => {
    phone = await serve(() => (phoneIsOff ? [503, {}] : [202, {}]));
    boss = await serve(() => [202, {}]);
    homeserver = await serve(({ url, body }) => {
      const transaction = url.pathname.split('/').at(-1) ?? '';
      if (!events.has(transaction)) events.set(transaction, JSON.parse(body));
      return [200, { event_id: `$${transaction}` }];
    });
    folder = await mkdtemp(join(tmpdir(), 'on-call-'));
    await writeFile(join(folder, 'on-call.yaml'), documents);
    await writeFile(join(folder, 'matrix-token'), 'syt_a-token-of-the-test');
    s = await startPocketSovereign({
      change: (config) => ({
        ...config,
        publicUrl,
        catalog: { sources: [{ folder }] },
        integrations: {
          ...config.integrations,
          notify: {
            receivers: {
              'mira-phone': { webhook: { url: phone.url } },
              lead: {
                matrix: { url: homeserver.url, tokenFile: join(folder, 'matrix-token'), room: '!r:example.com' },
              },
              boss: { webhook: { url: boss.url } },
            },
            people: { mira: ['mira-phone'] },
            defaultReceiver: 'boss',
          },
        },
      }),
    });
  });
  after(async () => {
    await s.stop();
    await rm(folder, { recursive: true, force: true });
    for (const server of [phone, homeserver, boss]) await server[Symbol.asyncDispose]();
  });
  let incident: Item;
  const link = (url: unknown) => {
    const [, token = ''] = /^http:\/\/127\.0\.0\.1:9\/ack\/(\S+)$/.exec(String(url)) ?? [];
    assert.notEqual(token, '');
    tokens.push(token);
    return `${s.url}/ack/${token}`;
  };
  const press = (url: string) => fetch(url, { method: 'POST', body: new URLSearchParams() });

  test('the API says who is on call', async () => {
    const [schedule] = await s.list('/api/v1/on-call');
    assert.deepEqual([schedule?.name, schedule?.person, schedule?.by], ['sre', 'mira', 'week']);
    // It is given up after a second, which a busy machine may need.
    const { checks } = await s.until('health is told', () => s.get('/readyz').catch(() => undefined));
    assert.deepEqual(
      checks
        .filter(({ name }: Item) => /on-call|links/.test(name))
        .map(({ healthy, sentence }: Item) => [healthy, sentence]),
      [
        [true, '1 people take turns.'],
        [true, `Pages link to ${publicUrl}.`],
      ],
    );
  });

  test('a receiver that is down: tried again, then the next person is called, and the record says so', async () => {
    const labels = { alertname: 'NobodyKnowsIt', severity: 'critical', namespace: 'shop-prod' };
    const startsAt = new Date(s.clock.now()).toISOString();
    await s.deliver({
      version: '4',
      status: 'firing',
      alerts: [{ status: 'firing', labels, annotations: {}, startsAt }],
    });
    incident = await s.until('an incident is open', async () => (await s.list('/api/v1/incidents'))[0]);
    assert.equal(incident.severity, 'P2');
    const event = await s.until('the next person is told', async () => [...events.values()][0]);
    assert.match(event.body, /^P2 NobodyKnowsIt/);
    assert.match(event.body, /The one before you could not be reached\./);
    assert.ok(phone.requests.length > 1);
    const steps = (await s.list(`/api/v1/incidents/${incident.id}/timeline?limit=200`))
      .filter(({ kind }) => kind === 'incident.escalated')
      .map(({ sentence }) => sentence);
    assert.deepEqual(steps, [
      'Step 1 of major-feature-broken was taken: mira-phone is told.',
      'Step 2 of major-feature-broken was taken, early, because the step before reached nobody: lead is told.',
    ]);
  });

  test('once it is back the receiver is told, with the key of every try before', async () => {
    phoneIsOff = false;
    const tries = phone.requests.length;
    await s.until('the phone has the page', async () => phone.requests.length > tries);
    assert.equal(new Set(phone.requests.map(({ headers }) => headers['idempotency-key'])).size, 1);
    assert.equal(new Set(phone.requests.map(({ body }) => body)).size, 1);
  });

  test('the link in a page changes nothing until the button is pressed; then the incident is theirs', async () => {
    const page = JSON.parse(phone.requests.at(-1)?.body ?? '{}');
    const url = link(page.acknowledgeUrl);
    assert.equal(page.url, `${publicUrl}/incidents/${incident.id}`);
    assert.match(await (await fetch(url)).text(), /P2 NobodyKnowsIt[\s\S]*<button/);
    assert.equal((await s.get(`/api/v1/incidents/${incident.id}`)).state, 'Open');
    const pressed = await press(url);
    assert.deepEqual([pressed.status, /It is yours/.test(await pressed.text())], [200, true]);
    const { state, acknowledgedBy } = await s.get(`/api/v1/incidents/${incident.id}`);
    assert.deepEqual([state, acknowledgedBy], ['Acknowledged', 'receiver/mira-phone']);
    const entry = (await s.list(`/api/v1/incidents/${incident.id}/timeline?limit=200`)).find(
      ({ kind }) => kind === 'incident.acknowledged',
    );
    assert.equal(entry?.data.pageId, page.key);
  });

  test('whoever comes second is told who was first, by the link and by the API', async () => {
    const [event] = events.values();
    const pressed = await press(link(/^Acknowledge: (.*)$/m.exec(event?.body)?.[1]));
    assert.equal(pressed.status, 409);
    assert.match(await pressed.text(), /receiver\/mira-phone was first/);
    const refused = await s.post(`/api/v1/incidents/${incident.id}/acknowledge`, { version: 1 }, 409);
    assert.equal(refused.details.acknowledgedBy, 'receiver/mira-phone');
  });

  test('asking for help pages the next step, once for one key', async () => {
    await s.post(`/api/v1/incidents/${incident.id}/escalate`, { comment: 'needs the network team' });
    await s.until('the boss is told', async () => boss.requests.length > 0);
    const page = JSON.parse(boss.requests[0]?.body ?? '{}');
    assert.equal(page.text, 'token/sandbox asks for you: needs the network team');
    link(page.acknowledgeUrl);
    const told = (await s.list(`/api/v1/pages?incidentId=${incident.id}`)).map(({ receiver, state }) => [
      receiver,
      state,
    ]);
    assert.deepEqual(told, [
      ['boss', 'Delivered'],
      ['lead', 'Delivered'],
      ['mira-phone', 'Delivered'],
    ]);
  });

  test('no token of a link is in a log line, an answer or the record', async () => {
    const kept = JSON.stringify([
      s.log,
      await s.get('/api/v1/pages?limit=200'),
      await s.get('/api/v1/record?limit=200'),
      await s.get(`/api/v1/incidents/${incident.id}/timeline?limit=200`),
    ]);
    assert.equal(tokens.length, 3);
    for (const token of tokens) assert.ok(!kept.includes(token) && !kept.includes(token.split('.')[1] ?? ''));
  });

  test('a calendar program follows the schedule without logging in', async () => {
    const { path } = await s.get('/api/v1/on-call/sre/feed');
    const answer = await fetch(`${s.url}${path}?person=mira`);
    assert.equal(answer.headers.get('content-type'), 'text/calendar; charset=utf-8');
    assert.match(await answer.text(), /^SUMMARY:On call: mira\r$/m);
    assert.equal((await fetch(`${s.url}${String(path).replace('/sre/', '/other/')}`)).status, 404);
  });
});
