/**
 * Promises that show only where controllers and a kubelet are at work: the sandbox or a real cluster. The namespace must
 * hold a Deployment `web` (label app=web) whose pods become ready, and an object `sample` of each kind of document.
 */
import assert from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';
import { clusterKinds } from '../../src/catalog/crd.ts';
import type { Kind } from '../../src/catalog/resource.ts';
import { systemClock } from '../../src/clock.ts';
import { createKubernetes, type Kubernetes } from '../../src/integrations/kubernetes/index.ts';
import type { WatchEvent } from '../../src/integrations/kubernetes/watch.ts';
import { createSecrets } from '../../src/integrations/secrets.ts';
import type { KubernetesEndpoint } from './kubernetes-conformance.ts';
import { act, contextFor, readFact } from './support.ts';

type Check = (kubernetes: Kubernetes, namespace: string, key: string) => Promise<void>;

const context = (key: string) => contextFor(key, systemClock, AbortSignal.timeout(90_000));

interface PodSeen {
  name: string;
  uid: string;
  ready: boolean;
  deleting: boolean;
  owner: string;
}

/** Waits for a state, with a limit; asked often because each answer is cheap on loopback. */
async function until(state: () => Promise<boolean>): Promise<void> {
  const limit = AbortSignal.timeout(60_000);
  while (!(await state())) await systemClock.sleep(100, limit);
}

/** Waits until the Deployment is as it is declared, and no pod of it is on its way out: one that is cannot be deleted again. */
async function settled(kubernetes: Kubernetes, namespace: string, key: string): Promise<Record<string, unknown>> {
  let seen: Record<string, unknown> = {};
  await until(async () => {
    seen = (await readFact(kubernetes, 'kubernetes.deployment', [namespace, 'web'], context(key))) as Record<
      string,
      unknown
    >;
    return (
      seen.observedGeneration === seen.generation &&
      seen.readyReplicas === seen.replicas &&
      seen.updatedReplicas === seen.replicas &&
      (await podsOf(kubernetes, namespace, key)).every(({ deleting }) => !deleting)
    );
  });
  return seen;
}

const podsOf = async (kubernetes: Kubernetes, namespace: string, key: string) =>
  (await readFact(kubernetes, 'kubernetes.pods', [namespace, 'app=web'], context(key))) as unknown as PodSeen[];

const checks: Record<string, Check> = {
  async 'a rollback brings the former image back, and its undo the newer one'(kubernetes, namespace, key) {
    const first = (await settled(kubernetes, namespace, key)).image;
    const template = { spec: { containers: [{ name: 'web', image: 'registry.example/web:conformance' }] } };
    await act(
      kubernetes,
      'kubernetes patch',
      { kind: 'Deployment', namespace, name: 'web', patch: { spec: { template } } },
      context(`${key}-a`),
    );
    await settled(kubernetes, namespace, key);
    const input = { namespace, name: 'web' };
    const { action, before, outcome } = await act(kubernetes, 'kubernetes rollback deployment', input, context(key));
    assert.equal((await settled(kubernetes, namespace, key)).image, first);
    assert.equal((await action.happened(context(key), input, before)).answer, 'yes');
    const undo = action.undo?.(input, before, outcome.result);
    assert.ok(undo);
    await act(kubernetes, undo.action, undo.input, context(`${key}-undo`));
    assert.equal((await settled(kubernetes, namespace, key)).image, 'registry.example/web:conformance');
    await act(kubernetes, 'kubernetes rollback deployment', input, context(`${key}-b`));
    assert.equal((await settled(kubernetes, namespace, key)).image, first);
  },
  async 'a restart replaces the pods, and a scale after it starts no other'(kubernetes, namespace, key) {
    await settled(kubernetes, namespace, key);
    const web = { kind: 'Deployment', namespace, name: 'web' };
    await act(kubernetes, 'kubernetes restart', web, context(key));
    await settled(kubernetes, namespace, key);
    const { action, before, outcome } = await act(
      kubernetes,
      'kubernetes scale',
      { ...web, replicas: '+1' },
      context(`${key}-b`),
    );
    await settled(kubernetes, namespace, key);
    // One ReplicaSet owns all: the scale left the template alone.
    await until(async () => new Set((await podsOf(kubernetes, namespace, key)).map(({ owner }) => owner)).size === 1);
    const undo = action.undo?.({ ...web, replicas: '+1' }, before, outcome.result);
    assert.ok(undo);
    await act(kubernetes, undo.action, undo.input, context(`${key}-undo`));
    await settled(kubernetes, namespace, key);
  },
  async 'a change of the spec by others shows with their name, and the controllers do not'(kubernetes, namespace, key) {
    await settled(kubernetes, namespace, key);
    const target = await kubernetes.targets?.bind(context(key), {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      namespace,
      name: 'web',
    });
    assert.ok(target);
    const seen = await kubernetes.targets?.observe(context(key), target);
    assert.notEqual(seen?.changedBy, 'kube-controller-manager');
  },
  async 'a deleted pod is replaced, and trying again leaves the successor alone'(kubernetes, namespace, key) {
    await settled(kubernetes, namespace, key);
    const victim = (await podsOf(kubernetes, namespace, key))[0];
    assert.ok(victim);
    const input = { namespace, name: victim.name };
    const { action, before, outcome } = await act(kubernetes, 'kubernetes delete pod', input, context(key));
    assert.match(outcome.sentence, /^Deleted Pod /);
    await until(async () => (await podsOf(kubernetes, namespace, key)).every(({ uid }) => uid !== victim.uid));
    await settled(kubernetes, namespace, key);
    const left = (await podsOf(kubernetes, namespace, key)).map(({ uid }) => uid).sort();
    await action.execute(context(key), input, before);
    assert.deepEqual((await podsOf(kubernetes, namespace, key)).map(({ uid }) => uid).sort(), left);
    assert.equal((await action.happened(context(key), input, before)).answer, 'yes');
  },
  async 'an evicted pod goes, by the version of the policy the server knows'(kubernetes, namespace, key) {
    await settled(kubernetes, namespace, key);
    const victim = (await podsOf(kubernetes, namespace, key))[0];
    assert.ok(victim);
    const { outcome } = await act(kubernetes, 'kubernetes evict pod', { namespace, name: victim.name }, context(key));
    assert.match(outcome.sentence, /^Evicted Pod /);
    await until(async () => (await podsOf(kubernetes, namespace, key)).every(({ uid }) => uid !== victim.uid));
    await settled(kubernetes, namespace, key);
  },
  async 'a Job that outlives its limit is found, not started again'(kubernetes, namespace, key) {
    const job = { template: { spec: { containers: [{ name: 'x', image: 'registry.example/job:1' }] } } };
    const input = { namespace, name: 'conformance', job };
    const action = kubernetes.actions.find(({ name }) => name === 'kubernetes run job');
    assert.ok(action);
    const brief = () => contextFor(key, systemClock, AbortSignal.timeout(1_500));
    assert.equal((await action.happened(context(key), input, {})).answer, 'no');
    // A pretended kubelet never ends a container; one that does makes this a success instead.
    const outcomes = [
      await action.execute(brief(), input, {}).catch((error: { code: string }) => error.code),
      await action.execute(brief(), input, {}).catch((error: { code: string }) => error.code),
    ];
    for (const outcome of outcomes) assert.ok(outcome === 'TimedOut' || typeof outcome === 'object', String(outcome));
    assert.notEqual((await action.happened(context(key), input, {})).answer, 'no');
  },
  async 'documents of each kind are listed, watched, and given a status'(kubernetes, namespace, key) {
    for (const kind of clusterKinds) await listedWatchedAndTold(kubernetes, kind, namespace, key);
  },
};

async function listedWatchedAndTold(kubernetes: Kubernetes, kind: Kind, namespace: string, key: string): Promise<void> {
  const source = kubernetes.clusterSource(systemClock, kind);
  const stop = new AbortController();
  const events: WatchEvent[] = [];
  const { items, resourceVersion } = await source.list(stop.signal);
  assert.ok(items.length > 0, `the namespace needs a ${kind.kind} "sample"`);
  const watching = source.watch(resourceVersion, (event) => void events.push(event), stop.signal);
  try {
    const ready = { type: 'Ready', status: 'True', reason: 'Accepted', message: key, observedGeneration: 1 };
    const conditions = [{ ...ready, lastTransitionTime: '2026-01-05T12:00:00Z' }];
    await source.patchStatus(namespace, 'sample', { conditions }, stop.signal);
    const written = ({ type, ...event }: WatchEvent) =>
      type === 'Modified' && 'object' in event && isDeepStrictEqual(event.object.status?.conditions, conditions);
    await until(async () => events.some(written));
  } finally {
    stop.abort();
    await watching;
  }
}

/** The checks, each ready to run by itself, one after the other. */
export function kubernetesControllersConformance(
  salt: string,
): { name: string; run: (endpoint: KubernetesEndpoint) => Promise<void> }[] {
  return Object.entries(checks).map(([name, check], index) => ({
    name,
    async run({ config, namespace, environment = {} }) {
      const kubernetes = createKubernetes(config, { secrets: createSecrets(environment) });
      try {
        await check(kubernetes, namespace, `${salt}/controllers/${index}`);
      } finally {
        await kubernetes.stop?.();
      }
    },
  }));
}
