import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join, resolve } from 'node:path';
import { after, before, test } from 'node:test';
import { CoreV1Api, KubeConfig } from '@kubernetes/client-node';
import { findKubernetes, type Kubernetes, startKubernetes } from './kubernetes.ts';
import { KubernetesApiError, withoutNewerKeys } from './kubernetes-api.ts';
import { waitUntil } from './process.ts';
import { describeReal, sharedKubernetes } from './real.ts';

/** Generous for two shared cores; a pod runs within a second or two on an idle machine. */
const STATE_LIMIT_MS = 60_000;
const PODS = '/api/v1/namespaces/default/pods';
const DEPLOYMENTS = '/apis/apps/v1/namespaces/default/deployments';

interface Pod {
  metadata: { name: string; uid: string };
  status: {
    phase: string;
    containerStatuses?: {
      ready: boolean;
      restartCount: number;
      state: { waiting?: { reason: string }; terminated?: { reason: string } };
      lastState: { terminated?: { exitCode: number; reason: string } };
    }[];
  };
}

describeReal('real Kubernetes', findKubernetes, () => {
  let kubernetes: Kubernetes;
  before(async () => {
    kubernetes = await sharedKubernetes();
  });

  test('is the version it was built as', async () => {
    assert.equal((await kubernetes.request<{ gitVersion: string }>('/version')).gitVersion, 'v1.20.2');
  });

  test('runs the pod of a Deployment, and a new one when it is deleted', async () => {
    await kubernetes.request(DEPLOYMENTS, { body: deployment('web') });
    const first = await podOf(kubernetes, 'web', isReady);
    await kubernetes.request(`${PODS}/${first.metadata.name}`, { method: 'DELETE' });
    const second = await podOf(kubernetes, 'web', (pod) => isReady(pod) && pod.metadata.uid !== first.metadata.uid);
    assert.notEqual(second.metadata.name, first.metadata.name);
    // Events are sent aside from the work they tell of.
    const wanted = ['Scheduled', 'Pulled', 'Started', 'Killing', 'SuccessfulCreate'];
    await waitUntil(`events ${wanted}`, STATE_LIMIT_MS, async () => {
      const { items } = await kubernetes.request<{ items: { reason: string }[] }>('/api/v1/namespaces/default/events');
      return wanted.every((reason) => items.some((event) => event.reason === reason));
    });
  });

  test('a container that exits is restarted into a crash loop, and a new command mends it', async () => {
    await kubernetes.request(DEPLOYMENTS, { body: deployment('crashing', { command: ['exit', '137'] }) });
    const pod = await podOf(kubernetes, 'crashing', (pod) => waitingFor(pod) === 'CrashLoopBackOff');
    const last = pod.status.containerStatuses?.[0]?.lastState.terminated;
    assert.deepEqual([last?.exitCode, last?.reason], [137, 'OOMKilled']);
    await kubernetes.request(`${DEPLOYMENTS}/crashing`, {
      method: 'PATCH',
      contentType: 'application/json-patch+json',
      body: [{ op: 'remove', path: '/spec/template/spec/containers/0/command' }],
    });
    await podOf(kubernetes, 'crashing', isReady);
  });

  test('an image that is absent cannot be pulled', async () => {
    await kubernetes.request(DEPLOYMENTS, { body: deployment('absent', { image: 'example/app:absent' }) });
    await podOf(kubernetes, 'absent', (pod) => waitingFor(pod) === 'ImagePullBackOff');
  });

  test('a pod is ready when the server behind its probe says so', async (context) => {
    let status = 503;
    const server = createServer((_request, response) => response.writeHead(status).end());
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    context.after(() => server.close());
    const { port } = server.address() as AddressInfo;
    const readinessProbe = { httpGet: { host: '127.0.0.1', port, path: '/' }, periodSeconds: 1, failureThreshold: 1 };
    await kubernetes.request(DEPLOYMENTS, { body: deployment('probed', { readinessProbe }) });
    await podOf(kubernetes, 'probed', (pod) => pod.status.phase === 'Running' && !isReady(pod));
    status = 200;
    await podOf(kubernetes, 'probed', isReady);
    status = 500;
    await podOf(kubernetes, 'probed', (pod) => !isReady(pod));
  });

  test('a job completes', async () => {
    const template = { spec: { restartPolicy: 'Never', containers: [container({ command: ['exit', '0'] })] } };
    const jobs = '/apis/batch/v1/namespaces/default/jobs';
    await kubernetes.request(jobs, {
      body: { apiVersion: 'batch/v1', kind: 'Job', metadata: { name: 'once' }, spec: { template } },
    });
    await waitUntil('the job', STATE_LIMIT_MS, async () => {
      return (await kubernetes.request<{ status: { succeeded?: number } }>(`${jobs}/once`)).status.succeeded === 1;
    });
  });
});

describeReal('real Kubernetes control plane, without a node', findKubernetes, () => {
  let kubernetes: Kubernetes;
  before(async () => {
    kubernetes = await startKubernetes({
      node: false,
      users: [{ name: 'robot' }, { name: 'eve', groups: ['guests'] }],
    });
  });
  after(() => kubernetes.stop());

  test('its kubeconfig serves the official client, over TLS that is verified', async () => {
    const core = clientOf(kubernetes.kubeconfig);
    const { items } = await core.listNamespace();
    assert.ok(items.some(({ metadata }) => metadata?.name === 'kube-system'));
    const fromFile = new KubeConfig();
    fromFile.loadFromFile(kubernetes.kubeconfigFile);
    assert.equal(fromFile.getCurrentCluster()?.skipTLSVerify, false);
    await assert.rejects(fetch(`${kubernetes.url}/livez`), /fetch failed/, 'nobody else trusts its authority');
  });

  test('a user may do what RBAC grants, and no more', async () => {
    const core = clientOf(kubernetes.kubeconfigFor('robot'));
    const list = () => core.listNamespacedPod({ namespace: 'default' });
    await assert.rejects(list(), /pods is forbidden: User .*robot.* cannot list/);
    const rbac = '/apis/rbac.authorization.k8s.io/v1/namespaces/default';
    const rules = [{ apiGroups: [''], resources: ['pods'], verbs: ['list'] }];
    await kubernetes.request(`${rbac}/roles`, { body: { metadata: { name: 'reader' }, rules } });
    await kubernetes.request(`${rbac}/rolebindings`, {
      body: {
        metadata: { name: 'reader' },
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'reader' },
        subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: 'robot' }],
      },
    });
    // The authorizer learns of the binding by a watch, a moment later.
    await waitUntil('the right to list pods', STATE_LIMIT_MS, async () => (await list()).items.length === 0);
    await assert.rejects(core.listNamespacedSecret({ namespace: 'default' }), /forbidden/);
    await waitUntil('the refusal in the audit log', STATE_LIMIT_MS, () =>
      kubernetes
        .audit('robot')
        .some(({ verb, resource, status }) => `${verb} ${resource} ${status}` === 'list secrets 403'),
    );
    await assert.rejects(
      clientOf(kubernetes.kubeconfigFor('eve')).listNamespacedPod({ namespace: 'default' }),
      /forbidden/,
    );
    assert.throws(() => kubernetes.kubeconfigFor('nobody'), /name it in the option "users"/);
  });

  test('a crash loop patched into the status of a pod stays: there is no kubelet to take it back', async () => {
    await kubernetes.request(PODS, { body: { metadata: { name: 'patched' }, spec: { containers: [container()] } } });
    const state = { waiting: { reason: 'CrashLoopBackOff', message: 'back-off 5m0s restarting failed container' } };
    const status = { name: 'main', image: 'example/app:1', imageID: '', ready: false, restartCount: 7, state };
    await kubernetes.request(`${PODS}/patched/status`, {
      method: 'PATCH',
      contentType: 'application/strategic-merge-patch+json',
      body: { status: { phase: 'Running', containerStatuses: [status] } },
    });
    const pod = await kubernetes.request<Pod>(`${PODS}/patched`);
    assert.equal(waitingFor(pod), 'CrashLoopBackOff');
    assert.equal(pod.status.containerStatuses?.[0]?.restartCount, 7);
  });

  test('an answer that is not 2xx is an error with its status', async () => {
    const error = await kubernetes.request(`${PODS}/absent`).catch((error: unknown) => error);
    assert.ok(error instanceof KubernetesApiError);
    assert.equal(error.status, 404);
    assert.match(error.message, /GET .*: 404 pods "absent" not found/);
  });

  const specs = resolve(process.env.CATALYST_SPECS ?? join(import.meta.dirname, '../../shared/specs'), 'crds');
  const skip = existsSync(specs) ? false : `no folder ${specs}; CATALYST_SPECS names another`;
  test('published custom resource definitions are served and enforced', { skip }, async () => {
    const files = readdirSync(specs).map((name) => join(specs, name));
    const names = await kubernetes.installCrds(files);
    assert.ok(names.length >= files.length);
    assert.deepEqual(await kubernetes.installCrds(files), names, 'a second time changes nothing');
    const clusters = '/apis/postgresql.cnpg.io/v1/namespaces/default/clusters';
    const cluster = (spec: object) => ({
      apiVersion: 'postgresql.cnpg.io/v1',
      kind: 'Cluster',
      metadata: { name: 'db' },
      spec,
    });
    await assert.rejects(
      kubernetes.request(clusters, { body: cluster({ instances: 'three' }) }),
      /422 .*spec\.instances in body must be of type integer/,
    );
    await kubernetes.request(clusters, { body: cluster({ instances: 3 }) });
  });
});

test('keys that Kubernetes 1.20 does not know are dropped wherever they stand', () => {
  assert.deepEqual(
    withoutNewerKeys({
      selectableFields: [{ jsonPath: '.spec.a' }],
      properties: [
        { 'x-kubernetes-validations': [], default: '', type: 'string' },
        { default: 'a' },
        { default: null },
      ],
    }),
    { properties: [{ type: 'string' }, { default: 'a' }, { default: null }] },
  );
});

function clientOf(kubeconfig: string): CoreV1Api {
  const config = new KubeConfig();
  config.loadFromString(kubeconfig);
  return config.makeApiClient(CoreV1Api);
}

function container(overrides: object = {}): object {
  return { name: 'main', image: 'example/app:1', ...overrides };
}

function deployment(name: string, overrides: object = {}): object {
  const labels = { app: name };
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name },
    spec: {
      replicas: 1,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [container(overrides)] } },
    },
  };
}

function isReady(pod: Pod): boolean {
  return pod.status.phase === 'Running' && pod.status.containerStatuses?.[0]?.ready === true;
}

function waitingFor(pod: Pod): string | undefined {
  return pod.status.containerStatuses?.[0]?.state.waiting?.reason;
}

/** The first pod of a Deployment for which `condition` holds, waited for. */
async function podOf(kubernetes: Kubernetes, app: string, condition: (pod: Pod) => boolean): Promise<Pod> {
  let found: Pod | undefined;
  await waitUntil(`a pod of ${app}`, STATE_LIMIT_MS, async () => {
    const { items } = await kubernetes.request<{ items: Pod[] }>(`${PODS}?labelSelector=app%3D${app}`);
    found = items.find(condition);
    return found !== undefined;
  });
  assert.ok(found);
  return found;
}
