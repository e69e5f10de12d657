/** The promises of the integrations, against real servers; `sandbox-conformance.test.ts` holds the sandbox to the same. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, it } from 'node:test';
import { systemClock } from '../../src/clock.ts';
import type { Integration } from '../../src/integrations/contract.ts';
import { createKubernetes } from '../../src/integrations/kubernetes/index.ts';
import type { KubernetesConfig } from '../../src/integrations/kubernetes/schema.ts';
import { createSecrets } from '../../src/integrations/secrets.ts';
import { type Alertmanager, findAlertmanager, startAlertmanager } from '../../testbed/alertmanager.ts';
import { findKubernetes, type Kubernetes } from '../../testbed/kubernetes.ts';
import { temporaryDirectory, waitUntil } from '../../testbed/process.ts';
import { findPrometheus, type Prometheus, startPrometheus } from '../../testbed/prometheus.ts';
import { describeReal, sharedKubernetes } from '../../testbed/real.ts';
import { auditName, rightsIn, serverRoles, serviceAccount } from '../support/service-account.ts';
import { layScene } from './cluster-scene.ts';
import { kubernetesConformance } from './kubernetes-conformance.ts';
import { kubernetesControllersConformance } from './kubernetes-controllers-conformance.ts';
import { monitoringConformance } from './monitoring-conformance.ts';
import { act, contextFor, readFact } from './support.ts';

/** Generous for two shared cores; the alert takes two to three seconds on an idle machine. */
const limitMs = 60_000;

describeReal('kubernetes, as it really is', findKubernetes, () => {
  const namespace = 'conformance';
  const account = 'conformance';
  const directory = temporaryDirectory('conformance');
  let kubernetes: Kubernetes;
  let config: KubernetesConfig;
  let roles: string[];
  before(async () => {
    kubernetes = await sharedKubernetes();
    await layScene(kubernetes, namespace);
    roles = [everything(), ...serverRoles()];
    const [token, ca] = ['token', 'ca.crt'].map((name) => join(directory.path, name));
    writeFileSync(token ?? '', await serviceAccount(kubernetes, account, roles), { mode: 0o600 });
    writeFileSync(ca ?? '', kubernetes.ca);
    config = { server: kubernetes.url, tokenFile: token ?? '', caFile: ca ?? '' };
  });
  after(() => directory.remove());
  for (const { name, run } of [...kubernetesConformance('real'), ...kubernetesControllersConformance('real')]) {
    it(name, () => run({ config, namespace }));
  }

  it('an eviction that a disruption budget forbids is refused with 429, and certainly had no effect', async () => {
    const spec = { minAvailable: '100%', selector: { matchLabels: { app: 'web' } } };
    const budgets = `/apis/policy/v1beta1/namespaces/${namespace}/poddisruptionbudgets`;
    await kubernetes.request(budgets, { body: { metadata: { name: 'web' }, spec } });
    const integration = createKubernetes(config, { secrets: createSecrets({}) });
    try {
      const context = contextFor('real/budget', systemClock, AbortSignal.timeout(limitMs));
      const pods = (await readFact(integration, 'kubernetes.pods', [namespace, 'app=web'], context)) as {
        name: string;
        uid: string;
        deleting: boolean;
      }[];
      const victim = pods.find(({ deleting }) => !deleting);
      assert.ok(victim);
      await assert.rejects(act(integration, 'kubernetes evict pod', { namespace, name: victim.name }, context), {
        code: 'UpstreamUnavailable',
        certain: true,
      });
      const { uid, deleting } = (await readFact(integration, 'kubernetes.pod', [namespace, victim.name], context)) as {
        uid: string;
        deleting: boolean;
      };
      assert.deepEqual({ uid, deleting }, { uid: victim.uid, deleting: false });
    } finally {
      await integration.stop?.();
      await kubernetes.request(`${budgets}/web`, { method: 'DELETE' });
    }
  });

  it('the generated roles grant what all of this needs, and nothing that nothing needs', async () => {
    const integration = createKubernetes(config, { secrets: createSecrets({}) });
    try {
      await useTheRest(kubernetes, integration, namespace);
    } finally {
      await integration.stop?.();
    }
    const granted = rightsIn(roles);
    await waitUntil('every right to be used', limitMs, () => {
      const calls = kubernetes.audit(auditName(account));
      const used = new Set(calls.map(({ verb, apiGroup, resource }) => `${verb} ${apiGroup}/${resource}`));
      assert.deepEqual(
        calls.filter(({ status }) => status === 403),
        [],
      );
      assert.deepEqual(
        [...granted].filter((right) => !used.has(right)),
        [],
      );
      return true;
    });
  });
});

/** The role of who patches Deployments, beside those that `render rbac` writes for everybody. */
function everything(): string {
  const resources = [{ apiGroup: 'apps', resource: 'deployments' }];
  const named = ['kubernetes patch', 'kubernetes.object', 'kubernetes.condition'];
  return createKubernetes(undefined, { secrets: createSecrets({}) }).clusterRole(
    'conformance-named',
    named.map((name) => ({ name, resources })),
  );
}

/** Facts and kinds of workloads that no other check of a cluster touches. */
async function useTheRest({ request }: Kubernetes, integration: Integration, namespace: string): Promise<void> {
  const context = contextFor('real/rest', systemClock);
  const labels = { app: 'rest' };
  const spec = {
    selector: { matchLabels: labels },
    template: { metadata: { labels }, spec: { containers: [{ name: 'rest', image: 'registry.example/rest:1' }] } },
  };
  for (const [kind, more] of [
    ['StatefulSet', { serviceName: 'rest' }],
    ['DaemonSet', {}],
  ] as const) {
    const path = `/apis/apps/v1/namespaces/${namespace}/${kind.toLowerCase()}s`;
    await request(path, { body: { metadata: { name: 'rest' }, spec: { ...spec, ...more } } });
    await act(integration, 'kubernetes restart', { kind, namespace, name: 'rest' }, context);
  }
  await readFact(integration, 'kubernetes.events', [namespace, 'web'], context);
  await readFact(integration, 'kubernetes.node', ['hollow-1'], context);
  // There is no metrics server: whether it may be asked is seen by the answer, NotFound and not forbidden.
  await assert.rejects(readFact(integration, 'kubernetes.podMemory', [namespace, 'app=web'], context), {
    code: 'NotFound',
  });
}

describeReal('prometheus and alertmanager, as they really are', [findPrometheus, findAlertmanager], () => {
  const alertName = 'AlwaysOn';
  const directory = temporaryDirectory('conformance');
  let alertmanager: Alertmanager;
  let prometheus: Prometheus;
  before(async () => {
    const rules = join(directory.path, 'rules.yml');
    const rule = { alert: alertName, expr: 'vector(1) == 1', labels: { severity: 'page' } };
    writeFileSync(rules, JSON.stringify({ groups: [{ name: 'conformance', rules: [rule] }] }));
    alertmanager = await startAlertmanager({
      config: { route: { receiver: 'nobody' }, receivers: [{ name: 'nobody' }] },
    });
    prometheus = await startPrometheus({ ruleFiles: [rules], alertmanagerUrl: alertmanager.url });
    await waitUntil('the alert at Alertmanager', limitMs, async () => {
      return ((await (await fetch(`${alertmanager.url}/api/v2/alerts`)).json()) as unknown[]).length > 0;
    });
  });
  after(async () => {
    await prometheus?.stop();
    await alertmanager?.stop();
    directory.remove();
  });
  for (const { name, run } of monitoringConformance('real')) {
    it(name, () => run({ prometheusUrl: prometheus.url, alertmanagerUrl: alertmanager.url, alertName }));
  }
});
