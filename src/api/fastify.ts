/** Fastify as this room uses it: TypeBox schemas give the types of requests, and each route says who may call it. */
import type {
  FastifyBaseLogger,
  FastifyInstance,
  FastifyTypeProvider,
  RawReplyDefaultExpression,
  RawRequestDefaultExpression,
  RawServerDefault,
} from 'fastify';
import type { Static, TSchema } from 'typebox';
import { CatalystError } from '../errors.ts';
import type { Actor, Permission } from './access.ts';
import type { Session } from './session/session.ts';

interface TypeBoxProvider extends FastifyTypeProvider {
  validator: this['schema'] extends TSchema ? Static<this['schema']> : unknown;
  /** Answers are checked against their schemas by a test over every route. */
  serializer: unknown;
}

export type Api = FastifyInstance<
  RawServerDefault,
  RawRequestDefaultExpression,
  RawReplyDefaultExpression,
  FastifyBaseLogger,
  TypeBoxProvider
>;

declare module 'fastify' {
  interface FastifyContextConfig {
    /** What the caller must be allowed to do; `public` for everybody. A route without it is closed. */
    access?: Permission | 'public';
    /** True for the doors of alerts: their answers are counted as deliveries. */
    delivery?: boolean;
    /** True for the doors of people who are not known yet: few requests a minute are let through. */
    login?: boolean;
    /** True where the path holds a secret: it is not repeated, not even in an error. */
    secretPath?: boolean;
    /** What is read here that not everybody may: who read it is put on record. */
    sensitive?: string;
  }
  interface FastifyRequest {
    actor: Actor | undefined;
    /** Of a browser; undefined for a bearer token. */
    session: Session | undefined;
    /** W3C trace context of this request, for what it starts. */
    traceparent: string | undefined;
    endSpan: ((status: number) => void) | undefined;
  }
}

/** The caller of a route that is not public. */
export function actorOf(request: { actor: Actor | undefined }): Actor {
  if (!request.actor) throw new CatalystError('Unauthenticated', 'A token is needed.');
  return request.actor;
}

/** The schema of a route's success; `openapi.ts` adds the problem that every route may answer with. */
export function answers(schema: TSchema, status = 200) {
  return { [status]: schema };
}

/** An item, or NotFound. What belongs to another Organization is not found either. */
export function found<T>(item: T | undefined, noun: string, id: string): T {
  if (item === undefined)
    throw new CatalystError('NotFound', `There is no ${noun} ${id}.`, {
      hint: `List them with GET /api/v1/${noun}s; you see what your token's Organization may see.`,
    });
  return item;
}
