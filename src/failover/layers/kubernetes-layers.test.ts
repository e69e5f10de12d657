import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, it } from 'node:test';
import { findKubernetes, type Kubernetes, startKubernetes } from '../../../testbed/kubernetes.ts';
import { describeReal } from '../../../testbed/real.ts';
import { renderCrds } from '../../catalog/crd.ts';
import { systemClock } from '../../clock.ts';
import { KubernetesApi } from '../../integrations/kubernetes/client.ts';
import { connect } from '../../integrations/kubernetes/connection.ts';
import { createSecrets } from '../../integrations/secrets.ts';
import { createCloudNativePg } from './cloudnativepg.ts';
import { gslbs } from './dns-records.ts';
import { epochAnnotation, epochOf, failoverFieldManager } from './epoch-write.ts';
import { createExternalLayer } from './external.ts';
import { createInternalLayer } from './internal.ts';
import { type Authority, toClose } from './layer.ts';
import { createMirrorMaker } from './strimzi.ts';

const context = { signal: AbortSignal.timeout(200_000), clock: systemClock };
const crds = [
  'gateway.networking.k8s.io_httproutes',
  'postgresql.cnpg.io_clusters',
  'k8gb.io_gslbs',
  '048-Crd-kafkamirrormaker2',
];
const [a, b] = ['hz-fsn-rtz-prod', 'hz-hel-rtz-prod'];

function under(epoch: number, live = true): Authority {
  return {
    group: 'orders',
    region: a,
    epoch,
    demand: () => {
      if (!live) throw new Error('dead epoch');
    },
  };
}

type Body = { [field: string]: unknown };

describeReal('the layers on a real Kubernetes API', findKubernetes, () => {
  let cluster: Kubernetes;
  let api: KubernetesApi;
  let http: ReturnType<typeof connect> | undefined;

  after(async () => {
    (await http)?.close();
    await cluster?.stop();
  });
  before(async () => {
    cluster = await startKubernetes({ node: false });
    await cluster.installCrds(
      crds.map((name) => new URL(`../../../../shared/specs/crds/${name}.yaml`, import.meta.url).pathname),
    );
    const secrets = createSecrets({});
    const connected = connect({ kubeconfig: cluster.kubeconfigFile }, secrets);
    http = connected;
    api = new KubernetesApi(() => connected, failoverFieldManager);
    await cluster.request('/api/v1/namespaces', { body: { metadata: { name: 'acme' } } });
  });

  const create = (path: string, body: Body) => cluster.request<Body>(path, { body });
  const status = (path: string, value: Body) =>
    cluster.request(`${path}/status`, {
      method: 'PATCH',
      contentType: 'application/merge-patch+json',
      body: { status: value },
    });
  const rejectStale = async (attempt: Promise<unknown>) => {
    await assert.rejects(attempt, /was written under epoch 5; epoch 4 is over/);
  };

  it('shares and withdraws a global Service, and fills and empties an EndpointSlice, each with its epoch', async () => {
    const path = '/api/v1/namespaces/acme/services/orders';
    await create('/api/v1/namespaces/acme/services', {
      metadata: { name: 'orders', annotations: { 'service.cilium.io/affinity': 'none', team: 'shop' } },
      spec: { ports: [{ port: 80 }] },
    });
    const layer = createInternalLayer(
      'orders',
      {
        services: [{ namespace: 'acme', name: 'orders' }],
        endpoints: [{ namespace: 'acme', name: 'db', addresses: ['10.1.0.17'], port: 5432 }],
      },
      api,
    );
    const look = async () => {
      const service = await cluster.request<{
        metadata: { annotations: Record<string, string>; managedFields: Body[] };
      }>(path);
      const slice = await cluster.request<{ endpoints: Body[] | null; metadata: Body }>(
        '/apis/discovery.k8s.io/v1beta1/namespaces/acme/endpointslices/db-failover',
      );
      return { ...service.metadata, endpoints: slice.endpoints ?? [] };
    };
    await layer.close(context, toClose('orders', a, undefined));
    let seen = await look();
    assert.equal(seen.annotations['service.cilium.io/shared'], 'false');
    assert.equal(seen.annotations['service.cilium.io/affinity'], 'none', 'closing leaves what others set');
    assert.equal(seen.endpoints.length, 0);
    assert.equal((await layer.checks(context)).find((one) => one.check === 'mesh-service')?.verdict, 'failed');

    await layer.open(context, under(5));
    seen = await look();
    assert.deepEqual(seen.annotations, {
      'service.cilium.io/global': 'true',
      'service.cilium.io/shared': 'true',
      [epochAnnotation]: '5',
      team: 'shop',
    });
    assert.equal(seen.endpoints.length, 1);
    assert.ok(
      seen.managedFields.some((field) => field.manager === failoverFieldManager && field.operation === 'Apply'),
    );

    await rejectStale(layer.close(context, toClose('orders', a, 4)));
    await assert.rejects(layer.open(context, under(6, false)), /dead epoch/);
    await layer.close(context, toClose('orders', a, 5));
    seen = await look();
    assert.deepEqual([seen.annotations['service.cilium.io/shared'], seen.endpoints.length], ['false', 0]);
  });

  it('gives a route the rule of the gate once, keeps its own rules, and takes a Gslb that cannot fail open', async () => {
    await create('/apis/gateway.networking.k8s.io/v1/namespaces/acme/httproutes', {
      apiVersion: 'gateway.networking.k8s.io/v1',
      kind: 'HTTPRoute',
      metadata: { name: 'orders' },
      spec: {
        parentRefs: [{ name: 'public' }],
        hostnames: ['orders.acme.example'],
        rules: [{ backendRefs: [{ name: 'orders', port: 80 }] }],
      },
    });
    const external = {
      httpRoutes: [{ namespace: 'acme', name: 'orders' }],
      gateService: { namespace: 'acme', name: 'catalyst-gate', port: 8090 },
    };
    const layer = createExternalLayer('orders', external, api);
    assert.equal((await layer.checks(context))[0]?.verdict, 'failed');
    await layer.close(context, toClose('orders', a, 1));
    await layer.open(context, under(2));
    const route = await cluster.request<{ spec: { rules: { backendRefs: { name: string }[] }[] } }>(
      '/apis/gateway.networking.k8s.io/v1/namespaces/acme/httproutes/orders',
    );
    assert.deepEqual(
      route.spec.rules.map((rule) => rule.backendRefs[0]?.name),
      ['orders', 'catalyst-gate'],
    );
    assert.equal((await layer.checks(context))[0]?.verdict, 'passed');

    const gslbPath = '/apis/k8gb.io/v1beta1/namespaces/acme/gslbs';
    for (const gslb of gslbs(external)) await create(gslbPath, gslb as Body);
    assert.equal((await layer.checks(context))[0]?.verdict, 'passed');
    await cluster.request(`${gslbPath}/orders`, {
      method: 'PATCH',
      contentType: 'application/merge-patch+json',
      body: { spec: { serviceHealthPolicy: 'Any' } },
    });
    assert.match((await layer.checks(context))[0]?.sentence ?? '', /needs serviceHealthPolicy: All/);
  });

  it('switches CloudNativePG by token without a stale one, fences it at boot, and refuses an older epoch', async () => {
    const clusters = '/apis/postgresql.cnpg.io/v1/namespaces/acme/clusters';
    const make = (name: string, replica: Body) =>
      create(clusters, {
        apiVersion: 'postgresql.cnpg.io/v1',
        kind: 'Cluster',
        metadata: { name },
        spec: { instances: 1, storage: { size: '1Gi' }, switchoverDelay: 5, replica },
      });
    // Both regions' clusters, in one API server here; each component sees only its own.
    await make('db-a', { self: a, primary: a, source: a, promotionToken: 'old-token' });
    await make('db-b', { self: b, primary: a, source: a });
    const of = (name: string, region: string, peer: string) =>
      createCloudNativePg(
        { name: 'db', namespace: 'acme', cluster: name, region, peer, fenceBudgetMs: 8000, stepMs: 8000 },
        api,
      );
    const [one, two] = [of('db-a', a, b), of('db-b', b, a)];
    const replica = async (name: string) =>
      (await cluster.request<{ spec: { replica: Body } }>(`${clusters}/${name}`)).spec.replica;

    const verdicts = async () =>
      Object.fromEntries((await one.checks(context)).map(({ check, verdict }) => [check, verdict]));
    const before = await verdicts();
    // What the operator has not said is not known to be right.
    for (const check of ['postgres-instances', 'postgres-roles', 'postgres-backup'])
      assert.equal(before[check], 'unknown', check);
    await status(`${clusters}/db-a`, {
      ...{ readyInstances: 1, secretsResourceVersion: {}, lastSuccessfulBackup: new Date().toISOString() },
    });
    assert.deepEqual(
      Object.entries(await verdicts()).filter(([, verdict]) => verdict !== 'passed'),
      [],
    );
    await status(`${clusters}/db-a`, {
      ...{ readyInstances: 0, managedRolesStatus: { cannotReconcile: { shop: ['no such secret'] } } },
    });
    const wrong = await verdicts();
    assert.deepEqual([wrong['postgres-instances'], wrong['postgres-roles']], ['failed', 'failed']);

    await status(`${clusters}/db-a`, { demotionToken: 'token-of-an-earlier-switch' });
    const demoted = one.demote(context, under(5));
    // The operator's part: it answers the change of the primary with a token, after a while.
    for (;;) {
      if ((await replica('db-a')).primary === b) break;
      await systemClock.sleep(50);
    }
    assert.deepEqual(await replica('db-a'), { self: a, primary: b, source: b });
    const now = new Date().toISOString();
    const condition = {
      type: 'ReplicaClusterSwitch',
      status: 'True',
      reason: 'x',
      message: 'x',
      lastTransitionTime: now,
    };
    await status(`${clusters}/db-a`, { conditions: [condition] });
    await status(`${clusters}/db-a`, { demotionToken: 'fresh-token' });
    const { handover } = await demoted;
    assert.deepEqual(handover, { demotionToken: 'fresh-token' });

    const promoted = two.promote(context, under(6), handover);
    for (;;) {
      if ((await replica('db-b')).primary === b) break;
      await systemClock.sleep(50);
    }
    assert.deepEqual(await replica('db-b'), { self: b, primary: b, source: a, promotionToken: 'fresh-token' });
    await assert.rejects(two.verify(context), /not writable/);
    await status(`${clusters}/db-b`, {
      lastPromotionToken: 'fresh-token',
      readyInstances: 1,
      phase: 'Cluster in healthy state',
      systemID: '7001',
      timelineID: 2,
    });
    assert.match((await promoted).sentence, /promoted by its token/);
    await two.verify(context);
    assert.match(await two.divergence(context, { systemId: '7001', timeline: 1 }), /timeline 2 here/);

    await two.fence(context, toClose('orders', b, undefined));
    const object = await api.get(context, {
      apiVersion: 'postgresql.cnpg.io/v1',
      kind: 'Cluster',
      namespace: 'acme',
      name: 'db-b',
    });
    assert.equal(object.metadata.annotations?.['cnpg.io/fencedInstances'], '["*"]');
    assert.equal(epochOf(object), 6, 'the boot fence keeps the epoch it found');
    await assert.rejects(two.promote(context, under(5), undefined), /written under epoch 6; epoch 5 is over/);
    await assert.rejects(two.promote(context, under(7, false), undefined), /dead epoch/);
    assert.match((await one.fence(context, toClose('orders', a, 5))).sentence, /is a replica/);
  });

  it('stops every connector of a mirror and believes only what the operator reports', async () => {
    const mirrors = '/apis/kafka.strimzi.io/v1/namespaces/acme/kafkamirrormaker2s';
    const side = (alias: string) => ({
      alias,
      bootstrapServers: `${alias}:9092`,
      groupId: 'mm2',
      configStorageTopic: 'c',
      offsetStorageTopic: 'o',
      statusStorageTopic: 's',
    });
    await create(mirrors, {
      apiVersion: 'kafka.strimzi.io/v1',
      kind: 'KafkaMirrorMaker2',
      metadata: { name: 'into-b' },
      spec: {
        version: '4.1.0',
        replicas: 1,
        target: side('b'),
        mirrors: [
          {
            source: { alias: 'a', bootstrapServers: 'a:9092' },
            sourceConnector: { tasksMax: 2, config: { 'replication.factor': -1 } },
            checkpointConnector: { config: { 'sync.group.offsets.enabled': 'true' } },
          },
        ],
      },
    });
    const component = createMirrorMaker({ namespace: 'acme', mirror: 'into-b' }, api);
    assert.equal((await component.checks(context))[0]?.verdict, 'passed');
    const read = () =>
      cluster.request<{
        metadata: { generation: number; annotations?: Record<string, string> };
        spec: { mirrors: Body[] };
      }>(`${mirrors}/into-b`);
    const promoted = component.promote(context, under(5), undefined);
    for (;;) {
      if ((await read()).metadata.generation > 1) break;
      await systemClock.sleep(50);
    }
    const { metadata, spec } = await read();
    assert.equal(metadata.annotations?.[epochAnnotation], '5');
    assert.deepEqual(spec.mirrors[0]?.sourceConnector, {
      tasksMax: 2,
      state: 'stopped',
      config: { 'replication.factor': -1 },
    });
    const connectors = (state: string) => [
      { name: 'a->b.MirrorSourceConnector', connector: { state: 'STOPPED' } },
      { name: 'a->b.MirrorCheckpointConnector', connector: { state } },
    ];
    await status(`${mirrors}/into-b`, { observedGeneration: metadata.generation, connectors: connectors('RUNNING') });
    await assert.rejects(component.verify(context), /MirrorCheckpointConnector is not STOPPED/);
    await status(`${mirrors}/into-b`, { connectors: connectors('STOPPED') });
    await promoted;
    await component.verify(context);
    await rejectStale(
      component.promote(context, under(4), undefined).then(() => component.promote(context, under(4), undefined)),
    );
  });

  it('takes a FailoverGroup by its own definition, and refuses one of three regions', async () => {
    const { writeFileSync, mkdtempSync } = await import('node:fs');
    const { tmpdir } = await import('node:os');
    const folder = mkdtempSync(`${tmpdir()}/crds-`);
    const file = renderCrds().find(({ path }) => path.includes('failovergroups'));
    writeFileSync(`${folder}/crd.yaml`, file?.content ?? '');
    await cluster.installCrds([`${folder}/crd.yaml`]);
    assert.match(readFileSync(`${folder}/crd.yaml`, 'utf8'), /kind: FailoverGroup/);
    const path = '/apis/catalyst.openova.io/v1alpha1/namespaces/acme/failovergroups';
    const group = (regions: string[]) => ({
      apiVersion: 'catalyst.openova.io/v1alpha1',
      kind: 'FailoverGroup',
      metadata: { name: 'orders' },
      spec: { regions, witnesses: ['worker'], mode: 'SemiAutomatic', components: [{ name: 'db', adapter: 'Valkey' }] },
    });
    await assert.rejects(create(path, group([a, b, 'third'])), /regions/);
    await create(path, group([a, b]));
  });
});
