/**
 * An S3-compatible bucket as a witness, by conditional writes: `If-None-Match: *` creates, `If-Match: <ETag>` replaces.
 * 412 says that the object is another one by now; 409 that somebody writes at this very moment, which is tried again
 * (docs.aws.amazon.com, "Conditional writes"). Not every store that calls itself compatible implements them: the
 * conformance checks find those that do not.
 */
import { AwsClient } from 'aws4fetch';
import type { Clock } from '../../clock.ts';
import { CatalystError } from '../../errors.ts';
import { createHttpClient, type HttpAnswer } from '../../integrations/http-client.ts';
import type { TlsMaterial } from '../../integrations/http-transport.ts';
import { type Lease, type LeaseVersion, sameVersion } from '../lease.ts';
import { maxLeaseBytes, readLease, writableText } from './lease-text.ts';
import type { CasAnswer, Witness } from './witness.ts';

export interface S3WitnessOptions {
  name: string;
  /** `https://s3.eu-central-1.amazonaws.com`; the bucket is part of the path. */
  url: string;
  bucket: string;
  region: string;
  /** Keys begin with it. */
  prefix: string;
  credentials: () => Promise<{ accessKeyId: string; secretAccessKey: string }>;
  tls?: () => Promise<TlsMaterial>;
  clock: Clock;
}

/** 409 means that another conditional write is under way; those take milliseconds. */
const busyAttempts = 4;
const busyWaitMs = 100;
/** HTTP dates count whole seconds, so two of them may differ by almost one more than they show. */
const dateGrainMs = 1_000;

interface Stored {
  etag: string;
  lease: Lease;
  expired: boolean | undefined;
}

export function createS3Witness(options: S3WitnessOptions): Witness {
  const { name, clock } = options;
  const system = `witness ${name} (S3)`;
  const http = createHttpClient({
    system,
    baseUrl: options.url,
    maxBytes: 2 * maxLeaseBytes,
    ...(options.tls === undefined ? {} : { tls: options.tls }),
  });
  /** The ETag of the version last seen, so that a renewal is one request. Wrong knowledge costs a 412, never a lease. */
  const known = new Map<string, { version: LeaseVersion; etag: string }>();
  const pathOf = (group: string) => `/${options.bucket}/${options.prefix}${group}.json`;

  const request = async (
    method: 'GET' | 'PUT',
    group: string,
    conditions: Record<string, string>,
    body: string | undefined,
    accept: readonly number[],
    signal: AbortSignal,
  ): Promise<HttpAnswer> => {
    const { accessKeyId, secretAccessKey } = await options.credentials();
    const client = new AwsClient({ accessKeyId, secretAccessKey, region: options.region, service: 's3' });
    const path = pathOf(group);
    const headers = { ...conditions, ...(body === undefined ? {} : { 'content-type': 'application/json' }) };
    const signed = await client.sign(new URL(options.url).origin + path, {
      method,
      headers,
      ...(body === undefined ? {} : { body }),
      aws: { datetime: new Date(clock.now()).toISOString().replaceAll(/[:-]|\.\d{3}/g, '') },
    });
    return http.request(
      { clock, signal },
      { method, path, headers: Object.fromEntries(signed.headers), accept, ...(body === undefined ? {} : { body }) },
    );
  };

  const read = async (group: string, signal: AbortSignal): Promise<Stored | undefined> => {
    const answer = await request('GET', group, {}, undefined, [404], signal);
    if (answer.status === 404) {
      // A wrong bucket or a page in between is a 404, too, and no empty register.
      if (!answer.body.includes('<Code>NoSuchKey</Code>')) throw strange(system, 'it answers 404 and not NoSuchKey');
      known.delete(group);
      return undefined;
    }
    const { etag } = answer.headers;
    if (etag === undefined) throw strange(system, 'it sends no ETag');
    const lease = readLease(system, group, answer.body);
    known.set(group, { version: lease, etag });
    const written = Date.parse(answer.headers['last-modified'] ?? '');
    const now = Date.parse(answer.headers.date ?? '');
    const told = Number.isFinite(written) && Number.isFinite(now);
    return { etag, lease, expired: told ? now - written > lease.ttlMs + dateGrainMs : undefined };
  };

  /** The ETag of exactly this version, or what is there instead. */
  const basisOf = async (
    group: string,
    expect: LeaseVersion,
    signal: AbortSignal,
  ): Promise<string | { current: Lease | undefined }> => {
    const cached = known.get(group);
    if (cached && sameVersion(cached.version, expect)) return cached.etag;
    const stored = await read(group, signal);
    return stored && sameVersion(stored.lease, expect) ? stored.etag : { current: stored?.lease };
  };

  return {
    name,
    read: async (group, { signal }) => {
      const stored = await read(group, signal);
      return { lease: stored?.lease, expired: stored?.expired };
    },
    compareAndSet: async (group, expect, next, { signal }): Promise<CasAnswer> => {
      const text = writableText(group, expect, next);
      for (let attempt = 1; ; attempt++) {
        const basis = expect === undefined ? undefined : await basisOf(group, expect, signal);
        if (typeof basis === 'object') return { result: 'conflict', current: basis.current };
        const condition: Record<string, string> =
          basis === undefined ? { 'if-none-match': '*' } : { 'if-match': basis };
        const answer = await request('PUT', group, condition, text, [404, 409, 412], signal);
        if (answer.status < 300) {
          if (answer.headers.etag === undefined) known.delete(group);
          else known.set(group, { version: next, etag: answer.headers.etag });
          return { result: 'applied' };
        }
        known.delete(group);
        if (answer.status === 409 && attempt < busyAttempts) {
          await clock.sleep(busyWaitMs * attempt, signal);
          continue;
        }
        const current = (await read(group, signal))?.lease;
        if (!sameVersion(current, expect)) return { result: 'conflict', current };
        // Refused, and yet it holds what was expected: rewritten by other hands with the same content, or still busy.
        if (attempt >= busyAttempts)
          throw strange(system, `it refuses a write over the current object with ${answer.status}`);
      }
    },
    close: async () => http.close(),
  };
}

function strange(system: string, what: string): CatalystError {
  return new CatalystError('UpstreamUnavailable', `${system} does not answer as S3 does: ${what}`, {
    hint: 'Check url, bucket and region, and that the store implements conditional writes: catalyst-sre witness check.',
  });
}
