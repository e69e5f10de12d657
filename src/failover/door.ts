/**
 * The controller's HTTP door: gates and metrics for anyone, status and commands for who has a token. Small on purpose: it
 * has to be up when nothing else is.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { CatalystError, messageOf } from '../errors.ts';
import type { GateReading } from './layers/gate.ts';
import { gateReply, type HttpReply, signedReply } from './layers/gate-answer.ts';
import type { Layer } from './protocol.ts';

export interface DoorToken {
  name: string;
  secret: string;
}

export interface DoorPorts {
  gate(group: string, layer: Layer): GateReading | undefined;
  /** Keys that gates of the group know; undefined where they know none. */
  gateKeys(group: string): Promise<readonly string[] | undefined>;
  metrics(): Promise<string>;
  metricsContentType: string;
  tokens: readonly DoorToken[];
  /** Reads: `status`, `record`. Throws NotFound. */
  read(path: string, query: URLSearchParams): unknown;
  /** Commands on a group: `switchover`, `approve`, `reject`, `confirm`. Throws CatalystError. */
  command(group: string, verb: string, actor: string, body: Readonly<Record<string, unknown>>): Promise<unknown>;
}

export interface Door {
  url: string;
  close(): Promise<void>;
}

/** A command is a reason and a flag or two. */
const maxBodyBytes = 16 * 1024;
/** A request that takes longer comes from somebody who does not mean it. */
const requestLimitMs = 10_000;
const root = '/api/v1/failover/';

export async function openDoor(listen: { host: string; port: number }, ports: DoorPorts): Promise<Door> {
  const hashes = ports.tokens.map(({ name, secret }) => ({ name, hash: sha256(secret) }));
  const server = createServer(
    { requestTimeout: requestLimitMs, headersTimeout: requestLimitMs },
    (request, response) => {
      answer(request, ports, hashes).then(
        (reply) => send(response, reply),
        (error: unknown) => send(response, problem(error)),
      );
    },
  );
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) =>
      reject(
        new CatalystError(
          'NotConfigured',
          `${listen.host}:${listen.port} cannot be listened on: ${messageOf(error)}.`,
          {
            cause: error,
            hint: 'Another process may have it: change "listen".',
          },
        ),
      ),
    );
    server.listen(listen.port, listen.host, () => {
      server.removeAllListeners('error');
      resolve();
    });
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://${listen.host.includes(':') ? `[${listen.host}]` : listen.host}:${port}`,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

interface TokenHash {
  name: string;
  hash: Buffer;
}

async function answer(request: IncomingMessage, ports: DoorPorts, tokens: readonly TokenHash[]): Promise<HttpReply> {
  const url = new URL(request.url ?? '/', 'http://door');
  const path = url.pathname;
  if (path.startsWith('/gate/')) {
    if (request.method !== 'GET' && request.method !== 'HEAD') throw notFound(path);
    const [group = '', layer = 'traffic'] = path.slice('/gate/'.length).split('/').map(decodeURIComponent);
    if (!isLayer(layer)) return gateReply(group, undefined);
    const nonce = url.searchParams.get('nonce');
    // The keys first: what is signed is the gate as it is when the answer leaves.
    const keys = nonce === null ? undefined : await ports.gateKeys(group);
    const reply = gateReply(group, ports.gate(group, layer));
    return nonce === null ? reply : signedReply(reply, keys, { layer, nonce });
  }
  if (path === '/livez' || path === '/readyz') return text(200, 'ok');
  if (path === '/metrics')
    return { ...text(200, await ports.metrics()), headers: { 'content-type': ports.metricsContentType } };
  if (!path.startsWith(root)) throw notFound(path);
  const actor = identify(request, tokens);
  const rest = path.slice(root.length);
  if (request.method === 'GET') return json(200, ports.read(rest, url.searchParams));
  const [, group, verb] = /^groups\/([a-z0-9.-]+)\/([a-z]+)$/.exec(rest) ?? [];
  if (request.method !== 'POST' || group === undefined || verb === undefined) throw notFound(path);
  return json(202, await ports.command(group, verb, actor, await readBody(request)));
}

function isLayer(text: string): text is Layer {
  return text === 'traffic' || text === 'mesh' || text === 'stateful';
}

/** `token/<name>`; every token is compared, so that the time taken tells nothing. */
function identify(request: IncomingMessage, tokens: readonly TokenHash[]): string {
  const [, secret = ''] = /^Bearer (.+)$/.exec(request.headers.authorization ?? '') ?? [];
  const hash = sha256(secret);
  const found = tokens.filter((token) => timingSafeEqual(token.hash, hash));
  const [token] = found;
  if (token) return `token/${token.name}`;
  throw new CatalystError('Unauthenticated', 'This needs a bearer token of the failover controller.', {
    hint: 'Give --token-file, with a token named under "tokens" in the configuration.',
  });
}

async function readBody(request: IncomingMessage): Promise<Record<string, unknown>> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxBodyBytes) throw new CatalystError('TooLarge', `A command has at most ${maxBodyBytes} bytes.`);
    chunks.push(chunk);
  }
  let value: unknown;
  try {
    value = JSON.parse(Buffer.concat(chunks).toString('utf8') || '{}');
  } catch {
    throw new CatalystError('InvalidBody', 'The body is not JSON.');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new CatalystError('InvalidBody', 'The body is not a JSON object.');
  return value as Record<string, unknown>;
}

function sha256(value: string): Buffer {
  return createHash('sha256').update(value).digest();
}

function notFound(path: string): CatalystError {
  return new CatalystError('NotFound', `There is nothing at ${path}.`);
}

function text(status: number, body: string): HttpReply {
  return { status, headers: { 'content-type': 'text/plain; charset=utf-8' }, body };
}

function json(status: number, value: unknown): HttpReply {
  return { status, headers: { 'content-type': 'application/json' }, body: `${JSON.stringify(value)}\n` };
}

/** RFC 9457, as the API of the control plane answers. */
function problem(error: unknown): HttpReply {
  const known = error instanceof CatalystError ? error : new CatalystError('Internal', messageOf(error));
  const { status, code, message: detail, hint } = known;
  const body = { title: code, status, code, detail, ...(hint === undefined ? {} : { hint }) };
  return { status, headers: { 'content-type': 'application/problem+json' }, body: `${JSON.stringify(body)}\n` };
}

function send(response: ServerResponse, { status, headers, body }: HttpReply): void {
  response.writeHead(status, headers).end(body);
}
