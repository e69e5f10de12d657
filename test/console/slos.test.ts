/** Objectives and error budgets as people see them: a real Prometheus with the generated rules and a day behind it. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Browser } from 'playwright-core';
import { renderPrometheus } from '../../src/app/slo-offline.ts';
import { findChromium, startChromium } from '../../testbed/chromium.ts';
import { temporaryDirectory } from '../../testbed/process.ts';
import { findPrometheus, startPrometheus } from '../../testbed/prometheus.ts';
import { describeReal } from '../../testbed/real.ts';
import { type PocketSovereign, startPocketSovereign } from '../support/pocket-sovereign.ts';
import { privateFile } from '../support/served.ts';
import { buildConsole, enter, type Person } from './browser.ts';

const minute = 60_000;

/** Objectives that were measured, by the labels of each budget: the share of bad events by how many minutes ago. */
const courses: readonly { slo: string; labels: string; bad(ago: number): number }[] = [
  { slo: 'console-availability', labels: '', bad: () => 0.0004 },
  { slo: 'fingate-api-availability', labels: '', bad: (ago) => (ago <= 65 ? 0.008 : 0) },
  { slo: 'llm-inference-latency', labels: 'namespace="cortex",model_name="mistral"', bad: () => 0.09 },
  { slo: 'llm-inference-latency', labels: 'namespace="ai-prod",model_name="mistral"', bad: () => 0.001 },
];

/** What the rules would have recorded over the last day: ten events a second, a sample a minute, in OpenMetrics. */
function history(now: number): string {
  const series = ['bad', 'total'].flatMap((name) => [
    `# TYPE slo:${name}:5m gauge`,
    ...courses.flatMap(({ slo, labels, bad }) =>
      Array.from({ length: 24 * 60 + 1 }, (_, at) => 24 * 60 - at).map(
        (ago) =>
          `slo:${name}:5m{slo="${slo}",slo_service="x"${labels && ','}${labels}} ${name === 'total' ? 10 : 10 * bad(ago)} ${(now - ago * minute) / 1_000}`,
      ),
    ),
  ]);
  return `${series.join('\n')}\n# EOF\n`;
}

describeReal(
  'objectives in the console, beside a Prometheus that knows the last day',
  [findChromium, findPrometheus],
  () => {
    const stops: (() => unknown)[] = [];
    let s: PocketSovereign;
    let browser: Browser;
    let mira: Person;
    before(async () => {
      await buildConsole();
      const directory = temporaryDirectory('console-slos');
      stops.push(directory.remove);
      const wanted = new Set(courses.map(({ slo }) => slo));
      const ruleFiles = (await renderPrometheus({ from: [] })).files
        .filter(
          ({ path }) =>
            path.startsWith('prometheus/rules/') && wanted.has(/slo-([a-z-]+)\.yaml$/.exec(path)?.[1] ?? ''),
        )
        .map(({ text }, at) =>
          privateFile(directory.path, `${at}.yml`, text.replaceAll(/interval: \d+[sm]/g, 'interval: 1s')),
        );
      assert.equal(ruleFiles.length, wanted.size);
      const prometheus = await startPrometheus({ ruleFiles, openMetrics: history(Date.now()) });
      stops.push(prometheus.stop);
      s = await startPocketSovereign({
        drills: true,
        change: (config) => ({
          ...config,
          integrations: { ...config.integrations, prometheus: { url: prometheus.url } },
        }),
      });
      stops.push(s.stop);
      await s.until('the budgets are recorded', async () => {
        const slos = await s.list('/api/v1/slos?limit=200');
        return slos.filter(({ name, state }) => wanted.has(name) && state !== 'NoData').length === wanted.size;
      });
      browser = await startChromium();
      stops.push(() => browser.close());
      mira = await enter(browser, s);
    });
    after(async () => {
      for (const stop of stops.reverse()) await stop();
    });

    test('they stand in their chapters, with the state, what is left, and how fast it burns', async () => {
      await mira.page.keyboard.press('g');
      await mira.page.keyboard.press('l');
      await mira.page.getByRole('heading', { name: '§9.3 Open Banking' }).waitFor();
      const row = mira.page.getByRole('link', { name: /Open Banking API availability/ });
      await row.getByText('Burning', { exact: true }).waitFor();
      await row.getByRole('img', { name: /over 1h/ }).waitFor();
      await mira.accessible();
      await mira.picture('slos');
    });

    test('one of them is opened by keyboard and has an address; every budget of it is there', async () => {
      await mira.page.keyboard.press('/');
      await mira.page.keyboard.type('LLM inference');
      await mira.page.keyboard.press('Escape');
      await mira.page.keyboard.press('j');
      await mira.page.keyboard.press('Enter');
      const panel = mira.page.getByRole('article', { name: 'Objective' });
      await panel.getByText('acme', { exact: true }).waitFor();
      await panel.getByText('namespace=ai-prod, model_name=mistral').waitFor();
      await mira.page.waitForURL(/\/slos\/llm-inference-latency\?q=/);
      await mira.accessible();
      await mira.picture('slo');
    });

    test('as one Organization it is only what that one may see', async () => {
      await mira.page.getByLabel('Organization').selectOption('acme');
      await mira.page.getByText('1 exhausted').first().waitFor();
      assert.equal(await mira.page.getByText('§9.1 Catalyst control plane').count(), 0);
      await mira.page.waitForURL(/organization=acme/);
    });

    test('an alert of an objective leads to it, and it names the alert', async () => {
      await s.fire({
        labels: {
          alertname: 'FingateApiAvailabilityBudgetBurn',
          slo: 'fingate-api-availability',
          severity: 'critical',
        },
        summary: 'API availability burns its error budget',
      });
      const id = await s.until(
        'the incident is there',
        async () => (await s.list('/api/v1/incidents'))[0]?.id as string,
      );
      await mira.page.goto(`/incidents/${id}`);
      await mira.page.getByRole('link', { name: 'Its objective and error budget' }).click();
      const panel = mira.page.getByRole('article', { name: 'Objective' });
      await panel.getByRole('link', { name: /FingateApiAvailabilityBudgetBurn/ }).waitFor();
      assert.deepEqual(mira.complaints, []);
    });

    test('it is as readable in the dark, on a narrow screen', async () => {
      const narrow = await enter(browser, s, { colorScheme: 'dark', viewport: { width: 390, height: 844 } });
      for (const path of ['/slos', '/slos/llm-inference-latency']) {
        await narrow.page.goto(path);
        // The list is there also where only the panel has room.
        await narrow.page.locator('.badge').filter({ hasText: 'Exhausted', visible: true }).first().waitFor();
        await narrow.accessible();
        assert.equal(await narrow.page.evaluate('document.documentElement.scrollWidth > innerWidth'), false);
        await narrow.picture(`dark-slos-${path.split('/')[2] ?? 'all'}`);
      }
      await narrow.leave();
    });
  },
);

describeReal('objectives where Prometheus has no rules for them', findChromium, () => {
  test('the view says what to do', async () => {
    await buildConsole();
    const s = await startPocketSovereign();
    s.sandbox.prometheus.load([]);
    const browser = await startChromium();
    try {
      const mira = await enter(browser, s);
      await mira.page.goto('/slos');
      await mira.page.getByText('npx catalyst-sre render prometheus').waitFor();
      await mira.accessible();
      await mira.picture('slos-nothing');
    } finally {
      await browser.close();
      await s.stop();
    }
  });
});
