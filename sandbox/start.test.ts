import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { VirtualClock } from '../src/clock.ts';
import { advanceUntil } from './advance.ts';
import type { FaultName } from './faults.ts';
import { type Listening, listen, sendText } from './http.ts';
import { type Sandbox, startSandbox } from './start.ts';

interface Notification {
  status: string;
  commonLabels: Record<string, string>;
  alerts: { labels: Record<string, string>; generatorURL: string }[];
}

describe('the sandbox, from outside', () => {
  const clock = new VirtualClock();
  let sandbox: Sandbox;
  let receiver: Listening;
  let directory: string;
  const received: Notification[] = [];

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'sandbox-'));
    receiver = await listen({
      host: '127.0.0.1',
      port: 0,
      handle: (call) => {
        received.push(JSON.parse(call.body));
        return sendText(call, 200);
      },
      fail: (call, status) => sendText(call, status),
    });
    const alertWebhook = { url: receiver.url, token: 'x' };
    sandbox = await startSandbox({ clock, alertWebhook, sharesDirectory: join(directory, 'shares') });
  });
  after(async () => {
    await sandbox.stop();
    await receiver.close();
    await rm(directory, { recursive: true });
  });

  const kubernetes = async (
    path: string,
    method = 'GET',
    body?: unknown,
    contentType = 'application/merge-patch+json',
  ) => {
    const response = await fetch(sandbox.kubernetes.url + path, {
      method,
      headers: { authorization: `Bearer ${sandbox.kubernetes.token}`, 'content-type': contentType },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    assert.ok(response.ok, `${method} ${path}: ${response.status}`);
    return response.json();
  };
  const notified = (alertname: string, status: string) =>
    received.some((one) => one.commonLabels.alertname === alertname && one.status === status);

  const repairs: Record<FaultName, { alert: string; repair: (labels: Record<string, string>) => Promise<void> }> = {
    'openbao-sealed': {
      alert: 'OpenBaoSealed',
      repair: async () => {
        for (const pod of sandbox.openbao.pods) {
          for (const key of sandbox.openbao.shares.slice(2)) {
            await fetch(`${pod.url}/v1/sys/unseal`, { method: 'POST', body: JSON.stringify({ key }) });
          }
        }
      },
    },
    'pod-crash-loop': {
      alert: 'PodCrashLoopBackOff',
      repair: async ({ namespace, pod }) => {
        await kubernetes(`/api/v1/namespaces/${namespace}/pods/${pod}`, 'DELETE');
      },
    },
    'high-error-rate': {
      alert: 'HighErrorRate',
      repair: async ({ namespace, deployment }) => {
        const path = `/apis/apps/v1/namespaces/${namespace}`;
        const { items } = (await kubernetes(`${path}/replicasets`)) as {
          items: {
            metadata: { annotations: Record<string, string>; ownerReferences: { name: string }[] };
            spec: { template: unknown };
          }[];
        };
        const previous = items.find(
          ({ metadata }) =>
            metadata.ownerReferences[0]?.name === deployment &&
            metadata.annotations['deployment.kubernetes.io/revision'] === '2',
        );
        const patch = [{ op: 'replace', path: '/spec/template', value: previous?.spec.template }];
        await kubernetes(`${path}/deployments/${deployment}`, 'PATCH', patch, 'application/json-patch+json');
      },
    },
    'high-memory': {
      alert: 'HighMemoryUsage',
      repair: async ({ namespace, deployment }) => {
        const path = `/apis/apps/v1/namespaces/${namespace}/deployments/${deployment}/scale`;
        await kubernetes(path, 'PATCH', { spec: { replicas: 3 } });
      },
    },
  };

  for (const [name, { alert, repair }] of Object.entries(repairs) as [FaultName, (typeof repairs)[FaultName]][]) {
    it(`${name}: breaks, alerts within three seconds, heals within two, resolves`, async () => {
      await clock.advance(2_000);
      assert.equal(sandbox.isHealthy(name), true);
      sandbox.inject(name);
      const toAlert = await advanceUntil(clock, `${alert} is sent`, () => notified(alert, 'firing'));
      assert.ok(toAlert <= 3_000, `sent after ${toAlert} ms`);
      assert.equal(sandbox.isHealthy(name), false);
      const [{ labels, generatorURL } = assert.fail()] =
        received.find((one) => one.commonLabels.alertname === alert)?.alerts ?? [];
      const link = new URL(generatorURL);
      assert.equal(link.origin, sandbox.prometheus.url);
      const query = async () => {
        const url = `${sandbox.prometheus.url}/api/v1/query?${new URLSearchParams({ query: link.searchParams.get('g0.expr') ?? '' })}`;
        const { data } = (await (await fetch(url)).json()) as { data: { result: unknown[] } };
        return data.result.length;
      };
      assert.ok((await query()) > 0, "the alert's own expression holds");
      await repair(labels);
      const toHealth = await advanceUntil(clock, `${name} is repaired`, () => sandbox.isHealthy(name));
      assert.ok(toHealth <= 2_500, `healthy after ${toHealth} ms`);
      await advanceUntil(clock, `${alert} is resolved`, () => notified(alert, 'resolved'));
      assert.equal(await query(), 0, "the alert's own expression holds no more");
    });
  }

  it('answers for SPIRE as its health listener does', async () => {
    const ask = async (path: string) => {
      const response = await fetch(sandbox.spire.url + path);
      return [response.status, await response.json()];
    };
    assert.deepEqual(await ask('/live'), [200, { 'catalog.datastore': {}, server: {} }]);
    assert.deepEqual(await ask('/ready'), [200, { 'catalog.datastore': {}, server: {} }]);
    sandbox.world.spire.ready = false;
    const [status, body] = await ask('/ready');
    assert.deepEqual(
      [status, body],
      [500, { 'catalog.datastore': {}, server: { err: 'subsystem is not live or ready' } }],
    );
    sandbox.world.spire.ready = true;
  });

  it('remembers pages once per Idempotency-Key', async () => {
    const page = (body: unknown, key?: string) =>
      fetch(`${sandbox.pager.url}/v1/pages`, {
        method: 'POST',
        headers: key === undefined ? {} : { 'idempotency-key': key },
        body: JSON.stringify(body),
      });
    sandbox.pager.failNext(1);
    assert.equal((await page({ text: 'first' }, 'k')).status, 503);
    assert.equal((await page({ text: 'first' }, 'k')).status, 201);
    assert.equal((await page({ text: 'first' }, 'k')).status, 200);
    assert.equal((await page({ text: 'other' }, 'k')).status, 422);
    assert.equal((await page({ text: 'no key' })).status, 201);
    assert.deepEqual(
      sandbox.pager.received().map(({ body, deliveries }) => [body, deliveries]),
      [
        [{ text: 'first' }, 2],
        [{ text: 'no key' }, 1],
      ],
    );
  });

  it('lays the key shares where only their owner reads them', async () => {
    const shares = join(directory, 'shares');
    const files = await readdir(shares);
    assert.equal(files.length, 5);
    const [first] = files.sort();
    assert.equal((await readFile(join(shares, first ?? ''), 'utf8')).trim(), sandbox.openbao.shares[0]);
    assert.equal((await stat(join(shares, first ?? ''))).mode & 0o777, 0o600);
  });

  it('refuses a speed that stands still', async () => {
    await assert.rejects(startSandbox({ clock, speed: 0 }), /speed must be greater than 0/);
  });
});

describe('the sandbox on the real clock', () => {
  it('moves by itself, listens where it is told to, and stops', async () => {
    const sandbox = await startSandbox({ speed: 10 });
    try {
      sandbox.inject('openbao-sealed');
      const url = `${sandbox.alertmanager.url}/api/v2/alerts`;
      const deadline = Date.now() + 5_000;
      let alerts: unknown[] = [];
      while (alerts.length < 3 && Date.now() < deadline) alerts = (await (await fetch(url)).json()) as unknown[];
      assert.equal(alerts.length, 3);
    } finally {
      await sandbox.stop();
    }
    await assert.rejects(fetch(sandbox.prometheus.url));
  });
});
