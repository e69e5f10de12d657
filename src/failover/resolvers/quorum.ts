/**
 * Asks public resolvers about both regions. A resolver that cannot be used, or that hands on what nobody signed, abstains:
 * only one that works and brings no answer may speak for a region's death, and even that is evidence and no more
 * (docs/witnesses.md).
 */
import { randomBytes, randomInt } from 'node:crypto';
import { type DecodedPacket, encode, RECURSION_DESIRED, type RecordType } from 'dns-packet';
import type { Clock } from '../../clock.ts';
import { askTcp, askUdp, type DnsServerAddress, decodeMessage, rcode, rcodeOf, txtText } from '../dns-wire.ts';
import { verifier } from '../keys.ts';
import type { CachingLook } from '../preflight.ts';
import type { ResolverAnswer } from '../protocol.ts';
import { probeName, readProbeText } from './probe-text.ts';

export interface QuorumOptions {
  resolvers: readonly { name: string; address: DnsServerAddress }[];
  /** The probe zone. */
  zone: string;
  /** A name that exists whatever becomes of us, under somebody else's care. Its NS records are asked for. */
  control: string;
  self: { region: string; publicKey: string };
  peer: { region: string; publicKey: string };
  clock: Clock;
}

export interface ResolverVote {
  resolver: string;
  self: ResolverAnswer;
  peer: ResolverAnswer;
  /** Why, in a sentence each, for the record. */
  sentences: { self: string; peer: string };
}

/** A packet may be lost: after a third of the time the question is sent once more. */
const repeatAfterShare = 1 / 3;

type Region = QuorumOptions['self'] & { verify: (text: string, signature: string) => boolean };
interface Heard {
  answer: ResolverAnswer;
  sentence: string;
}

/** A function that asks every resolver about a group once, and resolves within `timeoutMs` with one vote of each. */
export function createResolverQuorum(
  options: QuorumOptions,
): (group: string, timeoutMs: number, signal: AbortSignal) => Promise<ResolverVote[]> {
  const { clock, zone, control } = options;
  const self: Region = { ...options.self, verify: verifier(options.self.publicKey) };
  const peer: Region = { ...options.peer, verify: verifier(options.peer.publicKey) };

  const exchange = exchangeOver(clock);

  /** Whether the resolver finds what is certainly there. */
  const works = async (server: DnsServerAddress, timeoutMs: number, signal: AbortSignal): Promise<boolean> => {
    try {
      const { code, message } = await exchange(server, control, 'NS', timeoutMs, signal);
      return code === rcode.noError && (message.answers?.length ?? 0) > 0;
    } catch {
      return false;
    }
  };

  const ask = async (
    server: DnsServerAddress,
    group: string,
    region: Region,
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<Heard> => {
    const name = probeName(randomBytes(16).toString('hex'), group, region.region, zone);
    try {
      const { code, message } = await exchange(server, name, 'TXT', timeoutMs, signal);
      return judge(name, group, code, message, region);
    } catch {
      return { answer: 'none', sentence: `brought no answer about ${region.region}` };
    }
  };

  return async (group, timeoutMs, signal) => {
    const over = new AbortController();
    const rest = new AbortController();
    clock.sleep(timeoutMs, rest.signal).then(
      () => over.abort(new Error(`no answer within ${timeoutMs} ms`)),
      () => {},
    );
    const limit = AbortSignal.any([signal, over.signal]);
    const vote = async ({ name, address }: QuorumOptions['resolvers'][number]): Promise<ResolverVote> => {
      const [usable, aboutSelf, aboutPeer] = await Promise.all([
        works(address, timeoutMs, limit),
        ask(address, group, self, timeoutMs, limit),
        ask(address, group, peer, timeoutMs, limit),
      ]);
      const count = (heard: Heard): Heard =>
        usable || typeof heard.answer === 'object'
          ? heard
          : { answer: 'unusable', sentence: `does not even find ${control}` };
      const [mine, theirs] = [count(aboutSelf), count(aboutPeer)];
      return {
        resolver: name,
        self: mine.answer,
        peer: theirs.answer,
        sentences: { self: mine.sentence, peer: theirs.sentence },
      };
    };
    try {
      return await Promise.all(options.resolvers.map(vote));
    } finally {
      // Late repeats have no reader any more.
      over.abort(new Error('all have answered'));
      rest.abort();
    }
  };
}

/** One question and its answer: over UDP, repeated once, and over TCP where it was cut short. */
function exchangeOver(clock: Clock) {
  return async (server: DnsServerAddress, name: string, type: RecordType, timeoutMs: number, signal: AbortSignal) => {
    const query = encode({
      type: 'query',
      id: randomInt(0x1_0000),
      flags: RECURSION_DESIRED,
      questions: [{ type, name, class: 'IN' }],
    });
    const repeat = async () => {
      await clock.sleep(timeoutMs * repeatAfterShare, signal);
      return askUdp(server, query, signal);
    };
    const udp = await Promise.any([askUdp(server, query, signal), repeat()]);
    const bytes = ((udp[2] ?? 0) & 0x02) === 0 ? udp : await askTcp(server, query, signal);
    return { code: rcodeOf(bytes), message: decodeMessage(bytes) };
  };
}

/** Between the two questions, ms: our answers tell the time in whole seconds. */
const cachingPauseMs = 1_200;
const cachingAnswerMs = 1_200;

/**
 * A function that asks every resolver about this region twice under one name: whoever tells the same time twice has kept the
 * first answer, whose TTL is 0.
 */
export function createCachingLook(options: QuorumOptions): CachingLook {
  const { clock, zone } = options;
  const self: Region = { ...options.self, verify: verifier(options.self.publicKey) };
  const exchange = exchangeOver(clock);

  const toldAt = async (server: DnsServerAddress, name: string, group: string, signal: AbortSignal) => {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(cachingAnswerMs)]);
    const { message } = await exchange(server, name, 'TXT', cachingAnswerMs, limit);
    const texts = (message.answers ?? []).flatMap((record) => (record.type === 'TXT' ? [txtText(record.data)] : []));
    const signed = texts.find((text) => readProbeText(name, group, text, self.verify));
    return signed && /;t=([0-9]+);/.exec(signed)?.[1];
  };

  return (group, signal) =>
    Promise.all(
      options.resolvers.map(async ({ name: resolver, address }) => {
        const name = probeName(randomBytes(16).toString('hex'), group, self.region, zone);
        try {
          const first = await toldAt(address, name, group, signal);
          await clock.sleep(cachingPauseMs, signal);
          const second = await toldAt(address, name, group, signal);
          if (first === undefined || second === undefined) return { resolver, caching: 'unknown' };
          return { resolver, caching: first === second ? 'cached' : 'fresh' };
        } catch {
          return { resolver, caching: 'unknown' };
        }
      }),
    );
}

/** What an answer about a region counts for. */
function judge(name: string, group: string, code: number, message: DecodedPacket, { region, verify }: Region): Heard {
  const texts = (message.answers ?? []).flatMap((record) =>
    record.type === 'TXT' && record.name.toLowerCase() === name ? [txtText(record.data)] : [],
  );
  const [said] = texts.map((text) => readProbeText(name, group, text, verify)).filter((state) => state !== undefined);
  if (said !== undefined)
    return { answer: said, sentence: `says that ${region} is ${said.state} at epoch ${said.epoch}` };
  // Somebody on the way makes things up: such a resolver is no witness of anything.
  if (texts.length > 0)
    return { answer: 'unusable', sentence: `handed on an answer about ${region} that ${region} did not sign` };
  if (code === rcode.refused || code === rcode.notImp || code === rcode.formErr)
    return { answer: 'unusable', sentence: `refuses to answer (response code ${code})` };
  return { answer: 'none', sentence: `brought no answer about ${region} (response code ${code})` };
}
