import assert from 'node:assert/strict';
import { once } from 'node:events';
import { rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { findAlertmanager, startAlertmanager } from './alertmanager.ts';
import { temporaryDirectory, waitUntil } from './process.ts';
import { findPrometheus, startPrometheus } from './prometheus.ts';
import { describeReal } from './real.ts';

interface Notification {
  version: string;
  status: string;
  groupKey: string;
  alerts: { status: string; labels: Record<string, string>; fingerprint: string }[];
}

/** Generous for two shared cores; the chain takes two to three seconds on an idle machine. */
const DELIVERY_LIMIT_MS = 60_000;

describeReal('real Prometheus and Alertmanager', [findPrometheus, findAlertmanager], () => {
  test('a rule fires, Alertmanager delivers it to a webhook, and says when it is over', async (context) => {
    const listener = await listen();
    context.after(listener.close);
    const alertmanager = await startAlertmanager({ config: routeTo(listener.url) });
    context.after(alertmanager.stop);
    const directory = temporaryDirectory('rules');
    context.after(directory.remove);
    const ruleFile = join(directory.path, 'rules.yml');
    writeFileSync(ruleFile, rule('vector(1) == 1'));
    const prometheus = await startPrometheus({
      ruleFiles: [ruleFile],
      alertmanagerUrl: alertmanager.url,
      externalLabels: { region: 'eu-1' },
    });
    context.after(prometheus.stop);

    await waitUntil('a firing notification', DELIVERY_LIMIT_MS, () => listener.received.length > 0);
    const [first] = listener.received;
    assert.equal(first?.version, '4');
    assert.equal(first.status, 'firing');
    assert.deepEqual(first.alerts[0]?.labels, { alertname: 'AlwaysOn', region: 'eu-1', severity: 'page' });

    writeFileSync(ruleFile, rule('vector(1) == 2'));
    await prometheus.reload();
    await waitUntil(
      'a resolved notification',
      DELIVERY_LIMIT_MS,
      () => listener.received.at(-1)?.status === 'resolved',
    );
    assert.equal(listener.received.at(-1)?.alerts[0]?.fingerprint, first.alerts[0]?.fingerprint);
  });

  test('a configuration that is wrong is refused in the words of the server, and the old one stays', async (context) => {
    const alertmanager = await startAlertmanager({ config: routeTo('http://127.0.0.1:1/') });
    context.after(alertmanager.stop);
    await assert.rejects(alertmanager.reload('route: {receiver: nobody}'), /undefined receiver "nobody"/);
    const status = (await (await fetch(`${alertmanager.url}/api/v2/status`)).json()) as {
      config: { original: string };
    };
    assert.match(status.config.original, /127\.0\.0\.1:1/);
    await assert.rejects(startAlertmanager({ config: '{}' }), /ended \(exit 1\)[\s\S]*no routes provided/);
  });
});

describeReal('real Prometheus', findPrometheus, () => {
  test('answers from samples it was given at the start', async (context) => {
    const at = Math.floor(Date.now() / 1000) - 60;
    const prometheus = await startPrometheus({
      openMetrics: `# TYPE jobs gauge\njobs{queue="a"} 7 ${at}\njobs{queue="b"} 5 ${at}\n# EOF\n`,
    });
    context.after(prometheus.stop);
    assert.equal(await queryOne(prometheus.url, 'sum(jobs)'), '12');
  });

  test('scrapes', async (context) => {
    const target = createServer((_request, response) => response.end('temperature 21\n'));
    const url = await start(target);
    context.after(() => target.close());
    const prometheus = await startPrometheus({
      scrapeConfigs: [{ job_name: 'room', static_configs: [{ targets: [new URL(url).host] }] }],
    });
    context.after(prometheus.stop);
    await waitUntil('a scraped sample', DELIVERY_LIMIT_MS, async () => {
      return (await queryOne(prometheus.url, 'temperature{job="room"}')) === '21';
    });
  });

  test('refuses a wrong rule file on reload, in its own words', async (context) => {
    const directory = temporaryDirectory('rules');
    context.after(directory.remove);
    const ruleFile = join(directory.path, 'rules.yml');
    writeFileSync(ruleFile, rule('up == 0'));
    const prometheus = await startPrometheus({ ruleFiles: [ruleFile] });
    context.after(prometheus.stop);
    writeFileSync(ruleFile, rule('up =='));
    await assert.rejects(prometheus.reload(), /prometheus refuses its configuration/);
    rmSync(ruleFile);
  });
});

function routeTo(url: string): object {
  return {
    route: { receiver: 'listener', group_by: ['alertname'], group_wait: '0s', group_interval: '1s' },
    receivers: [{ name: 'listener', webhook_configs: [{ url, send_resolved: true }] }],
  };
}

function rule(expr: string): string {
  return JSON.stringify({
    groups: [{ name: 'test', rules: [{ alert: 'AlwaysOn', expr, labels: { severity: 'page' } }] }],
  });
}

async function start(server: Server): Promise<string> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

async function listen(): Promise<{ url: string; received: Notification[]; close(): void }> {
  const received: Notification[] = [];
  const server = createServer(async (request, response) => {
    let text = '';
    for await (const chunk of request) text += chunk;
    received.push(JSON.parse(text) as Notification);
    response.end();
  });
  const url = await start(server);
  const close = (): void => {
    server.close();
    server.closeAllConnections();
  };
  return { url, received, close };
}

async function queryOne(url: string, query: string): Promise<string | undefined> {
  const response = await fetch(`${url}/api/v1/query?query=${encodeURIComponent(query)}`);
  const { data } = (await response.json()) as { data: { result: { value: [number, string] }[] } };
  return data.result[0]?.value[1];
}
