/**
 * Two regions, each with a Kubernetes API server of its own and the published definitions of Gateway API, Cilium's
 * annotations, k8gb, CloudNativePG and Strimzi; a controller in each and a witness between them, as processes. The group is
 * moved on purpose, then its region is lost, then that region comes back.
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join, resolve } from 'node:path';
import { it, type TestContext } from 'node:test';
import { systemClock } from '../../src/clock.ts';
import { startObserver, twoActive } from '../../src/failover/drill/observer.ts';
import { scaledTimings } from '../../src/failover/drill/stage.ts';
import { gslbs } from '../../src/failover/layers/dns-records.ts';
import { epochAnnotation } from '../../src/failover/layers/epoch-write.ts';
import { gatePath, gateRule } from '../../src/failover/layers/external.ts';
import { type RecordedFailoverEntry, verifyRecordFile } from '../../src/failover/record-file.ts';
import { findKubernetes, type Kubernetes, startKubernetes } from '../../testbed/kubernetes.ts';
import { freePort, temporaryDirectory } from '../../testbed/process.ts';
import { findPrometheus, startPrometheus } from '../../testbed/prometheus.ts';
import { describeReal } from '../../testbed/real.ts';
import { type Mirror, operate, type PostgresCluster } from '../support/cluster-operators.ts';
import {
  command,
  group,
  isReady,
  type Program,
  regionKeys,
  regionNames,
  reigns,
  startRegion,
  startWitness,
  statusOf,
  until,
} from '../support/failover-site.ts';

const [fsn, hel] = regionNames;
const paths = {
  service: '/api/v1/namespaces/acme/services/orders',
  slice: '/apis/discovery.k8s.io/v1beta1/namespaces/acme/endpointslices/db-failover',
  route: '/apis/gateway.networking.k8s.io/v1/namespaces/acme/httproutes/orders',
  postgres: '/apis/postgresql.cnpg.io/v1/namespaces/acme/clusters/db',
  mirror: '/apis/kafka.strimzi.io/v1/namespaces/acme/kafkamirrormaker2s/into-here',
};
const gateService = { namespace: 'acme', name: 'catalyst-gate', port: 8090 };
const external = { hosts: ['orders.acme.example'], httpRoutes: [{ namespace: 'acme', name: 'orders' }], gateService };
/** TTL 10 s: each component has the time between a renewal and the fence. What is moved here twice in a minute is meant so. */
const spec = {
  mode: 'Automatic',
  timings: scaledTimings(3),
  minimumDwell: '0s',
  external,
  internal: {
    services: [{ namespace: 'acme', name: 'orders' }],
    endpoints: [{ namespace: 'acme', name: 'db', addresses: ['10.1.0.17'], port: 5432 }],
  },
  components: [
    { name: 'db', adapter: 'CloudNativePG', order: 0, cluster: { namespace: 'acme', name: 'db' } },
    { name: 'kafka', adapter: 'Strimzi', order: 1, cluster: { namespace: 'acme', name: 'into-here' } },
  ],
};

const specs = resolve(process.env.CATALYST_SPECS ?? join(import.meta.dirname, '../../../shared/specs'), 'crds');
const definitions = [
  'gateway.networking.k8s.io_httproutes',
  'k8gb.io_gslbs',
  'postgresql.cnpg.io_clusters',
  '048-Crd-kafkamirrormaker2',
].map((name) => join(specs, `${name}.yaml`));

/** What a region has before any controller was there. */
async function furnish(cluster: Kubernetes, region: string, peer: string): Promise<void> {
  await cluster.installCrds(definitions);
  const create = (path: string, body: object) => cluster.request(path.slice(0, path.lastIndexOf('/')), { body });
  await create('/api/v1/namespaces/acme', { metadata: { name: 'acme' } });
  await create('/api/v1/namespaces/kube-system/configmaps/cilium-config', {
    metadata: { name: 'cilium-config' },
    data: { 'clustermesh-cache-ttl': '30s' },
  });
  await create(paths.service, { metadata: { name: 'orders' }, spec: { ports: [{ port: 80 }] } });
  const own = { backendRefs: [{ name: 'orders', port: 80 }] };
  await create(paths.route, {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'HTTPRoute',
    metadata: { name: 'orders' },
    spec: {
      parentRefs: [{ name: 'public' }],
      hostnames: external.hosts,
      // Wired before in one region, as after an earlier run; the other controller is to do it by itself.
      rules: region === fsn ? [own, gateRule(group, gateService, 'acme')] : [own],
    },
  });
  for (const gslb of gslbs(external))
    await create('/apis/k8gb.io/v1beta1/namespaces/acme/gslbs/orders', gslb as object);
  await create(paths.postgres, {
    apiVersion: 'postgresql.cnpg.io/v1',
    kind: 'Cluster',
    metadata: { name: 'db' },
    spec: {
      instances: 1,
      storage: { size: '1Gi' },
      switchoverDelay: 2,
      replica: { self: region, primary: fsn, source: region === fsn ? hel : fsn },
    },
  });
  const side = (alias: string) => ({
    alias,
    bootstrapServers: `${alias}:9092`,
    groupId: 'mm2',
    configStorageTopic: 'c',
    offsetStorageTopic: 'o',
    statusStorageTopic: 's',
  });
  await create(paths.mirror, {
    apiVersion: 'kafka.strimzi.io/v1',
    kind: 'KafkaMirrorMaker2',
    metadata: { name: 'into-here' },
    spec: {
      version: '4.1.0',
      replicas: 1,
      target: side(region),
      mirrors: [
        {
          source: { alias: peer, bootstrapServers: `${peer}:9092` },
          sourceConnector: { state: region === fsn ? 'stopped' : 'running' },
          checkpointConnector: { config: { 'sync.group.offsets.enabled': 'true' } },
        },
      ],
    },
  });
}

/** The exporters of both databases and of the mirror: everything is replicated. */
const metrics = `cnpg_pg_replication_lag{namespace="acme",cluster="db"} 0
cnpg_pg_replication_is_wal_receiver_up{namespace="acme",cluster="db"} 1
kafka_connect_mirror_mirrorsourceconnector_replication_latency_ms_max{topic="a.heartbeats"} 20
kafka_connect_connector_status{status="running"} 1
`;

/** A real Prometheus that scrapes them, and one that nobody else asks. */
async function measure(cleanUps: (() => Promise<unknown>)[]): Promise<string> {
  const exporter = createServer((_request, response) => response.end(metrics));
  await new Promise<void>((listening) => exporter.listen(0, '127.0.0.1', listening));
  cleanUps.push(() => new Promise((closed) => exporter.close(closed)));
  const { port } = exporter.address() as AddressInfo;
  const prometheus = await startPrometheus({
    scrapeConfigs: [{ job_name: 'exporters', static_configs: [{ targets: [`127.0.0.1:${port}`] }] }],
  });
  cleanUps.push(() => prometheus.stop());
  return prometheus.url;
}

/** Whether a region carries traffic and data, as its own objects say. */
async function look(cluster: Kubernetes) {
  const service = await cluster.request<{ metadata: { annotations?: Record<string, string> } }>(paths.service);
  const slice = await cluster.request<{ endpoints: object[] | null }>(paths.slice);
  const route = await cluster.request<{ spec: { rules: { matches?: { path?: { value?: string } }[] }[] } }>(
    paths.route,
  );
  const postgres = await cluster.request<PostgresCluster>(paths.postgres);
  const mirror = await cluster.request<Mirror>(paths.mirror);
  const { self, ...replica } = postgres.spec.replica;
  return {
    shared: service.metadata.annotations?.['service.cilium.io/shared'],
    endpoints: slice.endpoints?.length ?? 0,
    gated: route.spec.rules.some(({ matches }) => matches?.some(({ path }) => path?.value === gatePath)),
    replica,
    fenced: postgres.metadata.annotations?.['cnpg.io/fencedInstances'] !== undefined,
    mirror: mirror.spec.mirrors[0]?.sourceConnector.state,
    epoch: postgres.metadata.annotations?.[epochAnnotation],
  };
}
type Look = Awaited<ReturnType<typeof look>>;

/** The objects follow the gates, in their own time. */
async function comesTo(cluster: Kubernetes, expected: Partial<Look>): Promise<void> {
  let seen: Look | undefined;
  await until('the objects are right', async () => {
    seen = await look(cluster);
    return Object.entries(expected).every(([name, value]) => {
      const is = seen?.[name as keyof Look];
      return JSON.stringify(is) === JSON.stringify(value);
    });
  }).catch(() => assert.partialDeepStrictEqual(seen, expected));
}

async function kindsOf(record: string): Promise<string[]> {
  assert.equal((await verifyRecordFile(record)).intact, true);
  return readFileSync(record, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => (JSON.parse(line) as RecordedFailoverEntry).kind);
}

async function setUp(t: TestContext) {
  const cleanUps: (() => Promise<unknown>)[] = [];
  t.after(async () => {
    for (const cleanUp of cleanUps.reverse()) await cleanUp();
  });
  const folder = temporaryDirectory('failover-clusters');
  cleanUps.push(async () => folder.remove());
  const clusterOf = async (region: string, peer: string) => {
    const cluster = await startKubernetes({ node: false, controllers: false });
    cleanUps.push(() => cluster.stop());
    await furnish(cluster, region, peer);
    const operators = operate(cluster, paths);
    cleanUps.push(() => operators.stop());
    return cluster;
  };
  const [one, two, prometheus] = await Promise.all([clusterOf(fsn, hel), clusterOf(hel, fsn), measure(cleanUps)]);
  const keys = regionKeys();
  const witness = await startWitness(keys, {
    listen: `127.0.0.1:${await freePort()}`,
    data: join(folder.path, 'witness'),
    folder: folder.path,
  });
  cleanUps.push(() => witness.kill('SIGKILL'));
  const ports = { listen: [await freePort(), await freePort()], peer: [await freePort(), await freePort()] } as const;
  const start = async (i: 0 | 1): Promise<Program> => {
    const controller = await startRegion(i, keys, {
      folder: join(folder.path, regionNames[i]),
      listen: `127.0.0.1:${ports.listen[i]}`,
      witness: { url: witness.url },
      peerUrl: `http://127.0.0.1:${ports.peer[1 - i]}`,
      peerListen: `127.0.0.1:${ports.peer[i]}`,
      spec,
      config: { kubernetes: { kubeconfig: [one, two][i]?.kubeconfigFile }, prometheus: { url: prometheus } },
    });
    cleanUps.push(() => controller.kill('SIGKILL'));
    return controller;
  };
  const record = (i: 0 | 1) => join(folder.path, regionNames[i], 'data', 'record.jsonl');
  return { cleanUps, one, two, start, record };
}

const skip = existsSync(specs) ? false : `no folder ${specs}; CATALYST_SPECS names another`;
describeReal('failover between two clusters', [findKubernetes, findPrometheus], () => {
  it('moves layers and data by plan, takes them over when a region is lost, and fences what comes back', {
    skip,
  }, async (t) => {
    const { cleanUps, one, two, start, record } = await setUp(t);
    const [a, b] = [await start(0), await start(1)];
    const observer = startObserver(
      [a, b].map(({ url }, i) => ({ name: regionNames[i] ?? '', url: `${url}/gate/${group}` })),
      systemClock,
      () => {},
    );
    cleanUps.push(() => observer.stop());
    const serves = (name: string, controller: Program) =>
      until(`${name} serves`, () => observer.serving() === name, [controller]);

    await serves(fsn, a);
    const active = { shared: 'true', endpoints: 1, gated: true, fenced: false, mirror: 'stopped' };
    const standby = { shared: 'false', endpoints: 0, gated: true };
    await comesTo(one, { ...active, replica: { primary: fsn, source: hel }, epoch: '1' });
    await comesTo(two, { ...standby, replica: { primary: fsn, source: fsn }, mirror: 'running', fenced: false });

    await until('it could be moved', () => isReady(a.url));
    // What has just started is bound by what it may have promised, and a switchover to it is refused.
    await until('the other region is bound by nothing', async () => (await statusOf(b.url)).reason === 'PeerActive');
    await command(a.url, 'switchover', { reason: 'the region is serviced' });
    await serves(hel, b);
    const token = (await one.request<PostgresCluster>(paths.postgres)).status?.demotionToken;
    assert.ok(token);
    await comesTo(two, { ...active, replica: { primary: hel, promotionToken: token, source: fsn }, epoch: '2' });
    await comesTo(one, { ...standby, replica: { primary: hel, source: hel }, epoch: '1', fenced: false });
    // Mirroring back is up to people.
    const mirror = await one.request<Mirror>(paths.mirror);
    await one.request(paths.mirror, {
      method: 'PATCH',
      contentType: 'application/merge-patch+json',
      body: {
        spec: { mirrors: mirror.spec.mirrors.map((each) => ({ ...each, sourceConnector: { state: 'running' } })) },
      },
    });
    await until('the standby could take over', () => isReady(a.url));

    const left = await look(two);
    await b.kill('SIGKILL');
    await serves(fsn, a);
    await comesTo(one, { ...active, replica: { primary: fsn, source: hel }, epoch: '3' });
    assert.deepEqual(await look(two), left, 'what is lost is as it was left: open, as far as its objects say');

    const back = await start(1);
    await until('it stands by', async () => (await statusOf(back.url)).reason === 'PeerActive');
    await comesTo(two, { ...standby, fenced: true, replica: left.replica });
    await serves(fsn, a);

    await observer.stop();
    assert.equal(twoActive(observer.answers), undefined);
    assert.deepEqual(reigns(observer.answers), [`${fsn} 1`, `${hel} 2`, `${fsn} 3`]);
    const taken = ['intent', 'acquired', 'activated'];
    const started = ['started', 'fenced'];
    const given = ['proposed', 'approved', 'switchover', 'released'];
    assert.deepEqual(await kindsOf(record(0)), [...started, ...taken, ...given, ...taken, 'divergence']);
    assert.deepEqual(await kindsOf(record(1)), [...started, ...taken, ...started]);
  });
});
