import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { VirtualClock } from '../src/clock.ts';
import { isReady } from './controllers/context.ts';
import { FAULTS, type FaultName } from './faults.ts';
import type { Pod, Workload } from './kubernetes/object.ts';
import { World } from './world.ts';

const AUTHOR = { manager: 'test' };
/** Long enough for any rollout of the little world, and for a crash loop to show. */
const LONG_MS = 15_000;

class Bench {
  readonly clock = new VirtualClock();
  readonly world = new World(this.clock);

  /** Lets the world live for a while. */
  async live(ms = LONG_MS): Promise<void> {
    for (let passed = 0; passed < ms; passed += this.world.pace.tickMs) {
      await this.clock.advance(this.world.pace.tickMs);
      this.world.tick();
    }
  }

  async broken(name: FaultName): Promise<void> {
    await this.live(1_000);
    assert.equal(FAULTS[name].isHealthy(this.world), true, 'whole at the start');
    FAULTS[name].inject(this.world);
    await this.live();
    assert.equal(FAULTS[name].isHealthy(this.world), false, 'broken by the fault, and not healed by waiting');
  }

  change(namespace: string, name: string, change: (deployment: Workload) => void): void {
    const { store } = this.world;
    const type = store.types.ofKind('apps/v1', 'Deployment');
    store.edit<Workload>(type, this.world.deployment(namespace, name), AUTHOR, change);
  }

  restart(namespace: string, name: string): void {
    this.change(namespace, name, ({ spec }) => {
      const annotations = { 'kubectl.kubernetes.io/restartedAt': new Date(this.clock.now()).toISOString() };
      spec.template.metadata = { ...spec.template.metadata, annotations };
    });
  }

  deletePod(pod: Pod): void {
    const { store } = this.world;
    store.delete(store.types.ofKind('v1', 'Pod'), pod.metadata.namespace, pod.metadata.name);
  }

  /** The template of the ReplicaSet with this revision. */
  template(namespace: string, name: string, revision: string): Workload['spec']['template'] {
    const { store } = this.world;
    const sets = store.list(store.types.ofKind('apps/v1', 'ReplicaSet'), namespace) as Workload[];
    const set = sets.find(
      ({ metadata }) =>
        metadata.ownerReferences?.[0]?.name === name &&
        metadata.annotations?.['deployment.kubernetes.io/revision'] === revision,
    );
    assert.ok(set, `no ReplicaSet of revision ${revision}`);
    return structuredClone(set.spec.template);
  }
}

describe('openbao-sealed', () => {
  it('is repaired by three right shares for each pod, and the pods become ready', async () => {
    const bench = new Bench();
    await bench.broken('openbao-sealed');
    assert.equal(bench.world.podsOf('openbao', 'openbao').filter(isReady).length, 0);
    bench.world.bao.unsealAll();
    await bench.live(1_000);
    assert.equal(FAULTS['openbao-sealed'].isHealthy(bench.world), true);
  });

  it('is not repaired by restarting the pods, nor by unsealing one of them', async () => {
    const bench = new Bench();
    await bench.broken('openbao-sealed');
    for (const pod of bench.world.podsOf('openbao', 'openbao')) bench.deletePod(pod);
    await bench.live();
    assert.deepEqual(
      bench.world.bao.nodes.map((node) => node.sealed),
      [true, true, true],
    );
    for (const share of bench.world.bao.shares.slice(0, 3)) bench.world.bao.nodes[0]?.unseal(share);
    await bench.live();
    assert.equal(bench.world.podsOf('openbao', 'openbao').filter(isReady).length, 1);
    assert.equal(FAULTS['openbao-sealed'].isHealthy(bench.world), false);
  });
});

describe('pod-crash-loop', () => {
  const looping = (bench: Bench) =>
    bench.world.podsOf('catalyst-system', 'projector').find((pod) => !isReady(pod)) ??
    assert.fail('no pod crash-loops');

  it('shows as a kubelet shows it, and ends with the pod', async () => {
    const bench = new Bench();
    await bench.broken('pod-crash-loop');
    const pod = looping(bench);
    const [status] = pod.status.containerStatuses ?? [];
    assert.ok(status);
    assert.equal((status.state.waiting as { reason: string }).reason, 'CrashLoopBackOff');
    assert.equal((status.lastState.terminated as { exitCode: number }).exitCode, 1);
    assert.ok(status.restartCount >= 3, `restarted ${status.restartCount} times`);
    bench.deletePod(pod);
    await bench.live(1_000);
    assert.equal(FAULTS['pod-crash-loop'].isHealthy(bench.world), true);
  });

  it('is not repaired by deleting the other pod, nor by more replicas', async () => {
    const bench = new Bench();
    await bench.broken('pod-crash-loop');
    const { uid } = looping(bench).metadata;
    const other = bench.world.podsOf('catalyst-system', 'projector').find(isReady);
    assert.ok(other);
    bench.deletePod(other);
    bench.change('catalyst-system', 'projector', (deployment) => {
      deployment.spec.replicas = 4;
    });
    await bench.live();
    assert.equal(looping(bench).metadata.uid, uid);
    assert.equal(FAULTS['pod-crash-loop'].isHealthy(bench.world), false);
  });
});

describe('high-error-rate', () => {
  it("is repaired by the previous ReplicaSet's template", async () => {
    const bench = new Bench();
    await bench.broken('high-error-rate');
    const deployment = bench.world.deployment('shop-prod', 'checkout');
    assert.equal(deployment.metadata.annotations?.['deployment.kubernetes.io/revision'], '3');
    const template = bench.template('shop-prod', 'checkout', '2');
    bench.change('shop-prod', 'checkout', (draft) => {
      draft.spec.template = template;
    });
    await bench.live(2_500);
    assert.equal(FAULTS['high-error-rate'].isHealthy(bench.world), true);
    const after = bench.world.deployment('shop-prod', 'checkout');
    assert.equal(
      after.metadata.annotations?.['deployment.kubernetes.io/revision'],
      '4',
      'a rollback is a new revision',
    );
  });

  it('is not repaired by a restart, nor by more replicas', async () => {
    const bench = new Bench();
    await bench.broken('high-error-rate');
    bench.restart('shop-prod', 'checkout');
    await bench.live();
    assert.equal(FAULTS['high-error-rate'].isHealthy(bench.world), false);
    bench.change('shop-prod', 'checkout', (deployment) => {
      deployment.spec.replicas = 6;
    });
    await bench.live();
    assert.equal(bench.world.podsOf('shop-prod', 'checkout').filter(isReady).length, 6);
    assert.equal(FAULTS['high-error-rate'].isHealthy(bench.world), false);
  });
});

describe('high-memory', () => {
  it('is repaired by one more replica', async () => {
    const bench = new Bench();
    await bench.broken('high-memory');
    bench.change('shop-prod', 'catalog', (deployment) => {
      deployment.spec.replicas = 3;
    });
    await bench.live(1_000);
    assert.equal(FAULTS['high-memory'].isHealthy(bench.world), true);
  });

  it('is not repaired by a restart, nor by deleting a pod', async () => {
    const bench = new Bench();
    await bench.broken('high-memory');
    bench.restart('shop-prod', 'catalog');
    await bench.live();
    assert.equal(FAULTS['high-memory'].isHealthy(bench.world), false);
    const [pod] = bench.world.podsOf('shop-prod', 'catalog');
    assert.ok(pod);
    bench.deletePod(pod);
    await bench.live();
    assert.equal(FAULTS['high-memory'].isHealthy(bench.world), false);
  });
});

describe('the catalogue of faults', () => {
  it('says of each fault where the handbook speaks of it and what repairs it', () => {
    for (const fault of Object.values(FAULTS)) {
      assert.match(fault.section, /^§\d/);
      assert.ok(fault.title && fault.breaks && fault.repair && fault.alert);
    }
  });
});
