/** What the components with an HTTP API of their own have in common: where it is, and who asks. */
import type { CallContext } from '../../integrations/contract.ts';
import { isObject } from '../../integrations/define.ts';
import { createHttpClient, type HttpClient, type HttpRequest } from '../../integrations/http-client.ts';
import type { Component } from './layer.ts';

export interface ApiOptions {
  /** Name of the component in its group. */
  name: string;
  /** Base URL of the API in this region. */
  url: string;
  /** `user:password`; undefined asks without. */
  secret: (() => Promise<string>) | undefined;
}

export type ApiEffects = Pick<Component, 'promote' | 'verify' | 'checks' | 'close'> &
  Partial<Pick<Component, 'divergence'>>;

/** One call takes no longer than this, ms: a step has some seconds, and is repeated. */
const callLimitMs = 5_000;

export interface ComponentApi {
  label: string;
  /** The parsed body. Throws CatalystError. */
  json(context: CallContext, request: HttpRequest): Promise<unknown>;
  /** For an answer without a body. */
  send(context: CallContext, request: HttpRequest): Promise<void>;
  /** The status, whatever it is of these. */
  status(context: CallContext, path: string, accept: readonly number[]): Promise<number>;
  close(): void;
}

/** `headers` makes the headers of a user and a password; HTTP's own way where it is not given. */
export function componentApi(
  system: string,
  { url, secret }: ApiOptions,
  headers: (user: string, password: string) => Record<string, string> = basic,
): ComponentApi {
  // Made with the first question: most controllers have no such component.
  let client: HttpClient | undefined;
  const http = () => {
    client ??= createHttpClient({
      system,
      baseUrl: url,
      timeoutMs: callLimitMs,
      explain: reasonOf,
      headers: async () => {
        const pair = await secret?.();
        if (pair === undefined) return {};
        const colon = pair.indexOf(':');
        return headers(pair.slice(0, Math.max(0, colon)), pair.slice(colon + 1));
      },
    });
    return client;
  };
  return {
    label: `${system} at ${new URL(url).host}`,
    json: (context, request) => http().json(context, request),
    send: async (context, request) => {
      await http().request(context, request);
    },
    status: async (context, path, accept) => (await http().request(context, { path, accept })).status,
    close: () => client?.close(),
  };
}

function basic(user: string, password: string): Record<string, string> {
  return { authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}` };
}

/** The words of OpenSearch (`error.reason`), Harbor and Neo4j (`errors[].message`). */
function reasonOf(body: unknown): string | undefined {
  if (!isObject(body)) return undefined;
  const { error, errors } = body;
  if (isObject(error) && typeof error.reason === 'string') return error.reason;
  const first: unknown = Array.isArray(errors) ? errors[0] : undefined;
  return isObject(first) && typeof first.message === 'string' ? first.message : undefined;
}

/** The list under a key, of objects only. */
export function objectsOf(value: unknown, key: string): Record<string, unknown>[] {
  const list = isObject(value) ? value[key] : undefined;
  return Array.isArray(list) ? list.filter(isObject) : [];
}
