/** Logging in at a real OpenID provider with a real browser, and what somebody of one Organization sees (handbook §1, §8.3). */
import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import type { Browser } from 'playwright-core';
import { findChromium, startChromium } from '../../testbed/chromium.ts';
import { freePort, temporaryDirectory } from '../../testbed/process.ts';
import { describeReal } from '../../testbed/real.ts';
import { type OpenIdProvider, startOpenIdProvider } from '../integrations/openid-provider.ts';
import { type PocketSovereign, startPocketSovereign } from '../support/pocket-sovereign.ts';
import { privateFile } from '../support/served.ts';
import { buildConsole, isIn, logInAtProvider, visit } from './browser.ts';

describeReal('people of an OpenID provider at the console', findChromium, () => {
  const stops: (() => unknown)[] = [];
  let provider: OpenIdProvider;
  let s: PocketSovereign;
  let browser: Browser;
  before(async () => {
    await buildConsole();
    const directory = temporaryDirectory('console-login');
    stops.push(() => rm(directory.path, { recursive: true, force: true }));
    const listen = `127.0.0.1:${await freePort()}`;
    const publicUrl = `http://${listen}`;
    const secret = 'a-client-secret-of-the-test';
    provider = await startOpenIdProvider({
      client: { id: 'catalyst-sre', secret, redirectUri: `${publicUrl}/auth/callback` },
      people: { mira: ['sre-admins', 'officers'], jo: ['acme-viewers'], eve: ['somebody-else'] },
    });
    stops.push(provider.close);
    s = await startPocketSovereign({
      listen,
      change: (config) => ({
        ...config,
        publicUrl,
        sovereign: { ...config.sovereign, mode: 'Approval' },
        login: {
          ...config.login,
          links: false,
          oidc: {
            issuer: provider.issuer,
            clientId: 'catalyst-sre',
            clientSecretFile: privateFile(directory.path, 'secret', secret),
            grantsClaim: 'realm_access.roles',
            usernameClaim: 'preferred_username',
            scopes: ['openid', 'profile'],
            grants: [
              { value: 'sre-admins', role: 'sovereign-admin' },
              { value: 'officers', role: 'security-officer' },
              { value: 'acme-viewers', role: 'org-viewer', organization: 'acme' },
            ],
          },
        },
      }),
    });
    stops.push(s.stop);
    browser = await startChromium();
    stops.push(() => browser.close());
  });
  after(async () => {
    for (const stop of stops.reverse()) await stop();
  });

  const alert = (name: string, namespace: string) =>
    s.fire({ labels: { alertname: name, namespace }, summary: `${name} of ${namespace}` });
  const incidentOf = (word: string) =>
    s.until(`the incident of ${word}`, async () =>
      (await s.list('/api/v1/incidents')).find(({ title }) => title.includes(word)),
    );

  test('a link to an incident leads over the login to the incident', async () => {
    await alert('GatewayOdd', 'catalyst-system');
    const { id } = await incidentOf('GatewayOdd');
    const mira = await visit(browser, s.url);
    await mira.page.goto(`/incidents/${id}`);
    await mira.page.getByRole('link', { name: 'Log in with your account' }).waitFor();
    await mira.accessible();
    await mira.picture('login-provider');
    await mira.page.getByRole('link', { name: 'Log in with your account' }).click();
    await logInAtProvider(mira, 'mira');
    await isIn(mira);
    await mira.page.waitForURL(({ pathname }) => pathname === `/incidents/${id}`);
    await mira.page
      .getByRole('article', { name: 'Incident' })
      .getByRole('heading', { name: /GatewayOdd/ })
      .waitFor();
    await mira.leave();
  });

  test('somebody with several roles takes another, and may then do what that one may', async () => {
    const mira = await visit(browser, s.url);
    await mira.page.goto('/auth/login?to=/settings');
    await logInAtProvider(mira, 'mira');
    await isIn(mira);
    await mira.page.getByRole('button', { name: 'security-officer' }).click();
    await mira.page.getByText('mira · security-officer').waitFor();
    await mira.page.keyboard.press('g');
    await mira.page.keyboard.press('i');
    await mira.page.getByRole('region', { name: 'Incidents, newest first' }).getByRole('link').first().waitFor();
    await mira.page.keyboard.press('j');
    await mira.page.keyboard.press('Enter');
    await mira.page.getByRole('article', { name: 'Incident' }).getByRole('heading', { name: 'Timeline' }).waitFor();
    assert.equal(await mira.page.getByRole('button', { name: /Acknowledge/ }).count(), 0);
    await mira.leave();
  });

  test('somebody of one Organization sees its slice and nothing else: lists, links, the stream', async () => {
    const jo = await visit(browser, s.url);
    await jo.page.goto('/auth/login?to=/');
    await logInAtProvider(jo, 'jo');
    await isIn(jo);
    await jo.page.getByText('jo · org-viewer of acme').waitFor();
    await jo.page.getByRole('heading', { name: 'All is well' }).waitFor();
    // The Sovereign's own comes first; when what came behind it is on the page, it never will be.
    await alert('SecretsOdd', 'openbao');
    const secret = await incidentOf('SecretsOdd');
    await alert('BasketOdd', 'shop-prod');
    await jo.page.getByRole('heading', { name: /One open incident/ }).waitFor();
    await jo.page
      .getByText(/BasketOdd/)
      .first()
      .waitFor();
    assert.doesNotMatch((await jo.page.locator('body').textContent()) ?? '', /SecretsOdd|GatewayOdd/);
    await jo.picture('organization');
    await jo.accessible();
    await jo.page.goto('/incidents');
    await jo.page.getByRole('link', { name: /BasketOdd/ }).waitFor();
    assert.equal(await jo.page.getByRole('region', { name: 'Incidents, newest first' }).getByRole('link').count(), 1);
    await jo.page.goto(`/incidents/${secret.id}`);
    await jo.page
      .getByRole('article', { name: 'Incident' })
      .getByText(/no incident/i)
      .waitFor();
    assert.doesNotMatch((await jo.page.locator('body').textContent()) ?? '', /SecretsOdd/);
    await jo.page.goto('/audit');
    await jo.page.getByText('Not for your role').waitFor();
    await jo.page.goto('/approvals');
    await jo.page.getByRole('heading', { name: 'Approvals', level: 1 }).waitFor();
    assert.equal(await jo.page.getByRole('button', { name: 'Approve this plan' }).count(), 0);
    await jo.leave();
  });

  test('somebody without a role is told so, and whom to ask', async () => {
    const eve = await visit(browser, s.url);
    await eve.page.goto('/auth/login?to=/');
    await logInAtProvider(eve, 'eve');
    await eve.page
      .getByRole('alert')
      .getByText(/Ask a sovereign-admin/)
      .waitFor();
    await eve.accessible();
    await eve.leave();
  });

  test('logging out leads to the login page', async () => {
    const mira = await visit(browser, s.url);
    await mira.page.goto('/auth/login?to=/settings');
    await logInAtProvider(mira, 'mira');
    await isIn(mira);
    await mira.page.getByRole('button', { name: 'Log out' }).click();
    await mira.page.getByRole('link', { name: 'Log in with your account' }).waitFor();
    await mira.leave();
  });
});
