import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { after, beforeEach, test } from 'node:test';
import { CatalystError } from '../errors.ts';
import { createMetrics } from '../telemetry/meter.ts';
import { createTracing } from '../telemetry/trace.ts';
import { bearer, createFixture, type Fixture, startApi } from './api-fixture.ts';
import type { Api } from './fastify.ts';

let f: Fixture;
let app: Api;
beforeEach(async () => {
  await app?.close();
  f = createFixture();
  app = await startApi(f);
});
after(() => app.close());

// --- the door of alerts ---------------------------------------------------------------------------------------------

test('a delivery is taken as it came, whatever it is, and answered 200 after the commit', async () => {
  for (const [payload, type] of [
    ['{"version":"4"}', 'application/json'],
    ['not json at all', 'text/plain'],
    ['\u0000\u0001', 'application/octet-stream'],
    ['{', 'nonsense'],
  ] as const) {
    const answer = await app.inject({
      method: 'POST',
      url: '/hooks/alertmanager',
      headers: { ...bearer('am'), 'content-type': type },
      payload,
    });
    assert.equal(answer.statusCode, 200, `${type}: ${answer.body}`);
    assert.deepEqual(answer.json(), {});
    assert.equal(Buffer.from(f.deliveries.at(-1)?.body ?? []).toString(), payload);
  }
  assert.equal(
    (await app.inject({ method: 'POST', url: '/hooks/alertmanager/', headers: bearer('am') })).statusCode,
    200,
  );
  assert.equal(f.deliveries.at(-1)?.body.length, 0, 'an empty body is kept, too');
  assert.equal(f.deliveries.at(-1)?.source, 'am');
});

test('what cannot be committed is a 503, never a 4xx: Alertmanager tries only 5xx again', async () => {
  const pgAway = Object.assign(new Error('connect ECONNREFUSED 10.0.0.1:5432'), { code: 'ECONNREFUSED' });
  for (const error of [new CatalystError('Unavailable', 'The database does not answer.'), pgAway]) {
    f.fail.intake = error;
    const answer = await app.inject({
      method: 'POST',
      url: '/hooks/alertmanager',
      headers: bearer('am'),
      payload: 'x',
    });
    assert.equal(answer.statusCode, 503);
    assert.equal(answer.json().code, 'Unavailable');
    assert.match(String(answer.headers['content-type']), /^application\/problem\+json/);
    assert.ok(!answer.body.includes('10.0.0.1'));
  }
  f.fail.intake = new Error('a bug');
  const bug = await app.inject({ method: 'POST', url: '/hooks/alertmanager', headers: bearer('am'), payload: 'x' });
  assert.equal(bug.statusCode, 500);
  assert.ok(!bug.body.includes('a bug'));
});

test('the path of the handbook is the same door; :org is the Organization', async () => {
  const deliver = (org: string, who: string) =>
    app.inject({
      method: 'POST',
      url: `/api/v1/repos/${org}/runbooks/actions/dispatches`,
      headers: bearer(who),
      payload: '{}',
    });
  assert.equal((await deliver('acme', 'am')).statusCode, 200);
  assert.equal((await deliver('acme', 'acme-am')).statusCode, 200);
  assert.equal((await deliver('system', 'am')).statusCode, 200);
  assert.equal((await deliver('globex', 'acme-am')).statusCode, 403);
  assert.deepEqual(
    f.deliveries.map((d) => d.organization),
    ['acme', 'acme', undefined],
  );
  await app.inject({ method: 'POST', url: '/hooks/alertmanager', headers: bearer('acme-am'), payload: '{}' });
  assert.equal(f.deliveries.at(-1)?.organization, 'acme');
});

test('a delivery beyond the limit is TooLarge, and deliveries are counted by outcome', async () => {
  const metrics = createMetrics({ version: '1' });
  const counting = await startApi(f, { metrics });
  const deliver = (headers: Record<string, string>, payload: string) =>
    counting.inject({ method: 'POST', url: '/hooks/alertmanager', headers, payload });

  assert.equal((await deliver(bearer('am'), '{}')).statusCode, 200);
  const large = await deliver(bearer('am'), 'x'.repeat(1024 * 1024 + 1));
  assert.equal(large.statusCode, 413);
  assert.equal(large.json().code, 'TooLarge');
  assert.equal((await deliver({}, '{}')).statusCode, 401);

  const text = (await counting.inject({ method: 'GET', url: '/metrics' })).body;
  await counting.close();
  await metrics.stop();
  for (const outcome of ['Accepted', 'TooLarge', 'Unauthenticated'])
    assert.ok(text.includes(`catalyst_sre_deliveries_total{outcome="${outcome}"} 1`), outcome);
  assert.match(
    text,
    /http_server_request_duration_seconds_count\{http_request_method="POST",http_route="\/hooks\/alertmanager",http_response_status_code="200"\} 1/,
  );
});

test('the trace of a delivery is handed on', async () => {
  const tracing = await createTracing({ version: '1' });
  const traced = await startApi(f, { tracing });
  const parent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
  await traced.inject({
    method: 'POST',
    url: '/hooks/alertmanager',
    headers: { ...bearer('am'), traceparent: parent },
    payload: '{}',
  });
  await traced.close();
  await tracing.stop();
  assert.match(
    f.deliveries[0]?.traceparent ?? '',
    /^00-0af7651916cd43dd8448eb211c80319c-(?!b7ad6b7169203331)[0-9a-f]{16}-01$/,
  );
});

test('a push event is taken only with the signature of its repository', async () => {
  const push = (repository: string, secret: string, change: (body: string) => string = (b) => b) => {
    const body = JSON.stringify({ repository: { full_name: repository } });
    const signature = createHmac('sha256', secret).update(body).digest('hex');
    return app.inject({
      method: 'POST',
      url: '/hooks/gitea',
      headers: { 'content-type': 'application/json', 'x-gitea-event': 'push', 'x-gitea-signature': signature },
      payload: change(body),
    });
  };
  assert.equal((await push('acme/runbooks', 'acme-secret')).statusCode, 202);
  assert.equal((await push('acme/runbooks', 'wrong')).statusCode, 401);
  assert.equal((await push('acme/runbooks', 'acme-secret', (b) => `${b} `)).statusCode, 401);
  assert.equal((await push('system/runbooks', 'acme-secret')).statusCode, 403, 'the secret of another repository');
  const bare = await app.inject({ method: 'POST', url: '/hooks/gitea', payload: '{}' });
  assert.equal(bare.statusCode, 401);
  assert.deepEqual(f.refreshed, ['acme/runbooks']);
});
