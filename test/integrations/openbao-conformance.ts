/**
 * What the OpenBao and SPIRE integrations promise, against endpoints where every pod is sealed, Shamir shares for it lie
 * in a directory, and SPIRE is healthy. Each check leaves the pods unsealed.
 */
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { systemClock } from '../../src/clock.ts';
import type { Integration } from '../../src/integrations/contract.ts';
import { createOpenBao } from '../../src/integrations/openbao/index.ts';
import { createSecrets } from '../../src/integrations/secrets.ts';
import { createSpire } from '../../src/integrations/spire/index.ts';
import { act, actionOf, contextFor, readFact } from './support.ts';

export interface OpenBaoEndpoint {
  addresses: string[];
  sharesDirectory: string;
  spireUrl: string;
}

interface Scene extends OpenBaoEndpoint {
  openbao: Integration;
  spire: Integration;
}

const context = () => contextFor('run-1/steps/0', systemClock);
const unseal = (openbao: Integration) => act(openbao, 'openbao operator unseal', { autoShamir: true }, context());

/** Gives a pod shares as a person would. Returns its status after the last. */
async function give(address: string | undefined, body: object): Promise<{ progress: number; nonce: string }> {
  const answer = await fetch(`${address}/v1/sys/unseal`, { method: 'PUT', body: JSON.stringify(body) });
  assert.equal(answer.status, 200);
  return (await answer.json()) as { progress: number; nonce: string };
}

async function shareOf({ sharesDirectory }: OpenBaoEndpoint): Promise<string> {
  const [first = ''] = (await readdir(sharesDirectory)).sort();
  return (await readFile(join(sharesDirectory, first), 'utf8')).trim();
}

const checks: Record<string, (scene: Scene) => Promise<void>> = {
  async 'sealed pods are counted, unsealed each by itself, and found unsealed'({ openbao, addresses }) {
    const read = (name: string) => readFact(openbao, name, [], context());
    assert.equal(await read('openbao.status.sealed'), true);
    assert.equal(await read('openbao.status.sealedPods'), addresses.length);
    assert.equal(await read('openbao.status.unreachablePods'), 0);
    assert.equal(await read('openbao.status.initialized'), true);
    assert.equal(await read('openbao.active'), false);
    assert.equal(await read('openbao.unseal.shamir.shares.available'), true);
    const { action, before, outcome } = await unseal(openbao);
    assert.deepEqual(outcome.result, { unsealed: addresses, alreadyUnsealed: [], unreachable: [] });
    assert.equal(await read('openbao.status.sealed'), false);
    assert.equal(await read('openbao.active'), true);
    assert.equal((await action.happened(context(), { autoShamir: true }, before)).answer, 'yes');
    const again = await action.execute(context(), { autoShamir: true }, before);
    assert.match(again.sentence, /No pod of OpenBao was sealed any more/);
  },
  async 'an unseal that somebody else began is left alone'(scene) {
    const { openbao, addresses } = scene;
    const theirs = await give(addresses[0], { key: await shareOf(scene) });
    assert.equal(theirs.progress, 1);
    await assert.rejects(unseal(openbao), { code: 'Conflict', certain: true });
    const action = actionOf(openbao, 'openbao operator unseal');
    const before = { sealed: addresses, unsealed: [], unreachable: [], threshold: 3 };
    assert.equal((await action.happened(context(), { autoShamir: true }, before)).answer, 'no');
    await give(addresses[0], { reset: true });
    await unseal(openbao);
  },
  async 'SPIRE is live, ready and healthy'({ openbao, spire }) {
    for (const fact of ['live', 'ready', 'healthy'])
      assert.equal(await readFact(spire, `spire.server.${fact}`, [], context()), true);
    await unseal(openbao);
  },
};

/** The checks, each ready to run by itself. */
export function openbaoConformance(): { name: string; run: (endpoint: OpenBaoEndpoint) => Promise<void> }[] {
  return Object.entries(checks).map(([name, check]) => ({
    name,
    async run(endpoint) {
      const { addresses, sharesDirectory, spireUrl } = endpoint;
      const openbao = createOpenBao({ addresses, sharesDirectory }, { secrets: createSecrets({}) });
      const spire = createSpire({ url: spireUrl });
      try {
        await check({ ...endpoint, openbao, spire });
      } finally {
        await openbao.stop?.();
        await spire.stop?.();
      }
    },
  }));
}
