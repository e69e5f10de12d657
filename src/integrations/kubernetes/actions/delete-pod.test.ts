import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { cluster, pod } from '../../../../test/integrations/kubernetes-scene.ts';
import { act, actionOf, contextFor } from '../../../../test/integrations/support.ts';

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
