import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { after, it } from 'node:test';
import { systemClock } from '../../clock.ts';
import { askUdp } from '../dns-wire.ts';
import { generateKey, signingKey } from '../keys.ts';
import { createCachingLook } from './quorum.ts';
import { createResponder, listenForDns } from './responder.ts';

const here = { region: 'fsn', key: signingKey(generateKey().privateKeyPem) };

/** Hands questions on to the responder of the region; one that keeps answers does so by the name alone. */
async function resolver(port: number, keeps: boolean): Promise<number> {
  const kept = new Map<string, Buffer>();
  const socket = createSocket('udp4', async (query, from) => {
    const question = query.subarray(12).toString('latin1');
    const known = kept.get(question);
    const answer = known ?? Buffer.from(await askUdp({ host: '127.0.0.1', port }, query, AbortSignal.timeout(5_000)));
    if (keeps) kept.set(question, answer);
    // The answer is for whoever asks now: with the number of this question.
    socket.send(Buffer.concat([query.subarray(0, 2), answer.subarray(2)]), from.port, from.address);
  });
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
  after(() => socket.close());
  return socket.address().port;
}

it('finds the resolver that keeps answers of our zone, and the one that brings none', async () => {
  const responder = createResponder({
    ...{ zone: 'probe.acme.example', region: here.region, nameserver: 'ns.acme.example', key: here.key },
    stateOf: (group) => (group === 'orders' ? { state: 'active' as const, epoch: 3 } : undefined),
    clock: systemClock,
  });
  const dns = await listenForDns(responder, { host: '127.0.0.1', port: 0 });
  after(() => dns.close());
  const silent = createSocket('udp4');
  await new Promise<void>((resolve) => silent.bind(0, '127.0.0.1', resolve));
  after(() => silent.close());
  const ports = {
    honest: await resolver(dns.port, false),
    keeper: await resolver(dns.port, true),
    silent: silent.address().port,
  };
  const look = createCachingLook({
    resolvers: Object.entries(ports).map(([name, port]) => ({ name, address: { host: '127.0.0.1', port } })),
    ...{ zone: 'probe.acme.example', control: 'example.com', clock: systemClock },
    self: { region: here.region, publicKey: here.key.publicKey },
    peer: { region: 'hel', publicKey: generateKey().publicKey },
  });
  const found = await look('orders', AbortSignal.timeout(20_000));
  assert.deepEqual(Object.fromEntries(found.map(({ resolver: name, caching }) => [name, caching])), {
    ...{ honest: 'fresh', keeper: 'cached', silent: 'unknown' },
  });
});
