import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { contextFor, readFact, serve } from '../../../test/integrations/support.ts';
import type { AlertQuestion } from '../contract.ts';
import { createSecrets } from '../secrets.ts';
import { createPrometheus } from './index.ts';
import { expressionOf } from './oracle.ts';

const secrets = createSecrets({ TOKEN: 'prometheus-token', PASSWORD: 'prometheus-password' });
type Metric = Record<string, string>;
const vector = (...samples: [Metric, string][]) => ({
  status: 'success',
  data: { resultType: 'vector', result: samples.map(([metric, value]) => ({ metric, value: [1_767_614_400, value] })) },
});

/** A Prometheus that answers expressions from a table: with a body, or with status and body. */
async function prometheus(answers: Record<string, object | [number, object]>, config = {}) {
  const server = await serve(({ url, body }) => {
    const expression = (url.searchParams.get('query') ?? new URLSearchParams(body).get('query')) as string;
    const answer = answers[expression] ?? vector();
    return Array.isArray(answer) ? (answer as [number, object]) : [200, answer];
  });
  return {
    server,
    integration: createPrometheus({ url: server.url, ...config }, { secrets }),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

describe('prometheus facts', () => {
  it('give the only sample, and an error that counts otherwise', async () => {
    await using p = await prometheus({
      one: vector([{}, '0.25']),
      two: vector([{ a: '1' }, '1'], [{ a: '2' }, '2']),
      scalar: { status: 'success', data: { resultType: 'scalar', result: [1, '7'] } },
    });
    assert.equal(await readFact(p.integration, 'prometheus.query', ['one']), 0.25);
    assert.equal(await readFact(p.integration, 'prometheus.query', ['scalar']), 7);
    await assert.rejects(readFact(p.integration, 'prometheus.query', ['two']), {
      code: 'NotFound',
      message: /2 samples/,
    });
    await assert.rejects(readFact(p.integration, 'prometheus.query', ['none']), {
      code: 'NotFound',
      message: /0 samples/,
    });
    assert.equal(await readFact(p.integration, 'prometheus.queryOr', ['none', 5]), 5);
    assert.equal(await readFact(p.integration, 'prometheus.queryOr', ['one', 5]), 0.25);
    await assert.rejects(readFact(p.integration, 'prometheus.queryOr', ['two', 5]), { message: /2 samples/ });
    assert.equal(await readFact(p.integration, 'prometheus.count', ['two']), 2);
    assert.equal(await readFact(p.integration, 'prometheus.count', ['none']), 0);
    assert.equal(await readFact(p.integration, 'prometheus.reachable'), true);
  });

  it('are errors for what cannot be compared or trusted', async () => {
    await using p = await prometheus({
      nan: vector([{}, 'NaN']),
      inf: vector([{}, '+Inf']),
      bad: [400, { status: 'error', errorType: 'bad_data', error: 'parse error: unexpected end' }],
      hidden: { status: 'error', error: 'query timed out' },
      partial: { ...vector([{}, '1']), warnings: ['remote read failed'] },
      noted: { ...vector([{}, '1']), warnings: ['PromQL warning: quantile is outside 0 to 1'] },
      range: { status: 'success', data: { resultType: 'matrix', result: [] } },
      histogram: { status: 'success', data: { resultType: 'vector', result: [{ metric: {}, histogram: [1, {}] }] } },
      page: [200, '<html>' as unknown as object],
    });
    const read = (name: string) => readFact(p.integration, 'prometheus.query', [name]);
    await assert.rejects(read('nan'), { message: /NaN/ });
    await assert.rejects(read('inf'), { message: /\+Inf/ });
    await assert.rejects(read('bad'), { code: 'UpstreamRefused', message: /parse error/ });
    await assert.rejects(read('hidden'), { code: 'UpstreamRefused', message: /timed out/ });
    await assert.rejects(read('partial'), { code: 'UpstreamUnavailable', message: /in part: remote read failed/ });
    assert.equal(await read('noted'), 1);
    await assert.rejects(read('range'), { code: 'BadRequest', message: /matrix/ });
    await assert.rejects(read('histogram'), { code: 'BadRequest', message: /histogram/ });
    await assert.rejects(read('page'), { code: 'UpstreamRefused', message: /JSON/ });
    await assert.rejects(readFact(p.integration, 'prometheus.query', [3]), { code: 'BadRequest' });
  });

  it('send credentials, organization and long expressions as they should', async () => {
    const long = `up{a="${'x'.repeat(2000)}"}`;
    await using p = await prometheus(
      { [long]: vector([{}, '3']) },
      { tokenEnv: 'TOKEN', orgId: 'acme', queryTimeout: '5s' },
    );
    assert.equal(await readFact(p.integration, 'prometheus.query', [long]), 3);
    const [request] = p.server.requests;
    assert.equal(request?.method, 'POST');
    assert.equal(request?.headers.authorization, 'Bearer prometheus-token');
    assert.equal(request?.headers['x-scope-orgid'], 'acme');
    assert.match(request?.body ?? '', /timeout=5s/);
    await using basic = await prometheus({}, { username: 'sre', passwordEnv: 'PASSWORD' });
    await readFact(basic.integration, 'prometheus.count', ['up']);
    assert.equal(
      basic.server.requests[0]?.headers.authorization,
      `Basic ${Buffer.from('sre:prometheus-password').toString('base64')}`,
    );
    assert.equal(secrets.redact(basic.server.requests[0]?.headers.authorization ?? ''), 'Basic [redacted]');
  });

  it('need a configuration', async () => {
    const none = createPrometheus(undefined, { secrets });
    await assert.rejects(readFact(none, 'prometheus.reachable'), {
      code: 'NotConfigured',
      hint: /integrations\.prometheus/,
    });
    assert.equal((await none.health(contextFor())).healthy, false);
  });
});

describe('prometheus oracle', () => {
  const alert = (labels: Metric = {}): AlertQuestion => ({
    fingerprint: 'f',
    labels: { alertname: 'Down', severity: 'critical', pod: 'a', cluster: 'added-outside', ...labels },
    generatorUrl: 'http://elsewhere.example/graph?g0.expr=up+%3D%3D+0&g0.tab=1',
    startsAt: 0,
  });
  const ask = async (expression: object, alerts: object, question = alert()) => {
    await using p = await prometheus({ 'up == 0': expression, 'ALERTS{alertname="Down"}': alerts });
    return (await p.integration.oracle?.confirmFiring(contextFor(), question))?.answer;
  };
  const listed = (pod: string, alertstate = 'firing'): [Metric, string] => [
    { __name__: 'ALERTS', alertname: 'Down', alertstate, severity: 'critical', pod },
    '1',
  ];

  it('asks the expression of the link, and never its host', async () => {
    assert.equal(await ask(vector([{ __name__: 'up', pod: 'a' }, '0']), vector()), 'firing');
    assert.equal(await ask(vector([{}, '0']), vector()), 'firing');
    assert.equal(await ask(vector(), vector()), 'notFiring');
  });

  it('counts the alert that Prometheus lists, whatever the expression says', async () => {
    assert.equal(await ask(vector(), vector(listed('a'))), 'firing');
    assert.equal(await ask(vector(), vector(listed('a', 'pending'))), 'notFiring');
  });

  it('tells this alert from its siblings, and does not guess where labels were overwritten', async () => {
    assert.equal(await ask(vector([{ pod: 'b' }, '0']), vector(listed('b'))), 'notFiring');
    assert.equal(await ask(vector([{ pod: 'b' }, '0']), vector()), 'unknown');
  });

  it('does not know an alert that links nowhere, or elsewhere', async () => {
    assert.equal(await ask(vector(), vector(), { ...alert(), generatorUrl: '' }), 'unknown');
    assert.equal(await ask(vector(), vector(), { ...alert(), generatorUrl: 'http://grafana/alerting/1' }), 'unknown');
    assert.equal(expressionOf(alert().generatorUrl, ['http://ours.example']), undefined);
    assert.equal(expressionOf(alert().generatorUrl, ['http://elsewhere.example']), 'up == 0');
  });

  it('passes an error on: it is no answer', async () => {
    await assert.rejects(ask([422, { status: 'error', error: 'too many samples' }] as unknown as object, vector()), {
      code: 'UpstreamRefused',
    });
  });
});
