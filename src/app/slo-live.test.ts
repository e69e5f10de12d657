import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Kind, Resource } from '../catalog/resource.ts';
import { systemClock } from '../clock.ts';
import { CatalystError } from '../errors.ts';
import type { Sample } from '../integrations/prometheus/client.ts';
import { sloModel } from './slo-live.ts';

const objective = (name: string, organization?: string): Resource => ({
  apiVersion: 'catalyst.openova.io/v1alpha1',
  kind: 'ServiceLevelObjective',
  metadata: { name },
  spec: {
    title: name,
    service: 'shop',
    objective: '99.9%',
    by: ['namespace'],
    sli: { ratio: { bad: 'errors_total', total: 'requests_total' } },
  },
  provenance: { source: 'test', file: 'test.yaml', line: 1, digest: 'd', ...(organization ? { organization } : {}) },
});

function modelOf(resources: readonly Resource[], samples: () => Sample[]) {
  const queries: string[] = [];
  let now = 0;
  const model = sloModel({
    catalog: {
      revision: 1,
      resources: <R extends Resource>({ kind }: Kind) => resources.filter((one) => one.kind === kind) as R[],
    },
    prometheus: {
      samples: async (_context, expression) => {
        queries.push(expression);
        return samples();
      },
    },
    clock: { ...systemClock, monotonic: () => now },
    organizationOf: ({ namespace }) => (namespace === undefined ? undefined : namespace.replace('-prod', '')),
  });
  return {
    queries,
    model,
    wait: (ms: number) => {
      now += ms;
    },
    names: async (organization?: string) =>
      (await model.list({ limit: 100, after: undefined, organization }, {})).items.map(({ name }) => name),
  };
}

const left = (slo: string, namespace: string, value: string): Sample => ({
  metric: { __name__: 'slo:error_budget_remaining:ratio', slo, namespace },
  value,
});

describe('objectives as the API shows them', () => {
  it('show an Organization its own budgets of a common objective, and nobody else’s', async () => {
    const { model } = modelOf([objective('common')], () => [
      left('common', 'acme-prod', '0.5'),
      left('common', 'globex-prod', '-1'),
    ]);
    assert.equal((await model.find('common', undefined))?.state, 'Exhausted');
    const { items } = await model.list(
      { limit: 9, after: undefined, organization: undefined },
      { ofOrganization: 'acme' },
    );
    assert.deepEqual(
      items.map(({ state, organizations }) => [state, organizations]),
      [['OK', ['acme']]],
    );
    const asAnother = { limit: 9, after: undefined, organization: 'acme' };
    assert.deepEqual((await model.list(asAnother, { ofOrganization: 'globex' })).items, []);
    const own = await model.find('common', 'acme');
    assert.equal(own?.state, 'OK');
    assert.deepEqual(
      own?.budgets.map(({ labels }) => labels),
      [{ namespace: 'acme-prod' }],
    );
    assert.equal(await model.find('common', 'nobody'), undefined);
  });

  it('say of a name that two have, and of one that cannot be worked out, that nothing can be told', async () => {
    const wrong = objective('wrong');
    const resources = [
      objective('both', 'acme'),
      objective('both', 'globex'),
      objective('taken'),
      objective('taken', 'acme'),
      { ...wrong, spec: { ...(wrong.spec as object), objective: '100%' } },
    ];
    const { model } = modelOf(resources, () => [left('both', 'acme-prod', '0.5'), left('taken', 'acme-prod', '0.5')]);
    const shown = async (organization?: string, after?: string) =>
      (await model.list({ limit: 100, after, organization }, {})).items.map((slo) => [
        slo.name,
        slo.organization,
        slo.state,
      ]);
    const all = [
      ['both', 'acme', 'NoData'],
      ['both', 'globex', 'NoData'],
      ['taken', undefined, 'OK'],
      ['taken', 'acme', 'NoData'],
      ['wrong', undefined, 'NoData'],
    ];
    assert.deepEqual(await shown(), all);
    assert.deepEqual(
      (await shown('acme')).map(([name]) => name),
      ['both', 'taken', 'taken'],
    );
    const { next } = await model.list({ limit: 1, after: undefined, organization: undefined }, {});
    assert.deepEqual(await shown(undefined, next), all.slice(1));
    assert.match((await model.find('wrong', undefined))?.sentence ?? '', /100% leaves no error budget/);
    assert.match((await model.find('both', 'globex'))?.sentence ?? '', /Another objective has this name/);
  });

  it('ask once in fifteen seconds, for fifty objectives at a time', async () => {
    const resources = Array.from({ length: 120 }, (_, at) => objective(`slo-${at}`));
    const { queries, names, wait } = modelOf(resources, () => []);
    assert.equal((await names()).length, 100);
    await names();
    assert.equal(queries.length, 3);
    wait(16_000);
    await names();
    assert.equal(queries.length, 6);
  });

  it('say NoData, and why, when Prometheus cannot be asked', async () => {
    const { model } = modelOf([objective('common')], () => {
      throw new CatalystError('NotConfigured', 'Nobody has configured prometheus.');
    });
    const { items } = await model.list({ limit: 10, after: undefined, organization: undefined }, { state: 'NoData' });
    assert.match(items[0]?.sentence ?? '', /Nobody has configured prometheus/);
  });
});
