import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FakeGitea, type Generation } from '../../../test/integrations/fakes/fake-gitea.ts';
import { act, actionOf, contextFor, patientClock, readFact } from '../../../test/integrations/support.ts';
import { createSecrets } from '../secrets.ts';
import { createGitea } from './index.ts';

const input = { repository: 'acme/runbooks', workflow: 'remediate.yaml', inputs: { pod: 'web-0' } };
/** Fast enough that polls of three seconds take milliseconds. */
const context = (key = 'run-1/steps/0', signal?: AbortSignal) => contextFor(key, patientClock(300), signal);

async function scene(generation: Generation) {
  const fake = await FakeGitea.start(generation);
  const gitea = createGitea(
    { url: fake.server.url, tokenEnv: 'TOKEN' },
    { secrets: createSecrets({ TOKEN: 'gitea-token' }) },
  );
  return { fake, gitea, [Symbol.asyncDispose]: () => fake[Symbol.asyncDispose]() };
}

describe('gitea dispatch', () => {
  for (const generation of ['tasks', 'untitled', 'named'] as const) {
    it(`starts a workflow once and follows it to its end (${generation})`, async () => {
      await using s = await scene(generation);
      const { outcome } = await act(s.gitea, 'gitea dispatch', input, context());
      assert.deepEqual({ ...(outcome.result as object), url: '' }, { runId: 1, conclusion: 'success', url: '' });
      assert.deepEqual(s.fake.runs[0]?.inputs, { pod: 'web-0', execution_id: 'run-1/steps/0' });
      const request = s.fake.server.requests.find(({ method }) => method === 'POST');
      assert.equal(request?.headers.authorization, 'token gitea-token');
      assert.equal(JSON.parse(request?.body ?? '{}').ref, 'main');
    });
  }

  it('waits for a run that goes on, since another would cancel it', async () => {
    await using s = await scene('named');
    const theirs = s.fake.start('remediate.yaml', 'main', { execution_id: 'theirs' });
    s.fake.pollsToEnd = 4;
    await act(s.gitea, 'gitea dispatch', input, context());
    assert.equal(theirs.conclusion, 'success');
    assert.equal(s.fake.runs.length, 2);
  });

  it('lets its own dispatches take turns', async () => {
    await using s = await scene('untitled');
    const outcomes = await Promise.all(
      ['a', 'b', 'c'].map((key) => act(s.gitea, 'gitea dispatch', input, context(`run-${key}/steps/0`))),
    );
    assert.deepEqual(
      outcomes.map(({ outcome }) => (outcome.result as { conclusion: string }).conclusion),
      ['success', 'success', 'success'],
    );
    assert.equal(new Set(outcomes.map(({ outcome }) => (outcome.result as { runId: number }).runId)).size, 3);
  });

  it('gives up its turn when the time is up, certainly without effect', async () => {
    await using s = await scene('named');
    s.fake.pollsToEnd = Number.POSITIVE_INFINITY;
    s.fake.start('remediate.yaml', 'main', { execution_id: 'theirs' });
    const limit = new AbortController();
    const failed = assert.rejects(act(s.gitea, 'gitea dispatch', input, context('k', limit.signal)), {
      code: 'TimedOut',
      certain: true,
    });
    while ((s.fake.runs[0]?.polls ?? 0) < 3) await new Promise((resolve) => setImmediate(resolve));
    limit.abort();
    await failed;
    assert.equal(s.fake.runs.length, 1);
  });

  it('finds a run whose dispatch got no answer, and adopts it', async () => {
    await using s = await scene('named');
    const action = actionOf(s.gitea, 'gitea dispatch');
    const before = await action.capture(context(), input);
    assert.equal((await action.happened(context(), input, before)).answer, 'no');
    s.fake.lose = [502, 'bad gateway'];
    await assert.rejects(action.execute(context(), input, before), { code: 'UpstreamUnavailable', certain: false });
    const happened = await action.happened(context(), input, before);
    assert.equal(happened.answer, 'yes');
    assert.equal((happened.result as { runId: number }).runId, 1);
    await action.execute(context(), input, before);
    assert.equal(s.fake.runs.length, 1);
  });

  it('does not claim a run that does not say whose it is', async () => {
    await using s = await scene('untitled');
    const action = actionOf(s.gitea, 'gitea dispatch');
    const before = await action.capture(context(), input);
    s.fake.start('remediate.yaml', 'main');
    assert.equal((await action.happened(context(), input, before)).answer, 'unknown');
  });

  it('a run that fails is a failed step, and no success to be found later', async () => {
    await using s = await scene('named');
    s.fake.conclusion = 'failure';
    const action = actionOf(s.gitea, 'gitea dispatch');
    const before = await action.capture(context(), input);
    await assert.rejects(action.execute(context(), input, before), {
      code: 'UpstreamRefused',
      certain: false,
      message: /failure/,
    });
    assert.equal((await action.happened(context(), input, before)).answer, 'unknown');
  });

  it('says which workflow it does not know', async () => {
    await using s = await scene('named');
    await assert.rejects(act(s.gitea, 'gitea dispatch', { ...input, workflow: 'none.yaml' }, context()), {
      code: 'NotFound',
      certain: true,
      hint: /1\.24/,
    });
    await assert.rejects(act(s.gitea, 'gitea dispatch', { ...input, inputs: { n: 3 } }, context()), {
      code: 'BadRequest',
    });
  });
});

describe('gitea facts', () => {
  it('tell version and repository', async () => {
    await using s = await scene('named');
    assert.equal(await readFact(s.gitea, 'gitea.version'), '1.24.2');
    assert.equal(await readFact(s.gitea, 'gitea.reachable'), true);
    assert.deepEqual(await readFact(s.gitea, 'gitea.repository', ['acme', 'runbooks']), {
      defaultBranch: 'main',
      empty: false,
      archived: true,
      private: true,
      mirror: false,
    });
    await assert.rejects(readFact(s.gitea, 'gitea.repository', ['acme', 'none']), { code: 'NotFound' });
    await assert.rejects(readFact(s.gitea, 'gitea.repository', ['..', 'admin']), { code: 'BadRequest' });
    const none = createGitea(undefined, { secrets: createSecrets({}) });
    await assert.rejects(readFact(none, 'gitea.version'), { code: 'NotConfigured' });
  });
});
