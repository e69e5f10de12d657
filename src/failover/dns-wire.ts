/** The little of DNS that witnesses and resolvers share, over the library that reads and writes its messages. */
import { createSocket } from 'node:dgram';
import { isIPv6, connect as tcpConnect } from 'node:net';
import { type DecodedPacket, decode } from 'dns-packet';
import { CatalystError, messageOf } from '../errors.ts';

/** Response codes (RFC 1035 §4.1.1, RFC 2136 §2.2) that are told apart here. */
export const rcode = {
  noError: 0,
  formErr: 1,
  servFail: 2,
  nxDomain: 3,
  notImp: 4,
  refused: 5,
  yxRrset: 7,
  nxRrset: 8,
} as const;

/** A message's length is two bytes (RFC 1035 §4.2.2). */
const maxMessageBytes = 65_535;

export interface DnsServerAddress {
  host: string;
  port: number;
}

/** `9.9.9.9`, `9.9.9.9:53`, `[2620:fe::fe]:53`. Throws BadRequest. */
export function parseDnsServer(text: string): DnsServerAddress {
  const [, bracketed, plain, port] = /^(?:\[([0-9a-fA-F:.]+)\]|([^:\s[\]]+))(?::([0-9]{1,5}))?$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  if (host !== undefined && Number(port ?? 53) <= 65_535) return { host, port: Number(port ?? 53) };
  throw new CatalystError('BadRequest', `${text} is no address of a DNS server.`, {
    hint: 'Write 9.9.9.9 or [2620:fe::fe]:53.',
  });
}

/** A TXT record's data: strings of at most 255 bytes, each after its length (RFC 1035 §3.3.14). */
export function txtData(text: string): Buffer {
  const bytes = Buffer.from(text);
  const parts: Buffer[] = [];
  for (let at = 0; at < bytes.length || at === 0; at += 255) {
    const part = bytes.subarray(at, at + 255);
    parts.push(Buffer.from([part.length]), part);
  }
  return Buffer.concat(parts);
}

/** The strings of a decoded TXT record, joined. */
export function txtText(data: unknown): string {
  const parts: unknown[] = Array.isArray(data) ? data : [data];
  return Buffer.concat(parts.map((part) => (Buffer.isBuffer(part) ? part : Buffer.from(String(part))))).toString(
    'utf8',
  );
}

/** The response code of a message. */
export function rcodeOf(message: Buffer): number {
  return (message[3] ?? 0) & 0xf;
}

/** Reads a message. Throws BadRequest for bytes that are none. */
export function decodeMessage(message: Buffer): DecodedPacket {
  try {
    return decode(message);
  } catch (error) {
    throw new CatalystError('BadRequest', `The DNS message cannot be read: ${messageOf(error)}.`, { cause: error });
  }
}

/** A message as TCP carries it. Throws TooLarge. */
export function framed(message: Buffer): Buffer {
  if (message.length > maxMessageBytes)
    throw new CatalystError('TooLarge', `A DNS message has at most ${maxMessageBytes} bytes.`);
  const length = Buffer.alloc(2);
  length.writeUInt16BE(message.length);
  return Buffer.concat([length, message]);
}

/** The whole messages in what TCP has brought so far, and the rest. */
export function unframed(received: Buffer): { messages: Buffer[]; rest: Buffer } {
  const messages: Buffer[] = [];
  let rest = received;
  while (rest.length >= 2 && rest.length >= 2 + rest.readUInt16BE(0)) {
    const end = 2 + rest.readUInt16BE(0);
    messages.push(rest.subarray(2, end));
    rest = rest.subarray(end);
  }
  return { messages, rest };
}

/**
 * Asks over UDP and waits for the answer to this very question; whatever else arrives is somebody's guess and is passed
 * over. Rejects with the signal's reason, or when the server cannot be reached.
 */
export function askUdp(server: DnsServerAddress, query: Buffer, signal: AbortSignal): Promise<Buffer> {
  return untilAborted(signal, (settle) => {
    const socket = createSocket(isIPv6(server.host) ? 'udp6' : 'udp4');
    socket.on('error', settle.reject);
    socket.on('message', (answer) => {
      if (isAnswerTo(query, answer)) settle.resolve(answer);
    });
    // Connected: the kernel drops what comes from another address, and reports a closed port.
    socket.connect(server.port, server.host, () => socket.send(query));
    return () => socket.close();
  });
}

/** Asks over TCP. Rejects like `askUdp`, and when the answer is to another question. */
export function askTcp(server: DnsServerAddress, query: Buffer, signal: AbortSignal): Promise<Buffer> {
  return untilAborted(signal, (settle) => {
    const socket = tcpConnect({ host: server.host, port: server.port });
    let received = Buffer.alloc(0);
    socket.on('error', settle.reject);
    socket.on('close', () => settle.reject(new Error('the connection was closed before the answer came')));
    socket.on('data', (data: Buffer) => {
      const { messages, rest } = unframed(Buffer.concat([received, data]));
      received = Buffer.from(rest);
      const [answer] = messages;
      if (answer === undefined) return;
      if (isAnswerTo(query, answer)) settle.resolve(answer);
      else settle.reject(new Error('the answer is to another question'));
    });
    socket.write(framed(query));
    return () => socket.destroy();
  });
}

interface Settle {
  resolve(answer: Buffer): void;
  reject(error: unknown): void;
}

/** Starts an exchange, and ends it when it has settled or the caller has given up. */
function untilAborted(signal: AbortSignal, start: (settle: Settle) => () => void): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    let settled = false;
    const once = (finish: () => void) => {
      if (settled) return;
      settled = true;
      signal.removeEventListener('abort', onAbort);
      stop();
      finish();
    };
    const onAbort = () => once(() => reject(signal.reason));
    const stop = start({
      resolve: (answer) => once(() => resolve(answer)),
      reject: (error) => once(() => reject(error)),
    });
    signal.addEventListener('abort', onAbort, { once: true });
  });
}

/** An answer with the same id; where it repeats the question, the same one. An update's zone may be left out (RFC 2136 §3.8). */
function isAnswerTo(query: Buffer, answer: Buffer): boolean {
  const isAnswer = answer.length >= 12 && ((answer[2] ?? 0) & 0x80) !== 0;
  if (!isAnswer || !answer.subarray(0, 2).equals(query.subarray(0, 2))) return false;
  if (answer.readUInt16BE(4) === 0) return true;
  // The name uncompressed, its type and class: as far as they reach, byte for byte, letter case included.
  const end = endOfName(query, 12) + 4;
  return answer.subarray(12, end).equals(query.subarray(12, end));
}

/** Where the name that begins at `at` ends: labels up to an empty one or a pointer (RFC 1035 §4.1.4). */
export function endOfName(message: Buffer, at: number): number {
  let next = at;
  for (;;) {
    const length = message[next];
    if (length === undefined) throw new CatalystError('BadRequest', 'The DNS message ends within a name.');
    if (length >= 0xc0) return next + 2;
    if (length === 0) return next + 1;
    next += 1 + length;
  }
}
