/**
 * A small authoritative DNS server for `<region>.<probe zone>`: it says, signed and uncacheable, what this region is for a
 * group. The zone is delegated to it. It knows nothing else, follows nothing, and asks nobody.
 */
import { createSocket } from 'node:dgram';
import { createServer as createTcpServer, isIPv6, type Socket } from 'node:net';
import {
  type Answer,
  AUTHORITATIVE_ANSWER,
  type DecodedPacket,
  encode,
  type Question,
  TRUNCATED_RESPONSE,
} from 'dns-packet';
import type { Clock } from '../../clock.ts';
import { decodeMessage, framed, rcode, unframed } from '../dns-wire.ts';
import type { SigningKey } from '../keys.ts';
import { type ProbeState, probeText } from './probe-text.ts';

export interface ResponderOptions {
  /** The probe zone, e.g. `probe.acme.example`. */
  zone: string;
  region: string;
  /** Name of the host this runs on, as the delegation has it: `ns-fsn.acme.example`. */
  nameserver: string;
  key: SigningKey;
  /** What this region is for a group, now; undefined for a group it does not know. */
  stateOf: (group: string) => ProbeState | undefined;
  clock: Clock;
}

/**
 * Signed answers over UDP in a second. Three resolvers ask from two regions every two seconds for each group; more than
 * this is somebody who makes us sign, or sends us a forged sender's address. Those are told to come by TCP.
 */
const udpAnswersPerSecond = 200;
/** What resolvers take without EDNS (RFC 1035 §4.2.1). */
const plainUdpBytes = 512;
/** Largest that passes every network unfragmented (DNS flag day 2020). */
const maxUdpBytes = 1232;

export interface Responder {
  /** The answer to a message, or undefined where silence is the answer. */
  answer(message: Buffer, transport: 'udp' | 'tcp'): Buffer | undefined;
}

export function createResponder(options: ResponderOptions): Responder {
  const { clock } = options;
  let second = 0;
  let answered = 0;
  const overLimit = (): boolean => {
    const now = Math.floor(clock.monotonic() / 1000);
    if (now !== second) [second, answered] = [now, 0];
    return ++answered > udpAnswersPerSecond;
  };
  return {
    answer(message, transport) {
      // Shorter than a header, or an answer itself: two responders that answer each other never end.
      if (message.length < 12 || ((message[2] ?? 0) & 0x80) !== 0) return undefined;
      let query: DecodedPacket;
      try {
        query = decodeMessage(message);
      } catch {
        return headerOnly(message, rcode.formErr);
      }
      const [question] = query.questions ?? [];
      if (((message[2] ?? 0) & 0x78) !== 0) return headerOnly(message, rcode.notImp);
      if (question === undefined || query.questions?.length !== 1) return headerOnly(message, rcode.formErr);
      if (transport === 'udp' && overLimit())
        return reply(query, question, { code: rcode.noError, answers: [], truncated: true });
      const said = say(question, options);
      const bytes = reply(query, question, said);
      const limit = query.additionals?.some(({ type }) => type === 'OPT') ? maxUdpBytes : plainUdpBytes;
      if (transport === 'tcp' || bytes.length <= limit) return bytes;
      return reply(query, question, { code: rcode.noError, answers: [], truncated: true });
    },
  };
}

interface Said {
  code: number;
  answers: Answer[];
  truncated?: boolean;
  /** The zone's start of authority, which an answer without records carries. */
  authority?: Answer;
}

/** What is said to a question; names in lower case, as they compare (RFC 4343). */
function say(question: Question, options: ResponderOptions): Said {
  const origin = `${options.region}.${options.zone}`.toLowerCase();
  const name = question.name.toLowerCase();
  if (name !== origin && !name.endsWith(`.${origin}`)) return { code: rcode.refused, answers: [] };
  const authority = startOfAuthority(origin, options.nameserver);
  const nothing = (code: number): Said => ({ code, answers: [], authority });
  if (name === origin) {
    if (question.type === 'SOA') return { code: rcode.noError, answers: [authority] };
    if (question.type === 'NS')
      return { code: rcode.noError, answers: [{ type: 'NS', name: question.name, ttl: 0, data: options.nameserver }] };
    return nothing(rcode.noError);
  }
  const labels = name.slice(0, -origin.length - 1).split('.');
  const group = labels.at(-1) ?? '';
  const state = labels.length <= 2 ? options.stateOf(group) : undefined;
  if (state === undefined) return nothing(rcode.nxDomain);
  // The group's own name exists, since names below it do: resolvers that ask label by label (RFC 9156) go on.
  if (labels.length === 1 || question.type !== 'TXT') return nothing(rcode.noError);
  const text = probeText(name, group, state, options.clock.now(), options.key);
  return { code: rcode.noError, answers: [{ type: 'TXT', name: question.name, ttl: 0, data: stringsOf(text) }] };
}

/** TTL and negative TTL 0: nothing of this may be remembered. */
function startOfAuthority(origin: string, nameserver: string): Answer {
  const data = {
    mname: nameserver,
    rname: `hostmaster.${origin}`,
    serial: 1,
    refresh: 3600,
    retry: 600,
    expire: 86_400,
    minimum: 0,
  };
  return { type: 'SOA', name: origin, ttl: 0, data };
}

/** A string of a TXT record has at most 255 bytes; ours is ASCII. */
function stringsOf(text: string): string[] {
  return text.match(/.{1,255}/gs) ?? [];
}

function reply(query: DecodedPacket, question: Question, said: Said): Buffer {
  const edns = query.additionals?.find(({ type }) => type === 'OPT');
  const recursionDesired = (query.flags ?? 0) & 0x100;
  const authoritative = said.code === rcode.refused ? 0 : AUTHORITATIVE_ANSWER;
  return encode({
    type: 'response',
    id: query.id ?? 0,
    flags: recursionDesired | authoritative | (said.truncated ? TRUNCATED_RESPONSE : 0) | said.code,
    questions: [question],
    answers: said.answers,
    authorities: said.authority === undefined ? [] : [said.authority],
    additionals:
      edns === undefined
        ? []
        : [
            {
              type: 'OPT',
              name: '.',
              udpPayloadSize: maxUdpBytes,
              extendedRcode: 0,
              ednsVersion: 0,
              flags: 0,
              flag_do: false,
              options: [],
            },
          ],
  });
}

/** The header of a message that cannot be answered otherwise, with its id and a code. */
function headerOnly(message: Buffer, code: number): Buffer {
  const header = Buffer.alloc(12);
  message.copy(header, 0, 0, 2);
  header.writeUInt16BE(0x8000 | (message.readUInt16BE(2) & 0x7900) | code, 2);
  return header;
}

/** A resolver keeps a connection for a few questions at most. */
const tcpIdleMs = 5_000;
const maxTcpConnections = 100;

/** Listens on UDP and TCP at the same port. Rejects when either cannot be had. */
export async function listenForDns(
  responder: Responder,
  { host, port }: { host: string; port: number },
): Promise<{ port: number; close(): Promise<void> }> {
  const sockets = new Set<Socket>();
  const tcp = createTcpServer((socket) => {
    sockets.add(socket);
    let received = Buffer.alloc(0);
    socket.setTimeout(tcpIdleMs, () => socket.destroy());
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
    socket.on('data', (data: Buffer) => {
      const { messages, rest } = unframed(Buffer.concat([received, data]));
      received = Buffer.from(rest);
      for (const message of messages) {
        const answer = responder.answer(message, 'tcp');
        if (answer === undefined) return socket.destroy();
        socket.write(framed(answer));
      }
      return undefined;
    });
  });
  tcp.maxConnections = maxTcpConnections;
  await new Promise<void>((resolve, reject) => {
    tcp.once('error', reject);
    tcp.listen(port, host, resolve);
  });
  const address = tcp.address();
  const bound = typeof address === 'object' && address !== null ? address.port : port;
  const udp = createSocket({ type: isIPv6(host) ? 'udp6' : 'udp4' });
  const close = async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => tcp.close(resolve));
    await new Promise<void>((resolve) => udp.close(resolve));
  };
  try {
    await new Promise<void>((resolve, reject) => {
      udp.once('error', reject);
      udp.bind(bound, host, () => resolve());
    });
  } catch (error) {
    tcp.close();
    throw error;
  }
  udp.on('error', () => {});
  udp.on('message', (message, from) => {
    const answer = responder.answer(message, 'udp');
    if (answer) udp.send(answer, from.port, from.address, () => {});
  });
  return { port: bound, close };
}
