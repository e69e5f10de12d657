import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import {
  ApiException,
  AppsV1Api,
  BatchV1Api,
  CoreV1Api,
  KubeConfig,
  type KubernetesObject,
  KubernetesObjectApi,
  PatchStrategy,
  setHeaderOptions,
  Watch,
} from '@kubernetes/client-node';
import { VirtualClock } from '../../src/clock.ts';
import { advanceUntil } from '../advance.ts';
import { type Sandbox, startSandbox } from '../start.ts';

interface Failure {
  code: number;
  reason: string;
  message: string;
  details?: { name?: string; group?: string; kind?: string; causes?: { reason: string; field: string }[] };
}

/** The Status a refused call answers with. */
async function failure(work: Promise<unknown>): Promise<Failure> {
  try {
    await work;
  } catch (error) {
    assert.ok(error instanceof ApiException, String(error));
    const body = typeof error.body === 'string' ? JSON.parse(error.body) : error.body;
    assert.equal(body.kind, 'Status');
    assert.equal(body.status, 'Failure');
    assert.equal(body.code, error.code);
    return body;
  }
  return assert.fail('the call was expected to be refused');
}

const DEFINITION = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'runbooks.catalyst.openova.io' },
  spec: {
    group: 'catalyst.openova.io',
    scope: 'Namespaced',
    names: { kind: 'Runbook', plural: 'runbooks', singular: 'runbook', shortNames: ['rb'] },
    versions: [
      {
        name: 'v1alpha1',
        served: true,
        storage: true,
        subresources: { status: {} },
        schema: {
          openAPIV3Schema: {
            type: 'object',
            properties: {
              spec: {
                type: 'object',
                required: ['steps'],
                properties: {
                  mode: { type: 'string', enum: ['Suggest', 'Automatic'], default: 'Suggest' },
                  steps: { type: 'array', items: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
                },
              },
              status: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
            },
          },
        },
      },
    ],
  },
};

describe('the Kubernetes API, through its client', () => {
  const clock = new VirtualClock();
  let sandbox: Sandbox;
  let config: KubeConfig;
  let objects: KubernetesObjectApi;
  let core: CoreV1Api;
  let apps: AppsV1Api;

  const configFor = (token: string) => {
    const made = new KubeConfig();
    made.loadFromOptions({
      // The client takes plain HTTP only when it is told not to look for a certificate.
      clusters: [{ name: 'sandbox', server: sandbox.kubernetes.url, skipTLSVerify: true }],
      users: [{ name: 'user', token }],
      contexts: [{ name: 'sandbox', cluster: 'sandbox', user: 'user' }],
      currentContext: 'sandbox',
    });
    return made;
  };
  const raw = (path: string, init: RequestInit = {}) =>
    fetch(sandbox.kubernetes.url + path, {
      ...init,
      headers: { authorization: `Bearer ${sandbox.kubernetes.token}`, ...init.headers },
    });
  const configMap = (name: string, data: Record<string, string> = {}) => ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name, namespace: 'default' },
    data,
  });

  before(async () => {
    sandbox = await startSandbox({ clock });
    config = configFor(sandbox.kubernetes.token);
    objects = KubernetesObjectApi.makeApiClient(config);
    core = config.makeApiClient(CoreV1Api);
    apps = config.makeApiClient(AppsV1Api);
  });
  after(() => sandbox.stop());

  it('says what it serves', async () => {
    const groups = (await (await raw('/apis')).json()) as { groups: { name: string }[] };
    assert.ok(groups.groups.some(({ name }) => name === 'apps'));
    const list = (await (await raw('/apis/apps/v1')).json()) as { resources: { name: string; kind: string }[] };
    assert.deepEqual(
      list.resources.slice(0, 3).map(({ name, kind }) => [name, kind]),
      [
        ['deployments', 'Deployment'],
        ['deployments/scale', 'Scale'],
        ['deployments/status', 'Deployment'],
      ],
    );
    assert.match(((await (await raw('/version')).json()) as { gitVersion: string }).gitVersion, /^v1\.\d+/);
    assert.equal(await (await raw('/readyz')).text(), 'ok');
    assert.equal((await raw('/apis/nowhere.example/v1')).status, 404);
  });

  it('knows callers by their tokens, and lets a reader only read', async () => {
    const stranger = await raw('/api/v1/namespaces', { headers: { authorization: 'Bearer wrong' } });
    const { code, reason } = (await stranger.json()) as Failure;
    assert.deepEqual([stranger.status, code, reason], [401, 401, 'Unauthorized']);
    const reader = configFor(sandbox.kubernetes.readOnlyToken).makeApiClient(CoreV1Api);
    assert.ok((await reader.listNamespace()).items.length > 5);
    const refused = await failure(reader.deleteNamespacedPod({ name: 'x', namespace: 'openbao' }));
    assert.equal(
      refused.message,
      'pods "x" is forbidden: User "viewer" cannot delete resource "pods" in API group "" in the namespace "openbao"',
    );
    assert.equal((await failure(reader.listNamespacedSecret({ namespace: 'default' }))).reason, 'Forbidden');
  });

  it('reads, lists and selects', async () => {
    const pods = await core.listNamespacedPod({
      namespace: 'shop-prod',
      labelSelector: 'app.kubernetes.io/name in (checkout),catalyst.openova.io/organization=acme',
      fieldSelector: 'status.phase=Running',
    });
    assert.equal(pods.items.length, 3);
    assert.equal(pods.items[0]?.status?.containerStatuses?.[0]?.ready, true);
    const deployment = await objects.read({
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'console', namespace: 'catalyst-system' },
    });
    assert.equal(deployment.metadata?.annotations?.['deployment.kubernetes.io/revision'], '2');
    const all = await objects.list('v1', 'Pod', undefined);
    assert.ok(all.items.length >= 15);
    const missing = await failure(apps.readNamespacedDeployment({ name: 'nope', namespace: 'default' }));
    assert.equal(missing.message, 'deployments.apps "nope" not found');
    assert.deepEqual(missing.details, { name: 'nope', group: 'apps', kind: 'deployments' });
    const unknown = await failure(core.listNamespacedPod({ namespace: 'default', fieldSelector: 'spec.color=red' }));
    assert.deepEqual([unknown.code, unknown.message], [400, 'field label not supported: spec.color']);
  });

  it('lists in pages that all show the moment of the first one', async () => {
    const first = await core.listPodForAllNamespaces({ limit: 4 });
    assert.equal(first.items.length, 4);
    await core.createNamespacedConfigMap({ namespace: 'default', body: configMap('between') });
    const token = first.metadata?._continue;
    assert.ok(token && first.metadata?.remainingItemCount);
    const rest = await core.listPodForAllNamespaces({ _continue: token });
    assert.equal(rest.items.length, first.metadata.remainingItemCount);
    assert.equal(rest.metadata?.resourceVersion, first.metadata.resourceVersion);
    sandbox.world.store.compact();
    const late = await failure(core.listPodForAllNamespaces({ _continue: token }));
    assert.deepEqual([late.code, late.reason], [410, 'Expired']);
  });

  it('creates once, names on request, and refuses what is not valid', async () => {
    await objects.create(configMap('once'));
    const again = await failure(objects.create(configMap('once')));
    assert.deepEqual(
      [again.code, again.reason, again.message],
      [409, 'AlreadyExists', 'configmaps "once" already exists'],
    );
    const named = await core.createNamespacedConfigMap({
      namespace: 'default',
      body: { metadata: { generateName: 'made-' } },
    });
    assert.match(named.metadata?.name ?? '', /^made-[a-z0-9]{5}$/);
    const nowhere = { ...configMap('x'), metadata: { name: 'x', namespace: 'nowhere' } };
    assert.equal((await failure(objects.create(nowhere))).message, 'namespaces "nowhere" not found');
    const bad = await failure(objects.create(configMap('Not_A_Name')));
    assert.deepEqual([bad.code, bad.reason, bad.details?.causes?.[0]?.field], [422, 'Invalid', 'metadata.name']);
    const dry: KubernetesObject = await objects.create(configMap('dry'), undefined, 'All');
    assert.ok(dry.metadata?.uid);
    assert.equal((await failure(objects.read({ ...configMap('dry') }))).code, 404);
  });

  it('refuses a write on an old version, and counts generations of the specification only', async () => {
    const target = { name: 'pgbouncer', namespace: 'shop-prod' };
    const before = await apps.readNamespacedDeployment(target);
    const labelled = await apps.patchNamespacedDeployment(
      { ...target, body: { metadata: { labels: { tier: 'data' } } } },
      patchOptions(PatchStrategy.MergePatch),
    );
    assert.equal(labelled.metadata?.generation, before.metadata?.generation);
    const stale = await failure(apps.replaceNamespacedDeployment({ ...target, body: before }));
    assert.deepEqual([stale.code, stale.reason], [409, 'Conflict']);
    assert.match(
      stale.message,
      /^Operation cannot be fulfilled on deployments\.apps "pgbouncer": the object has been modified/,
    );
    const scale = await apps.readNamespacedDeploymentScale(target);
    const scaled = await apps.replaceNamespacedDeploymentScale({
      ...target,
      body: { ...scale, spec: { replicas: 3 } },
    });
    assert.equal(scaled.spec?.replicas, 3);
    const after = await apps.readNamespacedDeployment(target);
    assert.equal(after.metadata?.generation, (before.metadata?.generation ?? 0) + 1);
    assert.ok(after.metadata?.managedFields?.some((entry) => entry.subresource === 'scale'));
    await advanceUntil(clock, 'three ready pods', async () => {
      return (await apps.readNamespacedDeployment(target)).status?.readyReplicas === 3;
    });
  });

  it('applies with field ownership: shares what is equal, refuses what another owns, drops what is declared no more', async () => {
    const declare = (data: Record<string, string>) => configMap('applied', data);
    const apply = (data: Record<string, string>, manager: string, force?: boolean) =>
      objects.patch(declare(data), undefined, undefined, manager, force, PatchStrategy.ServerSideApply) as Promise<
        KubernetesObject & { data?: Record<string, string> }
      >;
    await apply({ a: '1', b: '2' }, 'first');
    await apply({ a: '1' }, 'second');
    const refused = await failure(apply({ a: '9' }, 'second'));
    assert.deepEqual([refused.code, refused.reason], [409, 'Conflict']);
    assert.equal(refused.message, 'Apply failed with 1 conflict: conflict with "first" using v1: .data.a');
    assert.deepEqual(refused.details?.causes, [
      { reason: 'FieldManagerConflict', message: 'conflict with "first" using v1', field: '.data.a' },
    ]);
    const forced = await apply({ a: '9' }, 'second', true);
    assert.deepEqual(forced.data, { a: '9', b: '2' });
    const owners = forced.metadata?.managedFields?.map(({ manager, operation, fieldsV1 }) => [
      manager,
      operation,
      fieldsV1,
    ]);
    assert.deepEqual(owners, [
      ['first', 'Apply', { 'f:data': { 'f:b': {} } }],
      ['second', 'Apply', { 'f:data': { 'f:a': {} } }],
    ]);
    const dropped = await apply({ c: '3' }, 'first', false);
    assert.deepEqual(dropped.data, { a: '9', c: '3' });
    const anonymous = await failure(apply({ a: '1' }, ''));
    assert.deepEqual([anonymous.code, anonymous.reason], [422, 'Invalid']);
  });

  it('applies to one container without touching the others, and conflicts on a scaled number', async () => {
    const target = { name: 'catalog', namespace: 'shop-prod' };
    await apps.patchNamespacedDeploymentScale(
      { ...target, body: { spec: { replicas: 2 } }, fieldManager: 'autoscaler' },
      patchOptions(PatchStrategy.MergePatch),
    );
    await apps.patchNamespacedDeploymentScale(
      { ...target, body: { spec: { replicas: 3 } }, fieldManager: 'autoscaler' },
      patchOptions(PatchStrategy.MergePatch),
    );
    const declared = { apiVersion: 'apps/v1', kind: 'Deployment', metadata: target, spec: { replicas: 5 } };
    const refused = await failure(
      objects.patch(declared, undefined, undefined, 'runbook', false, PatchStrategy.ServerSideApply),
    );
    assert.match(
      refused.message,
      /conflict with "autoscaler" with subresource "scale" using apps\/v1: \.spec\.replicas$/,
    );
  });

  it('deletes on conditions: the wrong uid is a conflict, the right one works', async () => {
    const created = await core.createNamespacedConfigMap({ namespace: 'default', body: configMap('doomed') });
    const target = { name: 'doomed', namespace: 'default' };
    const other = { preconditions: { uid: '00000000-0000-4000-8000-000000000000' } };
    const refused = await failure(core.deleteNamespacedConfigMap({ ...target, body: other }));
    assert.deepEqual([refused.code, refused.reason], [409, 'Conflict']);
    assert.match(refused.message, /Precondition failed: UID in precondition/);
    const uid = created.metadata?.uid ?? '';
    const done = await core.deleteNamespacedConfigMap({ ...target, body: { preconditions: { uid } } });
    assert.equal(done.status, 'Success');
    const [pod] = (await core.listNamespacedPod({ namespace: 'spire' })).items;
    const marked = await core.deleteNamespacedPod({ name: pod?.metadata?.name ?? '', namespace: 'spire' });
    assert.ok(marked.metadata?.deletionTimestamp, 'a pod ends gracefully, and answers with itself');
  });

  it('patches in three ways, and says which it takes', async () => {
    const target = { name: 'environment-controller', namespace: 'catalyst-system' };
    const strategic = await apps.patchNamespacedDeployment(
      {
        ...target,
        body: {
          spec: {
            template: {
              metadata: { annotations: { 'kubectl.kubernetes.io/restartedAt': '2026-01-05T12:00:00Z' } },
              spec: { containers: [{ name: 'environment-controller', env: [{ name: 'LOG', value: 'debug' }] }] },
            },
          },
        },
      },
      patchOptions(PatchStrategy.StrategicMergePatch),
    );
    const [container] = strategic.spec?.template.spec?.containers ?? [];
    assert.equal(container?.image, 'harbor.example/catalyst/controllers:2.4.1');
    assert.equal(container?.env?.[0]?.value, 'debug');
    const json = await raw('/apis/apps/v1/namespaces/catalyst-system/deployments/environment-controller', {
      method: 'PATCH',
      headers: { 'content-type': 'application/json-patch+json' },
      body: JSON.stringify([{ op: 'test', path: '/spec/replicas', value: 7 }]),
    });
    assert.equal(json.status, 422);
    const text = await raw('/api/v1/namespaces/default/configmaps/once', {
      method: 'PATCH',
      headers: { 'content-type': 'text/plain' },
      body: '{}',
    });
    assert.equal(text.status, 415);
    assert.equal(((await text.json()) as Failure).reason, 'UnsupportedMediaType');
  });

  it('serves kinds that definitions add: validated, pruned, defaulted, with a status of their own', async () => {
    // Not through the client: its typed models drop `enum`, `default` and the like from a schema.
    const defined = await raw('/apis/apiextensions.k8s.io/v1/customresourcedefinitions', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(DEFINITION),
    });
    assert.equal(defined.status, 201);
    const { status } = (await defined.json()) as { status: { conditions: { type: string; status: string }[] } };
    assert.ok(status.conditions.some((condition) => condition.type === 'Established' && condition.status === 'True'));
    const runbook = (spec: Record<string, unknown>) => ({
      apiVersion: 'catalyst.openova.io/v1alpha1',
      kind: 'Runbook',
      metadata: { name: 'openbao-sealed', namespace: 'catalyst-system' },
      spec,
    });
    const wrong = await failure(objects.create(runbook({ mode: 'Wild' })));
    assert.equal(wrong.code, 422);
    assert.deepEqual(wrong.details?.causes?.map(({ field }) => field).sort(), ['spec.mode', 'spec.steps']);
    const made = (await objects.create(runbook({ steps: [{ run: 'x' }], unheard: 1 }))) as KubernetesObject & {
      spec: unknown;
      status?: unknown;
    };
    assert.deepEqual(made.spec, { steps: [{ run: 'x' }], mode: 'Suggest' });
    const path = '/apis/catalyst.openova.io/v1alpha1/namespaces/catalyst-system/runbooks/openbao-sealed';
    const patch = (suffix: string, body: unknown) =>
      raw(path + suffix, {
        method: 'PATCH',
        headers: { 'content-type': 'application/merge-patch+json' },
        body: JSON.stringify(body),
      });
    const ignored = (await (await patch('', { status: { phase: 'Ready' } })).json()) as typeof made;
    assert.equal(ignored.status, undefined);
    const set = (await (
      await patch('/status', { status: { phase: 'Ready' }, spec: { mode: 'Automatic' } })
    ).json()) as typeof made;
    assert.deepEqual(set.status, { phase: 'Ready' });
    assert.deepEqual(set.spec, made.spec);
    assert.equal(set.metadata?.generation, 1);
    const strategic = await raw(path, {
      method: 'PATCH',
      headers: { 'content-type': 'application/strategic-merge-patch+json' },
      body: '{}',
    });
    assert.equal(strategic.status, 415);
    assert.equal((await objects.list('catalyst.openova.io/v1alpha1', 'Runbook')).items.length, 1);
    await objects.delete(DEFINITION);
    assert.equal((await raw(path)).status, 404);
  });

  it('runs Jobs and offers what the metrics server would', async () => {
    const batch = config.makeApiClient(BatchV1Api);
    await batch.createNamespacedJob({
      namespace: 'default',
      body: {
        metadata: { name: 'task' },
        spec: { template: { spec: { restartPolicy: 'Never', containers: [{ name: 'task', image: 'busybox' }] } } },
      },
    });
    await advanceUntil(clock, 'the Job is complete', async () => {
      return (await batch.readNamespacedJob({ name: 'task', namespace: 'default' })).status?.succeeded === 1;
    });
    const metrics = (await (await raw('/apis/metrics.k8s.io/v1beta1/namespaces/shop-prod/pods')).json()) as {
      items: { containers: { usage: { memory: string } }[] }[];
    };
    assert.match(metrics.items[0]?.containers[0]?.usage.memory ?? '', /^\d+Ki$/);
  });

  describe('watch', () => {
    interface Event {
      type: string;
      object: KubernetesObject & { code?: number; reason?: string };
    }

    const watch = async (path: string, query: Record<string, string>) => {
      const events: Event[] = [];
      const closed = Promise.withResolvers<void>();
      const controller = await new Watch(config).watch(
        path,
        query,
        (type: string, object: Event['object']) => events.push({ type, object }),
        () => closed.resolve(),
      );
      return { events, closed: closed.promise, stop: () => controller.abort() };
    };
    const names = (events: Event[]) =>
      events.map(({ type, object }) => `${type} ${object.metadata?.name ?? object.reason}`);

    it('goes on from a version, seeing what came before it connected and what comes after', async () => {
      const list = await core.listNamespacedConfigMap({ namespace: 'cortex' });
      const place = (name: string, labels = {}) => ({ metadata: { name, namespace: 'cortex', labels } });
      await core.createNamespacedConfigMap({ namespace: 'cortex', body: place('early', { watched: 'yes' }) });
      await core.createNamespacedConfigMap({ namespace: 'cortex', body: place('unseen') });
      const path = '/api/v1/namespaces/cortex/configmaps';
      const watching = await watch(path, {
        resourceVersion: list.metadata?.resourceVersion ?? '',
        labelSelector: 'watched=yes',
      });
      const relabel = (name: string, watched: string | null) =>
        core.patchNamespacedConfigMap(
          { name, namespace: 'cortex', body: { metadata: { labels: { watched } } } },
          patchOptions(PatchStrategy.MergePatch),
        );
      await relabel('unseen', 'yes');
      await relabel('early', null);
      await core.deleteNamespacedConfigMap({ name: 'unseen', namespace: 'cortex' });
      await advanceUntil(clock, 'four events', () => watching.events.length >= 4, { stepMs: 1 });
      assert.deepEqual(names(watching.events), ['ADDED early', 'ADDED unseen', 'DELETED early', 'DELETED unseen']);
      watching.stop();
      await watching.closed;
    });

    it('ends when its time is over, with a bookmark to go on from', async () => {
      const watching = await watch('/api/v1/namespaces', {
        resourceVersion: String(sandbox.world.store.version),
        allowWatchBookmarks: 'true',
        timeoutSeconds: '5',
      });
      let isClosed = false;
      void watching.closed.then(() => {
        isClosed = true;
      });
      const took = await advanceUntil(clock, 'the watch is closed', () => isClosed);
      assert.ok(took >= 4_000, `after ${took} ms`);
      assert.equal(watching.events.at(-1)?.type, 'BOOKMARK');
      assert.ok(watching.events.at(-1)?.object.metadata?.resourceVersion);
    });

    it('tells a client that comes too late to list again', async () => {
      const old = String(sandbox.world.store.version);
      await objects.create(configMap('newer'));
      sandbox.world.store.compact();
      const watching = await watch('/api/v1/namespaces/default/configmaps', { resourceVersion: old });
      await watching.closed;
      assert.deepEqual(names(watching.events), ['ERROR Expired']);
      assert.equal(watching.events[0]?.object.code, 410);
    });
  });

  it('limits bodies', async () => {
    const response = await raw('/api/v1/namespaces/default/configmaps', {
      method: 'POST',
      body: 'x'.repeat(3 * 1024 * 1024 + 1),
    });
    assert.equal(response.status, 413);
    assert.equal(((await response.json()) as Failure).reason, 'RequestEntityTooLarge');
  });
});

/** How client-node is told the kind of a patch in a typed call. */
function patchOptions(strategy: string) {
  return setHeaderOptions('Content-Type', strategy);
}
