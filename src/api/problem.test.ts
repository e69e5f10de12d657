/** What is no request, or never becomes one, spoken over real connections. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { createFixture, startApi } from './api-fixture.ts';
import type { Api } from './fastify.ts';

let app: Api;
let port: number;
before(async () => {
  app = await startApi(createFixture());
  await app.listen({ host: '127.0.0.1', port: 0 });
  port = (app.server.address() as AddressInfo).port;
});
after(() => app.close());

/** A connection, and the server's end of it. */
async function open(): Promise<{ client: Socket; server: Socket; answer: Promise<string> }> {
  const accepted = once(app.server, 'connection') as Promise<[Socket]>;
  const client = connect(port, '127.0.0.1');
  const [server] = await accepted;
  const answer = (async () => {
    let text = '';
    for await (const chunk of client) text += chunk;
    return text;
  })();
  return { client, server, answer };
}

function read(answer: string): { status: number; headers: string; problem: Record<string, unknown> } {
  const [headers = '', body = ''] = answer.split('\r\n\r\n');
  return { status: Number(answer.slice(9, 12)), headers, problem: JSON.parse(body) };
}

const head = (path: string) => `GET ${path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n`;

describe('an error before there is a route', () => {
  const cases: [name: string, sent: string | Buffer, status: number, code: string, says: RegExp][] = [
    ['what is no HTTP', 'hello\r\n\r\n', 400, 'BadRequest', /not HTTP\/1\.1/],
    ['TLS', Buffer.from([0x16, 3, 1, 0, 200, 1, 0, 0, 1]), 400, 'BadRequest', /not HTTP\/1\.1/],
    ['headers without end', `${head('/livez')}X: ${'q'.repeat(20_000)}\r\n\r\n`, 400, 'BadRequest', /16 KiB/],
    [
      'two lengths',
      `${head('/livez')}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n`,
      400,
      'BadRequest',
      /HTTP/,
    ],
    ['a path that is no encoding', `${head('/api/v1/runs/%zz')}\r\n`, 400, 'BadRequest', /percent-encoding/],
    ['a name longer than any', `${head(`/api/v1/runs/${'z'.repeat(300)}`)}\r\n`, 404, 'NotFound', /longer/],
  ];
  for (const [name, sent, status, code, says] of cases) {
    test(`${name} is answered by a problem as any other, which repeats nothing`, async () => {
      const { client, answer } = await open();
      client.write(sent);
      const { status: got, headers, problem } = read(await answer);
      assert.deepEqual([got, problem.status, problem.code], [status, status, code]);
      assert.match(String(problem.detail), says);
      assert.match(headers, /\r\ncontent-type: application\/problem\+json/);
      assert.match(headers, /\r\nx-content-type-options: nosniff\r\n/);
      assert.ok(headers.includes(`\r\nx-request-id: ${problem.requestId}\r\n`));
      assert.doesNotMatch(JSON.stringify(problem), /qqq|zzz/);
    });
  }
});

describe('a request that does not arrive in its time', () => {
  /** As Node says it, 10 s after the last sign of life and later. */
  const timeIsUp = (server: Socket) =>
    app.server.emit('clientError', Object.assign(new Error('late'), { code: 'ERR_HTTP_REQUEST_TIMEOUT' }), server);

  test('half a request is told to try again, by a status after which Alertmanager does', async () => {
    const { client, server, answer } = await open();
    client.write('POST /hooks/alertmanager HTTP/1.1\r\nHost: here\r\nContent-Le');
    while (server.bytesRead === 0) await new Promise((resolve) => setImmediate(resolve));
    timeIsUp(server);
    const { status, headers, problem } = read(await answer);
    assert.deepEqual([status, problem.code], [503, 'Unavailable']);
    assert.match(headers, /\r\nretry-after: \d+\r\n/);
  });

  test('a connection opened in advance is closed without a word: nothing can be taken for an answer', async () => {
    const { server, answer } = await open();
    timeIsUp(server);
    assert.equal(await answer, '');
  });
});
