/** The API as the command line calls it. */
import { randomUUID } from 'node:crypto';
import { CatalystError, type ErrorCode, errorCodes, messageOf } from '../errors.ts';
import type { Connection } from './connection.ts';
import type { CliIo } from './io.ts';

export type Item = Record<string, unknown>;
export interface ItemPage {
  items: Item[];
  next?: string;
}
export interface StreamEvent {
  id: number;
  event: string;
  data: Item | undefined;
}

/** A read answers in 20 s at most; a little more for the way. */
const requestLimitMs = 25_000;
/** Checking the whole record takes minutes. */
const verifyLimitMs = 310_000;
/** A command is tried again, with the same Idempotency-Key, when the server was away. */
const attempts = 4;
/** First wait between tries and between connections of the stream, doubled up to half a minute. */
const firstWaitMs = 500;
const longestWaitMs = 30_000;

export class Client {
  readonly #connection: Connection;
  readonly #io: CliIo;

  constructor(connection: Connection, io: CliIo) {
    this.#connection = connection;
    this.#io = io;
  }

  async get<T = Item>(path: string, query: Record<string, string | undefined> = {}): Promise<T> {
    const search = new URLSearchParams(
      Object.entries(query).filter((entry): entry is [string, string] => entry[1] !== undefined),
    );
    const limit = path.endsWith('/verify') ? verifyLimitMs : requestLimitMs;
    const response = await this.#send('GET', `${path}${search.size > 0 ? `?${search}` : ''}`, {}, limit);
    return (await this.#read(response)) as T;
  }

  /** An answer that is text, not JSON. */
  async text(path: string): Promise<string> {
    const response = await this.#send('GET', path, {}, requestLimitMs);
    return response.ok ? response.text() : String(await this.#read(response));
  }

  /** Every item of a list, page by page, up to `limit`. */
  async list(path: string, query: Record<string, string | undefined>, limit: number): Promise<Item[]> {
    const items: Item[] = [];
    let after: string | undefined;
    do {
      const page: ItemPage = await this.get(path, {
        ...query,
        after,
        limit: String(Math.min(limit - items.length, 200)),
      });
      items.push(...page.items);
      after = page.next;
    } while (after !== undefined && items.length < limit);
    return items;
  }

  /** A command, carried out once however often it has to be sent. */
  async post(path: string, body?: Item): Promise<Item> {
    const headers = {
      'idempotency-key': randomUUID(),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    };
    for (let attempt = 1, wait = firstWaitMs; ; attempt++, wait *= 2) {
      try {
        return (await this.#read(await this.#send('POST', path, headers, requestLimitMs, body))) as Item;
      } catch (error) {
        if (!(error instanceof CatalystError) || !error.retryable || attempt === attempts) throw error;
        this.#io.err(`${error.message} Trying again.`);
        await this.#io.clock.sleep(wait, this.#io.signal);
      }
    }
  }

  /**
   * The record as it grows, from behind `after` on, or from now. Once it stands, `onReady` is called with the position,
   * and it connects again, without a gap, until the signal is aborted. A server that was never there is an error.
   */
  async *events(
    after: number | undefined,
    signal: AbortSignal,
    onReady?: (position: number) => void,
  ): AsyncGenerator<StreamEvent> {
    let position = after;
    let connected = false;
    for (let wait = firstWaitMs; !signal.aborted; wait = Math.min(wait * 2, longestWaitMs)) {
      try {
        const headers: Record<string, string> = position === undefined ? {} : { 'last-event-id': String(position) };
        const response = await this.#send('GET', '/api/v1/stream', headers, undefined, undefined, signal);
        if (!response.ok) await this.#read(response);
        for await (const event of parseStream(response.body ?? new ReadableStream())) {
          wait = firstWaitMs;
          position = event.id;
          if (!connected) onReady?.(position);
          connected = true;
          if (event.data !== undefined && event.event === 'record') yield event;
        }
      } catch (error) {
        if (signal.aborted) return;
        if (!connected || (error instanceof CatalystError && !error.retryable)) throw error;
      }
      if (signal.aborted) return;
      this.#io.err('The stream was interrupted; connecting again.');
      await this.#io.clock.sleep(wait, signal).catch(() => {});
    }
  }

  async #send(
    method: string,
    path: string,
    headers: Record<string, string>,
    limitMs: number | undefined,
    body?: Item,
    signal: AbortSignal = this.#io.signal,
  ): Promise<Response> {
    const { server, token, from } = this.#connection;
    try {
      return await this.#io.fetch(`${server}${path}`, {
        method,
        headers: { ...headers, ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) },
        // A redirect would carry the token to who knows where.
        redirect: 'error',
        signal: limitMs === undefined ? signal : AbortSignal.any([signal, AbortSignal.timeout(limitMs)]),
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
    } catch (error) {
      if (signal.aborted) throw error;
      const cause = error instanceof Error && error.cause ? error.cause : error;
      throw new CatalystError('UpstreamUnavailable', `The server ${server} does not answer: ${messageOf(cause)}.`, {
        cause: error,
        hint: `Is it running, and is its address (from ${from}) right?`,
      });
    }
  }

  async #read(response: Response): Promise<unknown> {
    const text = await response.text();
    let body: unknown;
    try {
      body = text === '' ? {} : JSON.parse(text);
    } catch {
      throw new CatalystError(
        'UpstreamRefused',
        `The server answered ${response.status} with something that is not JSON.`,
        {
          hint: 'Is this the address of Catalyst SRE?',
        },
      );
    }
    if (response.ok) return body;
    throw problemError(body, response.status, this.#connection);
  }
}

function problemError(body: unknown, status: number, { token, from }: Connection): CatalystError {
  const { code, detail, hint, details } = (body ?? {}) as Record<string, unknown>;
  const known =
    typeof code === 'string' && code in errorCodes
      ? (code as ErrorCode)
      : status >= 500
        ? 'UpstreamUnavailable'
        : 'UpstreamRefused';
  const advice =
    known === 'Unauthenticated'
      ? token === undefined
        ? `No token was sent (server from ${from}). Set CATALYST_SRE_TOKEN or CATALYST_SRE_TOKEN_FILE, or give --token-file.`
        : 'Check the token: it is not one the server knows.'
      : hint;
  return new CatalystError(known, typeof detail === 'string' ? detail : `The server answered ${status}.`, {
    ...(typeof advice === 'string' ? { hint: advice } : {}),
    ...(typeof details === 'object' && details !== null ? { details: details as Record<string, unknown> } : {}),
  });
}

/** Server-sent events (WHATWG HTML, §9.2.6), as far as our server writes them. */
export async function* parseStream(body: ReadableStream<Uint8Array>): AsyncGenerator<StreamEvent> {
  const decoder = new TextDecoder();
  let buffer = '';
  let id = 0;
  for await (const chunk of body as unknown as AsyncIterable<Uint8Array>) {
    buffer += decoder.decode(chunk, { stream: true });
    for (let end = buffer.indexOf('\n\n'); end >= 0; end = buffer.indexOf('\n\n')) {
      let event = 'message';
      let data: string | undefined;
      for (const line of buffer.slice(0, end).split('\n')) {
        if (line.startsWith('id: ')) id = Number(line.slice(4));
        else if (line.startsWith('event: ')) event = line.slice(7);
        else if (line.startsWith('data: ')) data = line.slice(6);
      }
      buffer = buffer.slice(end + 2);
      yield { id, event, data: data === undefined ? undefined : (JSON.parse(data) as Item) };
    }
  }
}
