/**
 * The door for people with a browser: login at the OpenID provider or by a one-time link, who I am, logout. The session's
 * secret is in a cookie that no script can read; what changes something needs a second word that no other site can read.
 */
import cookies, { type CookieSerializeOptions } from '@fastify/cookie';
import type { FastifyReply, FastifyRequest } from 'fastify';
import Type from 'typebox';
import type { Clock } from '../clock.ts';
import type { Database } from '../database/tables.ts';
import { CatalystError } from '../errors.ts';
import type { Log } from '../telemetry/log.ts';
import { rolePermissions, roles } from './access.ts';
import { type Api, actorOf, answers } from './fastify.ts';
import { toCatalystError } from './problem.ts';
import type { LoginAttempt, Oidc } from './session/oidc.ts';
import { actorOfSession, type Session } from './session/session.ts';
import { insertTicket, takeTicket } from './session/session-store.ts';
import { hashSecret, newSecret, type Sessions, sameSecret } from './session/sessions.ts';
import { withTimes, words } from './views.ts';

export interface LoginOptions {
  sessions: Sessions;
  db: Database;
  clock: Clock;
  log: Log;
  /** Undefined where no provider is configured. */
  oidc: Oidc | undefined;
  /** Whether one-time links can be made. */
  links: boolean;
  /** Where people reach the product; undefined: wherever they came from, which is this machine. */
  publicUrl: string | undefined;
}

/** The header that repeats `csrf` of `GET /api/v1/session`. */
export const csrfHeader = 'x-catalyst-sre-csrf';

/** Time to type a password and a second factor at the provider. */
const attemptFor = 10 * 60_000;

/** Why a login came to nothing, as the console shows it: `/?login=Expired`. */
export const loginProblems = {
  Expired: 'The login took too long, or was begun in another browser.',
  Refused: 'The OpenID provider refused the login.',
  NoRole: 'The person has no role here.',
  Unavailable: 'The OpenID provider does not answer.',
  LinkUsed: 'The link was used before, or has run out.',
} as const;
type LoginProblem = keyof typeof loginProblems;

const Grant = Type.Object({
  role: words(roles, 'The role.'),
  organization: Type.Optional(Type.String({ description: 'The Organization it is for; absent for the Sovereign.' })),
});
const SessionView = Type.Object(
  {
    person: Type.String({ description: 'Who is logged in, as the record names them.' }),
    method: words(['Oidc', 'Link'] as const, 'How they proved it.'),
    role: words(roles, 'The role that counts now.'),
    organization: Type.Optional(Type.String({ description: 'The Organization whose slice is seen; absent for all.' })),
    permissions: Type.Array(Type.String({ description: 'A permission.' }), { description: 'What the role may do.' }),
    grants: Type.Array(Grant, { description: 'Every role the person may take.' }),
    csrf: Type.String({ description: `What the header ${csrfHeader} has to repeat with every change.` }),
    expiresAt: Type.String({ format: 'date-time', description: 'When the session ends at the latest.' }),
  },
  { description: 'The session of the browser that asks.' },
);
const Methods = Type.Object(
  {
    oidc: Type.Boolean({ description: 'Whether there is an OpenID provider: begin at /auth/login.' }),
    links: Type.Boolean({ description: 'Whether one-time links are made: catalyst-sre login.' }),
  },
  { description: 'How one can log in.' },
);
const ReturnTo = Type.Object(
  {
    to: Type.Optional(
      Type.String({
        description: 'Path of this server to go to afterwards.',
        pattern: '^/(?![/\\\\])[^\\\\\\s]*$',
        maxLength: 2048,
      }),
    ),
  },
  { additionalProperties: false },
);

/** The session of a request, from its cookie; undefined without one. Throws Forbidden for a change another site may have sent. */
export async function sessionOf(request: FastifyRequest, sessions: Sessions): Promise<Session | undefined> {
  const sent = cookiesOf(request);
  const secret = sent[cookieNames.secure] ?? sent[cookieNames.plain];
  const session = secret === undefined ? undefined : await sessions.find(secret);
  if (!session || request.method === 'GET' || request.method === 'HEAD') return session;
  const repeated = request.headers[csrfHeader];
  const site = request.headers['sec-fetch-site'];
  if (
    typeof repeated !== 'string' ||
    !sameSecret(repeated, session.csrf) ||
    (site !== undefined && site !== 'same-origin')
  )
    throw new CatalystError('Forbidden', 'A browser session may change something only from the console itself.', {
      hint: `Repeat csrf of GET /api/v1/session in the header ${csrfHeader}; programs use a bearer token.`,
    });
  return session;
}

/** `__Host-`: the browser takes it over HTTPS only, for this very host and all its paths (RFC 6265bis §4.1.3.2). */
const cookieNames = { secure: '__Host-catalyst-sre', plain: 'catalyst-sre' } as const;

export async function installCookies(app: Api): Promise<void> {
  // Read by whoever wants them: a delivery has none, and would look for them all the same.
  await app.register(cookies, { hook: false });
}

function cookiesOf(request: FastifyRequest): Record<string, string | undefined> {
  return request.server.parseCookie(request.headers.cookie ?? '');
}

export function sessionRoutes(app: Api, options: LoginOptions): void {
  const jar = cookieJar(options.publicUrl);
  loginRoutes(app, options, jar);
  linkRoutes(app, options, jar);
  currentSessionRoutes(app, options, jar);
}

interface CookieJar {
  put(reply: FastifyReply, what: 'session' | 'attempt', secret: string, untilMs: number): void;
  take(request: FastifyRequest, what: 'attempt'): string | undefined;
  clear(reply: FastifyReply): void;
}

function cookieJar(publicUrl: string | undefined): CookieJar {
  // Over plain HTTP, which is for this machine only, no browser would keep a secure cookie everywhere.
  const secure = publicUrl?.startsWith('https:') ?? false;
  const name = secure ? cookieNames.secure : cookieNames.plain;
  // Lax, not Strict: the way back from the provider is a navigation from another site, and the console comes after it.
  const attributes: CookieSerializeOptions = { httpOnly: true, secure, sameSite: 'lax', path: '/' };
  const nameOf = (what: 'session' | 'attempt') => (what === 'session' ? name : `${name}-login`);
  return {
    put: (reply, what, secret, forMs) => {
      reply.setCookie(nameOf(what), secret, { ...attributes, maxAge: Math.floor(forMs / 1000) });
    },
    take: (request, what) => cookiesOf(request)[nameOf(what)],
    clear: (reply) => {
      reply.clearCookie(nameOf('session'), attributes);
      reply.clearCookie(nameOf('attempt'), attributes);
    },
  };
}

function loginRoutes(app: Api, { oidc, db, clock, sessions, log }: LoginOptions, jar: CookieJar): void {
  if (!oidc) return;
  const begin = async (to: string, reply: FastifyReply) => {
    const { url, attempt } = await oidc.begin();
    const secret = newSecret();
    const expiresAt = clock.now() + attemptFor;
    await insertTicket(db, { id: hashSecret(secret), purpose: 'Oidc', data: { ...attempt, to }, expiresAt });
    // Only the browser that began can finish: nobody can be logged in as somebody else by a link.
    jar.put(reply, 'attempt', secret, attemptFor);
    return reply.redirect(url, 303);
  };
  app.get(
    '/auth/login',
    { config: { access: 'public', login: true }, schema: { hide: true, querystring: ReturnTo } },
    async (request, reply) => {
      try {
        return await begin(request.query.to ?? '/', reply);
      } catch (error) {
        log.warn({ err: error }, 'A login could not begin.');
        return backToConsole(reply, 'Unavailable');
      }
    },
  );
  app.get(
    '/auth/callback',
    { config: { access: 'public', login: true }, schema: { hide: true } },
    async (request, reply) => {
      const secret = jar.take(request, 'attempt');
      const ticket = secret === undefined ? undefined : await takeTicket(db, hashSecret(secret), 'Oidc', clock.now());
      if (ticket === undefined) return backToConsole(reply, 'Expired');
      const attempt = ticket as LoginAttempt & { to: string };
      try {
        const claimed = await oidc.finish(new URL(request.url, 'http://callback.invalid'), attempt);
        if (!claimed.ok) {
          log.info({ reason: claimed.sentence }, 'A login was refused.');
          return backToConsole(reply, 'NoRole');
        }
        const { session, secret: cookie } = await sessions.begin({ ...claimed, method: 'Oidc' });
        jar.clear(reply);
        jar.put(reply, 'session', cookie, session.expiresAt - clock.now());
        return reply.redirect(attempt.to, 303);
      } catch (thrown) {
        const error = toCatalystError(thrown);
        log.warn({ code: error.code, err: error }, 'A login failed.');
        return backToConsole(reply, error.code === 'Unauthenticated' ? 'Refused' : 'Unavailable');
      }
    },
  );
}

function backToConsole(reply: FastifyReply, problem: LoginProblem): FastifyReply {
  return reply.redirect(`/?login=${problem}`, 303);
}

function linkRoutes(app: Api, { sessions, links, clock }: LoginOptions, jar: CookieJar): void {
  if (!links) return;
  app.get(
    '/auth/link/:secret',
    {
      config: { access: 'public', login: true },
      schema: { hide: true, params: Type.Object({ secret: Type.String({ pattern: '^[A-Za-z0-9_-]{32}$' }) }) },
    },
    async (request, reply) => {
      // A browser says `none` for what a person typed or a terminal opened: no page can log somebody in as somebody else.
      const site = request.headers['sec-fetch-site'];
      if (site !== undefined && site !== 'none' && site !== 'same-origin') return backToConsole(reply, 'LinkUsed');
      const redeemed = await sessions.redeemLink(request.params.secret);
      if (!redeemed) return backToConsole(reply, 'LinkUsed');
      jar.put(reply, 'session', redeemed.secret, redeemed.session.expiresAt - clock.now());
      return reply.redirect('/', 303);
    },
  );
  app.post(
    '/api/v1/login-links',
    {
      config: { access: 'link.make' },
      schema: {
        operationId: 'makeLoginLink',
        summary: 'Makes a link that logs a browser in, once',
        tags: ['access'],
        body: Type.Object(
          {
            person: Type.String({
              description: 'Who it is for, as the record will name them.',
              pattern: '^[a-z0-9][a-z0-9._@-]{0,63}$',
            }),
          },
          { additionalProperties: false },
        ),
        response: answers(
          Type.Object({
            path: Type.String({ description: 'Path of this server to open in the browser.' }),
            expiresAt: Type.String({ format: 'date-time', description: 'When it is worth nothing any more.' }),
          }),
          201,
        ),
      },
    },
    async (request, reply) => {
      const actor = actorOf(request);
      const grant = {
        role: actor.role,
        ...(actor.organization === undefined ? {} : { organization: actor.organization }),
      };
      const link = await sessions.makeLink({ ...grant, person: `user/${request.body.person}` }, actor);
      return reply
        .code(201)
        .send(withTimes({ path: `/auth/link/${link.secret}`, expiresAt: link.expiresAt }, ['expiresAt']));
    },
  );
}

function currentSessionRoutes(app: Api, { sessions, oidc, links }: LoginOptions, jar: CookieJar): void {
  app.get(
    '/auth/methods',
    {
      config: { access: 'public' },
      schema: {
        operationId: 'loginMethods',
        summary: 'How one can log in',
        tags: ['access'],
        response: answers(Methods),
      },
    },
    () => ({ oidc: oidc !== undefined, links }),
  );
  app.get(
    '/api/v1/session',
    {
      config: { access: 'read' },
      schema: { operationId: 'session', summary: 'Who is logged in', tags: ['access'], response: answers(SessionView) },
    },
    (request) => present(browserSession(request)),
  );
  app.post(
    '/api/v1/session/role',
    {
      config: { access: 'read' },
      schema: {
        operationId: 'takeRole',
        summary: 'Takes another of the roles the person has',
        tags: ['access'],
        body: Grant,
        response: answers(SessionView),
      },
    },
    async (request) => present(await sessions.become(browserSession(request), request.body)),
  );
  app.post(
    '/api/v1/session/end',
    {
      config: { access: 'read' },
      schema: {
        operationId: 'logout',
        summary: 'Logs out',
        tags: ['access'],
        response: answers(Type.Object({ ended: Type.Boolean({ description: 'True.' }) })),
      },
    },
    async (request, reply) => {
      await sessions.end(browserSession(request));
      jar.clear(reply);
      return { ended: true };
    },
  );
}

function browserSession(request: FastifyRequest): Session {
  if (!request.session)
    throw new CatalystError('InvalidState', 'A bearer token has no session.', {
      hint: 'Ask GET /api/v1/whoami instead.',
    });
  return request.session;
}

function present(session: Session) {
  const { role, organization } = actorOfSession(session);
  const { person, method, grants, csrf, expiresAt } = session;
  const slice = organization === undefined ? {} : { organization };
  return withTimes(
    { person, method, role, ...slice, permissions: [...rolePermissions[role]], grants, csrf, expiresAt },
    ['expiresAt'],
  );
}
