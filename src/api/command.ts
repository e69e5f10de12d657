/** Commands: what changes something, once per Idempotency-Key. */
import { createHash } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import Type from 'typebox';
import { CatalystError } from '../errors.ts';
import type { Json } from '../integrations/contract.ts';
import type { Permission } from './access.ts';
import { actorOf } from './fastify.ts';
import type { IdempotencyKeys } from './ports.ts';
import { problemOf, problemType, toCatalystError } from './problem.ts';

/** The header of every command. */
export const IdempotencyHeader = Type.Object({
  'idempotency-key': Type.Optional(
    Type.String({ description: 'The same key with the same request gets the same answer, and acts once.' }),
  ),
});

/** Bodies take no field that is not theirs. */
export const closed = { additionalProperties: false } as const;
/** Words of a person: a page at most. */
export const comment = (description: string) => Type.String({ description, minLength: 1, maxLength: 4096 });

/** A body that may be left out altogether: `null` is what a request without one has. */
export const optional = <T extends Parameters<typeof Type.Object>[0]>(properties: T, description: string) =>
  Type.Union([Type.Object(properties, { ...closed, description }), Type.Null()], { description });

/** What every command route has in common. */
export function about(operationId: string, summary: string, tag: string, access: Permission) {
  return {
    config: { access },
    schema: {
      operationId,
      summary,
      tags: [tag],
      headers: IdempotencyHeader,
    },
  };
}

export interface Answer {
  status: number;
  body: Json;
}

/** Printable ASCII, as the draft standard of the header has it; long enough for any UUID or path. */
const keyPattern = /^[\x21-\x7e]{1,255}$/;

/**
 * Carries out a command. With an Idempotency-Key the same request gets the same answer, and is carried out once; another
 * request with the key is refused. An answer that says "try again" is not kept.
 */
export async function command(
  keys: IdempotencyKeys,
  request: FastifyRequest,
  reply: FastifyReply,
  execute: () => Promise<Answer>,
): Promise<FastifyReply> {
  const key = request.headers['idempotency-key'];
  if (key === undefined) return send(reply, await execute());
  if (typeof key !== 'string' || !keyPattern.test(key))
    throw new CatalystError('BadRequest', 'The Idempotency-Key is not 1 to 255 printable characters without a space.');
  const actor = actorOf(request).id;
  const claim = await keys.claim(actor, key, digestOf(request));
  if (claim.kind === 'answered') return send(reply.header('idempotency-replayed', 'true'), claim);
  if (claim.kind === 'otherRequest')
    throw new CatalystError('IdempotencyKeyReused', 'This Idempotency-Key was used with another request.', {
      hint: 'Use a new key for each command, and the same one only to try the same command again.',
    });
  if (claim.kind === 'inProgress')
    throw new CatalystError('Unavailable', 'The same command is being carried out at this moment.', {
      hint: 'Ask again with the same key in a moment to get its answer.',
    });
  const answer = await attempt(execute, request).catch(async (error: unknown) => {
    await keys.release(actor, key);
    throw error;
  });
  await keys.complete(actor, key, answer);
  return send(reply, answer);
}

/** The answer, or the problem it ended in where trying again cannot help. */
async function attempt(execute: () => Promise<Answer>, request: FastifyRequest): Promise<Answer> {
  try {
    return await execute();
  } catch (thrown) {
    const error = toCatalystError(thrown);
    if (error.status >= 500) throw thrown;
    return { status: error.status, body: problemOf(error, request) as Json };
  }
}

function send(reply: FastifyReply, answer: Answer): FastifyReply {
  if (answer.status >= 400) reply.type(problemType);
  return reply.code(answer.status).send(answer.body);
}

function digestOf(request: FastifyRequest): string {
  return createHash('sha256')
    .update(JSON.stringify([request.method, request.url, request.body ?? null]))
    .digest('hex');
}
