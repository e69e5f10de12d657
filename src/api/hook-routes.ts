/**
 * The doors other systems knock at. A delivery of alerts is taken as bytes and answered 200 only after it is committed;
 * nothing here looks into it. Alertmanager tries again only after a 5xx, so whatever may pass is a 503, never a 429.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import Type from 'typebox';
import { CatalystError } from '../errors.ts';
import { type Api, actorOf, answers } from './fastify.ts';
import type { ApiPorts } from './ports.ts';

/** A push event names up to some thousands of commits. */
const pushBytes = 8 * 1024 * 1024;

/** A secret shared with one repository's webhook. */
export interface PushSecret {
  /** `acme/runbooks`. */
  repository: string;
  secret: string;
}

export interface HookOptions {
  /**
   * Largest delivery taken. A larger one is a 413, which Alertmanager never tries again, so the limit only keeps one
   * request from taking all memory: 32 MiB are some 30,000 alerts in one group.
   */
  deliveryBytes: number;
  pushSecrets: readonly PushSecret[];
}

const Empty = Type.Object({}, { description: 'Taken.' });

export function hookRoutes(app: Api, ports: ApiPorts, options: HookOptions): void {
  app.register(async (hooks: Api) => {
    hooks.removeAllContentTypeParsers();
    // Whatever it is called, even something that is no media type, it is kept as it came: judging comes after the commit.
    hooks.addHook('onRequest', async (request) => {
      request.raw.headers['content-type'] = 'application/octet-stream';
    });
    hooks.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
    deliveryRoutes(hooks, ports, options.deliveryBytes);
    pushRoute(hooks, ports, options.pushSecrets);
  });
}

function deliveryRoutes(hooks: Api, ports: ApiPorts, bodyLimit: number): void {
  const config = { access: 'deliver', delivery: true } as const;
  const deliver = async (request: FastifyRequest, organization: string | undefined) => {
    await ports.intake.accept({
      source: actorOf(request).id.replace(/^token\//, ''),
      organization,
      body: request.body instanceof Uint8Array ? request.body : new Uint8Array(),
      traceparent: request.traceparent,
    });
    return {};
  };
  hooks.post(
    '/hooks/alertmanager',
    {
      config,
      bodyLimit,
      schema: {
        operationId: 'deliverAlerts',
        summary: 'Takes a delivery of Alertmanager (webhook version 4)',
        tags: ['hooks'],
        response: answers(Empty),
      },
    },
    (request) => deliver(request, actorOf(request).organization),
  );
  hooks.post(
    '/api/v1/repos/:org/:repo/actions/dispatches',
    {
      config,
      bodyLimit,
      schema: {
        operationId: 'dispatchAlerts',
        summary: 'The same door under the path the handbook prints in its Alertmanager configuration',
        tags: ['hooks'],
        params: Type.Object({
          org: Type.String({ description: 'Organization the alerts belong to.', maxLength: 253 }),
          repo: Type.String({ description: 'Its repository of runbooks; any name is taken.', maxLength: 253 }),
        }),
        response: answers(Empty),
      },
    },
    (request) => {
      const { organization } = actorOf(request);
      const { org } = request.params;
      if (organization !== undefined && organization !== org)
        throw new CatalystError('Forbidden', `This token belongs to ${organization}, not to ${org}.`, {
          hint: 'Use the token of the Organization in the path, or one of the whole Sovereign.',
        });
      return deliver(request, sovereignRepositories.has(org) ? organization : org);
    },
  );
}

/** Owners of Sovereign-wide repositories (`system/runbooks`): their alerts belong to no Organization. */
const sovereignRepositories: ReadonlySet<string> = new Set(['system']);

function pushRoute(hooks: Api, ports: ApiPorts, secrets: readonly PushSecret[]): void {
  hooks.post(
    '/hooks/gitea',
    {
      config: { access: 'public' },
      bodyLimit: pushBytes,
      schema: {
        operationId: 'pushed',
        summary: 'Takes a push event of Gitea (HMAC-SHA256 in X-Gitea-Signature) and reads the repository again',
        tags: ['hooks'],
        response: answers(
          Type.Object({ refreshing: Type.Boolean({ description: 'Whether a source reads it.' }) }),
          202,
        ),
      },
    },
    async (request, reply) => {
      const body = request.body instanceof Buffer ? request.body : Buffer.alloc(0);
      const allowed = signers(body, request.headers['x-gitea-signature'], secrets);
      if (allowed.length === 0)
        throw new CatalystError('Unauthenticated', 'The signature of the push event is missing or wrong.', {
          hint: 'Set the same secret in the webhook of the repository and in the catalog source (webhookSecretFile).',
        });
      const repository = repositoryOf(body);
      if (!allowed.includes(repository))
        throw new CatalystError('Forbidden', 'The secret that signed this event belongs to another repository.');
      const refreshing = await ports.catalog.refresh(repository);
      return reply.code(202).send({ refreshing });
    },
  );
}

/** The repositories whose secret signed the body. All are tried, each in constant time. */
function signers(body: Buffer, signature: unknown, secrets: readonly PushSecret[]): string[] {
  const presented = Buffer.from(
    typeof signature === 'string' && /^[0-9a-f]{64}$/i.test(signature) ? signature : '',
    'hex',
  );
  return secrets
    .filter(({ secret }) => {
      const expected = createHmac('sha256', secret).update(body).digest();
      return timingSafeEqual(
        expected,
        presented.length === expected.length ? presented : Buffer.alloc(expected.length),
      );
    })
    .map(({ repository }) => repository);
}

function repositoryOf(body: Buffer): string {
  try {
    const event = JSON.parse(body.toString('utf8')) as { repository?: { full_name?: unknown } } | null;
    const name = event?.repository?.full_name;
    if (typeof name === 'string' && /^[\w.-]+\/[\w.-]+$/.test(name)) return name;
  } catch {
    // Told below: what is not JSON names no repository either.
  }
  throw new CatalystError('InvalidBody', 'The event names no repository.', {
    hint: 'Send Gitea push events with the content type application/json.',
  });
}
