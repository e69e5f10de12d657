/** The client of a witness that speaks `http-wire.ts`: our own service, or the Cloudflare Worker. */
import { randomBytes } from 'node:crypto';
import type { Clock } from '../../clock.ts';
import { CatalystError } from '../../errors.ts';
import { isObject } from '../../integrations/define.ts';
import { createHttpClient, type HttpAnswer } from '../../integrations/http-client.ts';
import type { TlsMaterial } from '../../integrations/http-transport.ts';
import type { SigningKey } from '../keys.ts';
import type { Lease } from '../lease.ts';
import { authorizationText, leasePath, signedText } from './http-wire.ts';
import { leaseText, readLease, writableText } from './lease-text.ts';
import type { Witness } from './witness.ts';

export interface HttpWitnessOptions {
  name: string;
  /** `https://witness.example`; no path. */
  url: string;
  region: string;
  key: () => Promise<SigningKey>;
  clock: Clock;
  tls?: () => Promise<TlsMaterial>;
  /** Told the `Date` of each answer to a question that left at `sentAt`. */
  onDate?: (sentAt: number, header: string | undefined) => void;
}

/** An answer is a lease and a few words. */
const maxAnswerBytes = 64 * 1024;

export function createHttpWitness(options: HttpWitnessOptions): Witness {
  const { name, clock } = options;
  const { origin, host } = new URL(options.url);
  const system = `witness ${name}`;
  const http = createHttpClient({
    system,
    baseUrl: origin,
    maxBytes: maxAnswerBytes,
    explain: (body) => (isObject(body) && typeof body.detail === 'string' ? body.detail : undefined),
    ...(options.tls === undefined ? {} : { tls: options.tls }),
  });
  const call = async (method: 'GET' | 'POST', group: string, body: string, signal: AbortSignal): Promise<unknown> => {
    const path = leasePath(group);
    const time = clock.now();
    const nonce = randomBytes(16).toString('base64url');
    const signature = (await options.key()).sign(
      signedText({ method, host, path, region: options.region, time, nonce, body }),
    );
    const headers = { authorization: authorizationText({ region: options.region, time, nonce, signature }) };
    const answer = await http.request(
      { clock, signal },
      {
        method,
        path,
        ...(method === 'GET' ? { headers } : { body, headers: { ...headers, 'content-type': 'application/json' } }),
      },
    );
    options.onDate?.(time, answer.headers.date);
    return parse(system, answer);
  };
  const leaseOf = (group: string, value: unknown): Lease | undefined =>
    value === null ? undefined : readLease(system, group, JSON.stringify(value));
  return {
    name,
    read: async (group, { signal }) => {
      const answer = await call('GET', group, '', signal);
      if (!isObject(answer) || !('lease' in answer)) throw strange(system);
      const { lease, expired } = answer;
      return { lease: leaseOf(group, lease), expired: typeof expired === 'boolean' ? expired : undefined };
    },
    compareAndSet: async (group, expect, next, { signal }) => {
      writableText(group, expect, next);
      const version = expect === undefined ? 'null' : JSON.stringify({ epoch: expect.epoch, seq: expect.seq });
      const answer = await call('POST', group, `{"expect":${version},"next":${leaseText(next)}}`, signal);
      if (!isObject(answer) || answer.nonce !== next.nonce) throw strange(system);
      if (answer.result === 'applied') return { result: 'applied' };
      if (answer.result !== 'conflict' || !('current' in answer)) throw strange(system);
      return { result: 'conflict', current: leaseOf(group, answer.current) };
    },
    close: async () => http.close(),
  };
}

function parse(system: string, answer: HttpAnswer): unknown {
  try {
    return JSON.parse(answer.body);
  } catch {
    throw strange(system);
  }
}

/** Whatever answered, it was not a witness: nothing is known about the register. */
function strange(system: string): CatalystError {
  return new CatalystError('UpstreamUnavailable', `${system} did not answer as a witness does`, {
    hint: 'Check the address, and what stands between here and there.',
  });
}
