import assert from 'node:assert/strict';
import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import { SMTPServer, type SMTPServerOptions } from 'smtp-server';
import { act, actionOf, contextFor, serve } from '../../../test/integrations/support.ts';
import { systemClock } from '../../clock.ts';
import { createSecrets } from '../secrets.ts';
import { createNotify } from './index.ts';
import { createPager } from './pager.ts';

const secrets = createSecrets({ TOKEN: 'webhook-token', PASSWORD: 'mail-password' });
const ports = { secrets, clock: systemClock };
const page = {
  key: 'incident-1/page/0',
  title: 'OpenBao is\r\nsealed',
  text: 'Three pods are sealed.',
  severity: 'P1',
  url: 'https://sre.example/incidents/1',
};
const limit = () => AbortSignal.timeout(5_000);

/** A mail server that keeps what it takes. */
async function mailServer(options: SMTPServerOptions = {}) {
  const mails: string[] = [];
  const server = new SMTPServer({
    authOptional: true,
    allowInsecureAuth: true,
    disabledCommands: ['STARTTLS'],
    onData(stream, _, done) {
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('end', () => {
        mails.push(Buffer.concat(chunks).toString());
        done();
      });
    },
    ...options,
  });
  server.on('error', () => {});
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.server.address() as AddressInfo;
  const smtp = {
    host: '127.0.0.1',
    port,
    tls: 'None' as const,
    from: 'sre@example.com',
    to: ['oncall@example.com', 'second@example.com'],
  };
  return { mails, smtp, [Symbol.asyncDispose]: () => new Promise<void>((resolve) => server.close(() => resolve())) };
}

describe('pages by mail', () => {
  it('arrive, with an id that is the same each time', async () => {
    let user = '';
    await using s = await mailServer({
      onAuth(auth, _, done) {
        user = `${auth.username}:${auth.password}`;
        done(null, { user: auth.username });
      },
    });
    const pager = createPager(
      { receivers: { mail: { smtp: { ...s.smtp, username: 'sre', passwordEnv: 'PASSWORD' } } } },
      ports,
    );
    await pager.deliver('mail', page, limit());
    await pager.deliver(undefined, page, limit());
    assert.equal(user, 'sre:mail-password');
    assert.equal(s.mails.length, 2);
    const [first = '', second = ''] = s.mails;
    assert.match(first, /^Subject: OpenBao is sealed\r$/m);
    assert.match(first, /^To: oncall@example.com, second@example.com\r$/m);
    assert.match(first, /Three pods are sealed\./);
    assert.match(first, /https:\/\/sre\.example\/incidents\/1/);
    const id = /^Message-ID: (.*)\r$/m;
    assert.ok(id.exec(first)?.[1]);
    assert.equal(id.exec(first)?.[1], id.exec(second)?.[1]);
  });

  it('tell a refusal from an outage, without the password', async () => {
    await using refusing = await mailServer({
      onRcptTo: (_, __, done) => done(Object.assign(new Error('no such user'), { responseCode: 550 })),
    });
    await using busy = await mailServer({
      onMailFrom: (_, __, done) => done(Object.assign(new Error('try later'), { responseCode: 451 })),
    });
    await using locked = await mailServer({ onAuth: (auth, _, done) => done(new Error(`wrong: ${auth.password}`)) });
    const deliver = (smtp: object) =>
      createPager({ receivers: { mail: { smtp: smtp as typeof busy.smtp } } }, ports).deliver('mail', page, limit());
    await assert.rejects(deliver(refusing.smtp), { code: 'UpstreamRefused', retryable: false, certain: true });
    await assert.rejects(deliver(busy.smtp), { code: 'UpstreamUnavailable', retryable: true, certain: true });
    await assert.rejects(deliver({ ...locked.smtp, username: 'sre', passwordEnv: 'PASSWORD' }), (error: Error) => {
      assert.match(error.message, /\[redacted\]/);
      assert.doesNotMatch(JSON.stringify(error) + error.message, /mail-password/);
      return true;
    });
    await assert.rejects(deliver({ ...busy.smtp, port: 1 }), { code: 'UpstreamUnavailable', retryable: true });
    await assert.rejects(deliver({ ...busy.smtp, tls: 'StartTls' }), {
      code: 'UpstreamRefused',
      certain: true,
      message: /STARTTLS/,
    });
  });

  it('end with the signal when the server says nothing', async () => {
    const server = net.createServer();
    const sockets: net.Socket[] = [];
    server.on('connection', (socket) => sockets.push(socket));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const smtp = { host: '127.0.0.1', port, tls: 'None' as const, from: 'a@example.com', to: ['b@example.com'] };
    const stop = new AbortController();
    const connected = once(server, 'connection');
    const failed = assert.rejects(
      createPager({ receivers: { mail: { smtp } } }, ports).deliver('mail', page, stop.signal),
      { code: 'TimedOut', certain: false },
    );
    await connected;
    stop.abort();
    await failed;
    for (const socket of sockets) socket.destroy();
    server.close();
  });
});

describe('pages by webhook', () => {
  it('carry token and key, and are errors when refused', async () => {
    let status = 202;
    await using server = await serve(() => [status, {}]);
    const receivers = { oncall: { webhook: { url: `${server.url}/hooks/a?b=c`, tokenEnv: 'TOKEN' } } };
    const pager = createPager({ receivers }, ports);
    await pager.deliver('oncall', page, limit());
    const [request] = server.requests;
    assert.equal(request?.path, '/hooks/a?b=c');
    assert.equal(request?.headers.authorization, 'Bearer webhook-token');
    assert.equal(request?.headers['idempotency-key'], page.key);
    assert.deepEqual(JSON.parse(request?.body ?? ''), page);
    status = 503;
    await assert.rejects(pager.deliver('oncall', page, limit()), { code: 'UpstreamUnavailable', retryable: true });
    status = 400;
    await assert.rejects(pager.deliver('oncall', page, limit()), { code: 'UpstreamRefused', retryable: false });
    await assert.rejects(pager.deliver('nobody', page, limit()), { code: 'NotConfigured', hint: /oncall/ });
  });
});

/**
 * A homeserver as the specification has it: the path of v3, JSON, an event for each transaction id of a token and no
 * second one, and errors with an `errcode`.
 */
async function homeserver() {
  const events = new Map<string, { content: Record<string, string>; room: string }>();
  const refusals: { status: number; body: object; headers: Record<string, string> }[] = [];
  /** Answers are lost after the event was taken. */
  let losing = false;
  const server = await serve(({ method, url, headers, body }) => {
    const refusal = refusals.shift();
    if (refusal) return [refusal.status, refusal.body, refusal.headers];
    const [, room, transaction] =
      /^\/_matrix\/client\/v3\/rooms\/([^/]+)\/send\/m\.room\.message\/([^/]+)$/.exec(url.pathname) ?? [];
    if (method !== 'PUT' || room === undefined || transaction === undefined)
      return [404, { errcode: 'M_UNRECOGNIZED', error: 'Unrecognized request' }];
    if (headers.authorization !== 'Bearer webhook-token')
      return [401, { errcode: 'M_UNKNOWN_TOKEN', error: 'Unknown token', soft_logout: false }];
    const key = decodeURIComponent(transaction);
    if (!events.has(key)) events.set(key, { content: JSON.parse(body), room: decodeURIComponent(room) });
    if (losing) return [502, {}];
    return [200, { event_id: `$${Buffer.from(key).toString('base64url')}` }];
  });
  const matrix = { url: server.url, tokenEnv: 'TOKEN', room: '!on+call:example.com' };
  return {
    events,
    refusals,
    requests: server.requests,
    pager: (change: object = {}) => createPager({ receivers: { room: { matrix: { ...matrix, ...change } } } }, ports),
    lose: (lost: boolean) => {
      losing = lost;
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

describe('pages by Matrix', () => {
  it('are messages of a room, readable as text and as HTML, in which nothing of the page is markup', async () => {
    await using server = await homeserver();
    const hostile = {
      ...page,
      key: 'run/1 ü?#',
      title: '<b>OpenBao</b> is\nsealed',
      text: 'a < b & "c"\n<script>alert(1)</script>',
      acknowledgeUrl: 'https://sre.example/ack/a.b?x="><script>',
    };
    await server.pager().deliver('room', hostile, limit());
    const { content, room } = server.events.get('run/1 ü?#') ?? {};
    assert.equal(room, '!on+call:example.com');
    assert.deepEqual(content, {
      msgtype: 'm.text',
      body: '<b>OpenBao</b> is sealed\n\na < b & "c"\n<script>alert(1)</script>\n\nAcknowledge: https://sre.example/ack/a.b?x="><script>\n\nRead on: https://sre.example/incidents/1',
      format: 'org.matrix.custom.html',
      formatted_body:
        '<p><strong>&lt;b&gt;OpenBao&lt;/b&gt; is sealed</strong></p><p>a &lt; b &amp; &quot;c&quot;<br>&lt;script&gt;alert(1)&lt;/script&gt;</p><p><a href="https://sre.example/ack/a.b?x=&quot;&gt;&lt;script&gt;">Acknowledge</a> · <a href="https://sre.example/incidents/1">Read on</a></p>',
    });
    await server.pager({ messageType: 'm.notice' }).deliver('room', { ...page, key: '2' }, limit());
    assert.equal(server.events.get('2')?.content.msgtype, 'm.notice');
  });

  it('are written once, although the answer to the first try was lost', async () => {
    await using server = await homeserver();
    server.lose(true);
    await assert.rejects(server.pager().deliver('room', page, limit()), {
      code: 'UpstreamUnavailable',
      retryable: true,
      certain: false,
    });
    server.lose(false);
    await server.pager().deliver('room', page, limit());
    assert.equal(server.requests.length, 2);
    assert.equal(server.requests[0]?.path, server.requests[1]?.path);
    assert.equal(server.events.size, 1);
  });

  it('tell a pause that was asked for from a token or a room that has to be mended', async () => {
    await using server = await homeserver();
    const deliver = () => server.pager().deliver('room', page, limit());
    const tooMany = { errcode: 'M_LIMIT_EXCEEDED', error: 'Too Many Requests' };
    server.refusals.push({ status: 429, body: { ...tooMany, retry_after_ms: 2_500 }, headers: {} });
    await assert.rejects(deliver(), { retryable: true, certain: true, details: { status: 429, retryAfterMs: 2_500 } });
    const headers = { 'retry-after': '7' };
    server.refusals.push({ status: 429, body: { ...tooMany, retry_after_ms: 2_500 }, headers });
    await assert.rejects(deliver(), { retryable: true, details: { status: 429, retryAfterMs: 7_000 } });
    server.refusals.push({
      status: 403,
      body: { errcode: 'M_FORBIDDEN', error: 'You are not in the room' },
      headers: {},
    });
    await assert.rejects(deliver(), { code: 'UpstreamRefused', retryable: false, message: /M_FORBIDDEN: You are not/ });
    const wrong = server.pager({ tokenEnv: 'PASSWORD' });
    await assert.rejects(wrong.deliver('room', page, limit()), (error: Error) => {
      assert.match(error.message, /M_UNKNOWN_TOKEN/);
      assert.doesNotMatch(JSON.stringify(error) + error.message, /mail-password/);
      return true;
    });
    server.refusals.push({ status: 200, body: { hello: 'there' }, headers: {} });
    await assert.rejects(deliver(), { code: 'UpstreamRefused', message: /id of an event/ });
  });

  it('are cut to what a homeserver takes', async () => {
    await using server = await homeserver();
    await server.pager().deliver('room', { ...page, text: '\u0001"&\u{1f525}'.repeat(9_999) }, limit());
    const size = Buffer.byteLength(server.requests[0]?.body ?? '');
    assert.ok(size > 20_000 && size < 65_536, String(size));
  });
});

describe('people', () => {
  it('are reached by their receivers, by the one of their name, or by none', () => {
    const webhook = { webhook: { url: 'http://127.0.0.1:1' } };
    const receivers = { 'mira-phone': webhook, 'mira-mail': webhook, 'jo.b': webhook };
    const pager = createPager({ receivers, people: { mira: ['mira-phone', 'mira-mail', 'gone'] } }, ports);
    assert.deepEqual(
      ['mira', 'jo.b', 'sam'].map((person) => pager.receiversOf(person)),
      [['mira-phone', 'mira-mail'], ['jo.b'], []],
    );
    pager.close();
  });
});

describe('notify page', () => {
  it('tells the receiver, and refuses one that does not exist before the run', async () => {
    await using server = await serve(() => [200, {}]);
    const webhook = { webhook: { url: server.url } };
    const notify = createNotify({ receivers: { oncall: webhook, team: webhook }, defaultReceiver: 'team' }, ports);
    const input = { message: 'The quota is used up.\nLook at it.' };
    const { action, before, outcome } = await act(notify, 'notify page', input);
    assert.deepEqual(outcome, { sentence: 'Told team', result: { receiver: 'team' } });
    assert.equal(JSON.parse(server.requests[0]?.body ?? '{}').title, 'The quota is used up.');
    assert.equal((await action.happened(contextFor(), input, before)).answer, 'unknown');
    await assert.rejects(action.capture(contextFor(), { ...input, receiver: 'nobody' }), { code: 'NotConfigured' });
    const none = createNotify(undefined, ports);
    assert.equal(none.pager, undefined);
    await assert.rejects(actionOf(none, 'notify page').capture(contextFor(), input), {
      code: 'NotConfigured',
      hint: /integrations\.notify/,
    });
  });
});
