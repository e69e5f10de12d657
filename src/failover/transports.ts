/**
 * What a controller has for talking to the world beside its witnesses: messages to and from the peer, the answers about
 * itself in DNS, and the resolvers it asks. Made from configuration, started and stopped as one.
 */
import { readFile } from 'node:fs/promises';
import type { Clock } from '../clock.ts';
import type { Log } from '../telemetry/log.ts';
import { parseDnsServer } from './dns-wire.ts';
import type { SigningKey } from './keys.ts';
import { createPeerDoor, listenForPeers } from './peer/door.ts';
import { createPeerSender } from './peer/sender.ts';
import type { CachingLook } from './preflight.ts';
import type { PeerMessage } from './protocol.ts';
import type { Delay } from './readiness-decision.ts';
import type { PeerConfig, ResolversConfig } from './resolvers/config.ts';
import type { ProbeState } from './resolvers/probe-text.ts';
import type { ResolverVote } from './resolvers/quorum.ts';

export interface TransportOptions {
  region: string;
  key: SigningKey;
  peer: PeerConfig;
  /** Without it nobody is asked, and nothing is answered. */
  resolvers: ResolversConfig | undefined;
  /** What this region is for a group, now; undefined for a group it does not keep. */
  stateOf: (group: string) => ProbeState | undefined;
  /** What keeps this region from taking a group over at once; undefined for a group it does not keep. */
  delayOf: (group: string, epoch: number) => Delay | 'ready' | undefined;
  /** Told each message of the peer about a group this region keeps. Must not throw. */
  receive: (group: string, message: PeerMessage) => void;
  clock: Clock;
  log: Log;
}

export interface Transports {
  /** Where the peer's messages are taken. */
  peerPort: number;
  /** Where DNS is answered; undefined without resolvers. */
  dnsPort: number | undefined;
  /** Names of the resolvers, as votes carry them. */
  resolvers: readonly string[];
  /** Resolves when the peer has taken the message. */
  send(group: string, message: PeerMessage, signal: AbortSignal): Promise<void>;
  /** One vote of each resolver, within the limit; none without resolvers. */
  probe(group: string, timeoutMs: number, signal: AbortSignal): Promise<readonly ResolverVote[]>;
  /** The peer's `Date`. Rejects when it does not answer. */
  peerDate(signal: AbortSignal): Promise<string | undefined>;
  /** Whether the peer could take over at once once `epoch` is released. Rejects when it does not say. */
  peerReadiness(group: string, epoch: number, signal: AbortSignal): Promise<Delay | 'ready'>;
  /** Whether each resolver keeps our answers; undefined without resolvers. */
  lookAtCaching: CachingLook | undefined;
  close(): Promise<void>;
}

/** Resolves when everything listens; rejects, with nothing left open, when something cannot. */
export async function startTransports(options: TransportOptions): Promise<Transports> {
  const { region, key, peer, resolvers, stateOf, clock, log } = options;
  const { caFile } = peer;
  const door = createPeerDoor({
    region,
    peers: [{ region: peer.region, publicKey: peer.publicKey }],
    knows: (group) => stateOf(group) !== undefined,
    receive: options.receive,
    answering: { region, sign: (text) => key.sign(text), delayOf: options.delayOf },
    clock,
    log,
  });
  const quorum = resolvers && (await quorumOf(options, resolvers));
  const sender = createPeerSender({
    region,
    peer,
    key: async () => key,
    ...(caFile === undefined ? {} : { tls: async () => ({ ca: await readFile(caFile, 'utf8') }) }),
    clock,
  });
  const listening = await listenForPeers(door, parseDnsServer(peer.listen), log);
  let dns: Awaited<ReturnType<typeof answerDns>> | undefined;
  try {
    dns = resolvers && (await answerDns(options, resolvers));
  } catch (error) {
    await listening.close();
    throw error;
  }
  return {
    peerPort: listening.port,
    dnsPort: dns?.port,
    resolvers: resolvers?.addresses ?? [],
    send: (group, message, signal) => sender.send(group, message, signal),
    probe: async (group, timeoutMs, signal) => (await quorum?.ask(group, timeoutMs, signal)) ?? [],
    peerDate: (signal) => sender.date(signal),
    peerReadiness: (group, epoch, signal) => sender.readiness(group, epoch, signal),
    lookAtCaching: quorum?.lookAtCaching,
    close: async () => {
      sender.close();
      await listening.close();
      await dns?.close();
    },
  };
}

/** What speaks DNS is loaded only where resolvers are configured: a controller is to be small. */
async function quorumOf({ region, key, peer, clock }: TransportOptions, { addresses, zone, control }: ResolversConfig) {
  const { createCachingLook, createResolverQuorum } = await import('./resolvers/quorum.ts');
  const options = {
    resolvers: addresses.map((address) => ({ name: address, address: parseDnsServer(address) })),
    zone,
    control,
    self: { region, publicKey: key.publicKey },
    peer: { region: peer.region, publicKey: peer.publicKey },
    clock,
  };
  return { ask: createResolverQuorum(options), lookAtCaching: createCachingLook(options) };
}

async function answerDns({ region, key, stateOf, clock }: TransportOptions, resolvers: ResolversConfig) {
  const { createResponder, listenForDns } = await import('./resolvers/responder.ts');
  const { zone, nameserver, listen } = resolvers;
  return listenForDns(createResponder({ zone, region, nameserver, key, stateOf, clock }), parseDnsServer(listen));
}
