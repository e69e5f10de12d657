import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { cluster, pod, secrets } from '../../../test/integrations/kubernetes-scene.ts';
import { contextFor, readFact } from '../../../test/integrations/support.ts';
import { createKubernetes } from './index.ts';

describe('kubernetes facts', () => {
  it('read pods, metrics, events, nodes and conditions', async () => {
    const { fake, kubernetes } = await cluster();
    await using _ = fake;
    const ready = { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] };
    pod(fake, 'a', true, {
      status: ready,
      spec: { nodeName: 'n1', containers: [{ name: 'c', resources: { limits: { memory: '200Mi' } } }] },
    });
    pod(fake, 'b', true, { status: ready });
    pod(fake, 'c', true, {
      status: {
        phase: 'Running',
        containerStatuses: [
          {
            name: 'c',
            restartCount: 4,
            state: { waiting: { reason: 'CrashLoopBackOff' } },
            lastState: { terminated: { reason: 'OOMKilled' } },
          },
        ],
      },
    });
    fake.metrics = [
      { metadata: { name: 'a' }, containers: [{ name: 'c', usage: { memory: '100Mi' } }] },
      { metadata: { name: 'b' }, containers: [{ name: 'c', usage: { memory: '1Ki' } }] },
    ];
    fake.put(
      'v1',
      'Node',
      { name: 'n1' },
      {
        spec: { unschedulable: true },
        status: {
          conditions: [
            { type: 'Ready', status: 'True' },
            { type: 'DiskPressure', status: 'True' },
          ],
        },
      },
    );
    fake.put(
      'v1',
      'Event',
      { name: 'e1', namespace: 'acme' },
      { involvedObject: { kind: 'Pod', name: 'c' }, reason: 'BackOff', lastTimestamp: '2026-01-05T12:00:00Z' },
    );
    const read = (name: string, ...args: string[]) => readFact(kubernetes, name, args);
    assert.equal(await read('kubernetes.podsReady', 'acme', 'app=web'), 2);
    assert.equal(((await read('kubernetes.pods', 'acme', 'app=web')) as unknown[]).length, 3);
    const crashing = (await read('kubernetes.pod', 'acme', 'c')) as Record<string, unknown>;
    assert.deepEqual(
      [crashing.waitingReason, crashing.lastTerminationReason, crashing.restarts, crashing.ready],
      ['CrashLoopBackOff', 'OOMKilled', 4, false],
    );
    assert.equal(crashing.owner, 'ReplicaSet/web-2');
    assert.equal(await read('kubernetes.podMemory', 'acme', 'app=web'), 100 * 1024 * 1024);
    assert.equal(await read('kubernetes.podMemoryRatio', 'acme', 'app=web'), 0.5);
    assert.deepEqual(await read('kubernetes.node', 'n1'), {
      ready: true,
      schedulable: false,
      pressure: ['DiskPressure'],
    });
    assert.equal(((await read('kubernetes.events', 'acme', 'c')) as { reason: string }[])[0]?.reason, 'BackOff');
    assert.equal(await read('kubernetes.condition', 'v1', 'Node', '-', 'n1', 'Ready'), 'True');
    assert.equal(await read('kubernetes.reachable'), true);
    const deployment = (await read('kubernetes.deployment', 'acme', 'web')) as Record<string, unknown>;
    assert.deepEqual([deployment.image, deployment.paused, deployment.observedGeneration], ['web:2', false, 1]);
  });

  it('say that nobody is there, or that nothing is configured', async () => {
    const away = createKubernetes({ server: 'http://127.0.0.1:1' }, { secrets });
    assert.equal(await readFact(away, 'kubernetes.reachable'), false);
    assert.equal((await away.health(contextFor())).healthy, false);
    await assert.rejects(readFact(away, 'kubernetes.pod', ['acme', 'x']), {
      code: 'UpstreamUnavailable',
      certain: true,
    });
    const none = createKubernetes(undefined, { secrets });
    assert.equal(none.configured, false);
    assert.ok(none.facts.length > 10 && none.actions.length > 5);
    await assert.rejects(readFact(none, 'kubernetes.reachable'), {
      code: 'NotConfigured',
      hint: /integrations\.kubernetes/,
    });
    const plain = createKubernetes({ server: 'http://10.0.0.1' }, { secrets });
    await assert.rejects(readFact(plain, 'kubernetes.pod', ['acme', 'x']), { code: 'NotConfigured' });
  });
});

describe('kubernetes role', () => {
  it('holds what the definitions need, and is the same for the same names', () => {
    const { clusterRole } = createKubernetes(undefined, { secrets });
    const role = clusterRole('catalyst-sre', ['kubernetes scale', 'kubernetes delete pod', 'kubernetes.podsReady']);
    assert.equal(
      role,
      clusterRole('catalyst-sre', ['kubernetes.podsReady', 'kubernetes delete pod', 'kubernetes scale']),
    );
    assert.equal(
      role,
      `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: catalyst-sre
rules:
  - apiGroups: [""]
    resources: ["pods"]
    verbs: ["delete", "get", "list"]
  - apiGroups: ["apps"]
    resources: ["deployments", "statefulsets"]
    verbs: ["get", "patch"]
`,
    );
    assert.throws(() => clusterRole('x', ['kubernetes explode']), /kubernetes explode/);
  });

  it('never holds a wildcard: what takes any kind is told which', () => {
    const kubernetes = createKubernetes(undefined, { secrets });
    assert.throws(() => kubernetes.clusterRole('x', ['kubernetes patch']), /say for which resources/);
    const resources = [{ apiGroup: 'cert-manager.io', resource: 'certificates' }];
    const names = [...kubernetes.facts, ...kubernetes.actions].map(({ name }) => name);
    const documents = [{ apiGroup: 'catalyst.openova.io', resource: 'runbooks' }];
    const role = kubernetes.clusterRole('x', [
      { name: 'cluster source', resources: documents },
      ...names.map((name) => ({ name, resources })),
    ]);
    assert.match(role, /\["runbooks\/status"\]\n {4}verbs: \["patch"\]/);
    assert.doesNotMatch(role, /\*|secrets/);
    assert.match(
      role,
      /apiGroups: \["cert-manager.io"\]\n {4}resources: \["certificates"\]\n {4}verbs: \["get", "patch"\]/,
    );
  });
});
