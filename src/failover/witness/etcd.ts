/**
 * etcd 3.4 and newer as a witness, over its JSON gateway. The lease and its version stand under two keys that one
 * transaction compares and writes, so a write is one request. etcd's reads are linearizable unless asked otherwise.
 */
import type { Clock } from '../../clock.ts';
import { CatalystError } from '../../errors.ts';
import { isObject } from '../../integrations/define.ts';
import { createHttpClient, type HttpClientOptions } from '../../integrations/http-client.ts';
import type { Lease } from '../lease.ts';
import { readLease, versionText, writableText } from './lease-text.ts';
import type { Witness } from './witness.ts';

export interface EtcdWitnessOptions {
  name: string;
  /** Where etcd is, how its certificate is checked, and how a client proves who it is. */
  endpoint: Pick<HttpClientOptions, 'baseUrl' | 'tls' | 'redact'>;
  /** For clusters with `auth enable`. */
  login?: () => Promise<{ name: string; password: string }>;
  /** Keys begin with it. */
  prefix: string;
  clock: Clock;
}

const base64 = (text: string) => Buffer.from(text).toString('base64');
/** gRPC's UNAUTHENTICATED, as the gateway passes it on: the token has expired. */
const unauthenticated = 401;

export function createEtcdWitness(options: EtcdWitnessOptions): Witness {
  const { name, clock, prefix, login } = options;
  const system = `witness ${name} (etcd)`;
  let token: string | undefined;
  const http = createHttpClient({
    system,
    ...options.endpoint,
    headers: async () => (token === undefined ? {} : { authorization: token }),
    explain: (body) => (isObject(body) && typeof body.message === 'string' ? body.message : undefined),
  });
  const authenticate = async (signal: AbortSignal): Promise<void> => {
    if (login === undefined) return;
    const answer = await http.json(
      { clock, signal },
      { method: 'POST', path: '/v3/auth/authenticate', json: await login(), safe: true },
    );
    if (!isObject(answer) || typeof answer.token !== 'string') throw strange(system);
    token = answer.token;
  };
  const call = async (
    path: string,
    json: object,
    safe: boolean,
    signal: AbortSignal,
  ): Promise<Record<string, unknown>> => {
    if (login !== undefined && token === undefined) await authenticate(signal);
    const ask = () => http.json({ clock, signal }, { method: 'POST', path, json, safe });
    const answer = await ask().catch(async (error: unknown) => {
      // Refused at the door, so nothing was done: log in again, once.
      if (login === undefined || !(error instanceof CatalystError) || error.details.status !== unauthenticated)
        throw error;
      await authenticate(signal);
      return ask();
    });
    // Every answer of etcd has a header; what has none is something in between.
    if (!isObject(answer) || !isObject(answer.header)) throw strange(system);
    return answer;
  };
  const leaseIn = (group: string, range: unknown): Lease | undefined => {
    const entry = isObject(range) && Array.isArray(range.kvs) ? (range.kvs[0] as unknown) : undefined;
    if (entry === undefined) return undefined;
    if (!isObject(entry) || typeof entry.value !== 'string') throw strange(system);
    return readLease(system, group, Buffer.from(entry.value, 'base64').toString('utf8'));
  };
  const keysOf = (group: string) => ({
    lease: base64(`${prefix}${group}/lease`),
    version: base64(`${prefix}${group}/version`),
  });
  return {
    name,
    read: async (group, { signal }) => {
      const answer = await call('/v3/kv/range', { key: keysOf(group).lease }, true, signal);
      return { lease: leaseIn(group, answer), expired: undefined };
    },
    compareAndSet: async (group, expect, next, { signal }) => {
      const text = writableText(group, expect, next);
      const keys = keysOf(group);
      const compare =
        expect === undefined
          ? { key: keys.version, target: 'CREATE', result: 'EQUAL', create_revision: '0' }
          : { key: keys.version, target: 'VALUE', result: 'EQUAL', value: base64(versionText(expect)) };
      const answer = await call(
        '/v3/kv/txn',
        {
          compare: [compare],
          success: [
            { request_put: { key: keys.lease, value: base64(text) } },
            { request_put: { key: keys.version, value: base64(versionText(next)) } },
          ],
          failure: [{ request_range: { key: keys.lease } }],
        },
        false,
        signal,
      );
      const responses = Array.isArray(answer.responses) ? answer.responses : [];
      if (answer.succeeded === true) {
        if (responses.length !== 2) throw strange(system);
        return { result: 'applied' };
      }
      // protobuf's JSON leaves out a false; the range shows that the other branch was taken.
      const [range] = responses;
      if (!isObject(range) || !isObject(range.response_range)) throw strange(system);
      return { result: 'conflict', current: leaseIn(group, range.response_range) };
    },
    close: async () => http.close(),
  };
}

function strange(system: string): CatalystError {
  return new CatalystError('UpstreamUnavailable', `${system} did not answer as etcd does`, {
    hint: 'Check the address: it is the client URL of etcd, whose JSON gateway answers below /v3.',
  });
}
