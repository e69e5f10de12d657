import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { VirtualClock } from '../../src/clock.ts';
import { type Sandbox, startSandbox } from '../start.ts';

describe('the Prometheus API', () => {
  const clock = new VirtualClock();
  let sandbox: Sandbox;

  before(async () => {
    sandbox = await startSandbox({ clock });
    await clock.advance(2_000);
  });
  after(() => sandbox.stop());

  const get = async (path: string, init: RequestInit = {}) => {
    const response = await fetch(sandbox.prometheus.url + path, init);
    const text = await response.text();
    return { status: response.status, text, body: text.startsWith('{') ? JSON.parse(text) : undefined };
  };
  const query = (text: string, more = '') => get(`/api/v1/query?query=${encodeURIComponent(text)}${more}`);

  it('answers instant queries, by GET and by form', async () => {
    const { status, body } = await query('vault_core_unsealed{pod="openbao-0"}');
    assert.equal(status, 200);
    assert.deepEqual(body, {
      status: 'success',
      data: {
        resultType: 'vector',
        result: [
          {
            metric: { __name__: 'vault_core_unsealed', job: 'openbao', namespace: 'openbao', pod: 'openbao-0' },
            value: [clock.now() / 1000, '1'],
          },
        ],
      },
    });
    const posted = await get('/api/v1/query', {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams({ query: '1 + 1', time: '2026-01-05T12:00:00Z' }).toString(),
    });
    assert.deepEqual(posted.body.data, { resultType: 'scalar', result: [1767614400, '2'] });
    assert.deepEqual((await query('1 / 0')).body.data.result[1], '+Inf');
    const matrix = await query('up[1s]');
    assert.equal(matrix.body.data.resultType, 'matrix');
    assert.ok(matrix.body.data.result[0].values.length >= 4);
  });

  it('knows what the exporters would say of the world', async () => {
    const value = async (text: string) => Number((await query(text)).body.data.result[0]?.value[1]);
    assert.equal(await value('kube_deployment_spec_replicas{namespace="shop-prod",deployment="checkout"}'), 3);
    assert.equal(await value('catalyst_budget_spend_ratio{organization="acme"}'), 0.68);
    assert.equal(await value('sum(kube_pod_container_status_restarts_total)'), 0);
    assert.equal(await value('count(kube_pod_container_status_waiting_reason) or vector(0)'), 0);
    const errors =
      'sum(rate(http_requests_total{service="checkout",code=~"5.."}[30m])) / sum(rate(http_requests_total{service="checkout"}[30m]))';
    const ratio = await value(errors);
    assert.ok(ratio > 0.001 && ratio < 0.003, `error ratio ${ratio}`);
    const rate = await value('sum(rate(http_requests_total{service="checkout"}[10m]))');
    assert.ok(Math.abs(rate - 90) < 2, `${rate} requests a second`);
    const p95 = await value('histogram_quantile(0.95, sum by (le) (rate(http_request_duration_seconds_bucket[30m])))');
    assert.ok(p95 > 0.25 && p95 < 0.5, `p95 ${p95}`);
    const memory = await value(
      'max(container_memory_working_set_bytes{pod=~"catalog.*"} / container_spec_memory_limit_bytes)',
    );
    assert.ok(memory > 0.4 && memory < 0.5, `memory ${memory}`);
  });

  it('answers range queries within limits', async () => {
    const now = clock.now() / 1000;
    const range = (parameters: Record<string, string>) =>
      get(
        `/api/v1/query_range?${new URLSearchParams({ query: 'sum(up)', start: `${now - 60}`, end: `${now}`, step: '15s', ...parameters })}`,
      );
    const { status, body } = await range({});
    assert.equal(status, 200);
    assert.equal(body.data.resultType, 'matrix');
    assert.deepEqual(
      body.data.result[0].values.map(([, value]: [number, string]) => value),
      ['3', '3', '3', '3', '3'],
    );
    for (const [parameters, message] of [
      [{ end: `${now - 120}` }, 'invalid parameter "end": end timestamp must not be before start time'],
      [{ step: '0' }, /zero or negative query resolution/],
      [{ step: 'x' }, 'invalid parameter "step": cannot parse "x" to a valid duration'],
      [{ start: '0', step: '1' }, /exceeded maximum resolution of 11,000 points/],
      [{ start: 'yesterday' }, 'invalid parameter "start": cannot parse "yesterday" to a valid timestamp'],
      [{ query: 'up[5m]' }, /invalid expression type "range vector" for range query/],
    ] as const) {
      const refused = await range(parameters as Record<string, string>);
      assert.deepEqual([refused.status, refused.body.status, refused.body.errorType], [400, 'error', 'bad_data']);
      if (typeof message === 'string') assert.equal(refused.body.error, message);
      else assert.match(refused.body.error, message);
    }
  });

  it('words errors as the real one does', async () => {
    const { status, body } = await query('sum(');
    assert.equal(status, 400);
    assert.equal(body.status, 'error');
    assert.equal(body.errorType, 'bad_data');
    assert.match(body.error, /^invalid parameter "query": 1:5: parse error: /);
    assert.match((await get('/api/v1/query')).body.error, /no expression found in input/);
    const clash = await query('up * on (job) up');
    assert.deepEqual([clash.status, clash.body.errorType], [422, 'execution']);
    assert.equal((await get('/api/v1/nothing')).status, 404);
    assert.equal((await get('/api/v1/rules', { method: 'DELETE' })).status, 405);
  });

  it('shows rules, then pending and firing alerts with their history', async () => {
    const rules = (await get('/api/v1/rules')).body.data.groups[0].rules;
    assert.deepEqual(
      rules.map(({ name, state, type, health }: Record<string, string>) => [name, state, type, health]),
      ['OpenBaoSealed', 'PodCrashLoopBackOff', 'HighErrorRate', 'HighMemoryUsage'].map((name) => [
        name,
        'inactive',
        'alerting',
        'ok',
      ]),
    );
    assert.deepEqual((await get('/api/v1/alerts')).body.data.alerts, []);
    sandbox.world.bao.nodes[1]?.seal();
    await clock.advance(400);
    const [pending] = (await get('/api/v1/alerts')).body.data.alerts;
    assert.equal(pending.state, 'pending');
    await clock.advance(1_200);
    const [firing] = (await get('/api/v1/alerts')).body.data.alerts;
    assert.deepEqual(firing, {
      labels: {
        alertname: 'OpenBaoSealed',
        job: 'openbao',
        namespace: 'openbao',
        pod: 'openbao-1',
        severity: 'critical',
      },
      annotations: firing.annotations,
      state: 'firing',
      activeAt: pending.activeAt,
      value: '0e+00',
    });
    assert.equal(firing.annotations.summary, 'OpenBao pod openbao-1 is sealed');
    const history = await query('count_over_time(ALERTS{alertstate="firing"}[1m])');
    assert.equal(history.body.data.result.length, 1);
  });

  it('is ready and says what it is', async () => {
    assert.deepEqual([(await get('/-/ready')).status, (await get('/-/healthy')).status], [200, 200]);
    assert.match((await get('/api/v1/status/buildinfo')).body.data.version, /^3\./);
  });
});
