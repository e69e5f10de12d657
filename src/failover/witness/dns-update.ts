/**
 * Messages of RFC 2136 (UPDATE) with a transaction signature of RFC 8945 (TSIG, hmac-sha256). The library for DNS
 * messages knows neither the class NONE nor TSIG, so these few records are written here.
 */
import { createHmac, randomInt, timingSafeEqual } from 'node:crypto';
import { CatalystError } from '../../errors.ts';
import { endOfName, rcodeOf, txtData } from '../dns-wire.ts';

export interface TsigKey {
  /** As the server knows it. */
  name: string;
  /** Bytes of the shared secret. */
  secret: Buffer;
}

const type = { soa: 6, txt: 16, tsig: 250 } as const;
const klass = { in: 1, none: 254, any: 255 } as const;
const headerBytes = 12;
/** The name of the algorithm, as TSIG writes it. */
const algorithm = 'hmac-sha256';
/** How far the two clocks may be apart, seconds: what RFC 8945 §10 recommends. */
const fudgeSeconds = 300;
const updateOpcode = 5;

export interface Update {
  zone: string;
  /** The name whose TXT record is compared and written. */
  name: string;
  /** Text of the record that must be there, and be the only one; undefined: there must be none. */
  expect: string | undefined;
  next: string;
}

/** An UPDATE that replaces the one TXT record of a name if it is exactly the one expected. */
export function updateMessage({ zone, name, expect, next }: Update): Buffer {
  const prerequisite =
    expect === undefined
      ? record(name, type.txt, klass.none, Buffer.alloc(0)) // RFC 2136 §2.4.3: RRset does not exist
      : record(name, type.txt, klass.in, txtData(expect)); // §2.4.2: RRset exists, value dependent
  const erase = record(name, type.txt, klass.any, Buffer.alloc(0)); // §2.5.2: delete an RRset
  const add = record(name, type.txt, klass.in, txtData(next)); // §2.5.1: add to an RRset
  return Buffer.concat([header(updateOpcode, [1, 1, 2]), question(zone, type.soa), prerequisite, erase, add]);
}

/** A question for the TXT records of a name, to an authoritative server. */
export function txtQuery(name: string): Buffer {
  return Buffer.concat([header(0, [1, 0, 0]), question(name, type.txt)]);
}

function header(opcode: number, [questions, answers, authorities]: readonly [number, number, number]): Buffer {
  const bytes = Buffer.alloc(headerBytes);
  bytes.writeUInt16BE(randomInt(0x1_0000), 0);
  bytes.writeUInt16BE(opcode << 11, 2);
  bytes.writeUInt16BE(questions, 4);
  bytes.writeUInt16BE(answers, 6);
  bytes.writeUInt16BE(authorities, 8);
  return bytes;
}

function question(name: string, ofType: number): Buffer {
  return Buffer.concat([nameBytes(name), uint16(ofType), uint16(klass.in)]);
}

/** TTL 0 throughout: a lease that a cache remembers is an old one, and UPDATE asks for 0 in prerequisites. */
function record(name: string, ofType: number, ofClass: number, data: Buffer): Buffer {
  return Buffer.concat([nameBytes(name), uint16(ofType), uint16(ofClass), Buffer.alloc(4), uint16(data.length), data]);
}

/** Labels after their lengths (RFC 1035 §3.1); in lower case, as signatures want them. */
function nameBytes(name: string): Buffer {
  const labels = name
    .toLowerCase()
    .split('.')
    .filter((label) => label !== '');
  return Buffer.concat([
    ...labels.flatMap((label) => [Buffer.from([label.length]), Buffer.from(label)]),
    Buffer.alloc(1),
  ]);
}

function uint16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

/** Signs a request. @param now milliseconds since the epoch. Returns the message with its TSIG record, and the signature. */
export function signMessage(message: Buffer, key: TsigKey, now: number): { message: Buffer; mac: Buffer } {
  const time = Math.floor(now / 1000);
  const mac = createHmac('sha256', key.secret)
    .update(message)
    .update(variables(key, time, fudgeSeconds, 0, Buffer.alloc(0)))
    .digest();
  const data = Buffer.concat([
    nameBytes(algorithm),
    uint48(time),
    uint16(fudgeSeconds),
    uint16(mac.length),
    mac,
    message.subarray(0, 2),
    uint16(0),
    uint16(0),
  ]);
  const signed = Buffer.concat([message, record(key.name, type.tsig, klass.any, data)]);
  signed.writeUInt16BE(signed.readUInt16BE(10) + 1, 10);
  return { message: signed, mac };
}

/**
 * Checks that an answer was signed with the key, over the request's signature and within the allowed time, and returns its
 * response code. Throws UpstreamRefused otherwise: an answer that anybody may have made is none.
 */
export function verifiedRcode(answer: Buffer, requestMac: Buffer, key: TsigKey, now: number): number {
  const tsig = lastTsig(answer);
  if (tsig === undefined) throw unsigned(`it is not signed (response code ${rcodeOf(answer)})`);
  const { start, time, fudge, mac, originalId, error, other } = tsig;
  if (error !== 0)
    throw unsigned(
      `it refuses our signature (TSIG error ${error}); check the name and secret of the key, and both clocks`,
    );
  const unsignedPart = Buffer.from(answer.subarray(0, start));
  originalId.copy(unsignedPart, 0);
  unsignedPart.writeUInt16BE(unsignedPart.readUInt16BE(10) - 1, 10);
  const expected = createHmac('sha256', key.secret)
    .update(uint16(requestMac.length))
    .update(requestMac)
    .update(unsignedPart)
    .update(variables(key, time, fudge, error, other))
    .digest();
  if (mac.length !== expected.length || !timingSafeEqual(mac, expected))
    throw unsigned('its signature is not that of the key');
  if (Math.abs(now / 1000 - time) > fudge) throw unsigned('its clock and ours are too far apart');
  return rcodeOf(answer);
}

function unsigned(what: string): CatalystError {
  return new CatalystError('UpstreamRefused', `The answer of the DNS server counts for nothing: ${what}.`, {
    certain: false,
  });
}

/** What a signature covers beside the message (RFC 8945 §4.3.3). */
function variables(key: TsigKey, time: number, fudge: number, error: number, other: Buffer): Buffer {
  return Buffer.concat([
    nameBytes(key.name),
    uint16(klass.any),
    Buffer.alloc(4),
    nameBytes(algorithm),
    uint48(time),
    uint16(fudge),
    uint16(error),
    uint16(other.length),
    other,
  ]);
}

function uint48(value: number): Buffer {
  const bytes = Buffer.alloc(6);
  bytes.writeUIntBE(value, 0, 6);
  return bytes;
}

/** The TSIG record at the end of a message, in its parts; undefined when there is none. */
function lastTsig(message: Buffer) {
  let at = headerBytes;
  for (let i = 0; i < message.readUInt16BE(4); i++) at = endOfName(message, at) + 4;
  const records = message.readUInt16BE(6) + message.readUInt16BE(8) + message.readUInt16BE(10);
  let start = at;
  for (let i = 0; i < records; i++) {
    start = at;
    const fields = endOfName(message, at);
    at = fields + 10 + message.readUInt16BE(fields + 8);
  }
  const fields = endOfName(message, start);
  if (records === 0 || message.readUInt16BE(10) === 0 || message.readUInt16BE(fields) !== type.tsig) return undefined;
  const data = endOfName(message, fields + 10);
  const macLength = message.readUInt16BE(data + 8);
  const rest = data + 10 + macLength;
  return {
    start,
    time: message.readUIntBE(data, 6),
    fudge: message.readUInt16BE(data + 6),
    mac: message.subarray(data + 10, rest),
    originalId: message.subarray(rest, rest + 2),
    error: message.readUInt16BE(rest + 2),
    other: message.subarray(rest + 6, rest + 6 + message.readUInt16BE(rest + 4)),
  };
}
