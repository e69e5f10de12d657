import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace';
import fc from 'fast-check';
import { createLog } from './log.ts';
import { closedLabelSets, createMetrics } from './meter.ts';
import { type MetricDefinition, metricDefinitions } from './metrics.ts';
import { scrub } from './scrub.ts';
import { createTracing, parseTraceparent } from './trace.ts';

function capture() {
  const lines: string[] = [];
  return { lines, stream: { write: (line: string) => void lines.push(line) } };
}

test('a log line is JSON and holds no secret, whatever the field is called', () => {
  const { lines, stream } = capture();
  const log = createLog({ level: 'info', stream });

  log.info(
    {
      token: 'tok-1',
      nested: { deep: { password: 'pw-2' } },
      url: 'https://bob:pw-3@git.example/x',
      h: 'Bearer abcd-4',
    },
    'calling postgres://u:pw-5@db/x with token=abc-6',
  );
  log.debug('not at this level');

  assert.equal(lines.length, 1);
  for (const secret of ['tok-1', 'pw-2', 'pw-3', 'abcd-4', 'pw-5', 'abc-6'])
    assert.ok(!lines[0]?.includes(secret), secret);
  const line = JSON.parse(lines[0] ?? '') as Record<string, unknown>;
  assert.equal(line.level, 'info');
  assert.match(String(line.msg), /^calling postgres:\/\/\[redacted\]@db\/x/);
});

test('scrubbing leaves ordinary sentences alone', () => {
  for (const text of [
    'Run 01j scaled Deployment payments/api from 3 to 4.',
    'The token of acme is not allowed to do this.',
    'See https://prometheus.example:9090/graph?g0.expr=up and mail a@b.example.',
    'A bearer of news',
    'The bearer token is missing or not known.',
    'Send a bearer token.',
  ])
    assert.equal(scrub(text), text);
});

test('scrubbing keeps JSON readable and takes any bearer token out', () => {
  const secret = fc.string({ unit: fc.constantFrom(...'abcXYZ019._~+/-'), minLength: 16, maxLength: 40 });
  fc.assert(
    fc.property(secret, fc.string(), (token, around) => {
      const text = JSON.stringify({
        around,
        header: `Bearer ${token}`,
        url: `https://x:${encodeURIComponent(token)}@host/`,
      });
      const clean = scrub(text);
      const parsed = JSON.parse(clean) as { header: string; url: string };
      assert.equal(parsed.header, 'Bearer [redacted]');
      assert.equal(parsed.url, 'https://[redacted]@host/');
    }),
  );
});

test('scrubbing a long hostile line takes no noticeable time', () => {
  const started = performance.now();
  scrub(
    `${'a'.repeat(200_000)}://${'b'.repeat(200_000)} eyJ${'c.'.repeat(50_000)} ${'-----BEGIN PRIVATE KEY-----'.repeat(500)}`,
  );
  assert.ok(performance.now() - started < 2_000, `took ${performance.now() - started} ms`);
});

test('every closed label set is there with 0 before anything happened', async () => {
  const metrics = createMetrics({ version: '1.2.3' });
  const text = await metrics.render();
  await metrics.stop();

  for (const definition of Object.values(metricDefinitions) as MetricDefinition[]) {
    if (definition.kind === 'histogram') continue;
    for (const labels of closedLabelSets(definition)) {
      const rendered = Object.entries(labels)
        .map(([k, v]) => `${k}="${v}"`)
        .join(',');
      assert.ok(
        text.includes(rendered ? `${definition.name}{${rendered}} ` : `\n${definition.name} `),
        `${definition.name}{${rendered}}`,
      );
    }
  }
  assert.match(text, /catalyst_sre_build_info\{version="1.2.3",node="[0-9.]+"\} 1/);
});

test('counts, measures and observes by definition', async () => {
  const metrics = createMetrics({ version: '1' });
  metrics.count('alertsReceived', { status: 'firing' }, 3);
  metrics.measure('runDuration', { runbook: 'openbao-sealed' }, 2);
  metrics.observe('incidentsOpen', async () => [{ labels: { severity: 'P1' as const }, value: 2 }]);
  metrics.observe('intakeQueue', () => Promise.reject(new Error('the database is away')));
  const text = await metrics.render();
  await metrics.stop();

  assert.match(text, /catalyst_sre_alerts_received_total\{status="firing"\} 3/);
  assert.match(text, /catalyst_sre_alerts_received_total\{status="resolved"\} 0/);
  assert.match(text, /run_duration_seconds_bucket\{runbook="openbao-sealed",le="2.5"\} 1/);
  assert.match(text, /catalyst_sre_incidents_open\{severity="P1"\} 2/);
  assert.match(text, /catalyst_sre_incidents_open\{severity="P2"\} 0/);
  assert.ok(!/^catalyst_sre_intake_queue /m.test(text), 'a gauge that cannot be read is left out');
});

test('metric names follow the conventions', () => {
  const names = Object.values(metricDefinitions).map((definition) => definition.name);
  assert.equal(new Set(names).size, names.length);
  for (const definition of Object.values(metricDefinitions) as MetricDefinition[]) {
    // Those of the failover controller keep the names that its upstream has published.
    assert.match(definition.name, /^(catalyst_sre|failover|http_server|process|nodejs)_[a-z0-9_]+$/);
    assert.equal(definition.name.endsWith('_total'), definition.kind === 'counter', definition.name);
    if (definition.kind === 'histogram') assert.match(definition.name, /_seconds$/);
  }
});

test('one trace goes on from a stored traceparent', async () => {
  const exporter = new InMemorySpanExporter();
  const tracing = await createTracing({ version: '1', processors: [new SimpleSpanProcessor({ exporter })] });
  const upstream = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';

  const stored = await tracing.inSpan('webhook', { parent: upstream, kind: 'server' }, async () =>
    tracing.traceparent(),
  );
  await tracing.inSpan('run', { parent: stored }, () =>
    tracing.inSpan('verification', {}, async () =>
      assert.equal(tracing.ids()?.trace_id, '0af7651916cd43dd8448eb211c80319c'),
    ),
  );
  await assert.rejects(tracing.inSpan('failing', {}, () => Promise.reject(new Error('token=abc123'))));

  const spans = exporter.getFinishedSpans();
  const byName = (name: string) => spans.find((span) => span.name === name);
  assert.deepEqual(
    ['webhook', 'run', 'verification'].map((name) => byName(name)?.spanContext().traceId),
    Array(3).fill('0af7651916cd43dd8448eb211c80319c'),
  );
  assert.equal(byName('verification')?.parentSpanContext?.spanId, byName('run')?.spanContext().spanId);
  assert.equal(byName('failing')?.status.message, 'token=[redacted]');
  assert.equal(tracing.ids(), undefined, 'outside of a span there is none');
  await tracing.stop();
});

test('a traceparent that does not follow the standard starts a new trace', () => {
  for (const text of [
    '',
    'x',
    '00-0-0-01',
    `00-${'0'.repeat(32)}-b7ad6b7169203331-01`,
    `ff-${'a'.repeat(32)}-${'b'.repeat(16)}-01`,
  ])
    assert.equal(parseTraceparent(text), undefined, text);
});
