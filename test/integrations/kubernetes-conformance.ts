/**
 * What the Kubernetes integration promises, as checks against an endpoint: a fake, the sandbox, or a real API server.
 * The namespace must exist and hold a Deployment `web` (label app=web, two replicas), whose controller may or may not run.
 */
import assert from 'node:assert/strict';
import { systemClock } from '../../src/clock.ts';
import type { Integration } from '../../src/integrations/contract.ts';
import { createKubernetes } from '../../src/integrations/kubernetes/index.ts';
import type { KubernetesConfig } from '../../src/integrations/kubernetes/schema.ts';
import { createSecrets } from '../../src/integrations/secrets.ts';
import { act, contextFor, readFact } from './support.ts';

export interface KubernetesEndpoint {
  config: KubernetesConfig;
  namespace: string;
  /** Where the configuration's secrets are. */
  environment?: Record<string, string>;
}

type ConformanceCheck = (kubernetes: Integration, namespace: string, key: string) => Promise<void>;

const context = (key: string) => contextFor(key, systemClock);
const web = (namespace: string) => ({ kind: 'Deployment', namespace, name: 'web' });

/** Each promise by name. The keys of steps hold `salt`, so that a check can be repeated on one server. */
const checks: Record<string, ConformanceCheck> = {
  async 'a scale is applied once, and the object says so'(kubernetes, namespace, key) {
    const input = { ...web(namespace), replicas: '+1' };
    const { action, before, outcome } = await act(kubernetes, 'kubernetes scale', input, context(key));
    const from = (before as { replicas: number }).replicas;
    assert.deepEqual(outcome.result, { from, to: from + 1 });
    const again = await action.execute(context(key), input, before);
    assert.deepEqual(again.result, outcome.result);
    const { replicas } = (await readFact(kubernetes, 'kubernetes.deployment', [namespace, 'web'], context(key))) as {
      replicas: number;
    };
    assert.equal(replicas, from + 1);
    assert.equal((await action.happened(context(key), input, before)).answer, 'yes');
    assert.equal((await action.happened(context(`${key}-other`), input, before)).answer, 'unknown');
    const undo = action.undo?.(input, before, outcome.result);
    assert.ok(undo);
    await act(kubernetes, undo.action, undo.input, context(`${key}-undo`));
    const after = (await readFact(kubernetes, 'kubernetes.deployment', [namespace, 'web'], context(key))) as {
      replicas: number;
    };
    assert.equal(after.replicas, from);
  },
  async 'a restart changes the template and not the replicas'(kubernetes, namespace, key) {
    const before = (await readFact(kubernetes, 'kubernetes.deployment', [namespace, 'web'], context(key))) as Record<
      string,
      number
    >;
    const { outcome } = await act(kubernetes, 'kubernetes restart', web(namespace), context(key));
    const after = (await readFact(kubernetes, 'kubernetes.deployment', [namespace, 'web'], context(key))) as Record<
      string,
      number
    >;
    assert.equal(after.replicas, before.replicas);
    assert.equal(outcome.target?.generation, (before.generation ?? 0) + 1);
  },
  async 'a change by others between looking and writing is refused, certainly without effect'(
    kubernetes,
    namespace,
    key,
  ) {
    const input = { ...web(namespace), replicas: '+1' };
    const action = kubernetes.actions.find(({ name }) => name === 'kubernetes scale');
    assert.ok(action);
    const before = await action.capture(context(key), input);
    await act(kubernetes, 'kubernetes restart', web(namespace), context(`${key}-other`));
    await assert.rejects(action.execute(context(key), input, before), { code: 'Conflict', certain: true });
  },
  async 'a patch can be taken back, removed fields included'(kubernetes, namespace, key) {
    const input = {
      ...web(namespace),
      patch: { spec: { minReadySeconds: 7 }, metadata: { labels: { conformance: 'yes' } } },
    };
    const { action, before, outcome } = await act(kubernetes, 'kubernetes patch', input, context(key));
    const undo = action.undo?.(input, before, outcome.result);
    assert.ok(undo);
    await act(kubernetes, undo.action, undo.input, context(`${key}-undo`));
    const object = (await readFact(
      kubernetes,
      'kubernetes.object',
      ['apps/v1', 'Deployment', namespace, 'web'],
      context(key),
    )) as {
      spec: Record<string, unknown>;
      metadata: { labels?: Record<string, string> };
    };
    assert.equal(object.spec.minReadySeconds ?? 0, 0);
    assert.equal(object.metadata.labels?.conformance, undefined);
  },
  async 'a target is bound to its UID, and our own writes are not somebody else'(kubernetes, namespace, key) {
    const target = await kubernetes.targets?.bind(context(key), { apiVersion: '', ...web(namespace) });
    assert.ok(target);
    assert.equal(target.apiVersion, 'apps/v1');
    const { outcome } = await act(kubernetes, 'kubernetes restart', web(namespace), context(key));
    const seen = await kubernetes.targets?.observe(context(key), target);
    assert.deepEqual({ state: seen?.state, uid: seen?.uid }, { state: 'Present', uid: target.uid });
    assert.equal(seen?.generation, outcome.target?.generation);
    assert.notEqual(seen?.changedBy, 'catalyst-sre');
    const other = await kubernetes.targets?.observe(context(key), { ...target, uid: 'another' });
    assert.equal(other?.state, 'Gone');
  },
  async 'what does not exist is NotFound'(kubernetes, namespace, key) {
    await assert.rejects(readFact(kubernetes, 'kubernetes.pod', [namespace, 'no-such-pod'], context(key)), {
      code: 'NotFound',
    });
    await assert.rejects(
      kubernetes.targets?.bind(context(key), { apiVersion: '', kind: 'Pod', namespace, name: 'no-such-pod' }) ??
        Promise.resolve(),
      { code: 'NotFound' },
    );
  },
};

/** The checks, each ready to run by itself. */
export function kubernetesConformance(
  salt: string,
): { name: string; run: (endpoint: KubernetesEndpoint) => Promise<void> }[] {
  return Object.entries(checks).map(([name, check], index) => ({
    name,
    async run({ config, namespace, environment = {} }) {
      const kubernetes = createKubernetes(config, { secrets: createSecrets(environment) });
      try {
        await check(kubernetes, namespace, `${salt}/steps/${index}`);
      } finally {
        await kubernetes.stop?.();
      }
    },
  }));
}
