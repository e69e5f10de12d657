import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { cluster } from '../../../../test/integrations/kubernetes-scene.ts';
import { act, actionOf, contextFor } from '../../../../test/integrations/support.ts';

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
