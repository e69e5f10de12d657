import assert from 'node:assert/strict';
import type { LookupFunction } from 'node:net';
import { describe, it } from 'node:test';
import { act, actionOf, contextFor, type Handler, readFact, serve } from '../../../test/integrations/support.ts';
import { createSecrets } from '../secrets.ts';
import { createHttp } from './index.ts';

const secrets = createSecrets({ KEY: 'billing-api-key' });

async function scene(handler: Handler) {
  const server = await serve(handler);
  const host = new URL(server.url).host;
  const integration = createHttp(
    { hosts: { [host]: { headers: [{ name: 'Authorization', prefix: 'Bearer ', valueEnv: 'KEY' }] } } },
    { secrets },
  );
  return { server, host, integration, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}

describe('http facts', () => {
  it('read status and JSON, and follow no redirect', async () => {
    await using s = await scene(({ url }) => {
      if (url.pathname === '/moved') return [302, '', { location: 'http://169.254.169.254/' }];
      return url.pathname === '/ok' ? [200, { queue: 7 }] : [503, { error: 'down' }];
    });
    assert.equal(await readFact(s.integration, 'http.status', [`${s.server.url}/ok`]), 200);
    assert.equal(await readFact(s.integration, 'http.status', [`${s.server.url}/down`]), 503);
    assert.equal(await readFact(s.integration, 'http.status', [`${s.server.url}/moved`]), 302);
    assert.deepEqual(await readFact(s.integration, 'http.json', [`${s.server.url}/ok`]), { queue: 7 });
    await assert.rejects(readFact(s.integration, 'http.json', [`${s.server.url}/moved`]), {
      code: 'UpstreamRefused',
      message: /redirect/,
    });
    await assert.rejects(readFact(s.integration, 'http.json', [`${s.server.url}/down`]), {
      code: 'UpstreamUnavailable',
    });
    assert.equal(s.server.requests[0]?.headers.authorization, 'Bearer billing-api-key');
  });

  it('reach no host that is not listed', async () => {
    await using s = await scene(() => [200, {}]);
    for (const url of [
      'http://169.254.169.254/latest/meta-data',
      'http://localhost:1/',
      `${s.server.url.replace('127.0.0.1', 'localhost')}/`,
      'http://constructor/',
    ]) {
      await assert.rejects(
        readFact(s.integration, 'http.status', [url]),
        { code: 'RefusedByGuard', details: { reason: 'HostNotAllowed', host: new URL(url).host } },
        url,
      );
    }
    for (const url of ['nonsense', 'file:///etc/passwd', `http://user:pass@${s.host}/`]) {
      await assert.rejects(readFact(s.integration, 'http.status', [url]), { code: 'BadRequest' }, url);
    }
    assert.equal(s.server.requests.length, 0);
  });

  it('refuse a listed name that leads to a metadata service, and secrets over plain http', async () => {
    for (const address of ['169.254.169.254', '::ffff:169.254.169.254', 'fe80::1', 'fd00:ec2::254']) {
      const lookup: LookupFunction = (_, options, callback) =>
        options.all === true
          ? callback(null, [{ address, family: address.includes(':') ? 6 : 4 }])
          : callback(null, address, 4);
      const http = createHttp({ hosts: { 'status.example': {} } }, { secrets, lookup });
      await assert.rejects(
        readFact(http, 'http.status', ['http://status.example/']),
        { code: 'UpstreamUnavailable', message: /link-local/ },
        address,
      );
    }
    const plain = createHttp(
      { hosts: { 'api.example': { headers: [{ name: 'X-Key', valueEnv: 'KEY' }] } } },
      { secrets },
    );
    await assert.rejects(readFact(plain, 'http.status', ['http://api.example/']), { code: 'RefusedByGuard' });
  });
});

describe('http request', () => {
  it('sends the key, and keeps the answer off the record unless asked', async () => {
    await using s = await scene(({ method }) => [method === 'POST' ? 201 : 200, { id: 5 }]);
    const input = {
      method: 'POST',
      url: `${s.server.url}/retry?token=x`,
      body: { all: true },
      headers: { 'X-Reason': 'retry' },
    };
    const { action, before, outcome } = await act(s.integration, 'http request', input);
    assert.deepEqual(outcome.result, { status: 201 });
    assert.doesNotMatch(outcome.sentence + action.describe(input, before), /token/);
    const [request] = s.server.requests;
    assert.equal(request?.headers['idempotency-key'], 'run-1/steps/0');
    assert.equal(request?.headers['x-reason'], 'retry');
    assert.deepEqual(JSON.parse(request?.body ?? ''), { all: true });
    const kept = await act(s.integration, 'http request', { ...input, returnBody: true });
    assert.deepEqual(kept.outcome.result, { status: 201, body: { id: 5 } });
  });

  it('knows which calls may be repeated, and asks whether one happened', async () => {
    let confirm = 404;
    await using s = await scene(({ url }) => [url.pathname === '/confirm' ? confirm : 504, {}]);
    const action = actionOf(s.integration, 'http request');
    const input = { method: 'POST', url: `${s.server.url}/retry` };
    assert.equal(action.idempotent, false);
    assert.deepEqual(
      ['GET', 'HEAD', 'PUT', 'DELETE', 'POST', 'PATCH'].map((method) => action.idempotentFor?.({ ...input, method })),
      [true, true, true, true, false, false],
    );
    assert.deepEqual(
      ['GET', 'POST', 'DELETE'].map((method) => action.effect({ ...input, method }, {})),
      ['ReadOnly', 'Change', 'Delete'],
    );
    await assert.rejects(action.execute(contextFor(), input, {}), { code: 'UpstreamUnavailable', certain: false });
    assert.equal(s.server.requests.length, 1);
    assert.equal((await action.happened(contextFor(), input, {})).answer, 'unknown');
    const asking = { ...input, confirmUrl: `${s.server.url}/confirm` };
    assert.equal((await action.happened(contextFor(), asking, {})).answer, 'no');
    confirm = 200;
    assert.equal((await action.happened(contextFor(), asking, {})).answer, 'yes');
  });

  it('refuses headers that hold secrets, and hosts that are not listed, before the run', async () => {
    await using s = await scene(() => [200, {}]);
    const action = actionOf(s.integration, 'http request');
    const input = { method: 'POST', url: s.server.url };
    await assert.rejects(action.capture(contextFor(), { ...input, headers: { authorization: 'x' } }), {
      code: 'BadRequest',
    });
    await assert.rejects(action.capture(contextFor(), { ...input, confirmUrl: 'http://elsewhere.example/' }), {
      code: 'RefusedByGuard',
    });
    await assert.rejects(act(createHttp(undefined, { secrets }), 'http request', input), { code: 'NotConfigured' });
  });
});
