import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import Type from 'typebox';
import { grafanaDashboardSchema } from '../../test/support/grafana-schema.ts';
import { validate } from '../catalog/schema.ts';
import { metricDefinitions } from '../telemetry/metrics.ts';
import { declaredAlerts } from './answer-lint.ts';
import { dashboardJson } from './dashboard.ts';
import { lintExpression } from './expression-lint.ts';
import { dashboards } from './grafana.ts';
import { metricCatalog } from './metric-catalog.ts';
import { prometheusFiles } from './prometheus-files.ts';
import { ruleUnits } from './rule-unit.ts';
import { recordedSeries } from './rules.ts';
import { lintWith } from './slo-fixture.ts';

const handbook = lintWith();
const alerts = declaredAlerts(handbook);
const names = new Set(alerts.map(({ alert }) => alert));

/** Targets and thresholds of §9, as printed: target, threshold, for. */
const printed: Record<string, [string, string, string]> = {
  'console-availability': ['99.9%', '<99.5%', '5m'],
  'api-latency': ['<500ms', '>1s', '5m'],
  'catalog-query-latency': ['<200ms', '>500ms', '5m'],
  'projector-sse-delivery': ['<2s', '>5s', '5m'],
  'webhook-to-reconcile': ['<30s', '>2m', '5m'],
  'llm-inference-latency': ['<5s', '>10s', '5m'],
  'llm-token-throughput': ['>50', '<20', '5m'],
  'embedding-latency': ['<100ms', '>500ms', '5m'],
  'rag-retrieval-latency': ['<500ms', '>2s', '5m'],
  'gpu-utilization': ['>60%', '<30%', '15m'],
  'vector-search-latency': ['<50ms', '>200ms', '5m'],
  'auth-latency': ['<200ms', '>500ms', '5m'],
  'fingate-api-availability': ['99.95%', '<99.5%', '5m'],
  'consent-flow-success': ['99%', '<95%', '5m'],
  'kafka-produce-latency': ['<50ms', '>200ms', '5m'],
  'flink-checkpoint-duration': ['<30s', '>60s', '5m'],
  'temporal-workflow-latency': ['<1s', '>5s', '5m'],
  'cdc-lag': ['<10s', '>60s', '5m'],
  'clickhouse-query-latency': ['<500ms', '>2s', '5m'],
  'email-delivery': ['99.5%', '<98%', '15m'],
  'livekit-call-setup': ['<2s', '>5s', '5m'],
  'matrix-message-delivery': ['<500ms', '>2s', '5m'],
  'turn-relay-success': ['99%', '<95%', '5m'],
};

/** The alerts of §4.2. */
const mapped =
  `HighMemoryUsage PodCrashLoopBackOff HighErrorRate DatabaseConnectionExhausted CertificateExpiringSoon HighLatency
  GslbEndpointDown OpenBaoSealed JetstreamLagHigh VLLMHighLatency VLLMOOMKilled GPUUtilizationLow GPUMemoryExhausted
  MilvusQuerySlow EmbeddingQueueBacklog RAGRetrievalEmpty LLMGatewayQuotaExhausted KeycloakHighLatency QuotaServiceDown
  BillingWebhookFailed TPPCertExpiring`.split(/\s+/);

/** What recognises the incidents of §13.2 and §13.3. */
const incidents =
  `ConsoleUnreachable GiteaUnreachable EnvironmentControllerStuck OpenBaoSealed JetstreamLagHigh ProjectorLagHigh
  VClusterDown FluxReconciliationStalled SovereignProvisioningFailed VLLMNotResponding GPUMemoryExhausted MilvusQueryTimeout
  EmbeddingServiceDown RAGRetrievalEmpty`.split(/\s+/);

describe('the handbook as data', () => {
  it('has nothing wrong with it', () => assert.deepEqual(handbook.problems, []));

  it('has every row of §9 with the numbers printed there', () => {
    const ofHandbook = handbook.slos.filter(({ spec }) => spec.service !== 'catalyst-sre');
    const rows = ofHandbook.map(({ name, spec }) => {
      const target = 'ratio' in spec.sli ? spec.objective : Object.values(spec.sli)[0].target;
      return [name, [target, spec.threshold?.when, spec.threshold?.for]];
    });
    assert.deepEqual(Object.fromEntries(rows), printed);
    assert.equal(rows.length, 23);
    for (const { spec } of ofHandbook) assert.match(spec.handbook?.[0] ?? '', /^9\.[1-5]$/);
  });

  it('says of every number that no bucket of its histogram ends at that it is an estimate', () => {
    const estimated = handbook.slos.filter(({ spec }) => spec.interpolated).map(({ name }) => name);
    assert.deepEqual(estimated, [
      'embedding-latency',
      'livekit-call-setup',
      'matrix-message-delivery',
      'vector-search-latency',
    ]);
    const counted = handbook.slos.filter(({ spec }) => 'latency' in spec.sli);
    for (const { name, indicator } of counted)
      assert.ok(indicator.buckets?.bounds?.includes(indicator.buckets.target), name);
  });

  it('has every alert of §4.2 with a runbook, and what recognises every incident of §13', () => {
    for (const name of mapped)
      assert.ok(
        alerts.some((a) => a.alert === name && a.runbook !== undefined),
        name,
      );
    for (const name of incidents) assert.ok(names.has(name), name);
    assert.deepEqual([mapped.length, incidents.length], [21, 14]);
  });

  it('looks at each of the five metrics of §10.2', () => {
    const text = prometheusFiles(ruleUnits(handbook))
      .map((file) => file.text)
      .join('\n');
    for (const metric of ['GPU_UTIL', 'FB_USED', 'GPU_TEMP', 'POWER_USAGE', 'SM_CLOCK'])
      assert.ok(text.includes(`DCGM_FI_DEV_${metric}`), metric);
  });

  it('names metrics of this product that it has', () => {
    const own = handbook.exporters.find(({ metadata }) => metadata.name === 'catalyst-sre');
    const there = new Map<string, (typeof metricDefinitions)[keyof typeof metricDefinitions]>(
      Object.values(metricDefinitions).map((metric) => [metric.name, metric]),
    );
    for (const { name, type, labels = [], buckets = [] } of own?.spec.metrics ?? []) {
      const definition = there.get(name);
      assert.ok(definition, name);
      assert.equal(definition.kind, type, name);
      assert.deepEqual(labels.toSorted(), Object.keys(definition.labels).toSorted(), name);
      assert.deepEqual(buckets.map(Number), 'buckets' in definition ? definition.buckets : [], name);
    }
    // The numbers of §9.1.
    for (const bound of [0.2, 0.5, 1])
      assert.ok((metricDefinitions.httpServerRequestDuration.buckets as readonly number[]).includes(bound));
  });

  it('becomes the same bytes whatever the order of the files', () => {
    const once = prometheusFiles(ruleUnits(handbook));
    const shuffled = { slos: handbook.slos.toReversed(), alerts: handbook.alerts.toReversed() };
    assert.deepEqual(prometheusFiles(ruleUnits(shuffled)), once);
  });
});

/** What Grafana publishes; and, narrower, what these dashboards use of it. */
const published = grafanaDashboardSchema();
const Strict = { additionalProperties: false } as const;
const Source = Type.Object({ type: Type.Literal('prometheus'), uid: Type.String() }, Strict);
const Grid = Type.Object(
  {
    x: Type.Integer({ minimum: 0, maximum: 23 }),
    y: Type.Integer({ minimum: 0 }),
    w: Type.Integer({ minimum: 1, maximum: 24 }),
    h: Type.Integer({ minimum: 1 }),
  },
  Strict,
);
const Target = Type.Object({
  refId: Type.String({ pattern: '^[A-Z]$' }),
  datasource: Source,
  expr: Type.String({ minLength: 1 }),
  legendFormat: Type.String(),
});
const GrafanaPanel = Type.Object({
  id: Type.Integer({ minimum: 1 }),
  type: Type.Enum(['row', 'stat', 'timeseries', 'table', 'bargauge']),
  title: Type.String({ minLength: 1 }),
  gridPos: Grid,
  targets: Type.Optional(Type.Array(Target, { minItems: 1 })),
  fieldConfig: Type.Optional(
    Type.Object({
      defaults: Type.Object({
        unit: Type.String(),
        color: Type.Object({ mode: Type.String() }),
        thresholds: Type.Object({ mode: Type.Enum(['absolute', 'percentage']), steps: Type.Array(Type.Unknown()) }),
      }),
      overrides: Type.Array(Type.Unknown()),
    }),
  ),
});
const GrafanaDashboard = Type.Object(
  {
    uid: Type.String({ pattern: '^[a-zA-Z0-9_-]{1,40}$' }),
    title: Type.String({ minLength: 1 }),
    description: Type.String(),
    tags: Type.Array(Type.String()),
    schemaVersion: Type.Integer({ minimum: 36 }),
    version: Type.Integer(),
    editable: Type.Boolean(),
    graphTooltip: Type.Enum([0, 1, 2]),
    timezone: Type.String(),
    refresh: Type.String(),
    time: Type.Object({ from: Type.String(), to: Type.String() }, Strict),
    timepicker: Type.Object({}),
    annotations: Type.Object({ list: Type.Array(Type.Object({ name: Type.String(), enable: Type.Boolean() })) }),
    links: Type.Array(Type.Unknown()),
    templating: Type.Object({
      list: Type.Array(
        Type.Object({ name: Type.String({ pattern: '^[a-z]+$' }), type: Type.Enum(['datasource', 'query']) }),
      ),
    }),
    panels: Type.Array(GrafanaPanel, { minItems: 1 }),
  },
  Strict,
);

interface Shown {
  panels: { id: number; gridPos: { x: number; y: number; w: number; h: number } }[];
}

describe('the dashboards', () => {
  it('are the six of §8.2, the four of §8.3, and one of this product', () =>
    assert.deepEqual(
      dashboards.map(({ title }) => title),
      [
        ...[
          'Sovereign Health',
          'Per-Org Footprint',
          'Per-Environment',
          'Promotion Activity',
          'Secret Rotation',
          'Audit',
        ],
        ...['Apps Overview', 'Budget', 'Compliance Posture', 'Incidents'],
        'Catalyst SRE',
      ],
    ));

  const known = metricCatalog(handbook.exporters);
  for (const dashboard of dashboards)
    it(`${dashboard.title} fits Grafana's schema, and asks only for what there is`, () => {
      const json = dashboardJson(dashboard);
      assert.deepEqual(validate(published, JSON.parse(JSON.stringify(json))), []);
      assert.deepEqual(validate(GrafanaDashboard, JSON.parse(JSON.stringify(json))), []);
      const { panels } = json as Shown;
      assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
      for (const [i, { gridPos: a }] of panels.entries())
        for (const { gridPos: b } of panels.slice(i + 1)) {
          const apart = a.x + a.w <= b.x || b.x + b.w <= a.x || a.y + a.h <= b.y || b.y + b.h <= a.y;
          assert.ok(apart, 'two panels lie over each other');
        }
      const variables = new Set([...Object.keys(dashboard.variables), 'datasource', '__rate_interval']);
      for (const { expr } of dashboard.rows.flatMap((row) => row.panels.flatMap((panel) => panel.queries))) {
        for (const [, name] of expr.matchAll(/\$(\w+)/g)) assert.ok(variables.has(name ?? ''), `${name} in ${expr}`);
        const found: string[] = [];
        lintExpression(expr.replaceAll('$__rate_interval', '5m'), undefined, known, (_severity, rule, sentence) =>
          found.push(`${rule}: ${sentence}`),
        );
        assert.deepEqual(found, [], expr);
        for (const [series] of expr.matchAll(/slo:[a-z_]+:[a-z0-9]+/g))
          assert.ok(
            handbook.slos.every((slo) => recordedSeries(slo).has(series)),
            series,
          );
      }
    });
});
