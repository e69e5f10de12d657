/**
 * The witness's HTTP protocol, version 1: what the client, our own service and the Cloudflare Worker share. Pure, and
 * without a library, because the Worker runs it.
 *
 * ```
 * GET  /v1/leases/<group>                                   200 {"lease": {...} | null, "expired": true | false | null}
 * POST /v1/leases/<group>  {"expect": {"epoch", "seq"} | null, "next": {...}}
 *                                                           200 {"result": "applied", "nonce"}
 *                                                           200 {"result": "conflict", "nonce", "current": {...} | null}
 * ```
 * A conflict is a 200 that repeats the nonce of the write it answers: a 409 or 412 that something between here and there
 * made up can never be taken for "somebody else holds the lease". Everything else is an error as problem+json.
 *
 * Requests carry `authorization: Catalyst-Ed25519 region=…,time=…,nonce=…,signature=…`. A replayed write does no harm: it
 * names a version that was replaced. The limit of age keeps old ones from being worth collecting all the same.
 */
import type { Lease, LeaseVersion } from '../lease.ts';
import { labelPattern, leaseProblem, maxLeaseBytes } from './lease-text.ts';

export const leasePath = (group: string): string => `/v1/leases/${group}`;
export const healthPath = '/healthz';

/** A lease, the version it replaces, and the words around them. */
export const maxRequestBytes = maxLeaseBytes + 1024;

/** How far the clocks of a region and a witness may be apart. Five minutes, as Kerberos allows (RFC 4120 §3.1.3). */
export const defaultMaxAgeMs = 300_000;

export interface WriteRequest {
  expect: LeaseVersion | undefined;
  next: Lease;
}

/** Reads the body of a write; a sentence when it is none. */
export function readWriteRequest(group: string, text: string): WriteRequest | string {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    return 'The body is not JSON.';
  }
  if (typeof body !== 'object' || body === null || !('expect' in body) || !('next' in body))
    return 'The body lacks expect or next.';
  const { expect, next } = body;
  const problem = leaseProblem(group, next);
  if (problem !== undefined) return `next is no lease: ${problem}.`;
  if (expect === null) return { expect: undefined, next: next as Lease };
  if (typeof expect !== 'object' || !('epoch' in expect) || !('seq' in expect))
    return 'expect is neither null nor a version.';
  if (!Number.isSafeInteger(expect.epoch) || !Number.isSafeInteger(expect.seq)) return 'expect is no version.';
  return { expect: expect as LeaseVersion, next: next as Lease };
}

export interface RequestToSign {
  method: string;
  /** Name and port as in the `host` header, so that a request to one witness is none to another. */
  host: string;
  path: string;
  region: string;
  /** Milliseconds since the epoch, by the clock of the region. */
  time: number;
  nonce: string;
  body: string;
}

/** What a region signs: each field on a line of its own, the body last. No field but the body can hold a line end. */
export function signedText({ method, host, path, region, time, nonce, body }: RequestToSign): string {
  return ['catalyst-witness-request/1', method, host, path, region, String(time), nonce, body].join('\n');
}

const scheme = 'Catalyst-Ed25519';

export interface Authorization {
  region: string;
  time: number;
  nonce: string;
  signature: string;
}

export function authorizationText({ region, time, nonce, signature }: Authorization): string {
  return `${scheme} region=${region},time=${time},nonce=${nonce},signature=${signature}`;
}

const authorizationPattern = new RegExp(
  `^${scheme} region=([-a-z0-9]{1,63}),time=([0-9]{1,15}),nonce=([A-Za-z0-9_-]{16,64}),signature=([A-Za-z0-9_-]{86})$`,
);

export function readAuthorization(header: string | null | undefined): Authorization | undefined {
  const match = authorizationPattern.exec(header ?? '');
  if (!match) return undefined;
  const [, region = '', time = '', nonce = '', signature = ''] = match;
  return { region, time: Number(time), nonce, signature };
}

/** A region as a witness knows it. */
export interface KnownRegion {
  name: string;
  publicKey: string;
  /** Groups it may read and write; all when absent. */
  groups?: readonly string[] | undefined;
}

export interface Refusal {
  status: 400 | 401 | 403 | 413;
  code: 'BadRequest' | 'Unauthenticated' | 'Forbidden' | 'TooLarge';
  sentence: string;
}

export const refusal = (status: Refusal['status'], code: Refusal['code'], sentence: string): Refusal => ({
  status,
  code,
  sentence,
});

/** Why a request whose signature is good may still not come in; undefined when it may. */
export function admissionRefusal(
  authorization: Authorization,
  region: KnownRegion,
  group: string,
  now: number,
  maxAgeMs: number,
): Refusal | undefined {
  const apart = now - authorization.time;
  if (Math.abs(apart) > maxAgeMs)
    return refusal(
      401,
      'Unauthenticated',
      `The request is dated ${Math.round(Math.abs(apart) / 1000)} s ${apart > 0 ? 'before' : 'after'} the clock of the witness, more than the ${maxAgeMs / 1000} s allowed: set the clocks, or it is a replay.`,
    );
  if (!labelPattern.test(group)) return refusal(400, 'BadRequest', 'The group is no DNS label.');
  if (region.groups !== undefined && !region.groups.includes(group))
    return refusal(403, 'Forbidden', `Region ${region.name} has no business with group ${group}.`);
  return undefined;
}

/**
 * Whether this region may write `next` over `current`: its own lease always, somebody else's name or none only over a
 * lease of its own. So a stolen key of one region can take the lease, which shows, but never put words into another's mouth.
 */
export function writerRefusal(region: string, current: Lease | undefined, next: Lease): Refusal | undefined {
  if (next.holder === region || current?.holder === region) return undefined;
  return refusal(
    403,
    'Forbidden',
    `Region ${region} may release or hand over only a lease of its own, and ${current?.holder || 'nobody'} holds this one.`,
  );
}
