/** Our own witness: the suite over HTTP, and what it lets in. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type Clock, systemClock } from '../../src/clock.ts';
import { generateKey, type SigningKey, signingKey } from '../../src/failover/keys.ts';
import { createHttpWitness } from '../../src/failover/witness/http.ts';
import { authorizationText, leasePath, signedText } from '../../src/failover/witness/http-wire.ts';
import { type LeaseFile, openLeaseFile } from '../../src/failover/witness/lease-file.ts';
import { createWitnessService } from '../../src/failover/witness/service.ts';
import { createLog } from '../../src/telemetry/log.ts';
import { createMetrics, type Metrics } from '../../src/telemetry/meter.ts';
import { conforms, leaseOf, newGroup, patient } from './suite.ts';

const keys = Object.fromEntries(['fsn', 'hel', 'stranger'].map((region) => [region, generateKey()])) as Record<
  'fsn' | 'hel' | 'stranger',
  ReturnType<typeof generateKey>
>;
const keyOf = (region: keyof typeof keys): SigningKey => signingKey(keys[region].privateKeyPem);

describe('witness: our own service', () => {
  const directory = mkdtempSync(join(tmpdir(), 'witness-'));
  let file: LeaseFile;
  let metrics: Metrics;
  let service: ReturnType<typeof createWitnessService>;
  let url = '';
  before(async () => {
    file = openLeaseFile({ directory, clock: systemClock });
    metrics = createMetrics({ version: 'test' });
    service = createWitnessService({
      file,
      regions: [
        { name: 'fsn', publicKey: keys.fsn.publicKey },
        { name: 'hel', publicKey: keys.hel.publicKey, groups: ['shop'] },
      ],
      maxAgeMs: 300_000,
      clock: systemClock,
      log: createLog({ level: 'silent' }),
      metrics,
    });
    url = await service.listen({ host: '127.0.0.1', port: 0 });
  });
  after(async () => {
    await service.close();
    await file.close();
    await metrics.stop();
    rmSync(directory, { recursive: true, force: true });
  });

  const open = (name: string, address = url, region: keyof typeof keys = 'fsn', clock: Clock = systemClock) =>
    createHttpWitness({ name, url: address, region, key: async () => keyOf(region), clock });
  conforms('HTTP', async () => ({ open: (name, address) => open(name, address), url }), { tellsExpiry: true });

  test('a region writes its own name, and passes on only what is its own', async () => {
    const [fsn, hel] = [open('a'), open('b', url, 'hel')];
    const first = leaseOf('shop', undefined, { holder: 'fsn' });
    await assert.rejects(
      hel.compareAndSet('shop', undefined, first, patient()),
      /may release or hand over only a lease of its own/,
    );
    await fsn.compareAndSet('shop', undefined, first, patient());
    const released = leaseOf('shop', first, { holder: '' });
    await assert.rejects(hel.compareAndSet('shop', first, released, patient()), /fsn holds this one/);
    const handover = leaseOf('shop', first, { holder: 'hel', epoch: 2 });
    assert.deepEqual(await fsn.compareAndSet('shop', first, handover, patient()), { result: 'applied' });
    const renewal = leaseOf('shop', handover, { holder: 'hel' });
    assert.deepEqual(await hel.compareAndSet('shop', handover, renewal, patient()), { result: 'applied' });
  });

  test('a stranger, a group of others and a clock that is off are told apart, and let in nowhere', async () => {
    const group = newGroup();
    const attempt = (witness: ReturnType<typeof open>) =>
      witness.compareAndSet(group, undefined, leaseOf(group, undefined), patient());
    await assert.rejects(attempt(open('a', url, 'stranger')), /not signed by the key of a region/);
    await assert.rejects(attempt(open('b', url, 'hel')), /has no business with group/);
    const late: Clock = { ...systemClock, now: () => systemClock.now() - 400_000 };
    await assert.rejects(attempt(open('c', url, 'fsn', late)), /dated 400 s before the clock of the witness/);
    assert.equal((await open('d').read(group, patient())).lease, undefined);
  });

  /** A request as `http.ts` makes it, with one thing changed after it was signed. */
  async function tampered(change: { body?: string; path?: string; laterMs?: number; host?: string; method?: string }) {
    const group = newGroup();
    const next = leaseOf(group, undefined);
    const signed = {
      method: 'POST',
      host: new URL(url).host,
      path: leasePath(group),
      region: 'fsn',
      time: Date.now(),
      nonce: 'n'.repeat(16),
      body: JSON.stringify({ expect: null, next }),
    };
    const signature = keyOf('fsn').sign(signedText({ ...signed, host: change.host ?? signed.host }));
    return fetch(url + (change.path ?? signed.path), {
      method: change.method ?? 'POST',
      headers: {
        authorization: authorizationText({ ...signed, time: signed.time + (change.laterMs ?? 0), signature }),
        'content-type': 'application/json',
      },
      body: change.body ?? signed.body,
    });
  }
  test('what was changed on the way, or signed for another witness, is refused', async () => {
    assert.equal((await tampered({})).status, 200);
    assert.equal((await tampered({ body: '{"expect":null,"next":{}}' })).status, 401);
    assert.equal((await tampered({ path: leasePath('another') })).status, 401);
    assert.equal((await tampered({ laterMs: 1 })).status, 401);
    assert.equal((await tampered({ host: 'other-witness.example' })).status, 401);
    const huge = await tampered({ body: 'x'.repeat(40_000) });
    assert.equal(huge.status, 413);
    assert.equal(((await huge.json()) as { code: string }).code, 'TooLarge');
    const unknown = await fetch(`${url}/elsewhere`);
    assert.equal(unknown.status, 404);
    assert.match(unknown.headers.get('content-type') ?? '', /problem\+json/);
  });

  test('a replayed request changes nothing', async () => {
    const group = newGroup();
    const first = leaseOf(group, undefined);
    const signed = {
      method: 'POST',
      host: new URL(url).host,
      path: leasePath(group),
      region: 'fsn',
      time: Date.now(),
      nonce: 'n'.repeat(16),
      body: JSON.stringify({ expect: null, next: first }),
    };
    const send = () =>
      fetch(url + signed.path, {
        method: 'POST',
        headers: {
          authorization: authorizationText({ ...signed, signature: keyOf('fsn').sign(signedText(signed)) }),
          'content-type': 'application/json',
        },
        body: signed.body,
      }).then((answer) => answer.json());
    assert.deepEqual(await send(), { result: 'applied', nonce: first.nonce });
    const witness = open('a');
    const second = leaseOf(group, first);
    await witness.compareAndSet(group, first, second, patient());
    assert.deepEqual(await send(), { result: 'conflict', nonce: first.nonce, current: second });
    assert.deepEqual((await witness.read(group, patient())).lease, second);
  });

  test('says how it is and counts what it did', async () => {
    const health = await fetch(`${url}/healthz`);
    assert.equal(health.status, 200);
    assert.equal(((await health.json()) as { status: string }).status, 'ok');
    const text = await (await fetch(`${url}/metrics`)).text();
    assert.match(text, /catalyst_sre_witness_requests_total\{operation="Write",outcome="Applied"\} [1-9]/);
    assert.match(text, /catalyst_sre_witness_requests_total\{operation="Write",outcome="Refused"\} [1-9]/);
  });

  test('what answers in its place is no witness: neither a proxy that says 409 nor a page', async () => {
    const { createServer } = await import('node:http');
    const answers = [
      [409, '{"result":"conflict","current":null}'],
      [412, ''],
      [200, '<html>Welcome</html>'],
      [200, '{"result":"conflict","nonce":"another","current":null}'],
      [200, '{"result":"conflict"}'],
      [302, ''],
      [404, '{"detail":"no route"}'],
    ] as const;
    for (const [status, body] of answers) {
      const proxy = createServer((_request, response) => response.writeHead(status).end(body));
      await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
      const address = proxy.address();
      const witness = open('a', `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`);
      const group = newGroup();
      await assert.rejects(
        witness.compareAndSet(group, undefined, leaseOf(group, undefined), patient()),
        Error,
        `${status} ${body}`,
      );
      await assert.rejects(witness.read(group, patient()), Error, `${status} ${body}`);
      await witness.close();
      await new Promise((resolve) => proxy.close(resolve));
    }
  });
});
