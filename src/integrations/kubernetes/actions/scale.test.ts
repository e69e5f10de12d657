import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { cluster } from '../../../../test/integrations/kubernetes-scene.ts';
import { act, actionOf, contextFor } from '../../../../test/integrations/support.ts';

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
