import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { contextFor, readFact } from '../../../test/integrations/support.ts';
import { createPrometheus } from '../prometheus/index.ts';
import { createSecrets } from '../secrets.ts';
import { createBudget } from './index.ts';

describe('budget', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'budget-'));
  after(() => rm(directory, { recursive: true }));
  const file = join(directory, 'spend');
  const spend = new Map([
    ['spend_acme', 400],
    ['spend_broken', -1],
  ]);
  const organizations = {
    acme: { limit: 500, query: 'spend_acme' },
    filed: { limit: 200, file },
    broken: { limit: 1, query: 'spend_broken' },
    bare: { limit: 1 },
  };
  const budget = createBudget(
    { organizations },
    { query: async (_, expression) => spend.get(expression) ?? Number.NaN },
  );
  const ratio = (organization: string) => readFact(budget, 'budget.spentRatio', [organization]);

  it('is spend over limit, from a query or a file', async () => {
    assert.equal(await ratio('acme'), 0.8);
    await writeFile(file, '250\n');
    assert.equal(await ratio('filed'), 1.25);
  });

  it('is an error, and never a default, where it cannot be known', async () => {
    await assert.rejects(ratio('nobody'), { code: 'NotFound' });
    await assert.rejects(ratio('constructor'), { code: 'NotFound' });
    await assert.rejects(ratio('broken'), { code: 'UpstreamRefused' });
    await assert.rejects(ratio('bare'), { code: 'NotConfigured' });
    await writeFile(file, 'much');
    await assert.rejects(ratio('filed'), { code: 'UpstreamRefused' });
    await rm(file);
    await assert.rejects(ratio('filed'), { code: 'UpstreamUnavailable' });
    assert.equal((await budget.health(contextFor())).healthy, false);
    const without = createBudget({ organizations }, createPrometheus(undefined, { secrets: createSecrets({}) }));
    await assert.rejects(readFact(without, 'budget.spentRatio', ['acme']), {
      code: 'NotConfigured',
      hint: /prometheus/,
    });
  });
});
