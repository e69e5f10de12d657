import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { act, actionOf, contextFor, readFact, serve } from '../../../test/integrations/support.ts';
import { createSecrets } from '../secrets.ts';
import { createAlertmanager } from './index.ts';

const secrets = createSecrets({});
const started = (minutesAgo: number) => new Date(Date.UTC(2026, 0, 5, 12) - minutesAgo * 60_000).toISOString();

interface FakeSilence {
  id: string;
  status: { state: string };
  comment: string;
  endsAt: string;
  matchers?: unknown;
}

/** An Alertmanager with alerts and silences, started so many minutes ago. */
async function alertmanager(alerts: object[] = [], minutesAgo = 60) {
  const silences: FakeSilence[] = [];
  const server = await serve(({ method, url, body }) => {
    if (url.pathname === '/api/v2/status') return [200, { uptime: started(minutesAgo), versionInfo: {} }];
    if (url.pathname === '/api/v2/alerts') return [200, alerts];
    if (url.pathname === '/api/v2/silences' && method === 'GET') return [200, silences];
    if (url.pathname === '/api/v2/silences') {
      const silence = JSON.parse(body) as FakeSilence;
      silences.push({ ...silence, id: `s${silences.length}`, status: { state: 'active' } });
      return [200, { silenceID: `s${silences.length - 1}` }];
    }
    const id = /^\/api\/v2\/silence\/(.+)$/.exec(url.pathname)?.[1];
    const silence = silences.find((one) => one.id === id);
    if (silence === undefined) return [404, 'silence not found'];
    if (silence.status.state === 'expired') return [500, 'silence already expired'];
    silence.status.state = 'expired';
    return [200, ''];
  });
  return {
    silences,
    server,
    integration: createAlertmanager({ url: server.url }, { secrets }),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

const held = (state: string, silencedBy: string[] = [], inhibitedBy: string[] = []) => ({
  fingerprint: 'f1',
  labels: { alertname: 'Down' },
  status: { state, silencedBy, inhibitedBy },
});

describe('alertmanager oracle and facts', () => {
  const ask = async (alerts: object[], minutesAgo?: number) => {
    await using a = await alertmanager(alerts, minutesAgo);
    const question = { fingerprint: 'f1', labels: { alertname: 'Down' }, generatorUrl: '', startsAt: 0 };
    return (await a.integration.oracle?.confirmFiring(contextFor(), question))?.answer;
  };

  it('read the state of an alert', async () => {
    assert.equal(await ask([held('active')]), 'firing');
    assert.equal(await ask([held('suppressed', ['s1'])]), 'silenced');
    assert.equal(await ask([held('suppressed', [], ['f2'])]), 'firing');
    assert.equal(await ask([held('unprocessed')]), 'firing');
    assert.equal(await ask([{ ...held('active'), fingerprint: 'f2' }]), 'notFiring');
  });

  it('do not take the silence after a start for an all-clear', async () => {
    assert.equal(await ask([], 1), 'unknown');
    assert.equal(await ask([], 6), 'notFiring');
    await using young = await alertmanager([], 1);
    await assert.rejects(readFact(young.integration, 'alertmanager.firing', ['f1']), { code: 'UpstreamUnavailable' });
    await using old = await alertmanager([held('suppressed', ['s1'])]);
    assert.equal(await readFact(old.integration, 'alertmanager.firing', ['f1']), true);
    assert.equal(await readFact(old.integration, 'alertmanager.silenced', ['f1']), true);
    assert.equal(await readFact(old.integration, 'alertmanager.firing', ['f9']), false);
    assert.equal(await readFact(old.integration, 'alertmanager.reachable'), true);
  });
});

describe('alertmanager silence', () => {
  const input = { matchers: { alertname: 'Down', namespace: 'acme' }, for: '30m', comment: 'rolling back' };

  it('is made once, found by its key, and taken back', async () => {
    await using a = await alertmanager();
    const { action, before, outcome } = await act(a.integration, 'alertmanager silence', input);
    const again = await action.execute(contextFor(), input, before);
    assert.deepEqual(again.result, outcome.result);
    assert.equal(a.silences.length, 1);
    assert.match(a.silences[0]?.comment ?? '', /^rolling back \[catalyst-sre run-1\/steps\/0\]$/);
    assert.deepEqual(a.silences[0]?.matchers, [
      { name: 'alertname', value: 'Down', isRegex: false, isEqual: true },
      { name: 'namespace', value: 'acme', isRegex: false, isEqual: true },
    ]);
    assert.deepEqual((await action.happened(contextFor(), input, before)).result, { id: 's0' });
    assert.equal((await action.happened(contextFor('run-2/steps/0'), input, before)).answer, 'no');
    const undo = action.undo?.(input, before, outcome.result);
    assert.ok(undo);
    const undone = await act(a.integration, undo.action, undo.input);
    assert.equal(a.silences[0]?.status.state, 'expired');
    await undone.action.execute(contextFor(), undo.input, undone.before);
    assert.equal((await undone.action.happened(contextFor(), undo.input, undone.before)).answer, 'yes');
  });

  it('refuses what would hide too much or too long', async () => {
    await using a = await alertmanager();
    const action = actionOf(a.integration, 'alertmanager silence');
    for (const wrong of [
      { matchers: { severity: 'critical' } },
      { matchers: { alertname: 'Down', namespace: '' } },
      { for: '25h' },
      { for: '0s' },
      { for: 'soon' },
    ]) {
      await assert.rejects(
        action.capture(contextFor(), { ...input, ...wrong }),
        { code: 'BadRequest' },
        JSON.stringify(wrong),
      );
    }
    assert.equal(a.silences.length, 0);
  });
});

describe('alerts a delivery left out', () => {
  it('are listed for the receiver, in the shape of its webhook', async () => {
    const startsAt = '2026-01-05T11:00:00.000Z';
    const active = { ...held('active'), annotations: { summary: 's' }, startsAt, endsAt: startsAt, generatorURL: 'g' };
    await using a = await alertmanager([active]);
    assert.deepEqual(await a.integration.firingFor?.(contextFor(), 'web.hook'), [
      {
        status: 'firing',
        labels: { alertname: 'Down' },
        annotations: { summary: 's' },
        startsAt,
        generatorURL: 'g',
        fingerprint: 'f1',
      },
    ]);
    const { url } = a.server.requests[0] as unknown as { url?: string; path?: string };
    const path = url ?? a.server.requests[0]?.path ?? '';
    assert.match(path, /receiver=web%5C\.hook/);
    assert.match(path, /silenced=false/);
    assert.equal(createAlertmanager(undefined, { secrets }).firingFor, undefined);
  });
});
