/**
 * What a person feels in the browser: how soon the first view is there, and whether a long list and a long journal scroll
 * without a jerk. Chromium without a window, whose processor draws what a graphics card would.
 */
import { sql } from 'kysely';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { openDatabase } from '../src/database/open.ts';
import { startChromium } from '../testbed/chromium.ts';
import { figure, median, percentile } from './support/figures.ts';
import { seedHistory } from './support/history.ts';
import { type Product, startProduct } from './support/product.ts';
import { runAsProgram, type Section } from './support/report.ts';

interface ConsoleSettings {
  incidents: number;
  /** Entries of the journal that is scrolled. */
  entries: number;
  /** Times the first view is opened, each by a browser that has nothing of it. */
  views: number;
  /** Frames of a scroll through all of a list. */
  frames: number;
}

/** A person sees a jerk where a frame stays for more than three of sixty in a second, ms. */
const jerkMs = 50;
const patienceMs = 60_000;

export async function benchConsole(
  settings: ConsoleSettings = { incidents: 10_000, entries: 5_000, views: 7, frames: 300 },
): Promise<Section> {
  const { incidents, entries, views, frames } = settings;
  const product = await startProduct({ database: 'PostgreSQL' });
  const browser = await startChromium();
  try {
    await seedHistory(product, { incidents, steps: incidents });
    const { db, close } = await openDatabase({ kind: 'postgres', url: product.databaseUrl ?? '', poolSize: 2 });
    const journal = 'r00000000';
    await sql`INSERT INTO run_entry (run_id, seq, at, kind, data) SELECT ${journal}, n, now(), 'Held',
      json_build_object('sentence', 'Line ' || n) FROM generate_series(2, ${entries}::int) n`.execute(db);
    await sql`UPDATE run SET entries = ${entries} WHERE id = ${journal}`.execute(db);
    await close();
    const painted: number[] = [];
    const drawn: number[] = [];
    for (let n = 0; n < views; n++) {
      const { page, context } = await enter(browser, product);
      const { first, whole } = await firstView(page);
      // The first one makes the server read what it reads once.
      if (n > 0 || views === 1) {
        painted.push(first);
        drawn.push(whole);
      }
      await context.close();
    }
    const { page } = await enter(browser, product);
    const list = await scrolled(page, '/incidents', 'Incidents, newest first', frames);
    const log = await scrolled(page, `/runs/${journal}`, 'Journal entries', frames);
    return {
      name: 'console',
      columns: ['Console', 'Median', 'p95', 'Longest', 'Target'],
      rows: [
        row('First view: something is painted', painted, ''),
        row('First view: the overview with what is open', drawn, '< 1 s'),
        row(`Scrolling ${incidents.toLocaleString('en')} incidents: a frame`, list, `p95 < ${jerkMs} ms`),
        row(`Scrolling a journal of ${entries.toLocaleString('en')} entries: a frame`, log, `p95 < ${jerkMs} ms`),
      ],
      notes: [
        `The first view by a browser that has nothing of it, ${views} times: from the request of the page.`,
        `Scrolling: from the top to the end in ${frames} frames, a step a frame; the rows are read from the server on the way.`,
        'Chromium without a window and without a graphics card, on the machine of the server.',
      ],
    };
  } finally {
    await browser.close();
    await product.stop();
  }
}

function row(name: string, sample: readonly number[], target: string): string[] {
  return [
    name,
    ...[median(sample), percentile(sample, 0.95), percentile(sample, 1)].map((n) => figure(n, 'ms')),
    target,
  ];
}

/** A person who is logged in, in a browser that has seen nothing. */
async function enter(browser: Browser, { admin }: Product): Promise<{ page: Page; context: BrowserContext }> {
  const answer = await fetch(`${admin.url}/api/v1/login-links`, {
    method: 'POST',
    headers: { authorization: `Bearer ${admin.token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ person: 'sre' }),
  });
  if (!answer.ok) throw new Error(`A link is answered ${answer.status}: ${await answer.text()}`);
  const { path } = (await answer.json()) as { path: string };
  const first = await browser.newContext({ baseURL: admin.url });
  const page = await first.newPage();
  await page.goto(path);
  await page.getByText('Live', { exact: true }).waitFor({ timeout: patienceMs });
  const storageState = await first.storageState();
  await first.close();
  const context = await browser.newContext({ baseURL: admin.url, storageState });
  return { page: await context.newPage(), context };
}

/** ms from the request of the page: to the first paint with content, and until the overview shows what is open. */
async function firstView(page: Page): Promise<{ first: number; whole: number }> {
  await page.addInitScript(`
    new MutationObserver((_changes, observer) => {
      if (!document.querySelector('main a[href*="/incidents/"]')) return;
      observer.disconnect();
      requestAnimationFrame(() => requestAnimationFrame(() => { document.documentElement.dataset.drawn = performance.now(); }));
    }).observe(document, { childList: true, subtree: true });`);
  await page.goto('/');
  await page.locator('html[data-drawn]').waitFor({ timeout: patienceMs });
  return page.evaluate<{ first: number; whole: number }>(
    `({ first: performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? NaN, whole: Number(document.documentElement.dataset.drawn) })`,
  );
}

/** How long each frame stayed while a list was scrolled from its top to its end, ms. */
async function scrolled(page: Page, path: string, region: string, frames: number): Promise<number[]> {
  await page.goto(path);
  const list = page.getByRole('region', { name: region });
  await list.getByRole('listitem').first().waitFor({ timeout: patienceMs });
  return page.evaluate<number[]>(`(${scrollThrough})(document.querySelector('[aria-label="${region}"]'), ${frames})`);
}

/** Runs in the page. */
const scrollThrough = `async (element, count) => {
  const frame = () => new Promise((done) => requestAnimationFrame(done));
  const times = [];
  let last = await frame();
  for (let n = 1; n <= count; n++) {
    element.scrollTo(0, (element.scrollHeight * n) / count);
    const now = await frame();
    times.push(now - last);
    last = now;
  }
  return times;
}`;

await runAsProgram(import.meta.main, benchConsole);
