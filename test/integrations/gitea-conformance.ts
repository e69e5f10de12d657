/**
 * What the Gitea integration promises, against an endpoint: a fake, the sandbox or a real server with a runner. The
 * repository must hold the workflow, with `execution_id` among its inputs; where run names carry it, say `named`.
 */
import assert from 'node:assert/strict';
import { type Clock, systemClock } from '../../src/clock.ts';
import type { EffectContext, Integration } from '../../src/integrations/contract.ts';
import { createGitea } from '../../src/integrations/gitea/index.ts';
import { createSecrets } from '../../src/integrations/secrets.ts';
import { act, actionOf, contextFor } from './support.ts';

export interface GiteaEndpoint {
  url: string;
  token: string;
  repository: string;
  workflow: string;
  named: boolean;
  /** Whose waits count. Default: the machine's. */
  clock?: Clock;
}

type Context = (key: string) => EffectContext;

const checks: Record<
  string,
  (gitea: Integration, endpoint: GiteaEndpoint, key: string, context: Context) => Promise<void>
> = {
  async 'two dispatches take turns, and both succeed'(gitea, { repository, workflow }, key, context) {
    const input = { repository, workflow };
    const runs = await Promise.all(
      ['a', 'b'].map((one) => act(gitea, 'gitea dispatch', input, context(`${key}-${one}`))),
    );
    const results = runs.map(({ outcome }) => outcome.result as { runId: number; conclusion: string });
    assert.deepEqual(
      results.map(({ conclusion }) => conclusion),
      ['success', 'success'],
    );
    assert.notEqual(results[0]?.runId, results[1]?.runId);
  },
  async 'a dispatch is found again where names say whose it is, and unknown where not'(gitea, endpoint, key, context) {
    const { repository, workflow, named } = endpoint;
    const input = { repository, workflow };
    const action = actionOf(gitea, 'gitea dispatch');
    const before = await action.capture(context(key), input);
    assert.equal((await action.happened(context(key), input, before)).answer, 'no');
    const { result } = await action.execute(context(key), input, before);
    const happened = await action.happened(context(key), input, before);
    assert.equal(happened.answer, named ? 'yes' : 'unknown');
    if (named) assert.deepEqual((await action.execute(context(key), input, before)).result, result);
  },
  async 'an unknown workflow is NotFound, certainly without effect'(gitea, { repository }, key, context) {
    const input = { repository, workflow: 'no-such-workflow.yaml' };
    await assert.rejects(act(gitea, 'gitea dispatch', input, context(key)), { code: 'NotFound', certain: true });
  },
};

/** The checks, each ready to run by itself. */
export function giteaConformance(salt: string): { name: string; run: (endpoint: GiteaEndpoint) => Promise<void> }[] {
  return Object.entries(checks).map(([name, check], index) => ({
    name,
    async run(endpoint) {
      const secrets = createSecrets({ GITEA_TOKEN: endpoint.token });
      const gitea = createGitea({ url: endpoint.url, tokenEnv: 'GITEA_TOKEN' }, { secrets });
      const context: Context = (key) => contextFor(key, endpoint.clock ?? systemClock, AbortSignal.timeout(60_000));
      try {
        await check(gitea, endpoint, `${salt}/gitea/${index}`, context);
      } finally {
        await gitea.stop?.();
      }
    },
  }));
}
