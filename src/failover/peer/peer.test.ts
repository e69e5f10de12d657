import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type Clock, systemClock } from '../../clock.ts';
import { createLog } from '../../telemetry/log.ts';
import { generateKey, signingKey, verifier } from '../keys.ts';
import type { PeerMessage } from '../protocol.ts';
import type { Delay } from '../readiness-decision.ts';
import { createPeerDoor, listenForPeers, type PeerDoor } from './door.ts';
import { type Envelope, peerPath, signatureHeader, signedBody } from './peer-wire.ts';
import { answerReadiness, readReadiness, type SignedAnswer } from './readiness.ts';
import { createPeerSender } from './sender.ts';

const keys = { fsn: generateKey(), hel: generateKey() };
const keyOf = (region: keyof typeof keys) => signingKey(keys[region].privateKeyPem);
const request: PeerMessage = { kind: 'promise-request', from: 'fsn', epoch: 3, nonce: 'i-1' };
const limit = () => AbortSignal.timeout(10_000);

describe('messages between controllers', () => {
  const received: [string, PeerMessage][] = [];
  let shift = 0;
  let stoppedAt: number | undefined;
  const clock: Clock = { ...systemClock, now: () => (stoppedAt ?? systemClock.now()) + shift };
  /** However long it takes on the way, it is the same moment there. */
  const inOneMoment = async <T>(go: (now: number) => Promise<T>) => {
    stoppedAt = Date.now();
    try {
      return await go(stoppedAt);
    } finally {
      stoppedAt = undefined;
    }
  };
  const log = createLog({ level: 'silent' });
  let door: PeerDoor;
  let server: Awaited<ReturnType<typeof listenForPeers>>;
  before(async () => {
    door = createPeerDoor({
      region: 'hel',
      peers: [{ region: 'fsn', publicKey: keys.fsn.publicKey }],
      knows: (group, region) => group === 'shop' && region === 'fsn',
      receive: (group, message) => received.push([group, message]),
      answering: { region: 'hel', sign: (text) => keyOf('hel').sign(text), delayOf: () => 'ready' },
      clock,
      log,
    });
    server = await listenForPeers(door, { host: '127.0.0.1', port: 0 }, log);
  });
  after(() => server.close());

  const url = () => `http://127.0.0.1:${server.port}`;
  const sender = (region: keyof typeof keys = 'fsn', to = 'hel') =>
    createPeerSender({
      region,
      peer: { region: to, url: url(), publicKey: keys.hel.publicKey },
      key: async () => keyOf(region),
      clock: systemClock,
    });
  const envelope = (more: Partial<Envelope> = {}): string =>
    JSON.stringify({
      group: 'shop',
      from: 'fsn',
      to: 'hel',
      time: Date.now(),
      nonce: `n${Math.random()}`,
      message: request,
      ...more,
    });
  const post = async (body: string, signature = keyOf('fsn').sign(signedBody(body))) => {
    const answer = await fetch(url() + peerPath, { method: 'POST', body, headers: { [signatureHeader]: signature } });
    const text = await answer.text();
    return {
      status: answer.status,
      detail: text === '' ? '' : String((JSON.parse(text) as { detail: string }).detail),
    };
  };

  test('every kind of message arrives once, as it was sent', async () => {
    const messages: PeerMessage[] = [
      request,
      { kind: 'promise', from: 'fsn', epoch: 3, nonce: 'i-1', forMs: 30_000 },
      { kind: 'promise-refused', from: 'fsn', epoch: 4, nonce: 'i-1' },
      { kind: 'fenced', from: 'fsn', epoch: 3 },
    ];
    received.length = 0;
    for (const message of messages) await sender().send('shop', message, limit());
    assert.deepEqual(
      received,
      messages.map((message) => ['shop', message]),
    );
  });

  test('forged, changed, misdirected, late, replayed, oversized and malformed ones are refused, each with its reason', async () => {
    received.length = 0;
    const good = envelope();
    const signature = keyOf('fsn').sign(signedBody(good));
    const cases: [string, () => Promise<{ status: number; detail: string }>, number, RegExp][] = [
      [
        'by a key that is not fsn’s',
        () => post(good, keyOf('hel').sign(signedBody(good))),
        401,
        /not signed by the key of region fsn/,
      ],
      ['without a signature', () => post(good, ''), 401, /not signed/],
      ['signed for another purpose', () => post(good, keyOf('fsn').sign(good)), 401, /not signed/],
      ['changed on the way', () => post(good.replace('"epoch":3', '"epoch":9'), signature), 401, /not signed/],
      [
        'of an unknown region',
        () => post(envelope({ from: 'nbg', message: { ...request, from: 'nbg' } })),
        401,
        /region nbg/,
      ],
      ['for another region', () => post(envelope({ to: 'nbg' })), 403, /for nbg, and this is hel/],
      ['of a group we do not share', () => post(envelope({ group: 'other' })), 404, /no group other/],
      [
        'from the past',
        () => inOneMoment((now) => post(envelope({ time: now - 31_000 }))),
        401,
        /31 s before our clock/,
      ],
      ['from the future', () => post(envelope({ time: Date.now() + 32_000 })), 401, /s after our clock/],
      ['too large', () => post(envelope({ nonce: 'x'.repeat(5_000) })), 413, /more than 4096 bytes/],
      ['no JSON', () => post('{'), 400, /not JSON/],
      [
        'of an unknown kind',
        () => post(envelope({ message: { kind: 'hello' } as unknown as PeerMessage })),
        400,
        /kind/,
      ],
      [
        'in another’s name inside',
        () => post(envelope({ message: { ...request, from: 'hel' } })),
        400,
        /somebody else/,
      ],
      ['with a broken epoch', () => post(envelope({ message: { ...request, epoch: -1 } })), 400, /epoch/],
      [
        'without its nonce',
        () => post(envelope({ message: { kind: 'promise', from: 'fsn', epoch: 3 } as unknown as PeerMessage })),
        400,
        /nonce/,
      ],
    ];
    for (const [what, send, status, reason] of cases) {
      const answer = await send();
      assert.equal(answer.status, status, what);
      assert.match(answer.detail, reason, what);
    }
    assert.deepEqual(received, []);
    assert.equal((await post(good, signature)).status, 204);
    const again = await post(good, signature);
    assert.deepEqual([again.status, /received before/.test(again.detail)], [409, true]);
    assert.equal(received.length, 1);
    await assert.rejects(
      sender('hel').send('shop', { ...request, from: 'hel' }, limit()),
      /not signed by the key of region hel/,
    );
  });

  test('a message dated ahead cannot be replayed when our clock has caught up with it', () => {
    received.length = 0;
    const ahead = envelope({ time: Date.now() + 29_000 });
    const signature = keyOf('fsn').sign(signedBody(ahead));
    door.accept(ahead, signature);
    shift = 55_000;
    assert.throws(() => door.accept(ahead, signature), /received before/);
    shift = 0;
    assert.equal(received.length, 1);
  });

  test('a peer that cannot be reached is an error to the sender', async () => {
    const nobody = createPeerSender({
      region: 'fsn',
      peer: { region: 'hel', url: 'http://127.0.0.1:1', publicKey: keys.hel.publicKey },
      key: async () => keyOf('fsn'),
      clock: systemClock,
    });
    await assert.rejects(nobody.send('shop', request, limit()), /peer hel could not be reached/);
  });

  test('whether it could take over is believed only when the peer signed it, to this very question', async () => {
    assert.equal(await sender().readiness('shop', 3, limit()), 'ready');
    const stranger = createPeerSender({
      ...{ region: 'fsn', key: async () => keyOf('fsn'), clock: systemClock },
      peer: { region: 'hel', url: url(), publicKey: keys.fsn.publicKey },
    });
    await assert.rejects(stranger.readiness('shop', 3, limit()), { code: 'Unauthenticated' });
    for (const query of ['', '?group=shop&epoch=3', '?group=shop&epoch=-1&nonce=a', `?nonce=${'a'.repeat(65)}`])
      assert.equal((await fetch(`${url()}/v1/peer/readiness${query}`)).status, 400, query);

    const question = { group: 'shop', epoch: 3, nonce: 'a' };
    const answering = { region: 'hel', sign: (text: string) => keyOf('hel').sign(text) };
    const wait = { waitMs: 12_000, sentence: 'hel has just started.' };
    const answer = (delay: Delay | 'ready' | undefined) =>
      answerReadiness(new URLSearchParams('group=shop&epoch=3&nonce=a'), { ...answering, delayOf: () => delay });
    const read = (signed: SignedAnswer, about = question) =>
      readReadiness(signed, about, 'hel', verifier(keys.hel.publicKey));
    assert.deepEqual(read(answer(wait)), wait);
    assert.deepEqual(read(answer({ ...wait, waitMs: undefined })), { ...wait, waitMs: undefined });
    for (const other of [{ nonce: 'b' }, { epoch: 4 }, { group: 'orders' }])
      assert.throws(() => read(answer(wait), { ...question, ...other }), { code: 'InvalidBody' });
    assert.throws(() => read(answer({ ...wait, waitMs: 1e9 })), { code: 'InvalidBody' });
    const { body, signature } = answer(wait);
    assert.throws(() => read({ body: body.replace('12000', '1'), signature }), { code: 'Unauthenticated' });
    assert.throws(() => answer(undefined), { code: 'NotFound' });
  });
});
