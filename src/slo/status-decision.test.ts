import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { lintWith, sourceOf } from './slo-fixture.ts';
import { budgetsOf, type LiveSample } from './status-decision.ts';

const document = `
apiVersion: catalyst.openova.io/v1alpha1
kind: ServiceLevelObjective
metadata: { name: checkout }
spec:
  title: Checkout
  service: shop
  objective: 99.9%
  by: [namespace]
  sli: { ratio: { bad: 'errors_total', total: 'requests_total' } }
  burnRate: { notifyOnly: People look. }
`;
const slo = lintWith([sourceOf('checkout.yaml', document)]).slos.find(({ name }) => name === 'checkout');
assert.ok(slo);

const loaded: LiveSample = { metric: { __name__: 'slo:objective:ratio', slo: 'checkout' }, value: '0.999' };
const series = (namespace: string, values: Record<string, string>): LiveSample[] =>
  Object.entries(values).map(([name, value]) => ({
    metric: { __name__: `slo:${name}`, slo: 'checkout', namespace },
    value,
  }));
const left = 'error_budget_remaining:ratio';

describe('the standing of an objective', () => {
  it('is OK while the budget lasts, with what is measured in numbers', () => {
    const [budget] = budgetsOf(slo, [
      loaded,
      ...series('a', { 'error_ratio:5m': '0.0005', 'error_ratio:1h': '0.00025', [left]: '0.42' }),
    ]);
    assert.deepEqual(budget, {
      labels: { namespace: 'a' },
      state: 'OK',
      sentence: '42 % of the error budget of 30d are left.',
      sli: 0.9995,
      budgetLeft: 0.42,
      burnRates: [
        { window: '5m', rate: 0.5 },
        { window: '1h', rate: 0.25 },
      ],
    });
  });

  it('is Burning only when the long and the short window are over the same factor', () => {
    const standing = (values: Record<string, string>) =>
      budgetsOf(slo, [loaded, ...series('a', { [left]: '0.5', ...values })])[0];
    assert.equal(standing({ 'error_ratio:1h': '0.02', 'error_ratio:5m': '0.001' })?.state, 'OK');
    assert.equal(standing({ 'error_ratio:1h': '0.001', 'error_ratio:5m': '0.02' })?.state, 'OK');
    const burning = standing({ 'error_ratio:1h': '0.02', 'error_ratio:5m': '0.02' });
    assert.equal(burning?.state, 'Burning');
    // Half of 30 days at 20 times the rate.
    assert.match(burning?.sentence ?? '', /14\.4 times too fast over 1h and 5m; the 50 % left are gone in 18h\./);
  });

  it('is Exhausted when nothing is left, burning or not; the worst budget comes first', () => {
    const budgets = budgetsOf(slo, [
      loaded,
      ...series('good', { [left]: '1', 'error_ratio:5m': '0' }),
      ...series('spent', { [left]: '-0.25', 'error_ratio:5m': '0' }),
      ...series('new', { 'error_ratio:5m': '0' }),
    ]);
    assert.deepEqual(
      budgets.map(({ labels, state }) => [labels.namespace, state]),
      [
        ['spent', 'Exhausted'],
        ['new', 'NoData'],
        ['good', 'OK'],
      ],
    );
    assert.match(budgets[0]?.sentence ?? '', /25 % more than there was/);
  });

  it('is NoData without series, and says whether the rules or the measurements are missing', () => {
    assert.match(budgetsOf(slo, [])[0]?.sentence ?? '', /render prometheus .*rules\/shop\/slo-checkout\.yaml/);
    assert.match(budgetsOf(slo, [loaded])[0]?.sentence ?? '', /nothing is measured/);
    // A quantile of nothing.
    const [nothing] = budgetsOf(slo, [loaded, ...series('a', { 'error_ratio:5m': 'NaN', [left]: 'NaN' })]);
    assert.equal(nothing?.state, 'NoData');
  });
});
