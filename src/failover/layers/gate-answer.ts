/** `GET /gate/<group>`: what a readiness probe, k8gb, PowerDNS or a sidecar is told. */
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
