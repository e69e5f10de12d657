import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { cluster, template } from '../../../../test/integrations/kubernetes-scene.ts';
import { act, contextFor } from '../../../../test/integrations/support.ts';

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
