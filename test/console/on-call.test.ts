/** Who is on call, as people see it: now, next, the strip of shifts, who stands in, the calendar. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Browser } from 'playwright-core';
import { findChromium, startChromium } from '../../testbed/chromium.ts';
import { temporaryDirectory } from '../../testbed/process.ts';
import { describeReal } from '../../testbed/real.ts';
import { type PocketSovereign, startPocketSovereign } from '../support/pocket-sovereign.ts';
import { privateFile } from '../support/served.ts';
import { buildConsole, enter } from './browser.ts';

const day = 86_400_000;
/** On the wall of UTC, where these schedules are. */
const wall = (at: number) => new Date(at).toISOString().slice(0, 16);

/** Three people by turns of three days since a week ago, and somebody who stands in the day after tomorrow. */
const schedule = (now: number) => `
apiVersion: catalyst.openova.io/v1alpha1
kind: OnCallSchedule
metadata: { name: sre }
spec:
  timeZone: Etc/UTC
  rotations:
    - { name: primary, people: [alice, bob, mira], start: "${wall(now - 7 * day)}", every: Day, length: 3 }
  overrides:
    - { person: jo, from: "${wall(now + 2 * day)}", to: "${wall(now + 3 * day)}" }
`;

describeReal('on-call in the console', findChromium, () => {
  const stops: (() => unknown)[] = [];
  let s: PocketSovereign;
  let browser: Browser;
  before(async () => {
    await buildConsole();
    const folder = temporaryDirectory('console-on-call');
    stops.push(folder.remove);
    privateFile(folder.path, 'sre.yaml', schedule(Date.now()));
    s = await startPocketSovereign({
      drills: true,
      change: (config) => ({ ...config, catalog: { ...config.catalog, sources: [{ folder: folder.path }] } }),
    });
    stops.push(s.stop);
    browser = await startChromium();
    stops.push(() => browser.close());
  });
  after(async () => {
    for (const stop of stops.reverse()) await stop();
  });

  test('who is on call and who comes next, in local time with UTC on hover', async () => {
    const mira = await enter(browser, s, { timezoneId: 'America/New_York', locale: 'en-GB' });
    await mira.page.goto('/on-call/sre');
    const card = mira.page.getByRole('region', { name: 'Schedule sre' });
    const [sre] = await s.list('/api/v1/on-call');
    assert.ok(sre?.person && sre.next.person);
    await card.getByText(sre.person, { exact: true }).first().waitFor();
    const time = card.locator('dd').nth(1).locator('time');
    const utc = new Date(sre.next.from);
    const local = new Intl.DateTimeFormat('en-GB', {
      timeZone: 'America/New_York',
      hour: '2-digit',
      minute: '2-digit',
    });
    assert.ok((await time.textContent())?.includes(local.format(utc)));
    assert.equal(await time.getAttribute('title'), utc.toISOString().replace('T', ' ').replace('Z', ' UTC'));
    await mira.leave();
  });

  test('the shifts of two weeks as a strip, with who stands in, and as a calendar', async () => {
    const mira = await enter(browser, s);
    await mira.page.goto('/on-call');
    const card = mira.page.getByRole('region', { name: 'Schedule sre' });
    const shifts = card.getByRole('list', { name: 'Shifts of the next 14 days' });
    await shifts.getByText('jo (stands in)').waitFor();
    await shifts.getByRole('listitem').nth(4).waitFor();
    const [download] = await Promise.all([
      mira.page.waitForEvent('download'),
      card.getByRole('link', { name: 'iCalendar' }).click(),
    ]);
    assert.equal(download.suggestedFilename(), 'sre.ics');
    await mira.accessible();
    await mira.picture('on-call');
    assert.deepEqual(mira.complaints, []);
    await mira.leave();
  });

  test('it is as readable in the dark, on a narrow screen', async () => {
    const mira = await enter(browser, s, { colorScheme: 'dark', viewport: { width: 390, height: 844 } });
    await mira.page.goto('/on-call');
    await mira.page.getByRole('list', { name: 'Shifts of the next 7 days' }).getByText('jo (stands in)').waitFor();
    await mira.accessible();
    assert.equal(await mira.page.evaluate('document.documentElement.scrollWidth > innerWidth'), false);
    await mira.picture('dark-on-call-schedule');
    await mira.leave();
  });
});
