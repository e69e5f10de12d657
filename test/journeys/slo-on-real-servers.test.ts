/**
 * One objective of the handbook (§9.3, auth latency) followed from its series to the verified fix: a real Prometheus
 * evaluates the generated rules, a real Alertmanager routes by the generated configuration. Keycloak is slow until it has
 * a second replica, which the runbook of the alert gives it.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';
import { startSandbox } from '../../sandbox/start.ts';
import { renderAlertmanager, renderPrometheus } from '../../src/app/slo-offline.ts';
import type { RenderedFile } from '../../src/cli/registry.ts';
import { findAlertmanager, startAlertmanager } from '../../testbed/alertmanager.ts';
import { freePort, temporaryDirectory, waitUntil } from '../../testbed/process.ts';
import { findPrometheus, startPrometheus } from '../../testbed/prometheus.ts';
import { describeReal } from '../../testbed/real.ts';
import { fastClock, serve } from '../integrations/support.ts';
import { privateFile, type Served, startServed } from '../support/served.ts';

/** The runbook verifies for two minutes of the product's clock; the servers keep real time. */
const pace = 4;
/** Alertmanager waits ten to thirty seconds before it sends a group; the rest is generous for two shared cores. */
const limitMs = 240_000;
const deployments = '/apis/apps/v1/namespaces/fingate/deployments';

interface List<Item> {
  items: Item[];
}
interface Alert {
  id: string;
  name: string;
  labels: Record<string, string>;
  annotations: Record<string, string>;
  incidentId: string;
}
interface Slo {
  objective: number;
  window: string;
  state: string;
  sentence: string;
  budgets: {
    labels: Record<string, string>;
    organization?: string;
    sli?: number;
    burnRates: { window: string }[];
  }[];
}
interface Run {
  runbook: string;
  state: string;
  outcome?: string;
  reason?: string;
  incidentId: string;
}

describeReal('an SLO, from its series to the verified fix', [findPrometheus, findAlertmanager], () => {
  const stops: (() => unknown)[] = [];
  let served: Served;
  let keycloak: () => Promise<number>;
  before(async () => {
    const directory = temporaryDirectory('slo-journey');
    stops.push(directory.remove);
    const sandbox = await startSandbox();
    stops.push(sandbox.stop);
    keycloak = await deployKeycloak(sandbox.kubernetes);
    const exporter = await startExporter(keycloak);
    stops.push(() => exporter[Symbol.asyncDispose]());

    const listen = `127.0.0.1:${await freePort()}`;
    const tokenFile = privateFile(directory.path, 'alertmanager-token', randomBytes(24).toString('hex'));
    const receiverUrl = `http://${listen}/hooks/alertmanager`;
    const routing = await renderAlertmanager({ from: [], receiverUrl, tokenFile });
    const alertmanager = await startAlertmanager({ config: fileOf(routing.files, 'alertmanager/alertmanager.yml') });
    stops.push(alertmanager.stop);
    const rules = fileOf(
      (await renderPrometheus({ from: [] })).files,
      'prometheus/rules/fingate/slo-auth-latency.yaml',
    );
    const prometheus = await startPrometheus({
      ruleFiles: [privateFile(directory.path, 'rules.yml', impatient(rules))],
      alertmanagerUrl: alertmanager.url,
      scrapeConfigs: [
        { job_name: 'keycloak', honor_labels: true, static_configs: [{ targets: [new URL(exporter.url).host] }] },
      ],
    });
    stops.push(prometheus.stop);
    served = await startServed(directory.path, fastClock(pace, Date.now()), {
      listen,
      tokens: [{ name: 'alertmanager', role: 'intake', tokenFile }],
      sovereign: { name: 'pocket', mode: 'Automatic' },
      policy: { defaultRunbookMode: 'Automatic' },
      organizations: [{ name: 'fingate', namespaces: ['fingate'] }],
      integrations: {
        kubernetes: {
          server: sandbox.kubernetes.url,
          tokenFile: privateFile(directory.path, 'kubernetes-token', sandbox.kubernetes.token),
        },
        prometheus: { url: prometheus.url },
        alertmanager: { url: alertmanager.url },
      },
    });
    stops.push(served.app.stop);
  });
  after(async () => {
    for (const stop of stops.reverse()) await stop();
  });

  test('the breach becomes an alert, an incident of its type, and a run of the linked runbook that mends it', async () => {
    const run = await endedRun(served);
    assert.deepEqual([run.runbook, run.outcome, run.reason], ['keycloak-high-latency', 'Succeeded', 'Verified']);
    assert.equal(await keycloak(), 2);
    const alert = await alertNamed(served, 'KeycloakHighLatency');
    const { namespace, deployment, slo } = alert.labels;
    assert.deepEqual([namespace, deployment, slo], ['fingate', 'keycloak', 'auth-latency']);
    assert.equal(alert.annotations.runbook, run.runbook);
    assert.equal(alert.incidentId, run.incidentId);
    await waitUntil('the incident to be resolved', limitMs, async () => {
      const incident = await served.get<{ type: string; state: string }>(`/api/v1/incidents/${alert.incidentId}`);
      assert.equal(incident.type, 'keycloak-high-latency');
      return incident.state === 'Resolved';
    });
  });

  test('the API tells how the objective stands, to each Organization its own budget', async () => {
    const slo = await served.get<Slo>('/api/v1/slos/auth-latency');
    assert.deepEqual([slo.objective, slo.window], [0.95, '30d']);
    const [budget] = slo.budgets;
    assert.deepEqual([budget?.labels, budget?.organization], [{ namespace: 'fingate' }, 'fingate']);
    assert.ok(budget?.sli !== undefined && budget.sli > 0 && budget.sli < 1);
    // Windows of a day and more look once in five minutes, and Prometheus may be younger.
    assert.deepEqual(budget.burnRates.map(({ window }) => window).slice(0, 5), ['5m', '30m', '1h', '2h', '6h']);
    const other = await served.get<Slo>('/api/v1/slos/console-availability');
    assert.equal(other.state, 'NoData');
    assert.match(other.sentence, /Prometheus has no rules for it/);
  });

  test('the burn rate of the same objective comes in as well, and is left to people', async () => {
    const alert = await alertNamed(served, 'AuthLatencyBudgetBurn');
    assert.equal(alert.labels.slo, 'auth-latency');
    const { items } = await served.get<List<{ outcome: string }>>(`/api/v1/decisions?alertId=${alert.id}`);
    assert.ok(items.length > 0);
    assert.ok(items.every(({ outcome }) => outcome === 'NotActed'));
  });
});

function fileOf(files: readonly RenderedFile[], path: string): string {
  const file = files.find((one) => one.path === path);
  assert.ok(file, `${path} is not among the generated files`);
  return file.text;
}

/** The generated rules as they are, but looked at each second, and with an alert that waits two. */
function impatient(rules: string): string {
  return rules.replaceAll(/interval: \d+[sm]/g, 'interval: 1s').replaceAll(/for: 5m/g, 'for: 2s');
}

/** Deploys one replica; returns what tells how many are ready. */
async function deployKeycloak({ url, token }: { url: string; token: string }): Promise<() => Promise<number>> {
  const request = async (path: string, body?: object) => {
    const response = await fetch(`${url}${path}`, {
      method: body ? 'POST' : 'GET',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      ...(body ? { body: JSON.stringify(body) } : {}),
    });
    assert.ok(response.ok, `${path}: ${response.status}`);
    return (await response.json()) as { status?: { readyReplicas?: number } };
  };
  const labels = { app: 'keycloak' };
  await request('/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'fingate' } });
  await request(deployments, {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'keycloak' },
    spec: {
      replicas: 1,
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: { containers: [{ name: 'keycloak', image: 'quay.io/keycloak/keycloak:26' }] },
      },
    },
  });
  const ready = async () => (await request(`${deployments}/keycloak`)).status?.readyReplicas ?? 0;
  await waitUntil('Keycloak to be ready', limitMs, async () => (await ready()) === 1);
  return ready;
}

/**
 * Keycloak's histogram with the buckets of the handbook's exporter. One replica answers few requests and all of them late;
 * two answer all that have waited, in time.
 */
function startExporter(ready: () => Promise<number>) {
  let [late, inTime] = [0, 0];
  return serve(async () => {
    if ((await ready()) < 2) late += 10;
    else inTime += 2_000;
    const uri = '/realms/{realm}/protocol/{protocol}/token';
    const labels = `namespace="fingate",uri="${uri}"`;
    const bucket = (le: string, count: number) =>
      `http_server_requests_seconds_bucket{${labels},le="${le}"} ${count}\n`;
    const text = ['# TYPE http_server_requests_seconds histogram\n'];
    for (const le of ['0.05', '0.1', '0.2', '0.5']) text.push(bucket(le, inTime));
    text.push(bucket('+Inf', inTime + late));
    text.push(`http_server_requests_seconds_count{${labels}} ${inTime + late}\n`);
    return [200, text.join(''), { 'content-type': 'text/plain; version=0.0.4' }];
  });
}

async function alertNamed({ get }: Served, name: string): Promise<Alert> {
  let found: Alert | undefined;
  await waitUntil(`the alert ${name}`, limitMs, async () => {
    const { items } = await get<List<Alert>>(`/api/v1/alerts?name=${name}`);
    [found] = items;
    return found !== undefined;
  });
  assert.ok(found);
  return found;
}

async function endedRun({ get }: Served): Promise<Run> {
  let run: Run | undefined;
  await waitUntil('the run to end', limitMs, async () => {
    const { items } = await get<List<Run>>('/api/v1/runs');
    run = items[0];
    if (run?.state !== 'Ended') throw new Error(JSON.stringify(items));
    return true;
  });
  assert.ok(run);
  return run;
}
