/**
 * What one controller posts to the other: a signed envelope around a message of the protocol. Pure. The envelope says for
 * whom it is and when it was made; the signature is over the body as it is, in a header of its own.
 */
import { CatalystError } from '../../errors.ts';
import { isObject } from '../../integrations/define.ts';
import type { PeerMessage } from '../protocol.ts';
import { labelPattern } from '../witness/lease-text.ts';

export const peerPath = '/v1/peer/messages';
export const signatureHeader = 'x-catalyst-signature';

/** A message is a few words and two numbers. */
export const maxMessageBytes = 4 * 1024;

/**
 * How far the clocks of the regions may be apart, and how long a message may be on its way: a promise lasts as long, so an
 * older one is worth nothing.
 */
export const maxMessageAgeMs = 30_000;

export interface Envelope {
  group: string;
  from: string;
  to: string;
  /** Milliseconds since the epoch, by the sender's clock. */
  time: number;
  /** Of this envelope alone. */
  nonce: string;
  message: PeerMessage;
}

/** What is signed: never a body alone, so that no signature of ours is one for another purpose. */
export const signedBody = (body: string): string => `catalyst-peer-message/1\n${body}`;

const kinds: readonly string[] = [
  'promise-request',
  'promise',
  'promise-refused',
  'fenced',
] satisfies PeerMessage['kind'][];

/** Reads a body. Throws InvalidBody, saying what is wrong. */
export function readEnvelope(body: string): Envelope {
  const wrong = (what: string) => new CatalystError('InvalidBody', `The message is refused: ${what}.`);
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    throw wrong('it is not JSON');
  }
  if (!isObject(value)) throw wrong('it is no object');
  const { group, from, to, time, nonce, message } = value;
  if (!isLabel(group) || !isLabel(from) || !isLabel(to)) throw wrong('group, from or to is no name');
  if (!Number.isSafeInteger(time)) throw wrong('time is no number of milliseconds');
  if (!isNonce(nonce)) throw wrong('nonce is missing or too long');
  if (!isObject(message) || !kinds.includes(message.kind as string)) throw wrong('the kind of the message is unknown');
  if (message.from !== from) throw wrong('the message is from somebody else than its envelope');
  if (!Number.isSafeInteger(message.epoch) || (message.epoch as number) < 0) throw wrong('epoch is no whole number');
  if (message.kind !== 'fenced' && !isNonce(message.nonce))
    throw wrong('the nonce of the message is missing or too long');
  if (message.kind === 'promise' && !Number.isSafeInteger(message.forMs))
    throw wrong('forMs is no whole number of milliseconds');
  return { group, from, to, time: time as number, nonce, message: message as unknown as PeerMessage };
}

function isLabel(value: unknown): value is string {
  return typeof value === 'string' && labelPattern.test(value);
}

function isNonce(value: unknown): value is string {
  return typeof value === 'string' && value.length >= 1 && value.length <= 200;
}
