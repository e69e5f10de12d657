/** A person at the console: a real browser, logged in, that leaves pictures of what it saw. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import axe from 'axe-core';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';

const root = join(import.meta.dirname, '../..');
/** Pictures of the last run, to be looked at; not kept in Git. */
const pictures = join(root, '.testbed', 'console');

/** Builds the console where its sources are newer than what is built; the server looks for it when it starts. */
export async function buildConsole(): Promise<void> {
  await promisify(execFile)(process.execPath, [join(root, 'tools/build.js')]);
}

export interface Person {
  page: Page;
  /** What the page complained about: errors, refused scripts, failed requests. */
  complaints: string[];
  picture(name: string): Promise<void>;
  /** Fails with what axe-core found against WCAG 2.1 AA and good practice. */
  accessible(): Promise<void>;
  leave(): Promise<void>;
}

/** A server that makes login links. */
interface LinkMaker {
  url: string;
  post(path: string, body: object): Promise<{ path?: string }>;
}

/** Opens a browser window and logs in by a one-time link. */
export async function enter(browser: Browser, s: LinkMaker, look: BrowserContextOptions = {}): Promise<Person> {
  const { path } = await s.post('/api/v1/login-links', { person: 'mira' });
  const person = await visit(browser, s.url, look);
  await person.page.goto(s.url + path);
  await isIn(person);
  return person;
}

/** Fills in the forms of the OpenID provider that the page has been led to, until it is back and logged in. */
export async function logInAtProvider({ page }: Person, name: string): Promise<void> {
  await page.locator('input[name="login"]').fill(name);
  await page.locator('input[name="password"]').fill(name);
  await page.locator('button[type="submit"]').click();
  await page.getByRole('button', { name: 'Continue' }).click();
}

/** Waits for the console with its stream. */
export async function isIn({ page }: Person): Promise<void> {
  await page.getByRole('navigation', { name: 'Views' }).waitFor();
  await page.getByText('Live', { exact: true }).waitFor();
}

/** Opens a browser window without logging in. */
export async function visit(browser: Browser, url: string, look: BrowserContextOptions = {}): Promise<Person> {
  const context = await browser.newContext({
    viewport: { width: 1360, height: 860 },
    reducedMotion: 'reduce',
    baseURL: url,
    ...look,
  });
  const page = await context.newPage();
  // A machine whose cores are shared by other tests answers late, and is right to.
  page.setDefaultTimeout(60_000);
  const complaints: string[] = [];
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('console', (message) => {
    // Not ready is an answer like any other, and the browser notes its status as an error.
    if (message.type() === 'error' && !message.location().url.endsWith('/readyz'))
      complaints.push(`${message.text()} ${message.location().url}`);
  });
  return {
    page,
    complaints,
    picture: async (name) => {
      await mkdir(pictures, { recursive: true });
      await page.screenshot({ path: join(pictures, `${name}.png`) });
    },
    accessible: async () => {
      await page.evaluate(axe.source);
      const { violations } = await page.evaluate(() => (globalThis as unknown as { axe: typeof axe }).axe.run());
      const found = violations.map(
        ({ id, help, nodes }) => `${id}: ${help}: ${nodes.map((node) => node.html).join(' ')}`,
      );
      assert.deepEqual(found, []);
    },
    leave: () => context.close(),
  };
}
