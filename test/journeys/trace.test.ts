/** One trace from the webhook to the verification, as a collector gets it; and every metric is really there. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { metricDefinitions } from '../../src/telemetry/metrics.ts';
import { serve } from '../integrations/support.ts';
import { startPocketSovereign } from '../support/pocket-sovereign.ts';

interface Span {
  name: string;
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  startTimeUnixNano: string;
  endTimeUnixNano: string;
  attributes: { key: string; value: Record<string, unknown> }[];
}

test('webhook, preparation, step and verification are one trace, and the row of the delivery carries it', async () => {
  await using collector = await serve(() => [200, {}]);
  const s = await startPocketSovereign({
    change: (config) => ({
      ...config,
      telemetry: { ...config.telemetry, otlp: { url: `${collector.url}/v1/traces`, ratio: 1 } },
    }),
  });
  let run: Record<string, unknown> | undefined;
  let metrics = '';
  try {
    s.sandbox.inject('openbao-sealed');
    run = await s.until(
      'a fix is verified',
      async () => (await s.list('/api/v1/runs?runbook=openbao-sealed&outcome=Succeeded'))[0],
    );
    metrics = await (await fetch(`${s.url}/metrics`)).text();
    const lines = s.log.filter((line) => line.run === run?.id);
    assert.ok(lines.length > 0 && lines.every(({ trace_id }) => /^[0-9a-f]{32}$/.test(String(trace_id))));
  } finally {
    // Stopping sends what is left.
    await s.stop();
  }

  const spans = collector.requests.flatMap(({ body }) => {
    const { resourceSpans } = JSON.parse(body) as { resourceSpans: { scopeSpans: { spans: Span[] }[] }[] };
    return resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap((scope) => scope.spans));
  });
  const ofRun = spans.filter(({ attributes }) =>
    attributes.some(({ key, value }) => key === 'catalyst.run.id' && value.stringValue === run?.id),
  );
  assert.deepEqual(ofRun.map(({ name }) => name).sort(), ['run', 'run.prepare', 'step.execute', 'step.verify']);
  const [trace] = ofRun;
  const webhook = spans.find(
    ({ traceId, name }) => traceId === trace?.traceId && name.startsWith('POST /api/v1/repos/'),
  );
  assert.ok(webhook, 'the webhook is in the same trace');
  for (const span of ofRun) {
    assert.equal(span.traceId, trace?.traceId);
    assert.equal(span.parentSpanId, webhook.spanId);
    assert.ok(BigInt(span.endTimeUnixNano) >= BigInt(span.startTimeUnixNano));
  }

  // What counts failures and refusals is there once there is one.
  const { reconcileErrors: _failures, actionsBlocked: _refusals, ...definitions } = metricDefinitions;
  // The failover controller and the witness are processes of their own.
  const ours = Object.values(definitions).filter(({ name }) => !/^(failover|catalyst_sre_witness)_/.test(name));
  for (const { name } of ours) assert.ok(metrics.includes(`# TYPE ${name} `), `${name} is not exposed`);
  const counted = (pattern: RegExp) => assert.match(metrics, pattern);
  counted(/^catalyst_sre_deliveries_total\{outcome="Accepted"\} [1-9]/m);
  counted(/^catalyst_sre_alerts_received_total\{status="firing"\} [1-9]/m);
  counted(/^catalyst_sre_runs_total\{runbook="openbao-sealed",outcome="Succeeded",reason="Verified"\} 1/m);
  counted(/^catalyst_sre_step_attempts_total\{action="openbao operator unseal",outcome="Succeeded"\} 1/m);
  counted(/^catalyst_sre_verification_duration_seconds_count\{outcome="Verified"\} 1/m);
  counted(/^catalyst_sre_webhook_to_first_action_seconds_count(\{\})? 1/m);
  counted(/^catalyst_sre_step_overhead_seconds_count(\{\})? [1-9]/m);
  counted(/^catalyst_sre_catalog_documents\{source="handbook"\} [1-9]/m);
});
