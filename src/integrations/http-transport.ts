/**
 * One HTTP exchange over Node's own client. It is used instead of `fetch` for three things `fetch` does not offer: a
 * certificate authority per system, a look-up that may refuse an address, and knowing whether anything was sent, which
 * is what tells "certainly without effect" from "perhaps". Redirects are never followed.
 */
import type { Agent, IncomingHttpHeaders, IncomingMessage } from 'node:http';
import https from 'node:https';
import type { LookupFunction } from 'node:net';

// An import would read each of its properties, and one of them loads the whole of undici: a tenth of a short command.
const http = process.getBuiltinModule('node:http');

/** Certificates for TLS; every part optional. */
export interface TlsMaterial {
  ca?: string | Buffer;
  cert?: string | Buffer;
  key?: string | Buffer;
  servername?: string;
  rejectUnauthorized?: boolean;
}

export interface Exchange {
  url: URL;
  method: string;
  headers: Record<string, string>;
  body?: string;
  signal: AbortSignal;
  agent: Agent;
  lookup?: LookupFunction;
}

export interface RawAnswer {
  status: number;
  headers: IncomingHttpHeaders;
  stream: IncomingMessage;
}

/** An exchange that ended without an answer. */
export class TransportError extends Error {
  /** False when the connection was never made, so that the other system cannot have seen the request. */
  readonly sent: boolean;
  constructor(message: string, sent: boolean, cause: unknown) {
    super(message, { cause });
    this.name = 'TransportError';
    this.sent = sent;
  }
}

/** A body larger than the limit. */
export class BodyTooLarge extends Error {
  constructor(limit: number) {
    super(`the answer is larger than ${limit} bytes`);
    this.name = 'BodyTooLarge';
  }
}

/** An agent for a scheme. Writes get one without keep-alive: a reused connection that breaks would leave their outcome unknown. */
export function createAgent(scheme: string, tls: TlsMaterial, keepAlive: boolean): Agent {
  // Idle connections are given up after 30 s, below the minute after which most servers and load balancers close them.
  const options = { keepAlive, ...(keepAlive ? { timeout: 30_000, maxSockets: 32 } : {}) };
  return scheme === 'https:' ? new https.Agent({ ...options, ...tls }) : new http.Agent(options);
}

/** Sends a request and resolves with the head of the answer; the body is still to be read. Throws TransportError. */
export function send(exchange: Exchange): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    let sent = false;
    const { url, method, headers, body, signal, agent, lookup } = exchange;
    const request = (url.protocol === 'https:' ? https : http).request(url, {
      method,
      headers: body === undefined ? headers : { ...headers, 'content-length': String(Buffer.byteLength(body)) },
      agent,
      signal,
      ...(lookup === undefined ? {} : { lookup }),
    });
    request.on('socket', (socket) => {
      const connected = () => {
        sent = true;
      };
      if (!socket.connecting) connected();
      else socket.once(url.protocol === 'https:' ? 'secureConnect' : 'connect', connected);
    });
    request.on('response', (stream) => resolve({ status: stream.statusCode ?? 0, headers: stream.headers, stream }));
    request.on('error', (error) => reject(new TransportError(describe(error), sent, error)));
    request.end(body);
  });
}

/** Reads a body up to a limit. Throws BodyTooLarge, or TransportError when it breaks off. */
export async function readBody(stream: IncomingMessage, maxBytes: number): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > maxBytes) throw new BodyTooLarge(maxBytes);
      chunks.push(chunk);
    }
  } catch (error) {
    stream.destroy();
    if (error instanceof BodyTooLarge) throw error;
    throw new TransportError(`the answer broke off: ${describe(error)}`, true, error);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** Reads a body line by line, each line up to a limit. Throws like `readBody`. */
export async function* readLines(
  stream: IncomingMessage,
  maxLineBytes: number,
  onData: () => void,
): AsyncGenerator<string> {
  let rest = '';
  stream.setEncoding('utf8');
  try {
    for await (const chunk of stream as AsyncIterable<string>) {
      onData();
      rest += chunk;
      const lines = rest.split('\n');
      rest = lines.pop() ?? '';
      if (rest.length > maxLineBytes) throw new BodyTooLarge(maxLineBytes);
      for (const line of lines) if (line.trim() !== '') yield line;
    }
  } catch (error) {
    if (error instanceof BodyTooLarge) throw error;
    throw new TransportError(`the stream broke off: ${describe(error)}`, true, error);
  } finally {
    stream.destroy();
  }
}

function describe(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return describe(error.errors[0]);
  return error instanceof Error ? error.message || error.name : String(error);
}
