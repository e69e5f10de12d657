/**
 * The one HTTP client of all integrations: limits of time and size, JSON, errors with a stable code and a truthful
 * `certain`, retries for safe reads only, and no header or secret in any message.
 */

import type { IncomingHttpHeaders } from 'node:http';
import type { LookupFunction } from 'node:net';
import { noLongerWaited } from '../clock.ts';
import { CatalystError } from '../errors.ts';
import type { CallContext } from './contract.ts';
import { type Call, ErrorMaker } from './http-errors.ts';
import { createAgent, type RawAnswer, readBody, readLines, send, type TlsMaterial } from './http-transport.ts';

export interface HttpClientOptions {
  /** Name of the other system, for messages: `Prometheus`. */
  system: string;
  /** Requests go to this URL and the paths below it. */
  baseUrl: string;
  /** Headers for each request, e.g. authorization; called each time, so that a rotated token counts at once. */
  headers?: () => Promise<Record<string, string>>;
  /** Certificates for TLS; called for each request, so that a renewed one counts at once. */
  tls?: () => Promise<TlsMaterial>;
  lookup?: LookupFunction;
  /** Limit for one request, ms. Default 10 s: an instant query or an API call that takes longer is not going to end well. */
  timeoutMs?: number;
  /** Limit for one answer. Default 16 MiB: a list of some thousand pods fits. */
  maxBytes?: number;
  /** The other system's own words from the body of an error. */
  explain?: (body: unknown) => string | undefined;
  /** Blanks out secrets in what the other system said. */
  redact?: (text: string) => string;
}

export interface HttpRequest {
  method?: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Below the base URL, with a leading slash. */
  path: string;
  query?: Readonly<Record<string, string | undefined>>;
  headers?: Readonly<Record<string, string>>;
  /** A value sent as JSON. */
  json?: unknown;
  /** A text sent as it is, with its own `content-type` header. */
  body?: string;
  /** Statuses that are an answer and not an error, beside 2xx. */
  accept?: readonly number[];
  /** True when the request changes nothing, whatever its method: it may be tried again. Default: GET and HEAD. */
  safe?: boolean;
  timeoutMs?: number;
  /** Limit for this answer. */
  maxBytes?: number;
}

export interface HttpAnswer {
  status: number;
  headers: IncomingHttpHeaders;
  body: string;
}

export interface HttpClient {
  /** The answer, when it is 2xx or accepted. Throws CatalystError otherwise; `details.status` holds the status. */
  request(context: CallContext, request: HttpRequest): Promise<HttpAnswer>;
  /** The body of the answer, parsed. */
  json(context: CallContext, request: HttpRequest): Promise<unknown>;
  /** The answer's lines as they come, until it ends. Throws TimedOut when nothing comes for `idleMs`. */
  lines(context: CallContext, request: HttpRequest, idleMs: number): AsyncGenerator<string>;
  close(): void;
}

const defaultTimeoutMs = 10_000;
const defaultMaxBytes = 16 * 1024 * 1024;
/** Tries of a safe read in all. Three bridge a restart of one replica; more would eat up the caller's limit. */
const readAttempts = 3;
/** Wait before the second try; doubled for the third. */
const readBackoffMs = 200;
/** A system that asks for a longer wait than this is left to the caller's own retry. */
const maxRetryAfterMs = 3_000;

export function createHttpClient(options: HttpClientOptions): HttpClient {
  return new NodeHttpClient(options);
}

class NodeHttpClient implements HttpClient {
  readonly #options: HttpClientOptions;
  readonly #errors: ErrorMaker;
  readonly #agents: AgentPool;

  constructor(options: HttpClientOptions) {
    this.#options = options;
    this.#errors = new ErrorMaker(options);
    this.#agents = new AgentPool(options.tls);
  }

  async request(context: CallContext, wanted: HttpRequest): Promise<HttpAnswer> {
    const call = callOf(this.#options.baseUrl, wanted);
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#once(context, wanted, call);
      } catch (error) {
        const wait = retryWait(error, attempt);
        if (!call.safe || wait === undefined || context.signal.aborted) throw error;
        await context.clock.sleep(wait, context.signal).catch(() => {
          throw error;
        });
      }
    }
  }

  async json(context: CallContext, wanted: HttpRequest): Promise<unknown> {
    const answer = await this.request(context, wanted);
    try {
      return JSON.parse(answer.body) as unknown;
    } catch (error) {
      throw this.#errors.notJson(callOf(this.#options.baseUrl, wanted), error);
    }
  }

  async *lines(context: CallContext, wanted: HttpRequest, idleMs: number): AsyncGenerator<string> {
    const call = callOf(this.#options.baseUrl, wanted);
    const stopper = new AbortController();
    const watch = (): Limit => {
      const limit = startLimit(context, idleMs);
      limit.signal.addEventListener('abort', () => stopper.abort(limit.signal.reason), { once: true });
      return limit;
    };
    let limit = watch();
    const touch = () => {
      limit.end();
      limit = watch();
    };
    try {
      const answer = await this.#open(context, wanted, call, stopper.signal);
      if (answer.status < 200 || answer.status >= 300) {
        const body = await readBody(answer.stream, this.#maxBytes(wanted));
        throw this.#errors.fromStatus(call, answer.status, answer.headers, body);
      }
      yield* readLines(answer.stream, this.#maxBytes(wanted), touch);
    } catch (error) {
      throw this.#errors.from(call, error, limit.reason());
    } finally {
      limit.end();
      stopper.abort(new Error('the reader has gone'));
    }
  }

  close(): void {
    this.#agents.close();
  }

  async #once(context: CallContext, wanted: HttpRequest, call: Call): Promise<HttpAnswer> {
    const limit = startLimit(context, wanted.timeoutMs ?? this.#options.timeoutMs ?? defaultTimeoutMs);
    try {
      const answer = await this.#open(context, wanted, call, limit.signal);
      const body = await readBody(answer.stream, this.#maxBytes(wanted));
      const { status, headers } = answer;
      if ((status >= 200 && status < 300) || wanted.accept?.includes(status)) return { status, headers, body };
      throw this.#errors.fromStatus(call, status, headers, body);
    } catch (error) {
      throw this.#errors.from(call, error, limit.reason());
    } finally {
      limit.end();
    }
  }

  async #open(context: CallContext, wanted: HttpRequest, call: Call, signal: AbortSignal): Promise<RawAnswer> {
    const { lookup } = this.#options;
    const headers: Record<string, string> = { accept: 'application/json', 'user-agent': 'catalyst-sre' };
    if (wanted.json !== undefined) headers['content-type'] = 'application/json';
    if (context.traceparent !== undefined) headers.traceparent = context.traceparent;
    // What the system is configured with comes last: a caller's header never replaces a credential.
    Object.assign(headers, lowerCase(wanted.headers ?? {}), await this.#options.headers?.());
    const body = wanted.json === undefined ? wanted.body : JSON.stringify(wanted.json);
    return send({
      url: call.url,
      method: call.method,
      headers,
      ...(body === undefined ? {} : { body }),
      signal,
      agent: await this.#agents.get(call.url.protocol, call.safe),
      ...(lookup === undefined ? {} : { lookup }),
    });
  }

  #maxBytes(wanted: HttpRequest): number {
    return wanted.maxBytes ?? this.#options.maxBytes ?? defaultMaxBytes;
  }
}

function lowerCase(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}

/** Builds the URL of a request; the path may not leave the base URL's host. */
function callOf(baseUrl: string, request: HttpRequest): Call {
  const base = new URL(baseUrl);
  const url = new URL(base.href);
  const mark = request.path.indexOf('?');
  url.pathname = base.pathname.replace(/\/$/, '') + (mark < 0 ? request.path : request.path.slice(0, mark));
  if (mark >= 0) url.search = request.path.slice(mark);
  for (const [name, value] of Object.entries(request.query ?? {})) {
    if (value !== undefined) url.searchParams.set(name, value);
  }
  const method = request.method ?? 'GET';
  return {
    url,
    method,
    safe: request.safe ?? (method === 'GET' || method === 'HEAD'),
    label: `${method} ${url.pathname}`,
  };
}

/** How long to wait before a safe read is tried again; undefined when it should not be. */
function retryWait(error: unknown, attempt: number): number | undefined {
  if (!(error instanceof CatalystError) || error.code !== 'UpstreamUnavailable' || attempt >= readAttempts)
    return undefined;
  const asked = error.details.retryAfterMs;
  const wait = typeof asked === 'number' ? asked : readBackoffMs * 2 ** (attempt - 1);
  return wait <= maxRetryAfterMs ? wait : undefined;
}

interface Limit {
  signal: AbortSignal;
  /** Why the signal was aborted: the caller's limit, our own, or not at all. */
  reason(): 'caller' | 'own' | undefined;
  end(): void;
}

/** A signal that is aborted with the caller's, or after `ms` by the clock. */
function startLimit(context: CallContext, ms: number): Limit {
  const own = new AbortController();
  const over = new AbortController();
  context.clock.sleep(ms, over.signal).then(
    () => own.abort(new Error(`no answer within ${ms} ms`)),
    () => {},
  );
  return {
    signal: AbortSignal.any([context.signal, own.signal]),
    reason: () => (context.signal.aborted ? 'caller' : own.signal.aborted ? 'own' : undefined),
    end: () => over.abort(noLongerWaited),
  };
}

/** Agents per scheme; made anew when the certificates change. */
class AgentPool {
  readonly #tls: (() => Promise<TlsMaterial>) | undefined;
  #agents = new Map<string, ReturnType<typeof createAgent>>();
  #fingerprint = '';

  constructor(tls: (() => Promise<TlsMaterial>) | undefined) {
    this.#tls = tls;
  }

  async get(scheme: string, keepAlive: boolean) {
    const tls = (scheme === 'https:' ? await this.#tls?.() : undefined) ?? {};
    const fingerprint = [tls.ca, tls.cert, tls.key, tls.servername].map(String).join('\n');
    if (fingerprint !== this.#fingerprint) {
      this.close();
      this.#fingerprint = fingerprint;
    }
    const key = `${scheme}${keepAlive}`;
    const agent = this.#agents.get(key) ?? createAgent(scheme, tls, keepAlive);
    this.#agents.set(key, agent);
    return agent;
  }

  close(): void {
    for (const agent of this.#agents.values()) agent.destroy();
    this.#agents = new Map();
  }
}
