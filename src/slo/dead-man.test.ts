/** The dead-man's switch on a real Alertmanager: the heartbeat stops while alerts reach nobody. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { serve } from '../../test/integrations/support.ts';
import { findAlertmanager, startAlertmanager } from '../../testbed/alertmanager.ts';
import { waitUntil } from '../../testbed/process.ts';
import { describeReal } from '../../testbed/real.ts';
import { alertmanagerFiles, defaultAlertmanagerOptions } from './alertmanager.ts';
import { lintWith } from './slo-fixture.ts';

interface Alert {
  labels: Record<string, string>;
  status: { state: string; inhibitedBy: string[] };
}

describeReal('the dead-man’s switch', findAlertmanager, () => {
  it('calls outside while all is well, and is held back while Catalyst SRE is down or gave up telling somebody', async () => {
    await using outside = await serve(() => [200, {}]);
    const options = { ...defaultAlertmanagerOptions, heartbeatUrl: `${outside.url}/heartbeat` };
    const [ours] = alertmanagerFiles(lintWith(), options);
    const alertmanager = await startAlertmanager({ config: ours?.text ?? '' });
    try {
      const alerts = `${alertmanager.url}/api/v2/alerts`;
      const fire = (alertname: string, severity: string, over = false) =>
        fetch(alerts, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify([
            { labels: { alertname, severity }, ...(over ? { endsAt: new Date().toISOString() } : {}) },
          ]),
        });
      const watchdog = async (state: string) =>
        waitUntil(`the heartbeat to be ${state}`, 30_000, async () => {
          const all = (await (await fetch(alerts)).json()) as Alert[];
          return all.find(({ labels }) => labels.alertname === 'Watchdog')?.status.state === state;
        });
      await fire('Watchdog', 'info');
      await waitUntil('the first heartbeat', 30_000, () => outside.requests.length > 0);
      assert.equal(outside.requests[0]?.path, '/heartbeat');
      for (const alertname of ['CatalystSreDown', 'CatalystSrePagesFailed']) {
        await fire(alertname, 'critical');
        await watchdog('suppressed');
        await fire(alertname, 'critical', true);
        await watchdog('active');
      }
    } finally {
      await alertmanager.stop();
    }
  });
});
