/**
 * Links that prove who they were given to. Pure. Each is signed (HMAC-SHA-256) with a key of its own, derived from one
 * secret; another secret makes all of them worthless.
 */
import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';

export interface LinkKeys {
  acknowledge: Buffer;
  calendar: Buffer;
}

/** @param secret long and random; from the configuration, or made once */
export function linkKeysOf(secret: string): LinkKeys {
  const keyFor = (purpose: string) => Buffer.from(hkdfSync('sha256', secret, '', `catalyst-sre ${purpose}`, 32));
  return { acknowledge: keyFor('acknowledge'), calendar: keyFor('calendar') };
}

/** What the link in a page says: that whoever has it was paged. */
export interface PageClaim {
  pageId: string;
  incidentId: string;
  receiver: string;
  /** From then on it is worth nothing, ms since the epoch. */
  expiresAt: number;
}

/** At most 250 characters of a URL, as ids have 26 and receivers 63. The same claim gives the same token. */
export function signClaim(key: Buffer, { pageId, incidentId, receiver, expiresAt }: PageClaim): string {
  const words = Buffer.from([pageId, incidentId, receiver, expiresAt.toString(36)].join(' ')).toString('base64url');
  return `${words}.${macOf(key, words)}`;
}

/** The claim of a token, or undefined for one that was not signed with the key. Whether it has run out is not looked at. */
export function readClaim(key: Buffer, token: string): PageClaim | undefined {
  const [words = '', mac = '', ...more] = token.split('.');
  if (more.length > 0 || !same(mac, macOf(key, words))) return undefined;
  const [pageId = '', incidentId = '', receiver = '', expires = ''] = Buffer.from(words, 'base64url')
    .toString()
    .split(' ');
  return { pageId, incidentId, receiver, expiresAt: Number.parseInt(expires, 36) };
}

/** What opens the calendar of a schedule to a program that cannot log in. */
export function calendarToken(key: Buffer, schedule: { name: string; organization: string | undefined }): string {
  return macOf(key, JSON.stringify([schedule.organization ?? null, schedule.name]));
}

export function isCalendarToken(
  key: Buffer,
  token: string,
  schedule: { name: string; organization: string | undefined },
) {
  return same(token, calendarToken(key, schedule));
}

function macOf(key: Buffer, text: string): string {
  return createHmac('sha256', key).update(text).digest('base64url');
}

/** Compared as text: of two spellings of the same bytes only ours is right. */
function same(given: string, right: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(right)];
  return a.length === b.length && timingSafeEqual(a, b);
}
