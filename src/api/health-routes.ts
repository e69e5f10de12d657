/** Whether it lives, whether it is ready, what it measures, what it offers, and who is asking. */
import Type from 'typebox';
import { type Metrics, metricsContentType } from '../telemetry/meter.ts';
import { rolePermissions } from './access.ts';
import { type Api, actorOf, answers } from './fastify.ts';
import { type OpenApiDocument, openApiDocument } from './openapi.ts';
import type { Health } from './ports.ts';
import { Readiness, Whoami } from './views.ts';

export interface HealthOptions {
  version: string;
  metrics?: Metrics | undefined;
  /** True when /metrics asks for a token. */
  metricsNeedToken: boolean;
}

export function healthRoutes(app: Api, health: Health, options: HealthOptions): void {
  app.get(
    '/livez',
    {
      config: { access: 'public' },
      schema: {
        operationId: 'live',
        summary: 'The process answers; it never asks the database',
        tags: ['health'],
        response: answers(Type.Object({ live: Type.Boolean({ description: 'True.' }) })),
      },
    },
    () => ({ live: true }),
  );

  app.get(
    '/readyz',
    {
      config: { access: 'public' },
      schema: {
        operationId: 'ready',
        summary: 'Alerts can be taken: the database answers',
        tags: ['health'],
        response: { 200: Readiness, 503: Readiness },
      },
    },
    async (_request, reply) => {
      const answer = await health.check();
      return reply.code(answer.ready ? 200 : 503).send(answer);
    },
  );

  if (options.metrics) {
    const { metrics } = options;
    app.get(
      '/metrics',
      { config: { access: options.metricsNeedToken ? 'metrics' : 'public' }, schema: { hide: true } },
      async (_request, reply) => reply.type(metricsContentType).send(await metrics.render()),
    );
  }

  app.get(
    '/api/v1/whoami',
    {
      config: { access: 'read' },
      schema: {
        operationId: 'whoami',
        summary: 'Who the token stands for',
        tags: ['access'],
        response: answers(Whoami),
      },
    },
    (request) => {
      const actor = actorOf(request);
      return { ...actor, permissions: [...rolePermissions[actor.role]], version: options.version };
    },
  );

  let document: OpenApiDocument | undefined;
  app.get('/openapi.json', { config: { access: 'public' }, schema: { hide: true } }, () => {
    document ??= openApiDocument(app);
    return document;
  });
}
