/** What the console does when things are hostile, many, gone, small, or not seen. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { sql } from 'kysely';
import type { Browser } from 'playwright-core';
import { findChromium, startChromium } from '../../testbed/chromium.ts';
import { describeReal } from '../../testbed/real.ts';
import { type PocketSovereign, startPocketSovereign } from '../support/pocket-sovereign.ts';
import { buildConsole, enter, type Person } from './browser.ts';

/** A page that can be scrolled sideways hides something on a narrow screen. */
const isCutOff = 'document.documentElement.scrollWidth > innerWidth';

describeReal('the console under strain', findChromium, () => {
  let s: PocketSovereign;
  let browser: Browser;
  before(async () => {
    await buildConsole();
    s = await startPocketSovereign({ drills: true });
    browser = await startChromium();
  });
  after(async () => {
    await browser?.close();
    await s?.stop();
  });

  test('hostile names and annotations are text: they run nothing, open nothing and break nothing', async () => {
    const attack = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>';
    await s.deliver({
      version: '4',
      groupKey: '{}',
      status: 'firing',
      receiver: 'r',
      groupLabels: {},
      commonLabels: {},
      commonAnnotations: {},
      externalURL: 'javascript:window.hacked=1',
      truncatedAlerts: 0,
      alerts: [
        {
          status: 'firing',
          labels: { alertname: attack, namespace: `\u202e${'x'.repeat(900)}`, __proto__x: '{{constructor}}' },
          annotations: { summary: attack, description: `javascript:window.hacked=1 ${attack}` },
          startsAt: new Date().toISOString(),
          endsAt: '0001-01-01T00:00:00Z',
          generatorURL: 'javascript:window.hacked=1',
          fingerprint: '0123456789abcdef',
        },
      ],
    });
    const id = await s.until('the incident is there', async () => (await s.list('/api/v1/incidents'))[0]?.id as string);
    const mira = await enter(browser, s);
    for (const path of ['/', '/incidents', `/incidents/${id}`, '/audit']) {
      await mira.page.goto(path);
      await mira.page
        .getByText(/<img src=x/)
        .first()
        .waitFor();
      assert.equal(await mira.page.evaluate("'hacked' in globalThis"), false, path);
    }
    await mira.page.goto(`/incidents/${id}`);
    await mira.page.getByRole('heading', { name: 'Alerts' }).waitFor();
    assert.equal(await mira.page.locator('a[href^="javascript:"]').count(), 0);
    assert.equal(await mira.page.evaluate(isCutOff), false);
    assert.deepEqual(mira.complaints, []);
    await mira.leave();
  });

  test('what somebody else does is seen by both', async () => {
    const [incident] = await s.list('/api/v1/incidents');
    const mira = await enter(browser, s);
    await mira.page.goto(`/incidents/${incident?.id}`);
    await mira.page.getByRole('button', { name: /Acknowledge/ }).waitFor();
    await s.post(`/api/v1/incidents/${incident?.id}/acknowledge`, {});
    await mira.page.getByText('taken by token/sandbox').waitFor();
    assert.equal(await mira.page.getByRole('button', { name: /Acknowledge/ }).count(), 0);
    await mira.leave();
  });

  test('10,000 incidents are walked to the last, and only what is seen is on the page', async () => {
    await sql`INSERT INTO incident (id, type, title, severity, state, correlation_key, opened_at, clock_from, respond_by, resolved_at, escalation_step)
      SELECT '00' || lpad(n::text, 24, '0'), 'old', 'Old incident ' || n, 'P4', 'Resolved', 'old-' || n,
        timestamptz '2020-01-01' + n * interval '1 minute', now(), now(), now(), 0
      FROM generate_series(1, 10000) n`.execute(s.database.db);
    const mira = await enter(browser, s);
    await mira.page.goto('/incidents?state=Resolved');
    const list = mira.page.getByRole('region', { name: 'Incidents, newest first' });
    await list.getByText('Old incident 10000').waitFor();
    const last = list.getByText('Old incident 1', { exact: true });
    for (let turn = 0; turn < 200 && (await last.count()) === 0; turn++) {
      await list.evaluate((element) => element.scrollTo(0, element.scrollHeight));
      await mira.page.evaluate('new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))');
      await mira.page.waitForLoadState('networkidle');
    }
    await last.waitFor();
    assert.equal(await list.getByRole('listitem').first().getAttribute('aria-setsize'), '10000');
    assert.ok((await list.getByRole('listitem').count()) < 60);
    await mira.leave();
  });

  test('a journal of 5,000 entries is read whole, and only what is seen is on the page', async () => {
    const at = new Date();
    const { db } = s.database;
    await db
      .insertInto('run')
      .values({
        id: 'long',
        runbook: 'openbao-sealed',
        document: '{}',
        trigger: '{"kind":"person"}',
        dedupe_key: 'long',
        mode: 'Suggest',
        inputs: '{}',
        requested_by: 'test',
        state: 'Ended',
        outcome: 'Suggested',
        sentence: 'It was long.',
        created_at: at,
        ended_at: at,
      })
      .execute();
    await sql`INSERT INTO run_entry (run_id, seq, at, kind, data)
      SELECT 'long', n, now(), 'Held', json_build_object('sentence', 'Line ' || n) FROM generate_series(1, 5000) n`.execute(
      db,
    );
    const mira = await enter(browser, s);
    await mira.page.goto('/runs/long');
    const journal = mira.page.getByRole('region', { name: 'Journal entries' });
    await journal.locator('li[aria-setsize="5000"]').first().waitFor();
    await journal.evaluate((element) => element.scrollTo(0, element.scrollHeight));
    await journal.getByText('Line 5000').waitFor();
    assert.ok((await journal.getByRole('listitem').count()) < 60);
    await mira.leave();
  });

  test('every view is accessible, in light and dark, wide and narrow, and nothing is cut off', async () => {
    for (const look of [
      { colorScheme: 'light' as const },
      { colorScheme: 'dark' as const, viewport: { width: 390, height: 844 } },
    ]) {
      const mira: Person = await enter(browser, s, look);
      for (const view of [
        '',
        'incidents',
        'runs',
        'runbooks',
        'runbooks/openbao-sealed',
        'approvals',
        'on-call',
        'slos',
        'audit',
        'handbook',
        'drills',
        'settings',
      ]) {
        await mira.page.goto(`/${view}`);
        await mira.page.locator('main :is(h1, h2):visible').first().waitFor();
        await mira.page.waitForLoadState('load');
        await mira.accessible();
        assert.equal(await mira.page.evaluate(isCutOff), false, view);
        await mira.picture(`${look.colorScheme}-${view.replace('/', '-') || 'overview'}`);
      }
      await mira.leave();
    }
  });

  test('the keyboard says what it can do, and goes everywhere', async () => {
    const mira = await enter(browser, s);
    await mira.page.keyboard.press('?');
    await mira.page.getByRole('dialog').getByText('next, previous in the list').waitFor();
    await mira.page.keyboard.press('Escape');
    await mira.page.getByRole('dialog').waitFor({ state: 'hidden' });
    await mira.page.keyboard.press('g');
    await mira.page.keyboard.press('b');
    await mira.page.getByRole('heading', { name: 'Runbooks', level: 1 }).waitFor();
    await mira.page.getByRole('link', { name: /openbao-sealed/ }).waitFor();
    await mira.page.keyboard.press('/');
    await mira.page.keyboard.type('OpenBaoSealed');
    await mira.page.getByText('1 in use').waitFor();
    await mira.page.keyboard.press('Escape');
    await mira.page.keyboard.press('j');
    await mira.page.keyboard.press('Enter');
    await mira.page
      .getByRole('article', { name: 'Runbook' })
      .getByRole('heading', { name: 'openbao-sealed' })
      .waitFor();
    await mira.page.waitForURL(/\/runbooks\/openbao-sealed\?q=OpenBaoSealed$/);
    await mira.page.keyboard.press('Escape');
    await mira.page.waitForURL(/\/runbooks\?q=OpenBaoSealed$/);
    await mira.leave();
  });

  test('a session that ends elsewhere leads to the login, and says so', async () => {
    const mira = await enter(browser, s);
    const { csrf } = (await (await mira.page.request.get('/api/v1/session')).json()) as { csrf: string };
    await mira.page.request.post('/api/v1/session/end', { headers: { 'x-catalyst-sre-csrf': csrf } });
    await mira.page.getByText('Your session has ended').waitFor();
    await mira.leave();
  });
});

describeReal('a server that restarts', findChromium, () => {
  test('the page says so, follows by itself, and misses nothing', async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'console-restart-'));
    await buildConsole();
    const browser = await startChromium();
    let s = await startPocketSovereign({ dataDir });
    try {
      const mira = await enter(browser, s);
      await s.stop();
      await mira.page.getByText(/The server is restarting|The connection is lost/).waitFor();
      await mira.picture('restarting');
      s = await startPocketSovereign({ dataDir, listen: new URL(s.url).host });
      s.sandbox.inject('high-memory');
      await mira.page.getByText('Live', { exact: true }).waitFor();
      await mira.page
        .getByText(/Memory nearly exhausted/)
        .first()
        .waitFor();
    } finally {
      await browser.close();
      await s.stop();
      await rm(dataDir, { recursive: true, force: true });
    }
  });
});
