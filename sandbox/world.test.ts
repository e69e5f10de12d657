import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { VirtualClock } from '../src/clock.ts';
import { isReady } from './controllers/context.ts';
import type { Job, KubeObject, Pod, Workload } from './kubernetes/object.ts';
import { World } from './world.ts';

const AUTHOR = { manager: 'test' };

function setUp() {
  const clock = new VirtualClock();
  const world = new World(clock);
  const live = async (ms: number) => {
    for (let passed = 0; passed < ms; passed += world.pace.tickMs) {
      await clock.advance(world.pace.tickMs);
      world.tick();
    }
  };
  const type = (apiVersion: string, kind: string) => world.store.types.ofKind(apiVersion, kind);
  return { clock, world, live, type };
}

const job = (name: string, command: string[], backoffLimit = 1): KubeObject => {
  const draft: unknown = {
    metadata: { name, namespace: 'default' },
    spec: {
      backoffLimit,
      template: { spec: { restartPolicy: 'Never', containers: [{ name: 'task', image: 'busybox', command }] } },
    },
  };
  return draft as KubeObject;
};

describe('the world at the start', () => {
  it('is whole: every pod ready, OpenBao open, SPIRE ready, nobody over budget', () => {
    const { world } = setUp();
    assert.ok(world.pods().length >= 15);
    assert.deepEqual(
      world
        .pods()
        .filter((pod) => !isReady(pod))
        .map((pod) => pod.metadata.name),
      [],
    );
    assert.equal(world.bao.leader?.name, 'openbao-0');
    assert.equal(world.isSpireReady(), true);
    assert.equal(world.spendRatio('acme'), 0.68);
  });

  it('stays as it is when nothing happens', async () => {
    const { world, live } = setUp();
    const { version } = world.store;
    await live(5_000);
    assert.equal(world.store.version, version);
  });
});

describe('controllers', () => {
  it('make a Deployment anew that was replaced by one of the same name, once its old ReplicaSet is collected', async () => {
    const { world, live, type } = setUp();
    const deployments = type('apps/v1', 'Deployment');
    const old = world.store.get(deployments, 'shop-prod', 'catalog') as Workload;
    world.store.delete(deployments, 'shop-prod', 'catalog');
    const { labels } = old.metadata;
    const draft: unknown = { metadata: { name: 'catalog', namespace: 'shop-prod', labels }, spec: old.spec };
    const fresh = world.store.create(deployments, draft as KubeObject, AUTHOR);
    await live(30_000);
    const sets = world.store
      .list(type('apps/v1', 'ReplicaSet'))
      .filter(({ metadata }) => metadata.ownerReferences?.some(({ uid }) => uid === fresh.metadata.uid));
    assert.equal(sets.length, 1);
    assert.equal(world.podsOf('shop-prod', 'catalog').filter(isReady).length, 2);
  });

  it('roll a Deployment out without ever having fewer ready pods than wanted', async () => {
    const { world, clock } = setUp();
    await clock.advance(1_000);
    world.release('shop-prod', 'checkout', 'harbor.example/acme/checkout:2.0.0', 'release 2.0.0');
    for (let step = 0; step < 60; step++) {
      await clock.advance(100);
      world.tick();
      assert.ok(world.podsOf('shop-prod', 'checkout').filter(isReady).length >= 3, `at step ${step}`);
    }
    const deployment = world.deployment('shop-prod', 'checkout');
    assert.equal(deployment.status.observedGeneration, deployment.metadata.generation);
    assert.deepEqual(
      deployment.status.conditions?.map(({ type, status, reason }) => [type, status, reason]),
      [
        ['Available', 'True', 'MinimumReplicasAvailable'],
        ['Progressing', 'True', 'NewReplicaSetAvailable'],
      ],
    );
    const images = new Set(world.podsOf('shop-prod', 'checkout').map((pod) => pod.spec.containers[0]?.image));
    assert.deepEqual([...images], ['harbor.example/acme/checkout:2.0.0']);
  });

  it('run a Job to completion, and give up on one that keeps failing', async () => {
    const { world, live, type } = setUp();
    const jobs = type('batch/v1', 'Job');
    world.store.create(jobs, job('works', ['sh', '-c', 'echo hello']), AUTHOR);
    world.store.create(jobs, job('fails', ['sh', '-c', 'exit 3']), AUTHOR);
    await live(5_000);
    const works = world.store.get(jobs, 'default', 'works') as Job;
    const fails = world.store.get(jobs, 'default', 'fails') as Job;
    assert.equal(works.status.succeeded, 1);
    assert.equal(works.status.conditions?.[0]?.type, 'Complete');
    assert.equal(fails.status.failed, 2);
    assert.equal(fails.status.conditions?.[0]?.reason, 'BackoffLimitExceeded');
  });

  it('delete what a deleted Deployment leaves behind, unless it is orphaned', async () => {
    const { world, live, type } = setUp();
    world.store.delete(type('apps/v1', 'Deployment'), 'shop-prod', 'pgbouncer');
    world.store.delete(type('apps/v1', 'Deployment'), 'shop-prod', 'catalog', { propagationPolicy: 'Orphan' });
    world.store.delete(type('apps/v1', 'Deployment'), 'cortex', 'vllm', { propagationPolicy: 'Foreground' });
    await live(2_000);
    assert.equal(world.podsOf('shop-prod', 'pgbouncer').length, 0);
    assert.equal(world.podsOf('shop-prod', 'catalog').length, 2);
    assert.equal(world.podsOf('cortex', 'vllm').length, 0);
    assert.equal(world.store.find(type('apps/v1', 'Deployment'), 'cortex', 'vllm'), undefined);
  });

  it('kill a container that leaks memory, and say so', async () => {
    const { world, live } = setUp();
    const [pod] = world.podsOf('shop-prod', 'pgbouncer');
    assert.ok(pod);
    world.workloads.leakingPods.add(pod.metadata.uid);
    await live(3_000);
    const [status] =
      world.podsOf('shop-prod', 'pgbouncer').find((p) => p.metadata.uid === pod.metadata.uid)?.status
        .containerStatuses ?? [];
    const terminated = status?.lastState.terminated as { reason: string; exitCode: number };
    assert.deepEqual([terminated.reason, terminated.exitCode], ['OOMKilled', 137]);
    assert.ok((status?.restartCount ?? 0) > 0);
  });

  it('give a StatefulSet pod its name back, with a process that starts anew', async () => {
    const { world, live, type } = setUp();
    const pods = type('v1', 'Pod');
    const before = world.store.get(pods, 'openbao', 'openbao-1') as Pod;
    world.store.delete(pods, 'openbao', 'openbao-1');
    await live(2_000);
    const after = world.store.get(pods, 'openbao', 'openbao-1') as Pod;
    assert.notEqual(after.metadata.uid, before.metadata.uid);
    assert.equal(world.bao.node('openbao-1')?.sealed, true);
    assert.equal(isReady(after), false);
    assert.equal(world.bao.node('openbao-0')?.sealed, false);
  });

  it('say when a rollout makes no progress within its deadline', async () => {
    const { world, live, type, clock } = setUp();
    world.store.edit<Workload>(
      type('apps/v1', 'Deployment'),
      world.deployment('shop-prod', 'pgbouncer'),
      AUTHOR,
      (draft) => {
        draft.spec.progressDeadlineSeconds = 5;
        draft.spec.template.spec.containers[0] = { name: 'pgbouncer', image: 'bitnami/pgbouncer:broken' };
      },
    );
    // Whatever pod of the new template appears is broken from the start.
    for (let step = 0; step < 100; step++) {
      await clock.advance(100);
      const fresh = world
        .podsOf('shop-prod', 'pgbouncer')
        .filter((p) => p.spec.containers[0]?.image.endsWith('broken'));
      for (const pod of fresh) world.workloads.brokenPods.add(pod.metadata.uid);
      world.tick();
    }
    const progressing = world
      .deployment('shop-prod', 'pgbouncer')
      .status.conditions?.find((condition) => condition.type === 'Progressing');
    assert.deepEqual([progressing?.status, progressing?.reason], ['False', 'ProgressDeadlineExceeded']);
    assert.equal(world.podsOf('shop-prod', 'pgbouncer').filter(isReady).length, 2, 'the old pods still serve');
    await live(100);
  });
});
