/**
 * The one HTTP client of all integrations: limits of time and size, JSON, errors with a stable code and a truthful
 * `certain`, retries for safe reads only, and no header or secret in any message.
 */
import type { IncomingHttpHeaders } from 'node:http';
import type { LookupFunction } from 'node:net';
import { CatalystError, messageOf } from '../errors.ts';
import type { CallContext } from './contract.ts';
import {
  BodyTooLarge,
  createAgent,
  type RawAnswer,
  readBody,
  readLines,
  send,
  type TlsMaterial,
  TransportError,
} from './http-transport.ts';

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

interface Call {
  url: URL;
  method: string;
  safe: boolean;
  /** `GET /api/v1/query`: never the query, which may hold more than a message should. */
  label: string;
}

export function createHttpClient(options: HttpClientOptions): HttpClient {
  const errors = new ErrorMaker(options);
  const agents = new AgentPool(options.tls);

  async function open(context: CallContext, request: HttpRequest, call: Call, signal: AbortSignal): Promise<RawAnswer> {
    const headers: Record<string, string> = { accept: 'application/json', 'user-agent': 'catalyst-sre' };
    if (request.json !== undefined) headers['content-type'] = 'application/json';
    if (context.traceparent !== undefined) headers.traceparent = context.traceparent;
    Object.assign(headers, await options.headers?.(), request.headers);
    const body = request.json === undefined ? request.body : JSON.stringify(request.json);
    return send({
      url: call.url,
      method: call.method,
      headers,
      ...(body === undefined ? {} : { body }),
      signal,
      agent: await agents.get(call.url.protocol, call.safe),
      ...(options.lookup === undefined ? {} : { lookup: options.lookup }),
    });
  }

  async function once(context: CallContext, request: HttpRequest, call: Call): Promise<HttpAnswer> {
    const limit = startLimit(context, request.timeoutMs ?? options.timeoutMs ?? defaultTimeoutMs);
    try {
      const answer = await open(context, request, call, limit.signal);
      const body = await readBody(answer.stream, request.maxBytes ?? options.maxBytes ?? defaultMaxBytes);
      const { status, headers } = answer;
      if ((status >= 200 && status < 300) || request.accept?.includes(status)) return { status, headers, body };
      throw errors.fromStatus(call, status, headers, body);
    } catch (error) {
      throw errors.from(call, error, limit.reason());
    } finally {
      limit.end();
    }
  }

  async function request(context: CallContext, wanted: HttpRequest): Promise<HttpAnswer> {
    const call = callOf(options.baseUrl, wanted);
    for (let attempt = 1; ; attempt++) {
      try {
        return await once(context, wanted, call);
      } catch (error) {
        const wait = retryWait(error, attempt);
        if (!call.safe || wait === undefined || context.signal.aborted) throw error;
        await context.clock.sleep(wait, context.signal).catch(() => {
          throw error;
        });
      }
    }
  }

  async function* lines(context: CallContext, wanted: HttpRequest, idleMs: number): AsyncGenerator<string> {
    const call = callOf(options.baseUrl, wanted);
    let limit = startLimit(context, idleMs);
    const stopper = new AbortController();
    const watchdog = () => {
      limit.signal.addEventListener('abort', () => stopper.abort(limit.signal.reason), { once: true });
    };
    watchdog();
    const touch = () => {
      limit.end();
      limit = startLimit(context, idleMs);
      watchdog();
    };
    try {
      const answer = await open(context, wanted, call, stopper.signal);
      if (answer.status < 200 || answer.status >= 300) {
        const body = await readBody(answer.stream, options.maxBytes ?? defaultMaxBytes);
        throw errors.fromStatus(call, answer.status, answer.headers, body);
      }
      yield* readLines(answer.stream, options.maxBytes ?? defaultMaxBytes, touch);
    } catch (error) {
      throw errors.from(call, error, limit.reason());
    } finally {
      limit.end();
      stopper.abort(new Error('the reader has gone'));
    }
  }

  return {
    request,
    json: async (context, wanted) => {
      const answer = await request(context, wanted);
      try {
        return JSON.parse(answer.body) as unknown;
      } catch (error) {
        throw errors.notJson(callOf(options.baseUrl, wanted), error);
      }
    },
    lines,
    close: () => agents.close(),
  };
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
    end: () => over.abort(),
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

/** Turns what can go wrong into CatalystErrors. */
class ErrorMaker {
  readonly #options: HttpClientOptions;

  constructor(options: HttpClientOptions) {
    this.#options = options;
  }

  fromStatus(call: Call, status: number, headers: IncomingHttpHeaders, body: string): CatalystError {
    const { system } = this.#options;
    const said = this.#said(body);
    const details: Record<string, unknown> = {
      system,
      status,
      request: call.label,
      ...(said === undefined ? {} : { said }),
    };
    const sentence = `${system} answered ${call.label} with ${status}${said === undefined ? '' : `: ${said}`}`;
    if (status >= 300 && status < 400) {
      return new CatalystError(
        'UpstreamRefused',
        `${system} answered ${call.label} with a redirect, which is not followed`,
        {
          details,
          hint: 'Configure the address the system finally answers on.',
          certain: true,
        },
      );
    }
    if (status === 401 || status === 403) {
      return new CatalystError('UpstreamRefused', sentence, {
        details,
        hint: `Check the credentials configured for ${system} and what they may do.`,
        certain: true,
      });
    }
    if (status === 404 || status === 410) return new CatalystError('NotFound', sentence, { details, certain: true });
    if (status === 409 || status === 412) return new CatalystError('Conflict', sentence, { details, certain: true });
    if (status === 429 || status === 425) {
      const retryAfterMs = retryAfter(headers['retry-after']);
      if (retryAfterMs !== undefined) details.retryAfterMs = retryAfterMs;
      // Turned away at the door: nothing was done.
      return new CatalystError('UpstreamUnavailable', sentence, { details, certain: true });
    }
    if (status === 408 || status >= 500) {
      const retryAfterMs = retryAfter(headers['retry-after']);
      if (retryAfterMs !== undefined) details.retryAfterMs = retryAfterMs;
      return new CatalystError('UpstreamUnavailable', sentence, { details, certain: call.safe });
    }
    return new CatalystError('UpstreamRefused', sentence, { details, certain: true });
  }

  from(call: Call, error: unknown, limit: 'caller' | 'own' | undefined): CatalystError {
    if (error instanceof CatalystError) return error;
    const { system } = this.#options;
    const details = { system, request: call.label };
    const certain = call.safe || (error instanceof TransportError && !error.sent);
    if (limit !== undefined) {
      const whose = limit === 'caller' ? 'the limit of time given' : 'the limit of time for one request';
      return new CatalystError('TimedOut', `${system} did not answer ${call.label} within ${whose}`, {
        cause: error,
        details,
        certain,
      });
    }
    if (error instanceof BodyTooLarge) {
      return new CatalystError('UpstreamRefused', `${system}, ${call.label}: ${error.message}`, {
        cause: error,
        details,
        certain: call.safe,
      });
    }
    const sentence = `${system} could not be reached for ${call.label}: ${this.#redact(messageOf(error))}`;
    return new CatalystError('UpstreamUnavailable', sentence, {
      cause: error,
      details,
      certain,
      hint: `Check that ${system} runs and that the address configured for it is right.`,
    });
  }

  notJson(call: Call, cause: unknown): CatalystError {
    const { system } = this.#options;
    // The parser's own message quotes the body, which may hold a secret.
    return new CatalystError('UpstreamRefused', `${system} did not answer ${call.label} with JSON`, {
      cause: new Error(cause instanceof Error ? cause.name : 'SyntaxError'),
      details: { system, request: call.label },
      hint: `Check that the address configured for ${system} is its API and not a page in front of it.`,
      certain: call.safe,
    });
  }

  #said(body: string): string | undefined {
    let said: string | undefined;
    try {
      said = this.#options.explain?.(JSON.parse(body));
    } catch {
      // Not JSON: nothing the other system said on purpose.
    }
    // Long enough for a sentence, short enough for a log line.
    return said === undefined ? undefined : this.#redact(said.replaceAll(/\s+/g, ' ').slice(0, 300));
  }

  #redact(text: string): string {
    return this.#options.redact?.(text) ?? text;
  }
}

/** `Retry-After` in milliseconds where it is given in seconds; a date is left to the caller's own pace. */
function retryAfter(header: string | undefined): number | undefined {
  return header !== undefined && /^[0-9]{1,6}$/.test(header) ? Number(header) * 1000 : undefined;
}
