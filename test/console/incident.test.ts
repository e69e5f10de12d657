/** What people do to incidents at the console: merge, split, call for help, review, and two of them at once (handbook §13). */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Browser, Route } from 'playwright-core';
import { findChromium, startChromium } from '../../testbed/chromium.ts';
import { describeReal } from '../../testbed/real.ts';
import { type PocketSovereign, startPocketSovereign } from '../support/pocket-sovereign.ts';
import { buildConsole, enter, type Person } from './browser.ts';

describeReal('what people do to incidents at the console', findChromium, () => {
  let s: PocketSovereign;
  let browser: Browser;
  let mira: Person;
  before(async () => {
    await buildConsole();
    s = await startPocketSovereign({ drills: true });
    browser = await startChromium();
    mira = await enter(browser, s);
  });
  after(async () => {
    await browser?.close();
    await s?.stop();
  });

  const deliver = (...alerts: { name: string; pod: string }[]) =>
    s.fire(
      ...alerts.map(({ name, pod }) => ({
        labels: { alertname: name, namespace: 'shop-prod', pod },
        summary: `${name} at ${pod}`,
      })),
    );
  const incidentOf = (word: string) =>
    s.until(`the incident of ${word}`, async () =>
      (await s.list('/api/v1/incidents?limit=200')).find(
        ({ title, state }) => title.includes(word) && state !== 'Resolved',
      ),
    );
  const panel = () => mira.page.getByRole('article', { name: 'Incident' });
  const dialog = () => mira.page.getByRole('dialog');

  test('one is merged into another, which goes on with the alerts of both, and says why', async () => {
    await deliver({ name: 'BasketOdd', pod: 'basket-0' }, { name: 'TillOdd', pod: 'till-0' });
    const [basket, till] = [await incidentOf('BasketOdd'), await incidentOf('TillOdd')];
    await mira.page.goto(`/incidents/${till.id}`);
    await panel().getByRole('button', { name: 'Merge …' }).click();
    await dialog().getByText('BasketOdd').first().click();
    await mira.accessible();
    await mira.picture('merge');
    await dialog().getByRole('button', { name: 'Merge', exact: true }).click();
    await panel()
      .getByRole('heading', { name: /BasketOdd/ })
      .waitFor();
    await mira.page.waitForURL(({ pathname }) => pathname === `/incidents/${basket.id}`);
    await panel().getByText('TillOdd at till-0').waitFor();
    await panel().getByText('Why these alerts are one incident').waitFor();
    assert.equal((await s.get(`/api/v1/incidents/${till.id}`)).mergedInto, basket.id);
  });

  test('alerts are split off into one of their own', async () => {
    const basket = await incidentOf('BasketOdd');
    await panel().getByRole('button', { name: 'Split …' }).click();
    await dialog().getByText('TillOdd at till-0').click();
    await dialog()
      .getByLabel(/Title of the new one/)
      .fill('The till by itself');
    await dialog().getByRole('button', { name: 'Split', exact: true }).click();
    await panel()
      .getByRole('heading', { name: /The till by itself/ })
      .waitFor();
    const { splitFrom } = await incidentOf('The till by itself');
    assert.equal(splitFrom, basket.id);
  });

  test('somebody else was first: it is said who, and what is shown is new', async () => {
    const till = await incidentOf('The till by itself');
    await deliver({ name: 'ShelfOdd', pod: 'shelf-0' });
    const shelf = await incidentOf('ShelfOdd');
    await mira.page.goto(`/incidents/${till.id}`);
    await panel().getByRole('button', { name: 'Merge …' }).click();
    await dialog().getByText('ShelfOdd').first().click();
    // Between the look and the press; the page learns of it, and its dialog still holds what was seen.
    const seenFirst = async (route: Route) => {
      await s.post(`/api/v1/incidents/${shelf.id}/notes`, { text: 'I am on it' });
      await route.continue();
    };
    await mira.page.route('**/merge', seenFirst, { times: 1 });
    await dialog().getByRole('button', { name: 'Merge', exact: true }).click();
    await dialog()
      .getByRole('alert')
      .getByText(/has changed since you read it.*token\/sandbox/)
      .waitFor();
    await mira.picture('conflict');
    await mira.page.keyboard.press('Escape');
  });

  test('two press Acknowledge at once: who comes second reads who was first, and sees it taken', async () => {
    await deliver({ name: 'DoorOdd', pod: 'door-0' });
    const door = await incidentOf('DoorOdd');
    await mira.page.goto(`/incidents/${door.id}`);
    const sent: unknown[] = [];
    const takenFirst = async (route: Route) => {
      sent.push(route.request().postDataJSON());
      await s.post(`/api/v1/incidents/${door.id}/acknowledge`);
      await route.continue();
    };
    await mira.page.route('**/acknowledge', takenFirst, { times: 1 });
    await panel()
      .getByRole('button', { name: /Acknowledge/ })
      .click();
    await panel()
      .getByText(/token\/sandbox acknowledged it first/)
      .waitFor();
    await panel().getByText('taken by token/sandbox').waitFor();
    assert.deepEqual(sent, [{ version: door.version }]);
  });

  test('help is called for, and it is on the timeline who did', async () => {
    await panel().getByRole('button', { name: 'Call for help …' }).click();
    await dialog()
      .getByLabel(/What you need/)
      .fill('Somebody who knows the till');
    await dialog().getByRole('button', { name: 'Page the next step' }).click();
    await panel()
      .getByText(/Somebody who knows the till/)
      .first()
      .waitFor();
  });

  test('the draft of the review is read, and taken along', async () => {
    await mira.page.goto(`/incidents/${(await incidentOf('The till by itself')).id}`);
    await panel().getByRole('button', { name: 'Draft of the review' }).click();
    await dialog().getByRole('region', { name: 'The draft' }).getByText('The till by itself').first().waitFor();
    await mira.accessible();
    await mira.picture('review');
    const [download] = await Promise.all([
      mira.page.waitForEvent('download'),
      dialog().getByRole('link', { name: 'Download' }).click(),
    ]);
    assert.match(download.suggestedFilename(), /^review-.*\.md$/);
    await mira.page.keyboard.press('Escape');
  });

  test('the overview says how incidents went', async () => {
    // Figures are up to a minute old: those that were asked for when nothing had happened yet have to run out.
    await s.until('figures that know of the incidents', async () => {
      const { total } = await s.get('/api/v1/statistics/incidents?window=30d&limit=1');
      return total.incidents > 0;
    });
    await mira.page.goto('/');
    await mira.page.getByRole('heading', { name: 'The last 30 days' }).waitFor();
    await mira.page.getByText('Fixed by automation, verified').waitFor();
    await mira.accessible();
    await mira.picture('figures');
  });
});
