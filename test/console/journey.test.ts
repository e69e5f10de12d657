/** The console as people use it at night, in a real browser beside a pocket Sovereign (handbook §8.2, §13, §14). */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Browser } from 'playwright-core';
import { findChromium, startChromium } from '../../testbed/chromium.ts';
import { describeReal } from '../../testbed/real.ts';
import { type PocketSovereign, startPocketSovereign } from '../support/pocket-sovereign.ts';
import { buildConsole, enter, type Person, visit } from './browser.ts';

describeReal('the console, where runbooks ask', findChromium, () => {
  let s: PocketSovereign;
  let browser: Browser;
  let mira: Person;
  before(async () => {
    await buildConsole();
    s = await startPocketSovereign({
      drills: true,
      change: (config) => ({ ...config, sovereign: { ...config.sovereign, mode: 'Approval' } }),
    });
    browser = await startChromium();
    mira = await enter(browser, s);
  });
  after(async () => {
    await browser?.close();
    await s?.stop();
  });

  test('a visitor without a session is taught how to get in', async () => {
    const stranger = await visit(browser, s.url);
    await stranger.page.goto('/incidents?login=LinkUsed');
    await stranger.page.getByText('npx catalyst-sre login').waitFor();
    assert.match((await stranger.page.getByRole('alert').textContent()) ?? '', /used before/);
    await stranger.accessible();
    await stranger.picture('login');
    await stranger.leave();
  });

  test('an alert arrives while I watch', async () => {
    await mira.page.getByRole('heading', { name: 'All is well' }).waitFor();
    s.sandbox.inject('high-memory');
    await mira.page.getByRole('heading', { name: /One open incident, P3/ }).waitFor();
    await mira.page
      .getByText(/Memory nearly exhausted/)
      .first()
      .waitFor();
    await mira.page.getByRole('heading', { name: 'Waits for you' }).waitFor();
    await mira.accessible();
    await mira.picture('overview');
  });

  test('I acknowledge it', async () => {
    await mira.page.keyboard.press('g');
    await mira.page.keyboard.press('i');
    await mira.page.getByRole('region', { name: 'Incidents, newest first' }).getByRole('link').waitFor();
    await mira.page.keyboard.press('j');
    await mira.page.keyboard.press('Enter');
    await mira.page
      .getByRole('article', { name: 'Incident' })
      .getByRole('button', { name: /Acknowledge/ })
      .waitFor();
    await mira.page.keyboard.press('a');
    await mira.page.getByText('taken by user/mira').waitFor();
    const [incident] = await s.list('/api/v1/incidents');
    assert.equal(incident?.state, 'Acknowledged');
    assert.equal(incident?.acknowledgedBy, 'user/mira');
  });

  test('I read what the runbook would do, and what it looked at', async () => {
    const panel = mira.page.getByRole('article', { name: 'Incident' });
    await panel.getByRole('heading', { name: 'By hand' }).waitFor();
    const runbooks = panel.locator('section', { has: mira.page.getByRole('heading', { name: 'Runbooks that fit' }) });
    await runbooks.getByRole('button', { name: 'What would it do now?' }).first().click();
    await panel.getByText('nothing was written and nothing was done').waitFor();
    assert.ok((await panel.getByText('kubernetes.reachable').count()) > 0);
    await mira.accessible();
    await mira.picture('incident');
  });

  test('I approve the plan that is shown, and it is the plan that is run', async () => {
    const panel = mira.page.getByRole('article', { name: 'Incident' });
    assert.equal(s.sandbox.world.deployment('shop-prod', 'catalog').spec.replicas, 2);
    await panel.getByText('Scale Deployment shop-prod/catalog from 2 to 3 replicas').first().waitFor();
    await panel.getByLabel('Comment, for the record').fill('go ahead');
    await panel.getByRole('button', { name: 'Approve this plan' }).click();
    await panel.getByText('Under way').first().waitFor();
    await panel
      .getByLabel(/^Verification over time/)
      .locator('canvas')
      .waitFor();
    assert.equal(s.sandbox.world.deployment('shop-prod', 'catalog').spec.replicas, 3);
    await mira.picture('verifying');
  });

  test('I see it verified', async () => {
    const panel = mira.page.getByRole('article', { name: 'Incident' });
    await panel.getByText('Every step was done and the fix is verified.').first().waitFor();
    await panel.getByText('Resolved', { exact: true }).waitFor();
    await mira.accessible();
    await mira.picture('verified');
  });

  test('I find it in the audit, and the chain is intact', async () => {
    await mira.page.getByRole('link', { name: 'This incident in the audit record' }).click();
    await mira.page
      .getByRole('region', { name: /Entries of the record/ })
      .getByText(/user\/mira/)
      .first()
      .waitFor();
    await mira.page.getByRole('button', { name: 'Verify the chain' }).click();
    await mira.page.getByText('Intact').waitFor();
    await mira.accessible();
    await mira.picture('audit');
    assert.deepEqual(mira.complaints, []);
  });
});
