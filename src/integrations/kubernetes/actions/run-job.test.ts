import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { FakeKubernetes } from '../../../../test/integrations/fakes/fake-kubernetes.ts';
import { cluster } from '../../../../test/integrations/kubernetes-scene.ts';
import { act, actionOf, contextFor } from '../../../../test/integrations/support.ts';

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
