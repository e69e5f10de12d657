/**
 * What every server of the sandbox needs from HTTP: a socket on loopback, a body with a limit, an answer, and a stop
 * that really ends. One file so that the servers hold nothing but the shapes of the systems they stand for.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** One request, its body already read. */
export interface Call {
  method: string;
  path: string;
  /** The path, cut at `/` and percent-decoded, without empty parts. */
  parts: string[];
  query: URLSearchParams;
  headers: IncomingMessage['headers'];
  body: string;
  request: IncomingMessage;
  response: ServerResponse;
}

/** What a handler gives back once it has answered, so that no path can forget to. */
export type Answer = ServerResponse;

export type Handler = (call: Call) => Answer | Promise<Answer>;

/** How a server words the errors every server has; each real system has its own shape for them. */
export type ErrorWriter = (call: Pick<Call, 'response'>, status: number, message: string) => Answer;

export interface Listening {
  url: string;
  close(): Promise<void>;
}

export interface ListenOptions {
  host: string;
  /** 0 lets the system choose. */
  port: number;
  handle: Handler;
  /** Answers what goes wrong before or inside the handler. */
  fail: ErrorWriter;
  /** Largest body taken, in bytes. */
  maxBody?: number;
}

/** 3 MiB: what a Kubernetes API server takes; none of the other systems is sent more. */
const DEFAULT_MAX_BODY = 3 * 1024 * 1024;

class BodyTooLarge extends Error {}

/** Starts one server and says where it listens. */
export async function listen(options: ListenOptions): Promise<Listening> {
  const maxBody = options.maxBody ?? DEFAULT_MAX_BODY;
  const server = createServer((request, response) => {
    void serve(options, maxBody, request, response);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port, options.host, resolve);
  });
  const { port } = server.address() as AddressInfo;
  const host = options.host.includes(':') ? `[${options.host}]` : options.host;
  return { url: `http://${host}:${port}`, close: () => closeServer(server) };
}

async function serve(options: ListenOptions, maxBody: number, request: IncomingMessage, response: ServerResponse) {
  try {
    const body = await readBody(request, maxBody);
    const url = new URL(request.url ?? '/', 'http://sandbox');
    const parts = url.pathname
      .split('/')
      .filter((part) => part !== '')
      .map(decodeURIComponent);
    const { method = 'GET', headers } = request;
    await options.handle({
      method,
      path: url.pathname,
      parts,
      query: url.searchParams,
      headers,
      body,
      request,
      response,
    });
  } catch (error) {
    if (response.headersSent) {
      response.destroy();
      return;
    }
    if (error instanceof BodyTooLarge) {
      response.setHeader('connection', 'close');
      options.fail({ response }, 413, `the body is larger than ${maxBody} bytes`);
    } else if (error instanceof URIError || (error as NodeJS.ErrnoException).code === 'ERR_INVALID_URL') {
      options.fail({ response }, 400, 'the path is not a valid percent-encoded URL');
    } else {
      options.fail({ response }, 500, error instanceof Error ? error.message : String(error));
    }
  }
}

async function readBody(request: IncomingMessage, maxBody: number): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxBody) throw new BodyTooLarge();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

/** Answers with JSON. */
export function sendJson(
  { response }: Pick<Call, 'response'>,
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
): Answer {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  return response.end(`${JSON.stringify(body)}\n`);
}

/** Answers with text, or with nothing at all. */
export function sendText(
  { response }: Pick<Call, 'response'>,
  status: number,
  body = '',
  contentType = 'text/plain; charset=utf-8',
): Answer {
  response.writeHead(status, body === '' ? {} : { 'content-type': contentType });
  return response.end(body);
}

/** Breaks the connection without a word, as a process that is not there does. */
export function hangUp({ response }: Pick<Call, 'response'>): Answer {
  return response.destroy();
}

/** The credentials of an `Authorization` header under one of the given schemes (case-insensitive), if any. */
export function credentials(call: Call, ...schemes: string[]): string | undefined {
  const [scheme = '', value] = (call.headers.authorization ?? '').split(/\s+/, 2);
  return schemes.some((s) => s.toLowerCase() === scheme.toLowerCase()) ? value : undefined;
}
