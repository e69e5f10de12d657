import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type ClientRequest, get, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, test } from 'node:test';
import fc from 'fast-check';
import { systemClock, VirtualClock } from '../clock.ts';
import { bearer, createFixture, type Fixture, startApi } from './api-fixture.ts';
import type { Api } from './fastify.ts';
import { Feed } from './feed.ts';

let f: Fixture;
let app: Api;
let clock: VirtualClock;
const open: ClientRequest[] = [];

beforeEach(async () => {
  f = createFixture();
  clock = new VirtualClock();
  app = await startApi(f, { clock });
  await app.listen({ host: '127.0.0.1', port: 0 });
});
afterEach(async () => {
  for (const request of open.splice(0)) request.destroy();
  await app.close();
});

interface Follower {
  response: IncomingMessage;
  text: () => string;
  /** Resolves when the text received so far matches. */
  sees(pattern: RegExp): Promise<void>;
}

async function follow(path: string, who: string, headers: Record<string, string> = {}): Promise<Follower> {
  const { port } = app.server.address() as AddressInfo;
  const request = get({ host: '127.0.0.1', port, path, headers: { ...bearer(who), ...headers } });
  request.on('error', () => {});
  open.push(request);
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  let text = '';
  response.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  response.on('error', () => {});
  return {
    response,
    text: () => text,
    sees: async (pattern) => {
      while (!pattern.test(text)) await Promise.race([once(response, 'data'), once(response, 'close')]);
    },
  };
}

const ids = (text: string) => [...text.matchAll(/^id: (\d+)\nevent: record$/gm)].map((match) => Number(match[1]));

test('events come as they are written, with the number of the entry as id', async () => {
  f.record.append({});
  const follower = await follow('/api/v1/stream', 'root');
  await follower.sees(/^id: 1$/m);
  assert.match(String(follower.response.headers['content-type']), /^text\/event-stream/);
  assert.equal(follower.response.headers['x-content-type-options'], 'nosniff');
  f.record.append({ sentence: 'line one\r\n\r\ndata: forged' });
  await follower.sees(/^id: 2\nevent: record\ndata: .*\n\n/m);
  assert.deepEqual(ids(follower.text()), [2], 'only what comes');
  assert.ok(!/^data: forged/m.test(follower.text()), 'a sentence cannot begin an event of its own');
});

test('Last-Event-ID and after go on without a gap', async () => {
  f.record.append({}, {}, {}, {});
  const resumed = await follow('/api/v1/stream', 'root', { 'last-event-id': '2' });
  await resumed.sees(/^id: 4\nevent/m);
  assert.deepEqual(ids(resumed.text()), [3, 4]);
  const all = await follow('/api/v1/stream?after=0', 'root');
  await all.sees(/^id: 4\nevent/m);
  assert.deepEqual(ids(all.text()), [1, 2, 3, 4]);
  const wrong = await follow('/api/v1/stream', 'root', { 'last-event-id': 'x' });
  assert.equal(wrong.response.statusCode, 400);
});

test('an Organization gets its own entries, and an id that skips the others', async () => {
  const follower = await follow('/api/v1/stream?after=0', 'acme-viewer');
  f.record.append({ organization: 'acme' }, { organization: 'globex' }, {}, { organization: 'globex' });
  await follower.sees(/^id: 4$/m);
  assert.deepEqual(ids(follower.text()), [1]);
  assert.ok(!follower.text().includes('globex'));
});

test('a heartbeat comes when nothing else does', async () => {
  const follower = await follow('/api/v1/stream?after=0', 'root');
  await follower.sees(/retry/);
  while (!/: heartbeat/.test(follower.text())) {
    await clock.advance(5_000);
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.match(follower.text(), /: heartbeat\nid: 0\n\n/);
});

test('stopping tells the clients and does not wait for them', async () => {
  const follower = await follow('/api/v1/stream', 'root');
  await follower.sees(/retry/);
  await app.close();
  await follower.sees(/event: stopping/);
});

test('a client that does not read is dropped and told so', async () => {
  const { port } = app.server.address() as AddressInfo;
  const request = get({ host: '127.0.0.1', port, path: '/api/v1/stream?after=0', headers: bearer('root') });
  request.on('error', () => {});
  open.push(request);
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  response.pause();
  const big = 'x'.repeat(100_000);
  for (let i = 0; i < 200; i++) f.record.append({ data: { big } });
  // Time passes only in steps; after 10 s of no progress the server gives up.
  let text = '';
  for (let i = 0; i < 200 && f.record.listeners.size > 0; i++) {
    await clock.advance(1_000);
    await new Promise((resolve) => setImmediate(resolve));
  }
  response.setEncoding('utf8').on('data', (chunk: string) => {
    text = (text + chunk).slice(-1_000);
  });
  response.resume();
  await once(response, 'close');
  assert.match(text, /event: dropped\ndata: \{"sentence":"You read too slowly/);
});

test('followers share one loop, and each gets every entry once and in order, whatever the timing', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.integer({ min: 0, max: 7 }), { minLength: 1, maxLength: 20 }),
      fc.array(fc.nat({ max: 20 }), { minLength: 1, maxLength: 4 }),
      async (bursts, starts) => {
        const ports = createFixture();
        const feed = new Feed(ports.ports.record, ports.ports.wakeup, systemClock, () => assert.fail());
        const total = bursts.reduce((sum, burst) => sum + burst, 0);
        const followers = starts.map(async (start) => {
          const from = Math.min(start, total);
          const follower = feed.follow(from);
          const seen: number[] = [];
          while (follower.position < total) seen.push(...((await follower.next()) ?? []).map((entry) => entry.seq));
          follower.stop();
          assert.deepEqual(
            seen,
            Array.from({ length: total - from }, (_, i) => from + i + 1),
          );
        });
        for (const burst of bursts) {
          ports.record.append(...Array.from({ length: burst }, () => ({})));
          await new Promise((resolve) => setImmediate(resolve));
        }
        await Promise.all(followers);
        feed.stop();
      },
    ),
    { numRuns: 50 },
  );
});

test('when the record cannot be read, the feed goes on as soon as it can', async () => {
  const errors: unknown[] = [];
  const feed = new Feed(f.ports.record, f.ports.wakeup, clock, (error) => errors.push(error));
  f.record.failing = true;
  const next = feed.follow(0).next();
  while (errors.length === 0) await new Promise((resolve) => setImmediate(resolve));
  f.record.failing = false;
  f.record.append({});
  while (clock.nextDue() !== undefined) {
    await clock.advance(1_000);
    await new Promise((resolve) => setImmediate(resolve));
    if (f.record.reads > 3) break;
  }
  assert.deepEqual(
    (await next)?.map((entry) => entry.seq),
    [1],
  );
  feed.stop();
});

test('a follower is nudged without losing its place, and gets nothing more once it or the feed is stopped', async () => {
  const feed = new Feed(f.ports.record, f.ports.wakeup, clock, () => assert.fail());
  const [one, other] = [feed.follow(0), feed.follow(0)];
  const nudged = one.next();
  await new Promise((resolve) => setImmediate(resolve));
  feed.nudge();
  assert.deepEqual(await nudged, []);
  f.record.append({});
  assert.deepEqual(
    (await one.next())?.map((entry) => entry.seq),
    [1],
  );
  assert.equal(one.position, 1);
  const last = one.next();
  one.stop();
  assert.equal(await last, undefined);
  assert.equal((await other.next())?.length, 1);
  feed.stop();
  assert.equal(await other.next(), undefined);
});

test('however many follow, an entry is read once and written once', async () => {
  const followers = await Promise.all(Array.from({ length: 20 }, () => follow('/api/v1/stream', 'root')));
  await Promise.all(followers.map((one) => one.sees(/retry/)));
  const before = f.record.reads;
  let written = 0;
  f.record.append({
    data: {
      toJSON: () => {
        written += 1;
        return { seen: true };
      },
    } as never,
  });
  const atAppending = written;
  await Promise.all(followers.map((one) => one.sees(/"seen":true/)));
  assert.equal(written - atAppending, 1);
  assert.ok(f.record.reads - before <= 2, `${f.record.reads - before} reads`);
});
