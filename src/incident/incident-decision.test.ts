import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Ajv } from 'ajv';
import fc from 'fast-check';
import { load } from 'js-yaml';
import type { LabelMatcher } from '../catalog/compiled-runbook.ts';
import { type IncidentType, IncidentTypeSpec } from '../catalog/kinds/incident-type.ts';
import type { Incident } from './incident.ts';
import {
  type CheckAnswer,
  clearFor,
  correlateAlert,
  correlationKey,
  decideCheck,
  decideStillReported,
  podOwner,
  scopeOf,
  settleTime,
} from './incident-decision.ts';
import { incidentTypesOf, label } from './incident-types.ts';

/** Equality only: what a type needs of a matcher here. */
const parseMatcher = (text: string): LabelMatcher => {
  const [name = '', value = ''] = text.replaceAll('"', '').split('=');
  return { label: name, operator: '=', value, matches: (labels) => label(labels, name) === value };
};
const typeOf = (name: string, spec: Partial<IncidentType['spec']>, organization?: string): IncidentType => ({
  apiVersion: 'catalyst.openova.io/v1alpha1',
  kind: 'IncidentType',
  metadata: { name },
  spec: { title: name, severity: 'P3', recognisedBy: [{ alertName: 'A' }], ...spec },
  provenance: { source: 'test', file: 'x', line: 1, digest: '', ...(organization ? { organization } : {}) },
});

const directory = new URL('../../handbook/incident-types/', import.meta.url);
const handbook = readdirSync(directory).map((file) => ({
  file,
  document: load(readFileSync(new URL(file, directory), 'utf8')) as IncidentType,
}));

test('every incident type of the handbook is valid, named like its file, and alone with its alerts', () => {
  const validate = new Ajv({ strict: false }).compile(IncidentTypeSpec);
  const owners = new Map<string, string>();
  for (const { file, document } of handbook) {
    assert.ok(validate(document.spec), `${file}: ${JSON.stringify(validate.errors)}`);
    assert.equal(`${document.metadata.name}.yaml`, file);
    assert.equal(document.kind, 'IncidentType');
    for (const { alertName } of document.spec.recognisedBy) {
      assert.equal(owners.get(alertName), undefined, `${alertName} is in ${file} and ${owners.get(alertName)}`);
      owners.set(alertName, file);
    }
  }
});

test('the severities are those of handbook §13.2 and §13.3, and every alert of §4.2 has a type', () => {
  const severityOf = Object.fromEntries(handbook.map(({ document }) => [document.spec.title, document.spec.severity]));
  const printed = {
    'Console unreachable': 'P1',
    'Gitea unreachable': 'P1',
    'Environment-controller stuck': 'P1',
    'OpenBao sealed': 'P1',
    'JetStream consumer lag': 'P2',
    'projector lag': 'P2',
    'Per-Org vcluster down': 'P2',
    'Flux reconciliation stalled': 'P2',
    'New Sovereign provisioning failed': 'P3',
    'vLLM not responding': 'P1',
    'GPU out of memory': 'P2',
    'Milvus query timeout': 'P2',
    'Embedding service down': 'P2',
    'RAG returning empty': 'P3',
  };
  for (const [title, severity] of Object.entries(printed)) assert.equal(severityOf[title], severity, title);
  const recognised = new Set(
    handbook.flatMap(({ document }) => document.spec.recognisedBy.map((r: { alertName: string }) => r.alertName)),
  );
  const mapped =
    'HighMemoryUsage PodCrashLoopBackOff HighErrorRate DatabaseConnectionExhausted CertificateExpiringSoon HighLatency GslbEndpointDown OpenBaoSealed JetstreamLagHigh VLLMHighLatency VLLMOOMKilled GPUUtilizationLow GPUMemoryExhausted MilvusQuerySlow EmbeddingQueueBacklog RAGRetrievalEmpty LLMGatewayQuotaExhausted KeycloakHighLatency QuotaServiceDown BillingWebhookFailed TPPCertExpiring';
  for (const alertName of mapped.split(' ')) assert.ok(recognised.has(alertName), alertName);
});

test('a type is found by alert name and matchers; the closer one and the own one go first', () => {
  const types = incidentTypesOf(
    [
      typeOf('general', {}),
      typeOf('in-cortex', { recognisedBy: [{ alertName: 'A', matchers: ['namespace="cortex"'] }] }),
      typeOf('acme-own', { severity: 'P1' }, 'acme'),
    ],
    parseMatcher,
  );
  assert.equal(types.forAlert({ alertname: 'A' }, undefined).type, 'general');
  assert.equal(types.forAlert({ alertname: 'A', namespace: 'cortex' }, 'globex').type, 'in-cortex');
  assert.equal(types.forAlert({ alertname: 'A', namespace: 'cortex' }, 'acme').type, 'acme-own');
});

test('an alert without a type takes its severity from its label, and never P1', () => {
  const types = incidentTypesOf([], parseMatcher);
  const severities = ['critical', 'warning', 'info', '', 'constructor', 'P1'].map(
    (severity) => types.forAlert({ alertname: 'New', severity }, undefined).severity,
  );
  assert.deepEqual(severities, ['P2', 'P3', 'P4', 'P4', 'P4', 'P4']);
  assert.equal(types.forAlert({ alertname: 'New' }, undefined).type, 'New');
  const own = incidentTypesOf([], parseMatcher, { byLabel: { page: 'P1' }, otherwise: 'P3' });
  assert.equal(own.forAlert({ severity: 'page' }, undefined).severity, 'P1');
  assert.equal(own.forAlert({ severity: 'critical' }, undefined).severity, 'P3');
});

test('a pod belongs to the workload that made it', () => {
  const owners = {
    'shop-7d9c5b6f4-x2x4z': 'shop',
    'web-app-5f6c8b7d9f-bcdfg': 'web-app',
    'milvus-proxy-0': 'milvus-proxy',
    'node-exporter-x7k2q': 'node-exporter',
    'backup-28391040-zxcvb': 'backup',
    'my-pod': 'my-pod',
    'a-queue': 'a-queue',
  };
  for (const [pod, owner] of Object.entries(owners)) assert.equal(podOwner(pod), owner);
});

test('pods of one deployment share a key; other namespaces, types and Organizations do not', () => {
  const key = (labels: Record<string, string>, organization = 'acme', type = 'T') =>
    correlationKey(organization, type, scopeOf(labels, undefined));
  const one = key({ namespace: 'shop', pod: 'shop-7d9c5b6f4-x2x4z', container: 'a' });
  assert.equal(key({ namespace: 'shop', pod: 'shop-7d9c5b6f4-bbbbb', container: 'b' }), one);
  assert.notEqual(key({ namespace: 'other', pod: 'shop-7d9c5b6f4-x2x4z' }), one);
  assert.notEqual(key({ namespace: 'shop', pod: 'shop-7d9c5b6f4-x2x4z' }, 'globex'), one);
  assert.notEqual(key({ namespace: 'shop', pod: 'shop-7d9c5b6f4-x2x4z' }, 'acme', 'U'), one);
  assert.ok(key({ namespace: 'x'.repeat(10_000) }).length <= 512);
});

test('two Organizations never share a key, whatever their names, types and labels', () => {
  const text = fc.string({ maxLength: 20 });
  const placed = fc.record({
    organization: fc.option(text, { nil: undefined }),
    type: text,
    scope: fc.array(fc.tuple(text, text), { maxLength: 3 }),
  });
  fc.assert(
    fc.property(placed, placed, (a, b) => {
      if (a.organization === b.organization) return;
      assert.notEqual(correlationKey(a.organization, a.type, a.scope), correlationKey(b.organization, b.type, b.scope));
    }),
  );
});

test('an alert joins the open incident of its kind, raises its severity if need be, and says why', () => {
  const match = incidentTypesOf([typeOf('sealed', { scope: ['namespace'], severity: 'P1' })], parseMatcher).forAlert(
    { alertname: 'A' },
    undefined,
  );
  const alert = { name: 'A', labels: { alertname: 'A', namespace: 'x', pod: 'p' }, organization: undefined };
  const opened = correlateAlert(alert, match, new Map());
  assert.equal(opened.kind, 'Open');
  assert.match(opened.sentence, /A is recognised as sealed, and no incident of this kind is open for namespace x/);
  const incident = { severity: 'P3' } as Incident;
  const joined = correlateAlert(alert, match, new Map([[opened.key, incident]]));
  assert.deepEqual(joined, {
    kind: 'Join',
    key: opened.key,
    incident,
    raisedTo: 'P1',
    sentence: 'A shares the type sealed and namespace x.',
  });
});

const answer = (kind: CheckAnswer['answer'], alertName = 'A'): CheckAnswer => ({
  alertName,
  answer: kind,
  sentence: 'said so',
});

test('clear means: nothing fires, twice, at least thirty seconds apart', () => {
  const first = decideCheck(undefined, [answer('notFiring'), answer('notFiring')], 1000);
  assert.deepEqual([first.outcome, first.clearSince, first.checkAt], ['ClearOnce', 1000, 1000 + clearFor]);
  const early = decideCheck(1000, [answer('notFiring')], 1000 + clearFor - 1);
  assert.deepEqual([early.outcome, early.checkAt], ['ClearOnce', 1000 + clearFor]);
  const second = decideCheck(1000, [answer('notFiring')], 1000 + clearFor);
  assert.deepEqual([second.outcome, second.sentence], ['Clear', 'A does not fire, as found twice, 30 s apart.']);
});

test('whatever the answers, only "notFiring" from all of them can be clear', () => {
  const kinds = fc.constantFrom<CheckAnswer['answer']>('firing', 'notFiring', 'silenced', 'unknown');
  fc.assert(
    fc.property(fc.array(kinds), fc.option(fc.nat(), { nil: undefined }), fc.nat(), (answers, since, later) => {
      const { outcome, clearSince, checkAt } = decideCheck(
        since,
        answers.map((a) => answer(a)),
        (since ?? 0) + later,
      );
      const clear = answers.length > 0 && answers.every((a) => a === 'notFiring');
      assert.equal(outcome === 'Clear' || outcome === 'ClearOnce', clear);
      assert.equal(outcome === 'Clear', clear && since !== undefined && later >= clearFor);
      assert.equal(clearSince === undefined, !clear);
      assert.equal(checkAt === undefined, outcome === 'Clear');
    }),
  );
});

test('reports after the resolution: asked about at first, reopened later, ignored when a person insisted', () => {
  const resolved = { resolvedAt: 1000, resolvedHow: 'Verified' as const };
  assert.deepEqual(decideStillReported(resolved, 2000), { kind: 'CheckAt', at: 1000 + settleTime });
  assert.equal(decideStillReported(resolved, 1000 + settleTime).kind, 'Reopen');
  assert.equal(decideStillReported({ ...resolved, resolvedHow: 'Forced' }, 1000 + settleTime).kind, 'Leave');
});
