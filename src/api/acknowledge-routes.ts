/**
 * The link in a page. Looking at it changes nothing, because mail programs and scanners open links; the button does. The
 * token in the path is the only thing that is asked for: it was sent to one receiver, and says so.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import Type from 'typebox';
import type { Log } from '../telemetry/log.ts';
import { acknowledgePage, acknowledgePolicy } from './acknowledge-page.ts';
import { command, IdempotencyHeader } from './command.ts';
import { type Api, actorOf, answers } from './fastify.ts';
import type { AcknowledgeLinks, ApiPorts } from './ports.ts';
import { toCatalystError } from './problem.ts';

/** The button sends an empty form. */
const formBytes = 1024;

export function acknowledgeRoutes(app: Api, links: AcknowledgeLinks, log: Log): void {
  const options = {
    config: { access: 'public', login: true, secretPath: true },
    schema: { hide: true, params: Type.Object({ token: Type.String({ maxLength: 256 }) }) },
  } as const;
  const answer = (reply: FastifyReply, { status, html }: ReturnType<typeof acknowledgePage>) =>
    reply
      .code(status)
      .type('text/html; charset=utf-8')
      .header('content-security-policy', acknowledgePolicy)
      .header('x-robots-tag', 'noindex')
      .send(html);
  const unavailable = (request: FastifyRequest, reply: FastifyReply, thrown: unknown) => {
    const { code } = toCatalystError(thrown);
    log.warn({ requestId: request.id, code }, 'The link of a page could not be answered.');
    return answer(reply, acknowledgePage({ state: 'Unavailable' }, 'NotYet'));
  };

  app.register(async (scope: Api) => {
    scope.addContentTypeParser(
      'application/x-www-form-urlencoded',
      { parseAs: 'string', bodyLimit: formBytes },
      (_request, _body, done) => done(null, null),
    );
    scope.get('/ack/:token', options, async (request, reply) => {
      try {
        return answer(reply, acknowledgePage(await links.look(request.params.token), 'NotYet'));
      } catch (error) {
        return unavailable(request, reply, error);
      }
    });
    scope.post('/ack/:token', options, async (request, reply) => {
      try {
        const { done, now } = await links.acknowledge(request.params.token);
        return answer(reply, acknowledgePage(now, done ? 'Done' : 'TooLate'));
      } catch (error) {
        return unavailable(request, reply, error);
      }
    });
  });
}

/** What to do about links that came into wrong hands. */
export function linkKeyRoutes(app: Api, ports: Pick<ApiPorts, 'idempotencyKeys' | 'replaceLinkKey'>): void {
  app.post(
    '/api/v1/link-key/replace',
    {
      config: { access: 'linkKey.replace' },
      schema: {
        operationId: 'replaceLinkKey',
        summary:
          'Replaces the key of links: those in pages and the addresses of calendars are worth nothing from now on',
        tags: ['access'],
        headers: IdempotencyHeader,
        response: answers(Type.Object({ replaced: Type.Boolean({ description: 'True.' }) })),
      },
    },
    (request, reply) => {
      const actor = actorOf(request);
      return command(ports.idempotencyKeys, request, reply, async () => {
        await ports.replaceLinkKey(actor.id);
        return { status: 200, body: { replaced: true } };
      });
    },
  );
}
