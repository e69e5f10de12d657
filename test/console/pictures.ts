/**
 * Makes the pictures of the README and of docs/ anew (`npm run pictures`): the product beside a pocket Sovereign at its
 * own pace, as a visitor sees it. With `--all` every view in light and dark, wide and narrow, into `.testbed/console`.
 */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { type SandboxApp, startSandboxApp } from '../../src/app/sandbox.ts';
import { startChromium } from '../../testbed/chromium.ts';
import { buildConsole } from './browser.ts';

const root = join(import.meta.dirname, '../..');
const docs = join(root, 'docs/images');
const looked = join(root, '.testbed/console');
/** The slowest step is a verification that has to hold for two minutes. */
const patienceMs = 240_000;

const wide = { viewport: { width: 1360, height: 860 } };
const phone = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2 };

async function enter(browser: Browser, s: SandboxApp, look: BrowserContextOptions): Promise<Page> {
  const link = await s.sessions?.makeLink(
    { person: 'user/mira', role: 'sovereign-admin' },
    { id: 'token/sandbox', role: 'sovereign-admin' },
  );
  const context = await browser.newContext({ reducedMotion: 'reduce', baseURL: s.url, ...look });
  const page = await context.newPage();
  page.setDefaultTimeout(patienceMs);
  await page.goto(`/auth/link/${link?.secret}`);
  await page.getByText('Live', { exact: true }).waitFor();
  return page;
}

/** What is asked has been answered, and what was loaded is drawn. `networkidle` is told once a page only, so it is counted here. */
async function settled(page: Page): Promise<void> {
  for (let quiet = 0; quiet < 5; quiet++) {
    const before = await requestsOf(page);
    await page.waitForTimeout(150);
    if ((await requestsOf(page)) !== before) quiet = 0;
  }
}
const requestsOf = (page: Page) => page.evaluate<number>("performance.getEntriesByType('resource').length");

async function withSandbox<T>(mode: 'Approval' | 'Automatic', work: (s: SandboxApp) => Promise<T>): Promise<T> {
  const dataDir = await mkdtemp(join(tmpdir(), 'pictures-'));
  const s = await startSandboxApp({
    environment: {},
    version: 'pictures',
    dataDir,
    listen: '127.0.0.1:0',
    drills: true,
    change: (config) => ({ ...config, sovereign: { ...config.sovereign, mode } }),
  });
  try {
    return await work(s);
  } finally {
    await s.stop();
    await rm(dataDir, { recursive: true, force: true });
  }
}

/** An incident from its alert to its proof, where runbooks ask. */
async function incident(browser: Browser, s: SandboxApp): Promise<void> {
  const page = await enter(browser, s, wide);
  const picture = async (name: string) => {
    await settled(page);
    await page.screenshot({ path: join(docs, `${name}.png`) });
  };
  s.sandbox.inject('high-memory');
  await page.getByRole('heading', { name: 'Waits for you' }).waitFor();
  await picture('overview');
  await page.getByRole('link', { name: /Memory nearly exhausted/ }).click();
  const panel = page.getByRole('article', { name: 'Incident' });
  await panel.getByRole('button', { name: /Acknowledge/ }).click();
  await panel.getByRole('button', { name: 'What would it do now?' }).click();
  await panel.getByText('nothing was written and nothing was done').waitFor();
  const runbooks = panel.getByRole('heading', { name: 'Runbooks that fit' });
  await runbooks.evaluate((heading) => heading.scrollIntoView());
  await picture('incident');
  await panel.getByRole('button', { name: 'Approve this plan' }).click();
  await panel.getByText('Resolved', { exact: true }).waitFor();
  await panel.getByText('Succeeded', { exact: true }).first().waitFor();
  await panel.evaluate((article) => article.scrollTo(0, 0));
  await picture('verified');
}

/** The first thing a visitor does. */
async function drill(browser: Browser, s: SandboxApp): Promise<void> {
  const page = await enter(browser, s, { ...wide, colorScheme: 'dark' });
  await page.getByRole('button', { name: 'Start a drill' }).click();
  await page.getByText('Passed', { exact: true }).waitFor();
  await settled(page);
  await page.screenshot({ path: join(docs, 'drill.png') });
}

/** How the objectives stand. */
async function objectives(browser: Browser, s: SandboxApp): Promise<void> {
  const page = await enter(browser, s, wide);
  await page.goto('/slos');
  await page.getByText('60 %').first().waitFor();
  await settled(page);
  await page.screenshot({ path: join(docs, 'slos.png') });
}

async function everyView(browser: Browser, s: SandboxApp): Promise<void> {
  const views = ['', 'incidents', 'runs', 'approvals', 'runbooks', 'slos', 'on-call', 'audit', 'handbook', 'drills'];
  for (const colorScheme of ['light', 'dark'] as const)
    for (const [size, look] of Object.entries({ wide, phone })) {
      const page = await enter(browser, s, { ...look, colorScheme });
      for (const view of [...views, 'settings', 'runbooks/openbao-sealed', 'drills/openbao-sealed']) {
        await page.goto(`/${view}`);
        await settled(page);
        const name = `look-${colorScheme}-${size}-${view.replace('/', '-') || 'overview'}`;
        await page.screenshot({ path: join(looked, `${name}.png`) });
      }
      await page.goto('/incidents');
      await page.getByRole('region', { name: 'Incidents, newest first' }).getByRole('link').first().click();
      await page.getByRole('heading', { name: 'Timeline' }).waitFor();
      await settled(page);
      await page.screenshot({ path: join(looked, `look-${colorScheme}-${size}-incident.png`) });
      await page.context().close();
    }
}

await buildConsole();
await Promise.all([docs, looked].map((folder) => mkdir(folder, { recursive: true })));
const browser = await startChromium();
try {
  if (!process.argv.includes('--all')) await withSandbox('Approval', (s) => incident(browser, s));
  await withSandbox('Automatic', async (s) => {
    await drill(browser, s);
    await objectives(browser, s);
    if (process.argv.includes('--all')) await everyView(browser, s);
  });
} finally {
  await browser.close();
}
