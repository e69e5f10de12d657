/** Errors on their way out: every one becomes a problem+json with a stable code, and none tells a secret or a stack. */
import { randomUUID } from 'node:crypto';
import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { isConnectionError, unavailable } from '../database/open.ts';
import { CatalystError, messageOf } from '../errors.ts';
import type { Log } from '../telemetry/log.ts';
import { scrub } from '../telemetry/scrub.ts';
import type { ProblemView } from './views.ts';

export const problemType = 'application/problem+json; charset=utf-8';

/** Headers of every answer, whatever it is about. */
export function commonHeaders(requestId: string): Record<string, string> {
  return {
    'x-request-id': requestId,
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'DENY',
    'referrer-policy': 'no-referrer',
    'cross-origin-resource-policy': 'same-origin',
    'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
    'cache-control': 'no-store',
  };
}

/** Seconds a caller may wait before it tries again what was Unavailable. */
const retryAfterSeconds = 5;

/** As much of a request as may be said; without `routeOptions` it has no route. */
type Asked = Pick<FastifyRequest, 'url' | 'id'> & Partial<Pick<FastifyRequest, 'routeOptions'>>;

export function problemOf(error: CatalystError, request: Asked): ProblemView {
  return {
    type: `urn:catalyst-sre:error:${error.code}`,
    title: error.code.replaceAll(/(?<=[a-z])(?=[A-Z])/g, ' '),
    status: error.status,
    code: error.code,
    detail: scrub(error.message),
    ...(error.hint === undefined ? {} : { hint: scrub(error.hint) }),
    instance: pathOf(request),
    requestId: request.id,
    ...(Object.keys(error.details).length === 0 ? {} : { details: JSON.parse(scrub(JSON.stringify(error.details))) }),
  };
}

/** Without the query: it may hold what somebody put there by mistake. */
function pathOf({ url, routeOptions }: Asked): string {
  if (routeOptions?.config?.secretPath) return routeOptions.url ?? '/';
  return url.split('?', 1)[0] ?? '/';
}

/** Any thrown thing as one of our errors. What nobody foresaw is Internal, and its message stays in the log. */
export function toCatalystError(error: unknown): CatalystError {
  if (error instanceof CatalystError) return error;
  if (isConnectionError(error)) return unavailable(error);
  const { code = '', statusCode, validation, validationContext } = error as Partial<FastifyError>;
  if (validation) {
    return new CatalystError(
      'BadRequest',
      `The ${validationContext ?? 'request'} is wrong: ${sentenceOf(validation)}.`,
      {
        cause: error,
        hint: 'See /openapi.json for what this path takes.',
      },
    );
  }
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE')
    return new CatalystError('TooLarge', 'The body is larger than this path takes.', {
      cause: error,
      hint: 'For alerts set max_alerts in the Alertmanager receiver, or raise limits.deliveryBytes.',
    });
  if (code === 'FST_ERR_BAD_URL')
    return new CatalystError('BadRequest', 'The path is not valid percent-encoding.', { cause: error });
  if (code === 'FST_ERR_MAX_PARAM_LENGTH')
    return new CatalystError('NotFound', 'A name in the path is longer than any name is.', { cause: error });
  if (code === 'FST_ERR_HANDLER_TIMEOUT')
    return new CatalystError('Unavailable', 'The answer took too long and was given up.', { cause: error });
  if (
    code === 'FST_ERR_CTP_INVALID_JSON_BODY' ||
    code === 'FST_ERR_CTP_EMPTY_JSON_BODY' ||
    error instanceof SyntaxError
  )
    return new CatalystError('InvalidBody', 'The body is not valid JSON.', {
      cause: error,
      hint: 'Send one JSON object, with Content-Type: application/json.',
    });
  if (code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE')
    return new CatalystError('BadRequest', 'This path takes JSON only.', {
      cause: error,
      hint: 'Send Content-Type: application/json.',
    });
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500)
    return new CatalystError('BadRequest', `The request cannot be read: ${messageOf(error)}.`, { cause: error });
  return new CatalystError('Internal', 'Something went wrong that nobody foresaw.', {
    cause: error,
    hint: 'Look for the request id in the log, and report what you find there.',
  });
}

function sentenceOf(validation: NonNullable<FastifyError['validation']>): string {
  const [first] = validation;
  const path = first?.instancePath.slice(1).replaceAll('/', '.') ?? '';
  const extra = first?.params?.additionalProperty;
  const allowed = first?.params?.allowedValues;
  const what = `${first?.message ?? 'it does not fit'}${typeof extra === 'string' ? ` (${extra})` : ''}${Array.isArray(allowed) ? `: ${allowed.join(', ')}` : ''}`;
  return path === '' ? what : `${path} ${what}`;
}

export function sendProblem(error: CatalystError, request: Asked, reply: FastifyReply): FastifyReply {
  if (error.status === 503) reply.header('retry-after', String(retryAfterSeconds));
  if (error.status === 401) reply.header('www-authenticate', 'Bearer realm="catalyst-sre"');
  return reply.code(error.status).type(problemType).send(problemOf(error, request));
}

/** For what is wrong before a route is found: no hook has seen the request, and nobody knows whether its path is secret. */
export function sendEarlyProblem(thrown: Error, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  return sendProblem(toCatalystError(thrown), { id: request.id, url: '*' }, reply.headers(commonHeaders(request.id)));
}

/**
 * Answers what is no HTTP, or did not arrive whole in its time, on the connection itself, and closes it.
 *
 * A connection on which nothing was said, as browsers and load balancers open them in advance, is closed in silence: an
 * answer would be taken for that to a request which is on its way at this moment, and which a client whose connection was
 * closed sends again by itself. And what came too late is told to try again, since Alertmanager does so after a 5xx only.
 */
export function answerUnreadable(error: Error & { code?: string }, socket: Socket): void {
  if (socket.bytesRead === 0 || !socket.writable) return void socket.destroy();
  const late = error.code === 'ERR_HTTP_REQUEST_TIMEOUT';
  const requestId = randomUUID();
  const problem = problemOf(late ? cameTooLate() : unreadable(error), { id: requestId, url: '*' });
  const body = JSON.stringify(problem);
  const headers = {
    ...commonHeaders(requestId),
    ...(late ? { 'retry-after': String(retryAfterSeconds) } : {}),
    'content-type': problemType,
    'content-length': String(Buffer.byteLength(body)),
    connection: 'close',
  };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.end(`HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status]}\r\n${lines.join('')}\r\n${body}`, () =>
    socket.destroy(),
  );
}

function cameTooLate(): CatalystError {
  return new CatalystError('Unavailable', 'The request did not arrive whole in the time there is for it.', {
    hint: 'Send it again; a delivery that is large goes faster in smaller groups.',
  });
}

function unreadable(error: { code?: string }): CatalystError {
  if (error.code === 'HPE_HEADER_OVERFLOW')
    return new CatalystError('BadRequest', 'The headers are larger than 16 KiB.', { cause: error });
  return new CatalystError('BadRequest', 'This is not HTTP/1.1.', {
    cause: error,
    hint: 'If you meant HTTPS: TLS ends at the proxy in front, not here.',
  });
}

export function installErrorHandling(app: FastifyInstance, log: Log): void {
  app.setErrorHandler((thrown, request, reply) => {
    const error = toCatalystError(thrown);
    const fields = { requestId: request.id, method: request.method, route: request.routeOptions.url, code: error.code };
    if (error.code === 'Internal')
      log.error({ ...fields, err: error.cause ?? error }, 'A request failed in a way nobody foresaw.');
    else log.info({ ...fields, status: error.status }, messageOf(error));
    return sendProblem(error, request, reply);
  });
  app.setNotFoundHandler((request, reply) =>
    sendProblem(
      new CatalystError('NotFound', `There is nothing at ${request.method} ${request.url.split('?', 1)[0]}.`, {
        hint: 'See /openapi.json for what there is.',
      }),
      request,
      reply,
    ),
  );
}
