import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, it } from 'node:test';
import { load } from 'js-yaml';
import { findKubernetes, type Kubernetes, startKubernetes } from '../../testbed/kubernetes.ts';
import { describeReal } from '../../testbed/real.ts';
import { renderCrds } from '../catalog/crd.ts';
import type { FailoverGroupSpec } from '../catalog/kinds/failover-group.ts';
import { systemClock } from '../clock.ts';
import { KubernetesApi } from '../integrations/kubernetes/client.ts';
import { connect } from '../integrations/kubernetes/connection.ts';
import { renderClusterRole } from '../integrations/kubernetes/rbac.ts';
import { createSecrets } from '../integrations/secrets.ts';
import { createLog } from '../telemetry/log.ts';
import { type ClusterGroups, watchClusterGroups } from './cluster-groups.ts';
import { type Controller, startController } from './controller.ts';
import { createState, step } from './failover-decision.ts';
import { openGroupMemory } from './group-memory.ts';
import { groupProblems } from './group-settings.ts';
import type { ObjectStatus } from './group-status-decision.ts';
import { failoverFieldManager } from './layers/epoch-write.ts';
import type { Lease } from './lease.ts';
import { openPromiseFile } from './promise-file.ts';
import { openRecordFile } from './record-file.ts';
import { failoverRules } from './rules.ts';

const region = 'hz-fsn-rtz-prod';
const path = '/apis/catalyst.openova.io/v1alpha1/namespaces/failover/failovergroups';

function spec(changes: Partial<FailoverGroupSpec> = {}): FailoverGroupSpec {
  const times = { ttl: '3s', renew: '600ms', retry: '200ms', softLimit: '1400ms', fenceBudget: '700ms' };
  return {
    mode: 'Automatic',
    regions: [region, 'hz-hel-rtz-prod'],
    witnesses: ['memory'],
    dnsFallback: 'hold',
    timings: { ...times, hardLimit: '2100ms', wait: '3s', promise: '3s', poll: '200ms' },
    ...changes,
  };
}

describeReal('groups that are objects of a real cluster', findKubernetes, () => {
  let folder: string;
  let cluster: Kubernetes;
  let http: ReturnType<typeof connect>;
  /** Where no API server listens. */
  let nowhere: ReturnType<typeof connect>;
  let away = false;
  let controller: Controller | undefined;
  let groups: ClusterGroups | undefined;
  let lease: Lease | undefined;
  let witnessUp = true;
  let lives = 0;
  const notes: string[] = [];

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'failover-groups-'));
    cluster = await startKubernetes({ node: false, users: [{ name: 'failover' }] });
    const crd = renderCrds().find((file) => file.path === 'crd-failovergroups.yaml');
    await writeFile(join(folder, 'crd.yaml'), crd?.content ?? '');
    await cluster.installCrds([join(folder, 'crd.yaml')]);
    await cluster.request('/api/v1/namespaces', { body: { metadata: { name: 'failover' } } });
    // With the rights of the generated role, and no others.
    const role = renderClusterRole(
      'failover',
      [{ definition: { name: 'failover' }, rules: failoverRules }],
      ['failover'],
    );
    const rbac = '/apis/rbac.authorization.k8s.io/v1';
    await cluster.request(`${rbac}/clusterroles`, { body: load(role) });
    await cluster.request(`${rbac}/clusterrolebindings`, {
      body: {
        metadata: { name: 'failover' },
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'failover' },
        subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: 'failover' }],
      },
    });
    await writeFile(join(folder, 'kubeconfig'), cluster.kubeconfigFor('failover'), { mode: 0o600 });
    const astray = cluster.kubeconfigFor('failover').replace(/server: .*/, 'server: https://127.0.0.1:1');
    await writeFile(join(folder, 'astray'), astray, { mode: 0o600 });
    nowhere = connect({ kubeconfig: join(folder, 'astray') }, createSecrets({}));
    http = connect({ kubeconfig: join(folder, 'kubeconfig') }, createSecrets({}));
  });
  after(async () => {
    // A lease it cannot give back is waited for.
    witnessUp = true;
    await stop();
    (await http)?.close();
    (await nowhere)?.close();
    await cluster?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  const reach = () => {
    if (!witnessUp) throw new Error('unreachable');
  };
  /** One life of a controller; what it had on disk is still there. */
  async function start(): Promise<void> {
    lives += 1;
    controller = await startController({
      region,
      version: '0.0.0',
      listen: { host: '127.0.0.1', port: 0 },
      groups: [],
      gateKeys: async () => undefined,
      checkers: [],
      peerReadiness: undefined,
      lookAtCaching: undefined,
      tokens: [],
      protocol: { initial: createState, step },
      witnesses: [
        {
          name: 'memory',
          read: async () => {
            reach();
            return { lease, expired: undefined };
          },
          compareAndSet: async (_group, expect, next) => {
            reach();
            if (lease?.epoch !== expect?.epoch || lease?.seq !== expect?.seq)
              return { result: 'conflict', current: lease };
            lease = next;
            return { result: 'applied' };
          },
          close: async () => {},
        },
      ],
      checkWitness: async () => [],
      remark: (group) => groups?.remark(group),
      resolvers: [],
      probe: undefined,
      send: undefined,
      layers: { kubernetes: () => assert.fail('no layer here'), prometheus: undefined, password: () => undefined },
      record: await openRecordFile(join(folder, 'record.jsonl'), () => Date.now()),
      promises: (group) => openPromiseFile(join(folder, 'promises', group)),
      elapsed: () => performance.now(),
      clock: systemClock,
      log: createLog({ level: 'silent' }),
    });
    const running = controller;
    groups = watchClusterGroups({
      api: new KubernetesApi(() => (away ? nowhere : http), failoverFieldManager),
      namespace: 'failover',
      inFiles: new Set(['filed']),
      problems: (declaration) =>
        groupProblems(declaration, region, { witnesses: ['memory'], resolvers: [], peer: undefined }),
      adopt: (declaration) => running.adopt(declaration),
      remove: (name) => running.remove(name),
      status: (name) => running.status().groups.find(({ group }) => group === name),
      memory: await openGroupMemory(join(folder, 'accepted'), () => Date.now(), assert.fail),
      clock: systemClock,
      onNote: (sentence) => notes.push(sentence),
    });
  }
  async function stop(): Promise<void> {
    await groups?.stop();
    await controller?.stop('the test says so');
    controller = undefined;
  }

  const create = (name: string, body: object) =>
    cluster.request(path, {
      body: { apiVersion: 'catalyst.openova.io/v1alpha1', kind: 'FailoverGroup', metadata: { name }, spec: body },
    });
  const patch = (name: string, body: object, sub = '') =>
    cluster.request(`${path}/${name}${sub}`, {
      method: 'PATCH',
      contentType: 'application/merge-patch+json',
      body,
    });
  const statusOf = async (name: string) => (await cluster.request<{ status?: ObjectStatus }>(`${path}/${name}`)).status;
  const gate = async (name: string) => (await fetch(`${controller?.url}/gate/${name}`)).status;

  /** Waits for a status; the last one is in the message when it does not come. */
  async function told(name: string, right: (status: ObjectStatus) => boolean): Promise<ObjectStatus> {
    const limit = performance.now() + 40_000;
    for (;;) {
      const status = await statusOf(name);
      if (status && right(status)) return status;
      if (performance.now() > limit) assert.fail(`${JSON.stringify(status)}\n${notes.slice(-10).join('\n')}`);
      await systemClock.sleep(100);
    }
  }
  const ready = (status: ObjectStatus) => status.conditions.find(({ type }) => type === 'Ready');

  it('is kept, and its object says what it is, who holds it, and under which epoch', async () => {
    await create('orders', spec());
    await start();
    const status = await told('orders', ({ phase }) => phase === 'Active');
    assert.deepEqual([status.holder, status.epoch, status.observedGeneration], [region, 1, 1]);
    assert.deepEqual(status.gates, { traffic: 'open', mesh: 'open', stateful: 'open' });
    assert.deepEqual([ready(status)?.status, ready(status)?.reason], ['True', 'InUse']);
    assert.equal(await gate('orders'), 200);
  });

  it('refuses what breaks a rule, says which, and keeps the last good one in use', async () => {
    await patch('orders', { spec: { timings: { hardLimit: '9s' } } });
    const status = await told('orders', ({ observedGeneration }) => observedGeneration === 2);
    assert.deepEqual([ready(status)?.status, ready(status)?.reason], ['False', 'Refused']);
    assert.match(ready(status)?.message ?? '', /L_hard\/\(1-eps\).*Generation 1 stays in use/);
    assert.equal(status.phase, 'Active');
    assert.equal(await gate('orders'), 200);

    await create('other', spec({ regions: ['hz-nbg-rtz-prod', 'hz-hel-rtz-prod'] }));
    const refused = await told('other', (one) => ready(one)?.reason === 'Refused');
    assert.match(ready(refused)?.message ?? '', /this controller runs in hz-fsn-rtz-prod/);
    assert.equal(refused.phase, 'Refused');
    assert.equal(await gate('other'), 404);
    await create('filed', spec());
    assert.match(
      ready(await told('filed', (one) => ready(one)?.reason === 'Refused'))?.message ?? '',
      /A file of the controller declares/,
    );
  });

  it('does not change or end what is active here, and takes both in when it is not', async () => {
    await patch('orders', { spec: { timings: { hardLimit: '2100ms' }, mode: 'Manual' } });
    const waiting = await told('orders', (one) => ready(one)?.reason === 'Waiting');
    assert.equal(waiting.observedGeneration, 3);
    assert.equal(controller?.status().groups[0]?.mode, 'Automatic');

    witnessUp = false;
    await told('orders', (one) => ready(one)?.reason === 'InUse');
    assert.equal(controller?.status().groups[0]?.mode, 'Manual');
    assert.equal(await gate('orders'), 503);
  });

  it('opens nothing after a start on the word of a status', async () => {
    await stop();
    const lie = {
      phase: 'Active',
      holder: region,
      epoch: 99,
      gates: { traffic: 'open', mesh: 'open', stateful: 'open' },
    };
    await patch('orders', { status: lie }, '/status');
    await start();
    const status = await told('orders', ({ phase }) => phase === 'Standby');
    assert.equal(status.gates?.traffic, 'shut');
    assert.equal(await gate('orders'), 503);
    assert.equal(controller?.status().groups[0]?.epoch, 1);
    assert.equal(lives, 2);

    witnessUp = true;
    await told('orders', ({ phase }) => phase === 'Active');
    await cluster.request(`${path}/orders`, { method: 'DELETE' });
    const kept = () => notes.some((note) => /orders was deleted while it is active here/.test(note));
    const limit = performance.now() + 20_000;
    while (!kept() && performance.now() < limit) await systemClock.sleep(100);
    assert.ok(kept(), notes.slice(-5).join('\n'));
    assert.equal(await gate('orders'), 200);
    witnessUp = false;
    while ((await gate('orders')) !== 404 && performance.now() < limit + 20_000) await systemClock.sleep(100);
    assert.equal(await gate('orders'), 404);
  });

  it('starts with the last good one where its object was made wrong meanwhile, and where the API server is away', async () => {
    witnessUp = true;
    await create('stock', spec());
    await told('stock', (one) => ready(one)?.reason === 'InUse');
    await stop();
    await patch('stock', { spec: { timings: { hardLimit: '9s' } } });
    await start();
    const status = await told('stock', ({ observedGeneration }) => observedGeneration === 2);
    assert.deepEqual([ready(status)?.status, ready(status)?.reason], ['False', 'Refused']);
    assert.match(ready(status)?.message ?? '', /L_hard.*Generation 1 is in use, accepted at .* and kept on disk/);
    await told('stock', ({ phase }) => phase === 'Active');

    await stop();
    away = true;
    await start();
    const limit = performance.now() + 40_000;
    while ((await gate('stock')) !== 200 && performance.now() < limit) await systemClock.sleep(100);
    const [group] = controller?.status().groups ?? [];
    assert.equal(group?.group, 'stock');
    assert.match(group?.problems.join() ?? '', /The API server has not told .* Generation 1, accepted at/);
    assert.equal(await gate('stock'), 200);
  });
});
