import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { contextFor, readFact } from '../../../test/integrations/support.ts';
import { privateFile } from '../../../test/support/served.ts';
import { temporaryDirectory, waitUntil } from '../../../testbed/process.ts';
import { findPrometheus, startPrometheus } from '../../../testbed/prometheus.ts';
import { describeReal } from '../../../testbed/real.ts';
import { createPrometheus } from '../prometheus/index.ts';
import { createSecrets } from '../secrets.ts';
import { createSlo } from './index.ts';

const secrets = createSecrets({});

/** The series that the generated rules record, and an alert as they declare it. */
const rules = {
  groups: [
    {
      name: 'recorded',
      rules: [
        ...['spent', 'quiet'].map((slo) => ({ record: 'slo:objective:ratio', expr: 'vector(0.999)', labels: { slo } })),
        ...[-0.5, 0.25].map((left, at) => ({
          record: 'slo:error_budget_remaining:ratio',
          expr: `vector(${left})`,
          labels: { slo: 'spent', namespace: `n${at}` },
        })),
        { alert: 'Burn', expr: 'vector(1)', labels: { slo: 'spent', burn_rate: '14.4' } },
        { alert: 'Threshold', expr: 'vector(1)', labels: { slo: 'quiet' } },
      ],
    },
  ],
};

describeReal('facts about objectives, from a real Prometheus', findPrometheus, () => {
  it('are the least budget and whether a burn-rate alert fires; without rules they are errors', async (context) => {
    const directory = temporaryDirectory('slo-facts');
    const ruleFiles = [privateFile(directory.path, 'rules.yml', JSON.stringify(rules))];
    const server = await startPrometheus({ ruleFiles });
    const prometheus = createPrometheus({ url: server.url }, { secrets });
    context.after(async () => {
      await prometheus.stop?.();
      await server.stop();
      directory.remove();
    });
    const slo = createSlo(prometheus);
    await waitUntil('the burn to fire', 30_000, () =>
      readFact(slo, 'slo.burning', ['spent']).then((is) => is === true),
    );
    assert.equal(await readFact(slo, 'slo.budgetLeft', ['spent']), -0.5);
    assert.equal(await readFact(slo, 'slo.burning', ['quiet']), false);
    for (const fact of ['slo.budgetLeft', 'slo.burning'])
      await assert.rejects(readFact(slo, fact, ['unknown']), { code: 'NotFound', hint: /render prometheus/ });
    assert.match((await slo.health(contextFor())).sentence, /rules of 2 objectives/);
  });
});

describe('facts about objectives', () => {
  const slo = createSlo(createPrometheus(undefined, { secrets }));

  it('want a name, and no PromQL', async () => {
    await assert.rejects(readFact(slo, 'slo.budgetLeft', ['x"} or vector(1) or x{slo="']), { code: 'BadRequest' });
  });

  it('are not configured without Prometheus', async () => {
    assert.equal(slo.configured, false);
    await assert.rejects(readFact(slo, 'slo.burning', ['checkout']), { code: 'NotConfigured' });
  });
});
