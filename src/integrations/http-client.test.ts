import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { describe, it } from 'node:test';
import { contextFor, fastClock, type Handler, serve } from '../../test/integrations/support.ts';
import { VirtualClock } from '../clock.ts';
import { createHttpClient, type HttpClientOptions } from './http-client.ts';

async function scene(handler: Handler, options: Partial<HttpClientOptions> = {}) {
  const server = await serve(handler);
  const client = createHttpClient({ system: 'Other', baseUrl: server.url, ...options });
  return {
    server,
    client,
    async [Symbol.asyncDispose]() {
      client.close();
      await server[Symbol.asyncDispose]();
    },
  };
}

describe('http client', () => {
  it('tries a safe read again, and a write never', async () => {
    let count = 0;
    await using s = await scene(() => (++count % 3 === 0 ? [200, { ok: true }] : [503, 'busy']));
    assert.deepEqual(await s.client.json(contextFor(), { path: '/x' }), { ok: true });
    assert.equal(s.server.requests.length, 3);
    await assert.rejects(s.client.json(contextFor(), { path: '/x', method: 'POST', json: {} }), {
      code: 'UpstreamUnavailable',
      certain: false,
    });
    assert.equal(s.server.requests.length, 4);
  });

  it('waits as long as it is asked to, and gives up when that is too long', async () => {
    let count = 0;
    await using s = await scene(() => (++count === 1 ? [429, 'slow down', { 'retry-after': '2' }] : [200, 1]));
    const clock = fastClock();
    const start = clock.monotonic();
    assert.equal(await s.client.json(contextFor('k', clock), { path: '/' }), 1);
    assert.ok(clock.monotonic() - start >= 2000);
    await using long = await scene(() => [429, 'slow down', { 'retry-after': '60' }]);
    await assert.rejects(long.client.json(contextFor(), { path: '/' }), {
      code: 'UpstreamUnavailable',
      certain: true,
      retryable: true,
    });
    assert.equal(long.server.requests.length, 1);
  });

  it('maps statuses to codes', async () => {
    const cases: [number, string, boolean][] = [
      [400, 'UpstreamRefused', true],
      [401, 'UpstreamRefused', true],
      [404, 'NotFound', true],
      [409, 'Conflict', true],
      [500, 'UpstreamUnavailable', false],
    ];
    for (const [status, code, certain] of cases) {
      await using s = await scene(() => [status, { message: 'why' }], {
        explain: (body) => (body as { message: string }).message,
      });
      await assert.rejects(s.client.json(contextFor(), { path: '/a', method: 'PUT', json: 1 }), {
        code,
        certain,
        message: new RegExp(`PUT /a with ${status}: why`),
      });
    }
  });

  it('never follows a redirect', async () => {
    await using other = await scene(() => [200, 'stolen']);
    await using s = await scene(() => [302, '', { location: `${other.server.url}/` }], {
      headers: async () => ({ authorization: 'Bearer x' }),
    });
    await assert.rejects(s.client.json(contextFor(), { path: '/' }), { code: 'UpstreamRefused', message: /redirect/ });
    assert.equal(other.server.requests.length, 0);
  });

  it('refuses a body that is too large, is no JSON, or breaks off', async () => {
    await using large = await scene(() => [200, 'x'.repeat(5000)], { maxBytes: 1000 });
    await assert.rejects(large.client.json(contextFor(), { path: '/' }), {
      code: 'UpstreamRefused',
      message: /1000 bytes/,
    });
    await using page = await scene(() => [200, '<html>token=hunter22</html>']);
    await assert.rejects(
      page.client.json(contextFor(), { path: '/', method: 'POST' }),
      (error: Error & { certain: boolean; code: string }) => {
        assert.deepEqual([error.code, error.certain], ['UpstreamRefused', false]);
        assert.ok(
          !JSON.stringify([error.message, error.cause instanceof Error ? error.cause.message : '']).includes(
            'hunter22',
          ),
        );
        return true;
      },
    );
    await using cut = await scene((_, response) => {
      response.writeHead(200, { 'content-length': '100' });
      response.write('{"half');
      response.destroy();
      return undefined;
    });
    await assert.rejects(cut.client.json(contextFor(), { path: '/', method: 'POST' }), {
      code: 'UpstreamUnavailable',
      certain: false,
    });
  });

  it("gives up by its own limit and by the caller's, and says that a write may have happened", async () => {
    const clock = new VirtualClock();
    await using s = await scene(() => undefined);
    const waiting = s.client.json(contextFor('k', clock), { path: '/', method: 'POST' });
    const failed = assert.rejects(waiting, { code: 'TimedOut', certain: false, retryable: true });
    while (s.server.requests.length === 0) await new Promise((resolve) => setImmediate(resolve));
    await clock.advance(10_000);
    await failed;
    const limit = new AbortController();
    const called = assert.rejects(s.client.json(contextFor('k', clock, limit.signal), { path: '/' }), {
      code: 'TimedOut',
      certain: true,
      message: /given/,
    });
    while (s.server.requests.length === 1) await new Promise((resolve) => setImmediate(resolve));
    limit.abort();
    await called;
  });

  it('knows that nothing was sent to a port nobody listens on', async () => {
    const client = createHttpClient({ system: 'Other', baseUrl: 'http://127.0.0.1:1' });
    await assert.rejects(client.json(contextFor(), { path: '/', method: 'POST' }), {
      code: 'UpstreamUnavailable',
      certain: true,
      message: /ECONNREFUSED/,
    });
  });

  it('blanks out secrets in what the other system says', async () => {
    await using s = await scene(() => [400, { message: 'bad key hunter22' }], {
      explain: (body) => (body as { message: string }).message,
      redact: (text) => text.replaceAll('hunter22', '[redacted]'),
    });
    await assert.rejects(s.client.json(contextFor(), { path: '/' }), {
      message: /bad key \[redacted\]/,
      details: { system: 'Other', status: 400, request: 'GET /', said: 'bad key [redacted]' },
    });
  });

  it('passes the trace on, and keeps a question mark in a query', async () => {
    await using s = await scene(() => [200, 1]);
    await s.client.json({ ...contextFor(), traceparent: '00-a-b-01' }, { path: '/p?q=what?', query: { more: '1' } });
    assert.equal(s.server.requests[0]?.headers.traceparent, '00-a-b-01');
    const { searchParams } = new URL(s.server.requests[0]?.path ?? '', s.server.url);
    assert.deepEqual(
      [...searchParams],
      [
        ['q', 'what?'],
        ['more', '1'],
      ],
    );
  });

  it('notices a stream that has gone silent', async () => {
    const clock = new VirtualClock();
    await using s = await scene((_, response) => {
      response.writeHead(200);
      response.write('one\ntw');
      return undefined;
    });
    const lines: string[] = [];
    const reading = (async () => {
      for await (const line of s.client.lines(contextFor('k', clock), { path: '/' }, 5_000)) lines.push(line);
    })();
    const failed = assert.rejects(reading, { code: 'TimedOut' });
    while (lines.length === 0) await new Promise((resolve) => setImmediate(resolve));
    await clock.advance(5_000);
    await failed;
    assert.deepEqual(lines, ['one']);
  });

  it('gives up on a half-open connection that takes a request and never answers', async () => {
    const clock = new VirtualClock();
    const server = net.createServer((socket) => socket.resume());
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const sockets: net.Socket[] = [];
    server.on('connection', (socket) => sockets.push(socket));
    const client = createHttpClient({
      system: 'Other',
      baseUrl: `http://127.0.0.1:${(server.address() as net.AddressInfo).port}`,
    });
    const failed = assert.rejects(client.json(contextFor('k', clock), { path: '/' }), {
      code: 'TimedOut',
      certain: true,
    });
    if (sockets.length === 0) await once(server, 'connection');
    await clock.advance(10_000);
    await failed;
    for (const socket of sockets) socket.destroy();
    server.close();
  });
});
