import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FakeKubernetes } from '../../../test/integrations/fakes/fake-kubernetes.ts';
import { kubernetesConformance } from '../../../test/integrations/kubernetes-conformance.ts';
import { act, actionOf, contextFor, readFact } from '../../../test/integrations/support.ts';
import { createSecrets } from '../secrets.ts';
import { createKubernetes } from './index.ts';

const secrets = createSecrets({ TOKEN: 'token-of-the-test' });
const template = (image: string) => ({
  metadata: { labels: { app: 'web' } },
  spec: { containers: [{ name: 'web', image }] },
});

async function cluster() {
  const fake = await FakeKubernetes.start();
  const web = fake.put(
    'apps/v1',
    'Deployment',
    { name: 'web', namespace: 'acme', annotations: { 'deployment.kubernetes.io/revision': '2' } },
    {
      spec: { replicas: 2, selector: { matchLabels: { app: 'web' } }, template: template('web:2') },
      status: { observedGeneration: 1, readyReplicas: 2, availableReplicas: 2, updatedReplicas: 2 },
    },
  );
  for (const revision of [1, 2]) {
    const set = template(`web:${revision}`);
    fake.put(
      'apps/v1',
      'ReplicaSet',
      {
        name: `web-${revision}`,
        namespace: 'acme',
        labels: { app: 'web' },
        annotations: { 'deployment.kubernetes.io/revision': String(revision) },
        ownerReferences: [{ kind: 'Deployment', name: 'web', uid: web.metadata.uid, controller: true }],
      },
      { spec: { template: { ...set, metadata: { labels: { app: 'web', 'pod-template-hash': `h${revision}` } } } } },
    );
  }
  const kubernetes = createKubernetes({ server: fake.url, tokenEnv: 'TOKEN' }, { secrets });
  return { fake, kubernetes, web };
}

const pod = (fake: FakeKubernetes, name: string, owned = true, rest = {}) =>
  fake.put(
    'v1',
    'Pod',
    {
      name,
      namespace: 'acme',
      labels: { app: 'web' },
      ...(owned ? { ownerReferences: [{ kind: 'ReplicaSet', name: 'web-2', uid: 'rs', controller: true }] } : {}),
    },
    rest,
  );

describe('kubernetes conformance, against the fake', () => {
  for (const { name, run } of kubernetesConformance('fake')) {
    it(name, async () => {
      const { fake } = await cluster();
      await using _ = fake;
      await run({ config: { server: fake.url }, namespace: 'acme' });
    });
  }
});

describe('kubernetes scale', () => {
  const input = { kind: 'Deployment', namespace: 'acme', name: 'web', replicas: '+1' };

  it('sends the token, and one write holds replicas, marker and precondition', async () => {
    const { fake, kubernetes } = await cluster();
    await using _ = fake;
    await act(kubernetes, 'kubernetes scale', input);
    const write = fake.server.requests.find(({ method }) => method === 'PATCH');
    assert.equal(write?.headers.authorization, 'Bearer token-of-the-test');
    const body = JSON.parse(write?.body ?? '{}');
    assert.equal(body.spec.replicas, 3);
    assert.equal(body.metadata.annotations['catalyst.openova.io/last-action'], 'run-1/steps/0');
    assert.ok(body.metadata.resourceVersion && body.metadata.uid);
    assert.match(write?.path ?? '', /fieldManager=catalyst-sre/);
  });

  it('names its effect by comparison', async () => {
    const { fake, kubernetes } = await cluster();
    await using _ = fake;
    const action = actionOf(kubernetes, 'kubernetes scale');
    const before = await action.capture(contextFor(), input);
    const effects = ['+1', '1', '2'].map((replicas) => action.effect({ ...input, replicas }, before));
    assert.deepEqual(effects, ['ScaleUp', 'ScaleDown', 'ReadOnly']);
    assert.match(action.describe(input, before), /from 2 to 3/);
  });

  it('refuses to leave its limits, before anything is done', async () => {
    const { fake, kubernetes } = await cluster();
    await using _ = fake;
    for (const replicas of ['11', '+9', '0', '-2']) {
      await assert.rejects(act(kubernetes, 'kubernetes scale', { ...input, replicas }), {
        code: 'RefusedByGuard',
        certain: true,
      });
    }
    assert.equal(fake.server.requests.filter(({ method }) => method === 'PATCH').length, 0);
  });

  it('writes again when only the status moved, and refuses when the spec did', async () => {
    const { fake, kubernetes } = await cluster();
    await using _ = fake;
    const meddle = (what: () => void) =>
      fake.faults.push((request) => {
        if (request.method === 'PATCH') what();
        return undefined;
      });
    meddle(() => {
      const web = fake.get('Deployment', 'acme', 'web');
      if (fake.server.requests.filter(({ method }) => method === 'PATCH').length === 1)
        fake.changeStatus(web, { readyReplicas: 1 });
    });
    const { outcome } = await act(kubernetes, 'kubernetes scale', input);
    assert.deepEqual(outcome.result, { from: 2, to: 3 });
    assert.equal(fake.server.requests.filter(({ method }) => method === 'PATCH').length, 2);
    fake.faults.length = 0;
    meddle(() => fake.change(fake.get('Deployment', 'acme', 'web'), 'kubectl-scale', { replicas: 5 }));
    await assert.rejects(act(kubernetes, 'kubernetes scale', input, contextFor('run-2/steps/0')), {
      code: 'Conflict',
      certain: true,
      message: /changed by kubectl-scale/,
    });
    assert.equal(fake.get('Deployment', 'acme', 'web').spec?.replicas, 5);
  });

  it('a write whose answer was lost is found by its marker and not repeated', async () => {
    const { fake, kubernetes } = await cluster();
    await using _ = fake;
    fake.server.requests.length = 0;
    const action = actionOf(kubernetes, 'kubernetes scale');
    const before = await action.capture(contextFor(), input);
    fake.faults.push((request, response) => {
      if (request.method !== 'PATCH') return undefined;
      const web = fake.get('Deployment', 'acme', 'web');
      web.metadata.annotations = { 'catalyst.openova.io/last-action': 'run-1/steps/0' };
      fake.change(web, 'catalyst-sre', { replicas: 3 });
      response.writeHead(200, { 'content-length': '5000' });
      response.write('{"met');
      response.destroy();
      return undefined;
    });
    await assert.rejects(action.execute(contextFor(), input, before), { code: 'UpstreamUnavailable', certain: false });
    const happened = await action.happened(contextFor(), input, before);
    assert.equal(happened.answer, 'yes');
    assert.equal(happened.target?.generation, 2);
    await action.execute(contextFor(), input, before);
    assert.equal(fake.get('Deployment', 'acme', 'web').spec?.replicas, 3);
  });

  it('tells certain refusals from lost ones', async () => {
    const cases: [number, string, boolean][] = [
      [429, 'UpstreamUnavailable', true],
      [503, 'UpstreamUnavailable', false],
      [504, 'UpstreamUnavailable', false],
      [403, 'UpstreamRefused', true],
      [422, 'UpstreamRefused', true],
    ];
    for (const [status, code, certain] of cases) {
      const { fake, kubernetes } = await cluster();
      await using _ = fake;
      fake.faults.push((request) =>
        request.method === 'PATCH' ? [status, { message: 'no' }, { 'retry-after': '1' }] : undefined,
      );
      await assert.rejects(act(kubernetes, 'kubernetes scale', input), { code, certain }, String(status));
    }
  });

  it('a replaced Deployment is not touched', async () => {
    const { fake, kubernetes, web } = await cluster();
    await using _ = fake;
    const action = actionOf(kubernetes, 'kubernetes scale');
    const before = await action.capture(contextFor(), input);
    fake.remove(web);
    fake.put('apps/v1', 'Deployment', { name: 'web', namespace: 'acme' }, { spec: { replicas: 1 } });
    await assert.rejects(action.execute(contextFor(), input, before), {
      code: 'Conflict',
      details: { reason: 'TargetReplaced' },
    });
    assert.equal((await action.happened(contextFor(), input, before)).answer, 'unknown');
  });
});

describe('kubernetes delete pod', () => {
  it('deletes the pod that was meant and never its successor', async () => {
    const { fake, kubernetes } = await cluster();
    await using _ = fake;
    const first = pod(fake, 'web-0');
    const action = actionOf(kubernetes, 'kubernetes delete pod');
    const input = { namespace: 'acme', name: 'web-0' };
    const before = await action.capture(contextFor(), input);
    assert.equal(action.effect(input, before), 'Restart');
    assert.equal((await action.happened(contextFor(), input, before)).answer, 'no');
    fake.faults.push((request) => {
      if (request.method !== 'DELETE') return undefined;
      fake.remove(first);
      pod(fake, 'web-0');
      return undefined;
    });
    const outcome = await action.execute(contextFor(), input, before);
    assert.match(outcome.sentence, /gone already/);
    assert.notEqual(fake.get('Pod', 'acme', 'web-0').metadata.uid, first.metadata.uid);
    assert.equal((await action.happened(contextFor(), input, before)).answer, 'yes');
    await action.execute(contextFor(), input, before);
    assert.ok(fake.get('Pod', 'acme', 'web-0'));
  });

  it('refuses a pod that nothing would replace, unless told', async () => {
    const { fake, kubernetes } = await cluster();
    await using _ = fake;
    pod(fake, 'lonely', false);
    const input = { namespace: 'acme', name: 'lonely' };
    await assert.rejects(act(kubernetes, 'kubernetes delete pod', input), { code: 'InvalidState' });
    const { action, before } = await act(kubernetes, 'kubernetes delete pod', { ...input, allowUnowned: true });
    assert.equal(action.effect({ ...input, allowUnowned: true }, before), 'Delete');
    assert.throws(() => fake.get('Pod', 'acme', 'lonely'));
  });

  it('evicts by the version the server knows, and respects a disruption budget', async () => {
    const { fake, kubernetes } = await cluster();
    await using _ = fake;
    pod(fake, 'web-0');
    fake.protectedPods.add('web-0');
    const input = { namespace: 'acme', name: 'web-0' };
    await assert.rejects(act(kubernetes, 'kubernetes evict pod', input), {
      code: 'UpstreamUnavailable',
      certain: true,
      message: /disruption budget/,
    });
    fake.protectedPods.clear();
    await act(kubernetes, 'kubernetes evict pod', input);
    assert.throws(() => fake.get('Pod', 'acme', 'web-0'));
  });
});

describe('kubernetes rollback deployment', () => {
  const input = { namespace: 'acme', name: 'web' };

  it('puts the former template back, without the hash, and knows the way forward', async () => {
    const { fake, kubernetes } = await cluster();
    await using _ = fake;
    const { action, before, outcome } = await act(kubernetes, 'kubernetes rollback deployment', input);
    assert.deepEqual(fake.get('Deployment', 'acme', 'web').spec?.template, template('web:1'));
    assert.deepEqual(outcome.result, { fromRevision: 2, toRevision: 1 });
    assert.match(action.describe(input, before), /web:2.*web:1/);
    assert.deepEqual(action.undo?.(input, before, outcome.result), {
      action: 'kubernetes rollback deployment',
      input: { ...input, revision: 2 },
    });
    assert.equal((await action.happened(contextFor(), input, before)).answer, 'yes');
  });

  it('refuses what is not kept, what is current, what is paused and what is not settled', async () => {
    const { fake, kubernetes } = await cluster();
    await using _ = fake;
    const rollback = (revision?: number) =>
      act(kubernetes, 'kubernetes rollback deployment', revision === undefined ? input : { ...input, revision });
    await assert.rejects(rollback(7), { code: 'InvalidState', hint: 'Revisions still kept: 2, 1.' });
    await assert.rejects(rollback(2), { code: 'InvalidState' });
    fake.change(fake.get('Deployment', 'acme', 'web'), 'kubectl', { minReadySeconds: 1 });
    await assert.rejects(rollback(), { code: 'Unavailable', retryable: true, certain: true });
    fake.change(fake.get('Deployment', 'acme', 'web'), 'kubectl', { paused: true });
    await assert.rejects(rollback(), { code: 'InvalidState', message: /paused/ });
  });
});

describe('kubernetes patch', () => {
  it('refuses Secrets, identity, status and its own marker', async () => {
    const { fake, kubernetes } = await cluster();
    await using _ = fake;
    const patch = (kind: string, value: Record<string, never> | object) =>
      act(kubernetes, 'kubernetes patch', {
        apiVersion: 'v1',
        kind,
        namespace: 'acme',
        name: 'x',
        patch: JSON.parse(JSON.stringify(value)),
      });
    for (const value of [
      { status: {} },
      { metadata: { uid: 'x' } },
      { metadata: { annotations: { 'catalyst.openova.io/last-action': 'x' } } },
      { metadata: null },
    ]) {
      await assert.rejects(patch('ConfigMap', value), { code: 'BadRequest' }, JSON.stringify(value));
    }
    await assert.rejects(patch('Secret', { data: {} }), { code: 'BadRequest' });
    assert.equal(fake.server.requests.length, 0);
  });

  it('is a scale for the guards when it changes replicas', async () => {
    const { fake, kubernetes } = await cluster();
    await using _ = fake;
    const action = actionOf(kubernetes, 'kubernetes patch');
    const input = { kind: 'Deployment', namespace: 'acme', name: 'web', patch: { spec: { replicas: 5 } } };
    const before = await action.capture(contextFor(), input);
    assert.equal(action.effect(input, before), 'ScaleUp');
  });
});

describe('kubernetes run job', () => {
  const input = {
    namespace: 'acme',
    name: 'rebuild',
    job: { template: { spec: { containers: [{ name: 'x', image: 'x' }] } } },
  };
  const finishSoon = (fake: FakeKubernetes, type: string) =>
    fake.faults.push((request) => {
      const jobs = [...fake.objects.values()].filter(({ kind }) => kind === 'Job');
      if (request.method === 'GET' && jobs[0])
        fake.changeStatus(jobs[0], {
          conditions: [{ type, status: 'True', reason: type === 'Failed' ? 'BackoffLimitExceeded' : '' }],
        });
      return undefined;
    });

  it('creates it once, waits for its end, and finds it again', async () => {
    const { fake, kubernetes } = await cluster();
    await using _ = fake;
    finishSoon(fake, 'Complete');
    const { action, before, outcome } = await act(kubernetes, 'kubernetes run job', input);
    assert.match(outcome.sentence, /to its end/);
    await action.execute(contextFor(), input, before);
    assert.equal([...fake.objects.values()].filter(({ kind }) => kind === 'Job').length, 1);
    assert.equal((await action.happened(contextFor(), input, before)).answer, 'yes');
    assert.equal((await action.happened(contextFor('run-9/steps/0'), input, before)).answer, 'no');
    const job = [...fake.objects.values()].find(({ kind }) => kind === 'Job');
    assert.equal(job?.spec?.backoffLimit, 0);
    assert.equal(job?.spec?.activeDeadlineSeconds, 600);
  });

  it('a failed Job is a failed step, and a limit that runs out leaves the outcome unknown', async () => {
    const { fake, kubernetes } = await cluster();
    await using _ = fake;
    const limit = new AbortController();
    fake.faults.push((request) => {
      if (request.method === 'GET' && request.url.pathname.includes('/jobs/')) limit.abort();
      return undefined;
    });
    const context = contextFor('run-1/steps/0', undefined, limit.signal);
    await assert.rejects(act(kubernetes, 'kubernetes run job', input, context), { code: 'TimedOut', certain: false });
    fake.faults.length = 0;
    const action = actionOf(kubernetes, 'kubernetes run job');
    assert.equal((await action.happened(contextFor(), input, {})).answer, 'unknown');
    finishSoon(fake, 'Failed');
    await assert.rejects(action.execute(contextFor(), input, {}), {
      code: 'UpstreamRefused',
      certain: false,
      message: /BackoffLimitExceeded/,
    });
  });
});

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
    const role = kubernetes.clusterRole('x', ['cluster source', ...names.map((name) => ({ name, resources }))]);
    assert.doesNotMatch(role, /\*|secrets/);
    assert.match(
      role,
      /apiGroups: \["cert-manager.io"\]\n {4}resources: \["certificates"\]\n {4}verbs: \["get", "patch"\]/,
    );
  });
});
