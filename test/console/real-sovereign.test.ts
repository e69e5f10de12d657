/**
 * The main job before somebody's eyes, on real servers: a pod crashes in a real Kubernetes, a real Prometheus and
 * Alertmanager tell it, the console shows it while one watches, a person approves, and the fix is proven (handbook §4.2,
 * §8.2, §13).
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Browser } from 'playwright-core';
import { findAlertmanager } from '../../testbed/alertmanager.ts';
import { findChromium, startChromium } from '../../testbed/chromium.ts';
import { findKubernetes } from '../../testbed/kubernetes.ts';
import { findPostgres } from '../../testbed/postgres.ts';
import { findPrometheus } from '../../testbed/prometheus.ts';
import { describeReal } from '../../testbed/real.ts';
import { fastClock } from '../integrations/support.ts';
import { breakCart, cart, crashLoopRule } from '../support/crash-loop.ts';
import { type RealSovereign, startRealSovereign } from '../support/real-sovereign.ts';
import { buildConsole, enter, type Person } from './browser.ts';

/** As in the journey without a browser: the verification holds for two minutes of the product's clock, here forty seconds. */
const pace = 3;
const namespace = 'cart-prod';

describeReal(
  'a crash loop on real servers, in front of somebody at the console',
  [findChromium, findKubernetes, findPrometheus, findAlertmanager, findPostgres],
  () => {
    let sovereign: RealSovereign;
    let browser: Browser;
    let mira: Person;
    before(async () => {
      await buildConsole();
      sovereign = await startRealSovereign({
        clock: fastClock(pace, Date.now()),
        rules: { groups: [{ name: 'handbook', rules: [crashLoopRule] }] },
        config: {
          sovereign: { name: 'testbed', mode: 'Approval' },
          policy: { defaultRunbookMode: 'Automatic' },
          organizations: [{ name: 'shop', namespaces: [namespace] }],
          login: { links: true },
        },
      });
      browser = await startChromium();
      mira = await enter(browser, { url: sovereign.app.url, post: sovereign.post });
      // Minutes go by on two shared cores between the fault and the proof.
      mira.page.setDefaultTimeout(180_000);
    });
    after(async () => {
      await browser?.close();
      await sovereign?.stop();
    });

    test('an alert arrives while I watch, and the runbook asks', async () => {
      await mira.page.getByRole('heading', { name: 'All is well' }).waitFor();
      await breakCart(sovereign.kubernetes, namespace);
      await mira.page.getByRole('heading', { name: /One open incident/ }).waitFor();
      await mira.page.getByRole('heading', { name: 'Waits for you' }).waitFor();
      await mira.picture('real-overview');
    });

    test('I read what it would do to which pod, approve it, and see it verified', async () => {
      const before = (await cart(sovereign.kubernetes, namespace))?.metadata.uid;
      await mira.page
        .locator('section', { has: mira.page.getByRole('heading', { name: 'Open incidents' }) })
        .getByRole('link', { name: /cart-prod/ })
        .click();
      const panel = mira.page.getByRole('article', { name: 'Incident' });
      await panel
        .getByText(/cart-prod\/cart-0/)
        .first()
        .waitFor();
      await mira.page.keyboard.press('a');
      await panel.getByText('taken by user/mira').waitFor();
      await panel.getByRole('button', { name: 'Approve this plan' }).click();
      await panel.getByText('Every step was done and the fix is verified.').first().waitFor();
      await panel.getByText('Resolved', { exact: true }).waitFor();
      assert.notEqual((await cart(sovereign.kubernetes, namespace))?.metadata.uid, before);
      await mira.accessible();
      await mira.picture('real-verified');
    });

    test('I find it in the audit, and the chain is intact', async () => {
      await mira.page.getByRole('link', { name: 'This incident in the audit record' }).click();
      await mira.page
        .getByText(/approved/i)
        .first()
        .waitFor();
      await mira.page.getByRole('button', { name: 'Verify the chain' }).click();
      await mira.page.getByText('Intact').waitFor();
      assert.deepEqual(
        mira.complaints.filter((text) => !text.endsWith('/api/v1/drills')),
        [],
      );
    });
  },
);
