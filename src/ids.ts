/**
 * Identifiers that sort by time: 26 characters of Crockford's base 32 in lower case, 48 bits of milliseconds followed by
 * 80 random bits (the layout of a ULID). Short enough to read out, safe in URLs, file names and Kubernetes names.
 */
import { randomBytes } from 'node:crypto';

const alphabet = '0123456789abcdefghjkmnpqrstvwxyz';

/** @param now milliseconds since the epoch */
export function newId(now: number): string {
  const bytes = Buffer.alloc(16);
  bytes.writeUIntBE(now, 0, 6);
  randomBytes(10).copy(bytes, 6);
  // 128 bits are 26 digits of five bits; the first digit holds the three highest bits.
  let value = BigInt(`0x${bytes.toString('hex')}`);
  let text = '';
  for (let i = 0; i < 26; i++) {
    text = alphabet[Number(value & 31n)] + text;
    value >>= 5n;
  }
  return text;
}

/** When an id was made, by the clock of the machine that made it: ms since the epoch. */
export function timeOfId(id: string): number {
  // Ten digits are 50 bits: two that are zero, and the milliseconds.
  return [...id.slice(0, 10)].reduce((value, digit) => value * 32 + alphabet.indexOf(digit), 0);
}
