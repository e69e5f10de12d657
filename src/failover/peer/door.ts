/** Where the peer's messages come in: who sent one, when and to whom is checked before the protocol hears of it. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Clock } from '../../clock.ts';
import { CatalystError } from '../../errors.ts';
import type { Log } from '../../telemetry/log.ts';
import { verifier } from '../keys.ts';
import type { PeerMessage } from '../protocol.ts';
import { maxMessageAgeMs, maxMessageBytes, peerPath, readEnvelope, signatureHeader, signedBody } from './peer-wire.ts';
import { type Answering, answerReadiness, readinessPath, type SignedAnswer } from './readiness.ts';

export interface PeerDoorOptions {
  /** Our own region: messages for others are refused. */
  region: string;
  peers: readonly { region: string; publicKey: string }[];
  /** Whether a group is one of ours that this region takes part in. */
  knows: (group: string, region: string) => boolean;
  /** Told each message once. Must not throw. */
  receive: (group: string, message: PeerMessage) => void;
  /** Who is asked whether this region could take over at once. */
  answering: Answering;
  clock: Clock;
  log: Log;
}

export interface PeerDoor {
  /** Whether this region could take over at once, signed. Throws BadRequest, or NotFound. */
  readiness(query: URLSearchParams): SignedAnswer;
  /** Hands a body on, or throws why not: TooLarge, InvalidBody, Unauthenticated, Forbidden, NotFound, Conflict for a replay. */
  accept(body: string, signature: string | undefined): void;
}

export function createPeerDoor(options: PeerDoorOptions): PeerDoor {
  const { region, clock } = options;
  const verifiers = new Map(options.peers.map((peer) => [peer.region, verifier(peer.publicKey)]));
  /** Nonces of messages that are young enough to be replayed, and until when. In order of arrival. */
  const seen = new Map<string, number>();
  const forget = (now: number) => {
    for (const [nonce, until] of seen) {
      if (until >= now) return;
      seen.delete(nonce);
    }
  };
  return {
    readiness: (query) => answerReadiness(query, options.answering),
    accept(body, signature) {
      if (Buffer.byteLength(body) > maxMessageBytes) throw tooLarge();
      const envelope = readEnvelope(body);
      const { from, to, group, time, nonce, message } = envelope;
      // First of all who it is: nothing is remembered or told on the word of a stranger.
      if (!verifiers.get(from)?.(signedBody(body), signature ?? ''))
        throw new CatalystError(
          'Unauthenticated',
          `The message is refused: it is not signed by the key of region ${from}.`,
        );
      if (to !== region)
        throw new CatalystError('Forbidden', `The message is refused: it is for ${to}, and this is ${region}.`);
      const apart = clock.now() - time;
      if (Math.abs(apart) > maxMessageAgeMs)
        throw new CatalystError(
          'Unauthenticated',
          `The message is refused: it is dated ${Math.round(Math.abs(apart) / 1000)} s ${apart > 0 ? 'before' : 'after'} our clock, more than the ${maxMessageAgeMs / 1000} s allowed.`,
          { hint: 'Set the clocks of both regions.' },
        );
      if (!options.knows(group, from))
        throw new CatalystError('NotFound', `The message is refused: we share no group ${group} with ${from}.`);
      const now = clock.monotonic();
      forget(now);
      const key = `${from} ${nonce}`;
      if (seen.has(key)) throw new CatalystError('Conflict', 'The message is refused: it was received before.');
      // As long as its date could pass: what is dated ahead passes until then and the allowed age more.
      seen.set(key, now + 2 * maxMessageAgeMs);
      options.receive(group, message);
    },
  };
}

function tooLarge(): CatalystError {
  return new CatalystError('TooLarge', `The message is refused: it has more than ${maxMessageBytes} bytes.`);
}

export interface ListenOptions {
  host: string;
  port: number;
  /** Certificate and key in PEM. Messages are signed, not secret: plain HTTP gives nothing away but who is active. */
  tls?: { cert: string; key: string };
}

/** A message has arrived in a moment, or its sender has given up. */
const requestLimitMs = 5_000;
const maxConnections = 64;

/** Serves a door over HTTP. Resolves when it listens. */
export async function listenForPeers(
  door: PeerDoor,
  { host, port, tls }: ListenOptions,
  log: Log,
): Promise<{ port: number; close(): Promise<void> }> {
  const limits = { requestTimeout: requestLimitMs, headersTimeout: requestLimitMs, connectionsCheckingInterval: 1_000 };
  const handler = (request: IncomingMessage, response: ServerResponse) => {
    handle(door, request).then(
      (answer) => {
        if (answer === undefined) response.writeHead(204).end();
        else
          response
            .writeHead(200, { 'content-type': 'application/json', [signatureHeader]: answer.signature })
            .end(answer.body);
      },
      (error: unknown) => tellProblem(response, error, log),
    );
  };
  const server: Server = tls ? createTlsServer({ ...limits, ...tls }, handler) : createServer(limits, handler);
  server.maxConnections = maxConnections;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
  return {
    port: (server.address() as AddressInfo).port,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Resolves with what is answered; without anything where a message was taken. */
async function handle(door: PeerDoor, request: IncomingMessage): Promise<SignedAnswer | undefined> {
  // Whoever asks for nothing is told the time, in the header every answer has.
  if (request.url === peerPath && request.method === 'HEAD') return undefined;
  const asked = request.method === 'GET' ? URL.parse(request.url ?? '', 'http://peer') : null;
  if (asked?.pathname === readinessPath) return door.readiness(asked.searchParams);
  if (request.url !== peerPath || request.method !== 'POST')
    throw new CatalystError('NotFound', `There is nothing here but POST ${peerPath}.`);
  if (Number(request.headers['content-length'] ?? 0) > maxMessageBytes) throw tooLarge();
  const chunks: Buffer[] = [];
  let size = 0;
  // Read to its end, or to the limit of time, so that the refusal can be sent; but not kept.
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size <= maxMessageBytes) chunks.push(chunk);
  }
  if (size > maxMessageBytes) throw tooLarge();
  const signature = request.headers[signatureHeader];
  door.accept(Buffer.concat(chunks).toString('utf8'), typeof signature === 'string' ? signature : undefined);
  return undefined;
}

function tellProblem(response: ServerResponse, thrown: unknown, log: Log): void {
  const error =
    thrown instanceof CatalystError
      ? thrown
      : new CatalystError('Internal', 'The message was not handled.', { cause: thrown });
  log[error.status < 500 ? 'warn' : 'error'](
    { code: error.code, from: response.req.socket?.remoteAddress, err: error.status < 500 ? undefined : thrown },
    error.message,
  );
  response
    .writeHead(error.status, { 'content-type': 'application/problem+json; charset=utf-8', connection: 'close' })
    .end(
      JSON.stringify({
        type: `urn:catalyst-sre:error:${error.code}`,
        status: error.status,
        code: error.code,
        detail: error.message,
      }),
    );
}
