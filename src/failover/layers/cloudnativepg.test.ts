import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { VirtualClock } from '../../clock.ts';
import type { KubernetesApi } from '../../integrations/kubernetes/client.ts';
import { createCloudNativePg } from './cloudnativepg.ts';
import { waitFor } from './layer.ts';

const [a, b] = ['hz-fsn-rtz-prod', 'hz-hel-rtz-prod'];

/** Until whoever waits has looked once and sleeps. */
const sleeping = () => new Promise((resolve) => setImmediate(resolve));

describe('how long a step may wait', () => {
  it('is what the step has left, and the last words are those of what was waited for', async () => {
    const clock = new VirtualClock();
    const step = new AbortController();
    let looks = 0;
    const waiting = waitFor({ clock, signal: step.signal }, 'db to be demoted', 1_000, async () => {
      looks += 1;
      return `${looks} of 3 replicas are down`;
    });
    const refused = assert.rejects(waiting, {
      code: 'TimedOut',
      message: 'db to be demoted: not within 8 s; 9 of 3 replicas are down',
    });
    await sleeping();
    await clock.advance(8_000);
    step.abort(new Error('the soft limit'));
    await refused;
  });

  it('is no longer than its own limit, and what fails by itself is told as it is', async () => {
    const clock = new VirtualClock();
    const { signal } = new AbortController();
    const waiting = waitFor({ clock, signal }, 'it', 1_000, async () => 'it is not', 3_000);
    const refused = assert.rejects(waiting, { message: 'it: not within 3 s; it is not' });
    await sleeping();
    await clock.advance(10_000);
    await refused;
    const broken = waitFor({ clock, signal }, 'it', 1_000, async () => Promise.reject(new Error('no such object')));
    await assert.rejects(broken, { message: 'no such object' });
  });

  it('is told before a switchover where a shutdown alone may outlast it, and keeps nobody from a takeover', async () => {
    const check = async (switchoverDelay: number, stepMs: number) => {
      const object = { metadata: { name: 'db' }, spec: { switchoverDelay, replica: { primary: a, source: b } } };
      const api = { find: async () => object } as unknown as KubernetesApi;
      const options = {
        name: 'db',
        namespace: 'acme',
        cluster: 'db',
        region: a,
        peer: b,
        fenceBudgetMs: 8_000,
        stepMs,
      };
      const clock = new VirtualClock();
      const { signal } = new AbortController();
      const checks = await createCloudNativePg(options, api).checks({ clock, signal });
      return checks.find((one) => one.check === 'postgres-demotion');
    };
    const outlasts = await check(8, 6_000);
    assert.deepEqual([outlasts?.verdict, outlasts?.advice], ['failed', true]);
    assert.match(outlasts?.sentence ?? '', /switchoverDelay <= L_soft - R \(8 s > 6 s\)/);
    assert.equal((await check(6, 6_000))?.verdict, 'passed');
  });
});
