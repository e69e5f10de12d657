/** The page behind the link of a page, on a phone at night: what it says, by keyboard too, and of links that are worth nothing. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Browser } from 'playwright-core';
import { linkKeysOf, readClaim, signClaim } from '../../src/notify/signed-link.ts';
import { readOrMakeSecret } from '../../src/notify/signing-key-store.ts';
import { findChromium, startChromium } from '../../testbed/chromium.ts';
import { describeReal } from '../../testbed/real.ts';
import { type Item, type PocketSovereign, startPocketSovereign } from '../support/pocket-sovereign.ts';
import { type Person, visit } from './browser.ts';

const phone = { viewport: { width: 390, height: 844 } };

describeReal('the link in a page', findChromium, () => {
  let s: PocketSovereign;
  let browser: Browser;
  let incident: Item;
  let url = '';
  before(async () => {
    s = await startPocketSovereign();
    browser = await startChromium();
    await s.fire({
      labels: { alertname: 'TillOdd', namespace: 'shop-prod', pod: 'till-0' },
      summary: 'The till is odd',
    });
    incident = await s.until('an incident is open', async () => (await s.list('/api/v1/incidents'))[0]);
    await s.post(`/api/v1/incidents/${incident.id}/escalate`);
    url = await s.until('the page came', async () =>
      s.sandbox.pager
        .received()
        .map(({ body }) => (body as { acknowledgeUrl?: string }).acknowledgeUrl)
        .find((found) => found !== undefined),
    );
  });
  after(async () => {
    await browser?.close();
    await s?.stop();
  });

  const open = async (address: string, look: object = phone): Promise<Person> => {
    const person = await visit(browser, s.url, look);
    await person.page.goto(address);
    return person;
  };
  const button = ({ page }: Person) => page.getByRole('button', { name: 'Acknowledge' });
  /** The link with another claim, signed with the key there is. */
  const signed = async (change: { expiresAt: number }) => {
    const { acknowledge } = linkKeysOf(await readOrMakeSecret(s.database.db, 'links', s.clock.now()));
    const claim = readClaim(acknowledge, url.split('/ack/')[1] ?? '');
    assert.ok(claim);
    return url.replace(/\/ack\/.*/, `/ack/${signClaim(acknowledge, { ...claim, ...change })}`);
  };

  test('one that was forged or cut, or that has run out, says so and offers no button', async () => {
    const forged = url.replace(/\/ack\/(.)/, (_, letter) => `/ack/${letter === 'A' ? 'B' : 'A'}`);
    for (const [address, title] of [
      [forged, 'This link is not known'],
      [url.slice(0, -3), 'This link is not known'],
      [await signed({ expiresAt: s.clock.now() - 1 }), 'This link has run out'],
    ] as const) {
      const person = await open(address);
      await person.page.getByRole('heading', { name: title }).waitFor();
      assert.equal(await button(person).count(), 0);
      await person.accessible();
      await person.leave();
    }
    assert.equal((await s.get(`/api/v1/incidents/${incident.id}`)).state, 'Open');
  });

  test('looking changes nothing; the button, by keyboard, makes it mine; who comes second is told who was first', async () => {
    const late = await open(url, { ...phone, colorScheme: 'dark' });
    const mine = await open(url);
    for (const person of [mine, late]) {
      await button(person).waitFor();
      await person.accessible();
    }
    await mine.picture('acknowledge');
    await late.picture('dark-acknowledge');
    assert.equal((await s.get(`/api/v1/incidents/${incident.id}`)).state, 'Open');

    await mine.page.keyboard.press('Tab');
    await mine.page.keyboard.press('Enter');
    await mine.page.getByText('It is yours.').waitFor();
    await mine.accessible();
    await mine.picture('acknowledge-done');
    const { state, acknowledgedBy } = await s.get(`/api/v1/incidents/${incident.id}`);
    assert.deepEqual([state, acknowledgedBy], ['Acknowledged', 'receiver/default']);

    await button(late).click();
    await late.page.getByText(/receiver\/default was first/).waitFor();
    await late.accessible();
    const again = await open(url);
    await again.page.getByText(/acknowledged already/).waitFor();
    assert.equal(await button(again).count(), 0);
    for (const person of [mine, late, again]) await person.leave();
  });

  test('once the key is replaced it is not known any more, at once', async () => {
    await s.post('/api/v1/link-key/replace');
    const person = await open(url);
    await person.page.getByRole('heading', { name: 'This link is not known' }).waitFor();
    await person.leave();
    const entries = await s.list('/api/v1/record?order=desc&limit=20');
    assert.equal(entries.find(({ kind }) => kind === 'access.linkKeyReplaced')?.actor, 'token/sandbox');
  });
});
