/** Our own witness: the HTTP protocol of `http-wire.ts` over a {@link LeaseFile}. */
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import type { Clock } from '../../clock.ts';
import { CatalystError } from '../../errors.ts';
import type { Log } from '../../telemetry/log.ts';
import { type Metrics, metricsContentType } from '../../telemetry/meter.ts';
import { verifier } from '../keys.ts';
import {
  admissionRefusal,
  healthPath,
  type KnownRegion,
  leasePath,
  maxRequestBytes,
  type Refusal,
  readAuthorization,
  readWriteRequest,
  refusal,
  signedText,
  writerRefusal,
} from './http-wire.ts';
import type { LeaseFile } from './lease-file.ts';

export interface WitnessServiceOptions {
  file: LeaseFile;
  regions: readonly KnownRegion[];
  /** How far the clocks of a region and this machine may be apart, ms. */
  maxAgeMs: number;
  /** Certificate and key in PEM; without them plain HTTP, for loopback and for tunnels that encrypt by themselves. */
  tls?: { cert: string; key: string };
  clock: Clock;
  log: Log;
  metrics: Metrics;
}

/** A region has one controller and some retries; a thousand connections are somebody else's. */
const maxConnections = 1_000;
/** A request is 17 KiB at most: what takes longer than a renewal's own limit has no reader any more. */
const requestLimitMs = 5_000;

type Outcome = 'Applied' | 'Conflict' | 'Read' | 'Refused' | 'Failed';

/** The service, not yet listening: `await service.listen({ host, port })`, `await service.close()`. */
export function createWitnessService(options: WitnessServiceOptions): FastifyInstance {
  const { file, clock, metrics } = options;
  const service: FastifyInstance = Fastify({
    logger: false,
    bodyLimit: maxRequestBytes,
    requestTimeout: requestLimitMs,
    connectionTimeout: 60_000,
    forceCloseConnections: true,
    return503OnClosing: true,
    ...(options.tls === undefined ? {} : { https: options.tls }),
  }) as FastifyInstance;
  service.server.maxConnections = maxConnections;
  // Signatures are over the bytes that came, so the body stays text until it is verified.
  service.removeAllContentTypeParsers();
  service.addContentTypeParser('application/json', { parseAs: 'string' }, (_request, body, done) => done(null, body));
  const door = createDoor(options);
  const count = (operation: 'Read' | 'Write', outcome: Outcome) =>
    metrics.count('witnessRequests', { operation, outcome });

  service.get<Group>(leasePath(':group'), (request) => {
    const { group } = request.params;
    door.enter(request, group, '');
    const { lease, expired } = file.read(group);
    count('Read', 'Read');
    return { lease: lease ?? null, expired: expired ?? null };
  });

  service.post<Group>(leasePath(':group'), async (request) => {
    const { group } = request.params;
    const body = typeof request.body === 'string' ? request.body : '';
    const region = door.enter(request, group, body);
    const write = readWriteRequest(group, body);
    if (typeof write === 'string') throw errorOf(refusal(400, 'BadRequest', write));
    const { expect, next } = write;
    const answer = await file.compareAndSet(group, expect, next, (current) => {
      const refused = writerRefusal(region, current, next);
      if (refused) throw errorOf(refused);
    });
    count('Write', answer.result === 'applied' ? 'Applied' : 'Conflict');
    if (answer.result === 'applied') return { result: 'applied', nonce: next.nonce };
    return { result: 'conflict', nonce: next.nonce, current: answer.current ?? null };
  });

  service.get(healthPath, (_request, reply) => {
    const failure = file.failure();
    return reply
      .code(failure === undefined ? 200 : 503)
      .send({ status: failure === undefined ? 'ok' : 'failed', time: clock.now() });
  });
  service.get('/metrics', async (_request, reply) => reply.type(metricsContentType).send(await metrics.render()));

  service.setNotFoundHandler((request, reply) =>
    tellProblem(reply, new CatalystError('NotFound', `There is nothing at ${pathOf(request)}.`)),
  );
  service.setErrorHandler((error, request, reply) => {
    const told = toError(error);
    count(request.method === 'GET' ? 'Read' : 'Write', told.status < 500 ? 'Refused' : 'Failed');
    options.log[told.status < 500 ? 'warn' : 'error'](
      { path: pathOf(request), code: told.code, from: request.ip },
      told.message,
    );
    return tellProblem(reply, told);
  });
  return service;
}

interface Group {
  Params: { group: string };
}

/** Lets a request in whose signature, age and group are right; returns the region that made it. */
function createDoor({ regions, clock, maxAgeMs }: WitnessServiceOptions) {
  const known = new Map(regions.map((region) => [region.name, { region, verify: verifier(region.publicKey) }]));
  return {
    enter(request: FastifyRequest, group: string, body: string): string {
      const authorization = readAuthorization(request.headers.authorization);
      const caller = authorization && known.get(authorization.region);
      const signed =
        authorization &&
        signedText({
          ...authorization,
          method: request.method,
          host: request.headers.host ?? '',
          path: request.url,
          body,
        });
      // One answer for an unknown region and a wrong signature: who asks without a key learns nothing.
      if (!authorization || !caller?.verify(signed ?? '', authorization.signature))
        throw errorOf(
          refusal(401, 'Unauthenticated', 'The request is not signed by the key of a region this witness knows.'),
        );
      const refused = admissionRefusal(authorization, caller.region, group, clock.now(), maxAgeMs);
      if (refused) throw errorOf(refused);
      return caller.region.name;
    },
  };
}

function errorOf({ code, sentence }: Refusal): CatalystError {
  return new CatalystError(code, sentence);
}

function toError(error: unknown): CatalystError {
  if (error instanceof CatalystError) return error;
  const { code = '', statusCode = 500 } = error as { code?: string; statusCode?: number };
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE')
    return new CatalystError('TooLarge', `A request to a witness has at most ${maxRequestBytes} bytes.`, {
      cause: error,
    });
  if (statusCode >= 400 && statusCode < 500)
    return new CatalystError('BadRequest', 'The request cannot be read.', { cause: error });
  return new CatalystError('Internal', 'The witness failed in a way nobody foresaw.', { cause: error });
}

function tellProblem(reply: FastifyReply, error: CatalystError): FastifyReply {
  return reply
    .code(error.status)
    .type('application/problem+json; charset=utf-8')
    .send({
      type: `urn:catalyst-sre:error:${error.code}`,
      status: error.status,
      code: error.code,
      detail: error.message,
    });
}

function pathOf(request: FastifyRequest): string {
  return request.url.split('?', 1)[0] ?? '/';
}
