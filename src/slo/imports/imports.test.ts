import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { loadSloDocuments } from '../documents.ts';
import { sloGroups } from '../rules.ts';
import { sourceOf } from '../slo-fixture.ts';
import { readOpenSlo } from './openslo.ts';
import { readSloth } from './sloth.ts';

const load = (text: string) => loadSloDocuments([sourceOf('foreign.yaml', text)], [readSloth, readOpenSlo]);
const alertsOf = (text: string) => {
  const { slos, problems } = load(text);
  assert.deepEqual(problems, []);
  return slos.flatMap(sloGroups).flatMap(({ rules }) => rules.flatMap((rule) => ('alert' in rule ? [rule] : [])));
};

const sloth = `version: prometheus/v1
service: shop
labels: {owner: web}
slos:
  - name: checkout
    objective: 99.95
    description: Checkouts that work.
    sli:
      events:
        error_query: sum(rate(http_requests_total{job="shop",code=~"5.."}[{{.window}}]))
        total_query: sum(rate(http_requests_total{job="shop"}[{{ .window }}]))
    alerting:
      name: CheckoutFails
      labels: {category: availability}
      page_alert: {labels: {severity: page}}
      ticket_alert: {disable: true}
  - name: mail
    objective: 99
    sli:
      raw:
        error_ratio_query: avg(avg_over_time(mail_error_ratio[{{.window}}]))
`;

describe('specs of Sloth', () => {
  it('become objectives, with their alerts', () => {
    const { slos, problems } = load(sloth);
    assert.deepEqual(problems, []);
    assert.deepEqual(
      slos.map(({ name, spec }) => [name, spec.objective, spec.service]),
      [
        ['shop-checkout', '99.95%', 'shop'],
        ['shop-mail', '99%', 'shop'],
      ],
    );
    const checkout = alertsOf(sloth).filter(({ alert }) => alert === 'CheckoutFails');
    assert.deepEqual(
      checkout.map(({ labels }) => [labels.burn_rate, labels.severity, labels.category]),
      [
        ['14.4', 'critical', 'availability'],
        ['6', 'critical', 'availability'],
      ],
    );
    assert.match(checkout[0]?.expr ?? '', /> 0\.0072 and /);
  });

  it('are refused where a plugin is the indicator, with the line', () => {
    const text = sloth.replace(
      '      raw:\n        error_ratio_query: avg(avg_over_time(mail_error_ratio[{{.window}}]))',
      '      plugin: {id: x}',
    );
    assert.deepEqual(
      load(text).problems.map(({ rule, line }) => [rule, line]),
      [['unsupported-sli', 17]],
    );
  });
});

const v1 = `apiVersion: openslo/v1
kind: SLO
metadata: {name: search, displayName: Search}
spec:
  service: shop
  indicatorRef: search-good
  timeWindow: [{duration: 4w, isRolling: true}]
  budgetingMethod: Occurrences
  objectives:
    - target: 0.995
  alertPolicies: [search-burns]
---
apiVersion: openslo/v1
kind: SLI
metadata: {name: search-good}
spec:
  ratioMetric:
    counter: true
    good: {metricSource: {type: Prometheus, spec: {query: 'search_total{result="found"}'}}}
    total: {metricSource: {type: Prometheus, spec: {query: search_total}}}
---
apiVersion: openslo/v1
kind: AlertPolicy
metadata: {name: search-burns}
spec:
  description: Search fails too often.
  conditions:
    - kind: AlertCondition
      metadata: {name: fast}
      spec: {condition: {kind: burnrate, op: gte, threshold: 14.4, lookbackWindow: 1h}}
`;

const v1alpha = `apiVersion: openslo/v1alpha
kind: SLO
metadata: {name: latency}
spec:
  service: shop
  indicator:
    thresholdMetric: {source: prometheus, queryType: promql, query: 'histogram_quantile(0.95, sum by (le) (rate(search_seconds_bucket[5m])))'}
  timeWindows: [{unit: Day, count: 28, isRolling: true}]
  budgetingMethod: Timeslices
  objectives:
    - {displayName: fast enough, value: 0.5, op: lte, target: 0.98}
`;

describe('OpenSLO documents', () => {
  it('of v1 become objectives with the alerts their policy asks for', () => {
    const { slos, problems } = load(v1);
    assert.deepEqual(problems, []);
    assert.deepEqual(
      slos.map(({ name, spec }) => [name, spec.title, spec.objective, spec.window]),
      [['search', 'Search', '99.5%', '28d']],
    );
    const burns = alertsOf(v1).filter(({ labels }) => labels.burn_rate);
    assert.deepEqual(
      burns.map(({ alert, labels, annotations }) => [alert, labels.burn_rate, annotations.notify_only]),
      [['SearchBurnsBudgetBurn', '14.4', 'Search fails too often.']],
    );
  });

  it('of v1alpha with a threshold become time slices', () => {
    const [slo] = load(v1alpha).slos;
    assert.deepEqual(slo?.spec.sli, {
      timeslice: {
        value: 'histogram_quantile(0.95, sum by (le) (rate(search_seconds_bucket[5m])))',
        unit: 'none',
        target: '<0.5',
      },
    });
    assert.equal(slo?.spec.objective, '98%');
    assert.equal(alertsOf(v1alpha).filter(({ labels }) => labels.burn_rate).length, 4);
  });

  it('with a month of the calendar are refused, because no rule can sum it', () => {
    const text = v1.replace(
      '{duration: 4w, isRolling: true}',
      '{duration: 1M, isRolling: false, calendar: {startTime: 2026-01-01}}',
    );
    assert.deepEqual(
      load(text).problems.map(({ rule }) => rule),
      ['unsupported-window'],
    );
  });
});

it('whatever is broken in them is told, and breaks nothing', () => {
  const mutated = fc
    .tuple(fc.constantFrom(sloth, v1, v1alpha), fc.nat(900), fc.nat(60), fc.string({ maxLength: 10, unit: 'binary' }))
    .map(([text, at, drop, insert]) => text.slice(0, at) + insert + text.slice(at + drop));
  fc.assert(
    fc.property(mutated, (text) => {
      for (const { line, column } of load(text).problems) assert.ok(line >= 1 && column >= 1);
    }),
    { numRuns: 300 },
  );
});
