/**
 * The HTTP server: access, errors, headers, limits, and the routes of every room. It listens when the composition root
 * says so, and it closes gracefully: the stream's clients are told, running requests end, new ones get 503.
 */
import { randomUUID } from 'node:crypto';
import rateLimit from '@fastify/rate-limit';
import swagger from '@fastify/swagger';
import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv';
import formats from 'ajv-formats';
import fastify, { type FastifyRequest } from 'fastify';
import type { Clock } from '../clock.ts';
import { CatalystError } from '../errors.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/meter.ts';
import { parseTraceparent, type Tracing } from '../telemetry/trace.ts';
import { type AccessToken, type Actor, authenticate, isAllowed } from './access.ts';
import { acknowledgeRoutes, linkKeyRoutes } from './acknowledge-routes.ts';
import { commandRoutes } from './command-routes.ts';
import { consoleRoutes } from './console-routes.ts';
import { drillRoutes } from './drill-routes.ts';
import { explainRoutes } from './explain-routes.ts';
import type { Api } from './fastify.ts';
import { Feed } from './feed.ts';
import { healthRoutes } from './health-routes.ts';
import { type HookOptions, hookRoutes } from './hook-routes.ts';
import { incidentRoutes } from './incident-routes.ts';
import { onCallRoutes } from './on-call-routes.ts';
import type { ApiPorts } from './ports.ts';
import { answerUnreadable, commonHeaders, installErrorHandling, sendEarlyProblem } from './problem.ts';
import { readRoutes } from './read-routes.ts';
import { recordRoutes } from './record-routes.ts';
import { actorOfSession } from './session/session.ts';
import { installCookies, type LoginOptions, sessionOf, sessionRoutes } from './session-routes.ts';
import { streamRoutes } from './stream-routes.ts';

export interface ApiOptions {
  version: string;
  /** Read at each request, so that a reload of the configuration can change them. */
  tokens: () => readonly AccessToken[];
  hooks: HookOptions;
  clock: Clock;
  log: Log;
  metrics?: Metrics;
  tracing?: Tracing;
  metricsNeedToken?: boolean;
  /** Connections at a time. Default 1000. */
  maxConnections?: number;
  /** The door for people with a browser; without it bearer tokens only. */
  login?: LoginOptions;
  /** Puts on record that somebody read something that not everybody may. */
  noteRead?: (actor: Actor, what: string) => Promise<void>;
  /** Requests of one caller in a minute; deliveries of alerts and probes do not count. Default 6000. */
  requestsPerMinute?: number;
  /** Folder of the built console, served at `/`; where it holds none, `/` says how to build it. */
  consoleDirectory?: string;
}

/** A command's body; deliveries have a limit of their own. */
const commandBytes = 1024 * 1024;
/** Time to send a whole request: 32 MiB at 10 Mbit/s take 27 s. */
const requestTimeoutMs = 60_000;
/** Time to send the headers: a client that drips them holds a connection and nothing else. */
const headersTimeoutMs = 10_000;
/** How often the two limits above are looked at; Node's own 30 s would make 10 s up to 40. */
const timeoutCheckMs = 5_000;
/** Silence on a connection; the stream's heartbeat comes four times as often. */
const connectionTimeoutMs = 60_000;
/** No read or command may take longer; a statement of PostgreSQL is cancelled after 15 s. */
const handlerTimeoutMs = 20_000;
const defaultMaxConnections = 1_000;
/** A hundred a second: a console with many tabs, or a script without a pause, and still no flood. */
const defaultRequestsPerMinute = 6_000;
/** Of one address: a person who mistypes, or an office behind one address, and no guessing. */
const loginsPerMinute = 60;

export async function createApi(ports: ApiPorts, options: ApiOptions): Promise<Api> {
  const app = fastify({
    logger: false,
    bodyLimit: commandBytes,
    requestTimeout: requestTimeoutMs,
    connectionTimeout: connectionTimeoutMs,
    // Idle connections are closed at once when stopping; busy ones end their request.
    forceCloseConnections: 'idle',
    http: { headersTimeout: headersTimeoutMs, connectionsCheckingInterval: timeoutCheckMs },
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: 256 },
    clientErrorHandler: answerUnreadable,
    frameworkErrors: (error, request, reply) => sendEarlyProblem(error, request as never, reply as never),
    requestIdHeader: false,
    genReqId: (request) => {
      const given = request.headers['x-request-id'];
      return typeof given === 'string' && /^[\w.-]{1,64}$/.test(given) ? given : randomUUID();
    },
  }) as unknown as Api;
  app.server.maxConnections = options.maxConnections ?? defaultMaxConnections;
  app.decorateRequest('actor', undefined);
  app.decorateRequest('session', undefined);
  app.decorateRequest('traceparent', undefined);
  app.decorateRequest('endSpan', undefined);
  installTimeLimit(app);
  installValidation(app);
  installErrorHandling(app as never, options.log);
  installHeaders(app);
  await installCookies(app);
  installAccess(app, options);
  await installRateLimits(app, options);
  installNotes(app, options.noteRead);
  installObservation(app, options);
  await app.register(swagger, { openapi: openApiHead(options.version), convertConstToEnum: false });

  const feed = new Feed(ports.record, ports.wakeup, options.clock, (error) =>
    options.log.warn({ err: error }, 'The record cannot be read for the stream; trying again.'),
  );
  hookRoutes(app, ports, options.hooks);
  app.register(async (scope: Api) => {
    readRoutes(scope, ports);
    incidentRoutes(scope, ports);
    onCallRoutes(scope, ports.onCall, options.clock);
    acknowledgeRoutes(scope, ports.acknowledgeLinks, options.log);
    linkKeyRoutes(scope, ports);
    commandRoutes(scope, ports);
    explainRoutes(scope, ports);
    drillRoutes(scope, ports);
    recordRoutes(scope, ports);
    streamRoutes(scope, { feed, clock: options.clock, metrics: options.metrics, sessions: options.login?.sessions });
    if (options.login) sessionRoutes(scope, options.login);
    healthRoutes(scope, ports.health, {
      version: options.version,
      metrics: options.metrics,
      metricsNeedToken: options.metricsNeedToken ?? false,
    });
  });
  if (options.consoleDirectory !== undefined) consoleRoutes(app, options.consoleDirectory);
  await app.ready();
  return app;
}

/** The intake bounds its own time, and a timer for each delivery would cost a twentieth of what taking it costs. */
function installTimeLimit(app: Api): void {
  app.addHook('onRoute', (route) => {
    if (!route.config?.delivery) route.handlerTimeout ??= handlerTimeoutMs;
  });
}

/** Queries and path parameters are text and become what their schema says; bodies are taken as they are. */
function installValidation(app: Api): void {
  // Our own schemas are right: contract.test.ts says so.
  const lenient = new Ajv({ coerceTypes: true, useDefaults: true, strict: false, validateSchema: false });
  const strict = new Ajv({ useDefaults: false, strict: false, validateSchema: false });
  formats.default(lenient);
  formats.default(strict);
  app.setValidatorCompiler(({ schema, httpPart }) =>
    whenAsked(() => (httpPart === 'body' ? strict : lenient).compile(schema as object)),
  );
  app.addHook('preValidation', async (request) => {
    // A request without a body, for commands that need none.
    request.body ??= null;
  });
}

/** Compiles at the first request: two hundred schemas take a tenth of a start, and most are not asked for in a day. */
function whenAsked(compile: () => ValidateFunction): Validator {
  let check: ValidateFunction | undefined;
  const validator: Validator = (data) => {
    check ??= compile();
    const fits = check(data) === true;
    validator.errors = check.errors ?? null;
    return fits;
  };
  return validator;
}

interface Validator {
  (data: unknown): boolean;
  errors?: ErrorObject[] | null;
}

function installHeaders(app: Api): void {
  app.addHook('onRequest', async (request, reply) => {
    reply.headers(commonHeaders(request.id));
  });
}

/** Closed by default: a route says who may call it, or nobody may. */
function installAccess(app: Api, { tokens, login }: ApiOptions): void {
  app.addHook('onRequest', async (request) => {
    if (request.is404) return;
    const { access } = request.routeOptions.config;
    if (access === 'public') return;
    const { authorization } = request.headers;
    // A token counts for itself: whoever sends one does not speak for the browser's session.
    if (authorization === undefined && login) request.session = await sessionOf(request, login.sessions);
    const actor = request.session ? actorOfSession(request.session) : authenticate(authorization, tokens());
    if (!actor)
      throw new CatalystError('Unauthenticated', 'The bearer token or the session is missing or not known.', {
        hint: 'Log in at the console, or send the header Authorization: Bearer <token> with a token of the configuration.',
      });
    if (access === undefined || !isAllowed(actor.role, access))
      throw new CatalystError('Forbidden', `The role ${actor.role} may not do this.`, {
        hint: `It takes the permission ${access ?? 'nobody has'}; docs/reference/access.md says which roles have it.`,
      });
    request.actor = actor;
  });
}

/** One caller cannot keep the others waiting. Deliveries have no limit: an Alertmanager that is refused never tries again. */
async function installRateLimits(
  app: Api,
  { requestsPerMinute = defaultRequestsPerMinute }: ApiOptions,
): Promise<void> {
  await app.register(rateLimit, { global: false });
  const timeWindow = 60_000;
  const ofActor = app.createRateLimit({
    max: requestsPerMinute,
    timeWindow,
    keyGenerator: (request) => request.actor?.id ?? request.ip,
  });
  const ofAddress = app.createRateLimit({ max: loginsPerMinute, timeWindow, keyGenerator: (request) => request.ip });
  app.addHook('onRequest', async (request, reply) => {
    const { delivery, login } = request.routeOptions.config ?? {};
    if (request.is404 || delivery || (!request.actor && !login)) return;
    const verdict = await (login ? ofAddress : ofActor)(request);
    if (verdict.isAllowed || !verdict.isExceeded) return;
    reply.header('retry-after', String(verdict.ttlInSeconds));
    throw new CatalystError('TooManyRequests', `More than ${verdict.max} requests in a minute.`, {
      hint: `Try again in ${verdict.ttlInSeconds} s; to follow what happens, use GET /api/v1/stream.`,
    });
  });
}

/** Whoever reads what not everybody may is on record before they have it. */
function installNotes(app: Api, noteRead: ApiOptions['noteRead']): void {
  app.addHook('preHandler', async (request) => {
    const { sensitive } = request.routeOptions.config ?? {};
    if (sensitive !== undefined && request.actor) await noteRead?.(request.actor, sensitive);
  });
}

/** Methods of RFC 9110 and PATCH; others are counted together, because a caller can invent them. */
const knownMethods = new Set(['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH']);

function installObservation(app: Api, { metrics, tracing, log }: ApiOptions): void {
  app.addHook('onRequest', async (request) => {
    const header = request.headers.traceparent;
    const parent = typeof header === 'string' && parseTraceparent(header) ? header : undefined;
    request.traceparent = parent;
    if (!tracing) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const attributes = { 'http.request.method': request.method, 'http.route': request.routeOptions.url ?? 'unknown' };
    // The span lasts as long as the request; what the request starts continues its context, hours later if need be.
    void tracing.inSpan(spanName(request), { parent, kind: 'server', attributes }, (span) => {
      request.traceparent = span.traceparent;
      request.endSpan = (status) => {
        span.set({ 'http.response.status_code': status });
        resolve();
      };
      return promise;
    });
  });
  app.addHook('onResponse', async (request, reply) => {
    const { statusCode } = reply;
    request.endSpan?.(statusCode);
    metrics?.measure(
      'httpServerRequestDuration',
      {
        http_request_method: knownMethods.has(request.method) ? request.method : '_OTHER',
        http_route: request.routeOptions.url ?? 'unknown',
        http_response_status_code: String(statusCode),
      },
      reply.elapsedTime / 1000,
    );
    if (request.routeOptions.config?.delivery) metrics?.count('deliveries', { outcome: deliveryOutcome(statusCode) });
    if (log.isLevelEnabled('debug'))
      log.debug(
        { requestId: request.id, method: request.method, route: request.routeOptions.url, status: statusCode },
        'Answered.',
      );
  });
}

function spanName(request: FastifyRequest): string {
  return `${request.method} ${request.routeOptions.url ?? 'unknown'}`;
}

function deliveryOutcome(status: number) {
  if (status < 300) return 'Accepted';
  if (status >= 500) return 'Unavailable';
  if (status === 401) return 'Unauthenticated';
  return status === 413 ? 'TooLarge' : 'Refused';
}

function openApiHead(version: string) {
  return {
    openapi: '3.1.0',
    info: {
      title: 'Catalyst SRE',
      version,
      description:
        'Alerts in, runbooks act, fixes are verified, everything is on record. Lists are paged by cursor, errors are application/problem+json with a stable code, commands honour Idempotency-Key.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    components: {
      securitySchemes: {
        token: { type: 'http' as const, scheme: 'bearer' },
        session: {
          type: 'apiKey' as const,
          in: 'cookie' as const,
          name: '__Host-catalyst-sre',
          description:
            'Of a browser that logged in at /auth/login; changes repeat csrf of GET /api/v1/session in a header.',
        },
      },
    },
    security: [{ token: [] }, { session: [] }],
  };
}
