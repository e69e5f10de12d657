/**
 * `GET /gate/<group>`: what a readiness probe, k8gb, PowerDNS or a sidecar is told. A sidecar that has the group's key asks
 * with a nonce and believes nothing but an answer that is signed for it, so a forged or an old one opens nothing.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { CatalystError } from '../../errors.ts';
import type { Layer } from '../protocol.ts';
import type { GateReading } from './gate.ts';

/** What the sidecar reads of it. */
export interface GateAnswer {
  group: string;
  open: boolean;
  epoch: number;
  remainingMs: number;
  sentence: string;
}

export interface HttpReply {
  status: number;
  headers: Record<string, string>;
  body: string;
}

export const gateSignatureHeader = 'x-failover-signature';
/** 128 random bits in base64url, or as many as somebody likes: what is signed is to be small. */
export const noncePattern = /^[A-Za-z0-9_-]{16,64}$/;

/** Lines of a key file: the first signs, each verifies, so that a key is replaced without a gate that shuts. */
export function gateKeysOf(text: string): readonly string[] {
  const keys = text.split(/\r?\n/).map((line) => line.trim());
  const lines = keys.filter((line) => line !== '');
  if (lines.length === 0 || lines.some((line) => line.length < shortestKey))
    throw new CatalystError('NotConfigured', `A key of a gate has at least ${shortestKey} characters.`, {
      hint: 'Make one with: openssl rand -base64 33',
    });
  return lines;
}

/** 128 bits, written in base64 or hex with room to spare. */
const shortestKey = 32;

/** HMAC-SHA256, in hex, over what was asked and the body as it is. */
export function signGateAnswer(key: string, layer: Layer, nonce: string, body: string): string {
  return createHmac('sha256', key).update(`catalyst-gate-answer/1\n${layer}\n${nonce}\n${body}`).digest('hex');
}

/** Whether the body answers exactly this question, by one of the keys. */
export function isSignedGateAnswer(
  keys: readonly string[],
  asked: { layer: Layer; nonce: string },
  body: string,
  signature: string | null,
): boolean {
  if (signature === null || !/^[0-9a-f]{64}$/.test(signature)) return false;
  const given = Buffer.from(signature, 'hex');
  const good = keys.map((key) => Buffer.from(signGateAnswer(key, asked.layer, asked.nonce, body), 'hex'));
  return good.filter((one) => timingSafeEqual(one, given)).length > 0;
}

/** The reply with its signature, where a nonce was sent and there is a key; as it was otherwise. */
export function signedReply(
  reply: HttpReply,
  keys: readonly string[] | undefined,
  asked: { layer: Layer; nonce: string },
): HttpReply {
  const [key] = keys ?? [];
  if (key === undefined || !noncePattern.test(asked.nonce)) return reply;
  const signature = signGateAnswer(key, asked.layer, asked.nonce, reply.body);
  return { ...reply, headers: { ...reply.headers, [gateSignatureHeader]: signature } };
}

/** 200 only while open; nothing on the way may keep it. */
export function gateReply(group: string, reading: GateReading | undefined): HttpReply {
  const headers = { 'content-type': 'application/json', 'cache-control': 'no-store' };
  if (reading === undefined) {
    const sentence = `there is no group ${group} here`;
    return { status: 404, headers, body: JSON.stringify({ group, open: false, epoch: 0, remainingMs: 0, sentence }) };
  }
  // Rounded down: a deadline may only ever come out early.
  const answer: GateAnswer = { group, ...reading, remainingMs: Math.max(0, Math.floor(reading.remainingMs)) };
  return {
    status: reading.open ? 200 : 503,
    headers: { ...headers, 'x-failover-epoch': String(reading.epoch) },
    body: JSON.stringify(answer),
  };
}

/** The answer of a controller, or undefined for anything that is not one of this group. */
export function parseGateAnswer(group: string, text: string): GateAnswer | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const { group: of, open, epoch, remainingMs, sentence } = value as Record<string, unknown>;
  const whole = (n: unknown, most: number): n is number =>
    Number.isSafeInteger(n) && Number(n) >= 0 && Number(n) <= most;
  if (of !== group || typeof open !== 'boolean' || typeof sentence !== 'string') return undefined;
  // No lease lasts longer than an hour: more would be a gate that outlives everything.
  if (!whole(epoch, Number.MAX_SAFE_INTEGER) || !whole(remainingMs, 3_600_000)) return undefined;
  return { group, open, epoch, remainingMs, sentence };
}
