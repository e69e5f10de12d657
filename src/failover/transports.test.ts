import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '../clock.ts';
import { createLog } from '../telemetry/log.ts';
import { generateKey, signingKey } from './keys.ts';
import type { PeerMessage } from './protocol.ts';
import type { ProbeState } from './resolvers/probe-text.ts';
import { startTransports } from './transports.ts';

const keys = { fsn: generateKey(), hel: generateKey() };
const log = createLog({ level: 'silent' });
const limit = () => AbortSignal.timeout(10_000);

/** A region whose only resolver is itself: it answers about itself, and knows no other name. */
async function region(name: 'fsn' | 'hel', peerUrl: string, state: ProbeState, resolvers: readonly string[] = []) {
  const other = name === 'fsn' ? 'hel' : 'fsn';
  const received: [string, PeerMessage][] = [];
  const transports = await startTransports({
    region: name,
    key: signingKey(keys[name].privateKeyPem),
    peer: { region: other, url: peerUrl, publicKey: keys[other].publicKey, listen: '127.0.0.1:0' },
    resolvers: {
      ...{ addresses: [...resolvers], zone: 'probe.acme.example', nameserver: 'ns.acme.example' },
      ...{ listen: '127.0.0.1:0', control: `${name === 'fsn' ? 'hel' : 'fsn'}.probe.acme.example` },
    },
    stateOf: (group) => (group === 'shop' ? state : undefined),
    delayOf: (group) => (group === 'shop' ? { waitMs: 12_000, sentence: `${name} has just started.` } : undefined),
    receive: (group, message) => received.push([group, message]),
    clock: systemClock,
    log,
  });
  return { transports, received };
}

test('two regions talk to each other, and one is seen through the DNS of the other', async () => {
  const hel = await region('hel', 'http://127.0.0.1:1', { state: 'active', epoch: 4 });
  const address = `127.0.0.1:${hel.transports.dnsPort}`;
  const fsn = await region('fsn', `http://127.0.0.1:${hel.transports.peerPort}`, { state: 'standby', epoch: 4 }, [
    address,
  ]);
  try {
    const message: PeerMessage = { kind: 'promise-request', from: 'fsn', epoch: 4, nonce: 'a-1' };
    await fsn.transports.send('shop', message, limit());
    assert.deepEqual(hel.received, [['shop', message]]);
    await assert.rejects(fsn.transports.send('other', message, limit()), /share no group other/);
    await assert.rejects(
      hel.transports.send('shop', { ...message, from: 'hel' }, limit()),
      /peer fsn could not be reached/,
    );
    // What hel would have to wait for, signed by it; a group it does not keep is none of ours.
    assert.deepEqual(await fsn.transports.peerReadiness('shop', 4, limit()), {
      ...{ waitMs: 12_000, sentence: 'hel has just started.' },
    });
    await assert.rejects(fsn.transports.peerReadiness('other', 4, limit()), /no such group/);
    // Asked directly, hel's responder tells of hel and refuses to speak about fsn.
    const [vote] = await fsn.transports.probe('shop', 2_000, limit());
    assert.equal(vote?.resolver, address);
    assert.deepEqual([vote?.peer, vote?.self], [{ state: 'active', epoch: 4 }, 'unusable']);
  } finally {
    await fsn.transports.close();
    await hel.transports.close();
  }
  await assert.rejects(fsn.transports.send('shop', { kind: 'fenced', from: 'fsn', epoch: 4 }, limit()));
});
