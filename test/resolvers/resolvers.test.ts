/** The probe zone behind a real recursive resolver, and answers of those who lie. */
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { after, before, describe, test } from 'node:test';
import { decode, encode, type Packet } from 'dns-packet';
import { systemClock, VirtualClock } from '../../src/clock.ts';
import { askTcp, askUdp, parseDnsServer } from '../../src/failover/dns-wire.ts';
import { generateKey, signingKey } from '../../src/failover/keys.ts';
import { type ProbeState, probeText } from '../../src/failover/resolvers/probe-text.ts';
import { createResolverQuorum } from '../../src/failover/resolvers/quorum.ts';
import { createResponder, listenForDns } from '../../src/failover/resolvers/responder.ts';
import { describeReal } from '../../testbed/real.ts';
import { findUnbound, startUnbound, type Unbound } from '../../testbed/unbound.ts';

const zone = 'probe.acme.example';
const control = 'control.example';
const keys = { fsn: generateKey(), hel: generateKey() };
const limit = () => AbortSignal.timeout(20_000);
const states: Record<'fsn' | 'hel', ProbeState | undefined> = { fsn: undefined, hel: undefined };

const responderOf = (region: 'fsn' | 'hel') =>
  createResponder({
    zone,
    region,
    nameserver: `ns-${region}.acme.example`,
    key: signingKey(keys[region].privateKeyPem),
    stateOf: (group) => (group === 'shop' ? states[region] : undefined),
    clock: systemClock,
  });

const quorumOf = (ports: readonly number[], publicKeys = keys) =>
  createResolverQuorum({
    resolvers: ports.map((port, i) => ({ name: `resolver-${i}`, address: { host: '127.0.0.1', port } })),
    zone,
    control,
    self: { region: 'fsn', publicKey: publicKeys.fsn.publicKey },
    peer: { region: 'hel', publicKey: publicKeys.hel.publicKey },
    clock: systemClock,
  });

describeReal('resolvers: the probe zone behind Unbound', findUnbound, () => {
  type Listening = Awaited<ReturnType<typeof listenForDns>>;
  let fsn: Listening;
  let hel: Listening;
  let unbound: Unbound;
  let alone: Unbound;
  before(async () => {
    fsn = await listenForDns(responderOf('fsn'), { host: '127.0.0.1', port: 0 });
    hel = await listenForDns(responderOf('hel'), { host: '127.0.0.1', port: 0 });
    const stubs = [
      { zone: `fsn.${zone}`, port: fsn.port },
      { zone: `hel.${zone}`, port: hel.port },
    ];
    unbound = await startUnbound({ stubs, localData: [`${control}. 60 IN NS ns.${control}.`] });
    alone = await startUnbound({ stubs: [] });
  });
  after(async () => {
    for (const server of [fsn, hel]) await server?.close().catch(() => {});
    for (const server of [unbound, alone]) await server?.stop();
  });

  test('a state is seen through the resolver, signed and fresh, and a change of it at once', async () => {
    const ask = quorumOf([unbound.port]);
    for (const [state, epoch] of [
      ['active', 3],
      ['fenced', 3],
      ['standby', 4],
      ['active', 5],
    ] as const) {
      states.fsn = { state, epoch };
      states.hel = { state: 'standby', epoch };
      const [vote] = await ask('shop', 5_000, limit());
      assert.deepEqual(vote?.self, { state, epoch });
      assert.deepEqual(vote?.peer, { state: 'standby', epoch });
    }
  });

  test('a resolver that is cut off abstains instead of calling the peer dead', async () => {
    states.fsn = { state: 'active', epoch: 1 };
    states.hel = { state: 'active', epoch: 1 };
    const votes = await quorumOf([unbound.port, alone.port, 1])('shop', 4_000, limit());
    assert.deepEqual(
      votes.map(({ peer }) => peer),
      [{ state: 'active', epoch: 1 }, 'unusable', 'unusable'],
    );
    assert.match(votes[1]?.sentences.peer ?? '', /does not even find control.example/);
  });

  test('an answer by another key is unusable; a group nobody knows and a region that is gone are none', async () => {
    const other = { ...keys, hel: generateKey() };
    const [forged] = await quorumOf([unbound.port], other)('shop', 5_000, limit());
    assert.deepEqual([forged?.self, forged?.peer], [states.fsn, 'unusable']);
    assert.match(forged?.sentences.peer ?? '', /hel did not sign/);
    const [unknown] = await quorumOf([unbound.port])('other', 5_000, limit());
    assert.deepEqual([unknown?.self, unknown?.peer], ['none', 'none']);
    await hel.close();
    const [dead] = await quorumOf([unbound.port])('shop', 4_000, limit());
    assert.deepEqual([dead?.self, dead?.peer], [states.fsn, 'none']);
  });
});

describe('resolvers: answers of those who lie', () => {
  /** A resolver that answers probes about hel as `lie` says, and everything else truthfully. */
  async function liar(lie: (query: Packet, name: string) => Buffer | Buffer[]) {
    const socket = createSocket('udp4');
    const truth = responderOf('fsn');
    socket.on('message', (message, from) => {
      const query = decode(message);
      const name = query.questions?.[0]?.name ?? '';
      const answers = name.endsWith(`hel.${zone}`)
        ? [lie(query, name)].flat()
        : name === control
          ? [
              encode({
                type: 'response',
                id: query.id ?? 0,
                questions: query.questions ?? [],
                answers: [{ type: 'NS', name, data: 'ns.example' }],
              }),
            ]
          : [truth.answer(message, 'udp') ?? Buffer.alloc(0)];
      for (const answer of answers) socket.send(answer, from.port, from.address);
    });
    await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
    return { port: socket.address().port, close: () => socket.close() };
  }
  const txt = (query: Packet, name: string, text: string, more: Packet = {}) =>
    encode({
      type: 'response',
      id: query.id ?? 0,
      questions: query.questions ?? [],
      answers: [{ type: 'TXT', name, data: text.match(/.{1,255}/gs) ?? [] }],
      ...more,
    });
  const signed = (name: string, group = 'shop') =>
    probeText(name, group, { state: 'active', epoch: 7 }, Date.now(), signingKey(keys.hel.privateKeyPem));
  const old = signed(`0123456789abcdef.shop.hel.${zone}`);
  const active = { state: 'active', epoch: 7 };

  const cases: [string, (query: Packet, name: string) => Buffer | Buffer[], unknown][] = [
    ['the truth', (query, name) => txt(query, name, signed(name)), active],
    ['an old answer to another nonce', (query, name) => txt(query, name, old), 'unusable'],
    ['an unsigned text', (query, name) => txt(query, name, 'v=1;g=shop;epoch=9;state=active;t=1;sig='), 'unusable'],
    ['a signed answer about another group', (query, name) => txt(query, name, signed(name, 'other')), 'unusable'],
    [
      'a signed answer with the epoch changed',
      (query, name) => txt(query, name, signed(name).replace('epoch=7', 'epoch=8')),
      'unusable',
    ],
    ['a text of sixty kilobytes', (query, name) => txt(query, name, 'x'.repeat(60_000)), 'unusable'],
    [
      'NXDOMAIN',
      (query) => encode({ type: 'response', id: query.id ?? 0, flags: 3, questions: query.questions ?? [] }),
      'none',
    ],
    [
      'SERVFAIL',
      (query) => encode({ type: 'response', id: query.id ?? 0, flags: 2, questions: query.questions ?? [] }),
      'none',
    ],
    [
      'REFUSED',
      (query) => encode({ type: 'response', id: query.id ?? 0, flags: 5, questions: query.questions ?? [] }),
      'unusable',
    ],
    [
      'truncation, and nobody at TCP',
      (query) => encode({ type: 'response', id: query.id ?? 0, flags: 0x200, questions: query.questions ?? [] }),
      'none',
    ],
    ['noise', () => Buffer.from('this is no DNS message at all'), 'none'],
    [
      'forged answers with other ids before the true one',
      (query, name) => [
        ...Array.from({ length: 20 }, (_, i) => txt({ ...query, id: ((query.id ?? 0) + 1 + i) % 0x1_0000 }, name, old)),
        txt({ ...query, questions: [{ type: 'TXT', name: `x.${name}` }] }, name, old),
        txt(query, name, signed(name)),
      ],
      active,
    ],
    ['an answer under another name', (query, name) => txt(query, `x.${name}`, signed(name)), 'none'],
    ['records that break off', (query, name) => txt(query, name, signed(name)).subarray(0, -40), 'unusable'],
  ];
  for (const [what, lie, expected] of cases)
    test(`${what}: ${typeof expected === 'object' ? 'counts' : expected}`, async () => {
      states.fsn = { state: 'standby', epoch: 6 };
      const server = await liar(lie);
      try {
        const [vote] = await quorumOf([server.port])('shop', 600, limit());
        assert.deepEqual(vote?.peer, expected);
        assert.deepEqual(vote?.self, states.fsn, 'what is true about ourselves is still heard');
      } finally {
        server.close();
      }
    });
});

describe('resolvers: the responder', () => {
  const ask = (name: string, type: 'TXT' | 'SOA' | 'NS' | 'A' = 'TXT', more: Packet = {}) =>
    encode({ type: 'query', id: 77, flags: 0x100, questions: [{ type, name }], ...more });
  const said = (message: Buffer | undefined) => {
    assert.ok(message);
    const answer = decode(message);
    return {
      code: (answer.flags ?? 0) & 0xf,
      answers: answer.answers?.length,
      authorities: answer.authorities?.map(({ type }) => type),
      truncated: answer.flag_tc,
      authoritative: answer.flag_aa,
    };
  };

  test('answers for its zone and nothing else, and lets nothing be remembered', () => {
    states.fsn = { state: 'active', epoch: 1 };
    const responder = responderOf('fsn');
    const answer = (name: string, type?: 'TXT' | 'SOA' | 'NS' | 'A') => said(responder.answer(ask(name, type), 'udp'));
    const nothing = { answers: 0, authorities: ['SOA'], truncated: false, authoritative: true };
    assert.equal(answer(`n1.shop.fsn.${zone}`).answers, 1);
    assert.equal(answer(`N1.Shop.FSN.${zone}`).answers, 1, 'letter case does not matter');
    assert.deepEqual(answer(`n1.shop.fsn.${zone}`, 'A'), { ...nothing, code: 0 });
    assert.deepEqual(answer(`shop.fsn.${zone}`), { ...nothing, code: 0 });
    assert.deepEqual(answer(`n1.nobody.fsn.${zone}`), { ...nothing, code: 3 });
    assert.deepEqual(answer(`a.b.shop.fsn.${zone}`), { ...nothing, code: 3 });
    assert.equal(answer(`fsn.${zone}`, 'SOA').answers, 1);
    assert.equal(answer(`fsn.${zone}`, 'NS').answers, 1);
    assert.equal(answer(`hel.${zone}`).code, 5);
    const full = decode(responder.answer(ask(`n1.shop.fsn.${zone}`), 'udp') ?? Buffer.alloc(0));
    assert.ok(full.answers?.every((record) => record.type === 'TXT' && record.ttl === 0));
    const none = decode(responder.answer(ask(`shop.fsn.${zone}`), 'udp') ?? Buffer.alloc(0));
    const [soa] = none.authorities ?? [];
    assert.ok(soa?.type === 'SOA' && soa.ttl === 0 && soa.data.minimum === 0);
  });

  test('what it cannot read gets an error or silence, never an answer to an answer', () => {
    const responder = responderOf('fsn');
    assert.equal(responder.answer(Buffer.alloc(5), 'udp'), undefined);
    assert.equal(responder.answer(encode({ type: 'response', id: 1 }), 'udp'), undefined);
    assert.equal(
      (responder.answer(Buffer.concat([Buffer.from([0, 1, 1, 0, 0, 9]), Buffer.alloc(6)]), 'udp')?.[3] ?? 0) & 0xf,
      1,
    );
    assert.equal((responder.answer(ask('x.example', 'A', { flags: 5 << 11 }), 'udp')?.[3] ?? 0) & 0xf, 4);
    const twice = encode({
      type: 'query',
      id: 1,
      questions: [
        { type: 'TXT', name: 'a.example' },
        { type: 'TXT', name: 'b.example' },
      ],
    });
    assert.equal((responder.answer(twice, 'udp')?.[3] ?? 0) & 0xf, 1);
  });

  test('a flood is told to come by TCP, where a sender cannot be forged', async () => {
    states.fsn = { state: 'active', epoch: 1 };
    const clock = new VirtualClock();
    const responder = createResponder({
      zone,
      region: 'fsn',
      nameserver: 'ns.example',
      key: signingKey(keys.fsn.privateKeyPem),
      stateOf: () => states.fsn,
      clock,
    });
    const query = ask(`n1.shop.fsn.${zone}`);
    const answers = Array.from({ length: 300 }, () => said(responder.answer(query, 'udp')));
    assert.equal(answers.filter(({ answers: count }) => count === 1).length, 200);
    assert.equal(answers.filter(({ truncated }) => truncated).length, 100);
    assert.equal(said(responder.answer(query, 'tcp')).answers, 1);
    await clock.advance(1_000);
    assert.equal(said(responder.answer(query, 'udp')).answers, 1);
  });

  test('listens on UDP and TCP at one port', async () => {
    states.fsn = { state: 'active', epoch: 1 };
    const server = await listenForDns(responderOf('fsn'), { host: '127.0.0.1', port: 0 });
    const address = parseDnsServer(`127.0.0.1:${server.port}`);
    const query = ask(`n2.shop.fsn.${zone}`);
    for (const transport of [askUdp, askTcp]) assert.equal(said(await transport(address, query, limit())).answers, 1);
    await server.close();
    await assert.rejects(askTcp(address, query, limit()));
  });
});
