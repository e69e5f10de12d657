/**
 * A lease as text, and back. Whatever comes out of a store was perhaps written by somebody else, so it is read field by
 * field. No library: the Cloudflare Worker runs this file, too, and may compile no code at run time.
 */
import { CatalystError } from '../../errors.ts';
import type { AcquiredBy, Json, Lease, LeaseVersion } from '../lease.ts';

/** Groups and regions are DNS labels (RFC 1123): they become parts of DNS names, Kubernetes names and object keys. */
export const labelPattern = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;

/**
 * Largest lease, in bytes of JSON. Positions of eleven components are about 2 KiB; two of the largest fit into one DNS
 * message over TCP (64 KiB, RFC 1035 §4.2.2), which is the narrowest of the stores.
 */
export const maxLeaseBytes = 16 * 1024;

/** A day: no lease should outlive the shift that can explain it. */
const maxTtlMs = 86_400_000;
const maxWordBytes = 1024;

const modes: readonly string[] = ['Automatic', 'SemiAutomatic', 'Manual'] satisfies AcquiredBy['mode'][];

/** The lease as JSON with its fields in one order, so that equal leases are equal texts. */
export function leaseText(lease: Lease): string {
  const { group, holder, epoch, seq, ttlMs, nonce, acquiredBy, payload } = lease;
  const { mode, actor, reason } = acquiredBy;
  return JSON.stringify({ group, holder, epoch, seq, ttlMs, nonce, acquiredBy: { mode, actor, reason }, payload });
}

/** What is wrong with a value that should be a lease of this group, as a phrase; undefined when it is one. */
export function leaseProblem(group: string, value: unknown): string | undefined {
  if (!isObject(value)) return 'it is no object';
  const { holder, epoch, seq, ttlMs, nonce, acquiredBy, payload } = value;
  if (value.group !== group) return `group is not ${group}`;
  if (typeof holder !== 'string' || !(holder === '' || labelPattern.test(holder))) return 'holder is no region name';
  if (!isCount(epoch)) return 'epoch is no whole number from 0';
  if (!isCount(seq)) return 'seq is no whole number from 0';
  if (!isCount(ttlMs) || ttlMs === 0 || ttlMs > maxTtlMs) return `ttlMs is not within 1 and ${maxTtlMs}`;
  if (!isWord(nonce) || nonce === '') return 'nonce is missing or too long';
  if (!isObject(acquiredBy) || !modes.includes(acquiredBy.mode as string)) return 'acquiredBy.mode is unknown';
  if (!isWord(acquiredBy.actor) || !isWord(acquiredBy.reason)) return 'acquiredBy lacks actor or reason';
  if (payload === undefined) return 'payload is missing';
  return undefined;
}

/** Reads a lease that a store holds. Throws UpstreamRefused when it is none: a broken register is not an empty one. */
export function readLease(system: string, group: string, text: string): Lease {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  const problem = leaseProblem(group, value);
  if (problem === undefined) return pick(value as Lease);
  throw new CatalystError(
    'UpstreamRefused',
    `${system} holds something for group ${group} that is no lease: ${problem}`,
    {
      hint: 'Somebody else writes there. Give the witness a place of its own, and remove what is not a lease.',
    },
  );
}

/** Only what belongs to a lease, so that foreign fields do not live on. */
function pick({ group, holder, epoch, seq, ttlMs, nonce, acquiredBy, payload }: Lease): Lease {
  const { mode, actor, reason } = acquiredBy;
  return { group, holder, epoch, seq, ttlMs, nonce, acquiredBy: { mode, actor, reason }, payload: payload as Json };
}

/**
 * Checks what is about to be written, before it is sent: a lease, small enough, and newer than what it replaces, because
 * a version that comes back would let a delayed write of old pass as new. Returns its text. Throws BadRequest, TooLarge.
 */
export function writableText(group: string, expect: LeaseVersion | undefined, next: Lease): string {
  const problem = labelPattern.test(group) ? writeProblem(group, expect, next) : 'the group is no DNS label';
  if (problem !== undefined)
    throw new CatalystError('BadRequest', `The lease of ${group} cannot be written: ${problem}.`);
  const text = leaseText(next);
  const bytes = new TextEncoder().encode(text).length;
  if (bytes <= maxLeaseBytes) return text;
  throw new CatalystError('TooLarge', `The lease of ${group} has ${bytes} bytes, more than ${maxLeaseBytes}.`, {
    hint: 'Its payload is for positions, not for data.',
  });
}

function writeProblem(group: string, expect: LeaseVersion | undefined, next: Lease): string | undefined {
  const problem = leaseProblem(group, next);
  if (problem !== undefined || expect === undefined) return problem;
  if (!isCount(expect.epoch) || !isCount(expect.seq)) return 'the expected version is no version';
  return next.epoch < expect.epoch || next.seq <= expect.seq
    ? `version ${versionText(next)} does not follow ${versionText(expect)}`
    : undefined;
}

/** `3.17` */
export function versionText(version: LeaseVersion): string {
  return `${version.epoch}.${version.seq}`;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isWord(value: unknown): value is string {
  return typeof value === 'string' && value.length <= maxWordBytes;
}
