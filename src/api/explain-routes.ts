/** What would be done about an alert, and why not. */
import Type from 'typebox';
import { viewOf } from '../run/explain.ts';
import { type Api, actorOf, answers } from './fastify.ts';
import type { ApiPorts } from './ports.ts';
import { RunbookExplanation as View } from './views.ts';

const maybe = Type.Optional;
const Body = Type.Object(
  {
    alertId: maybe(Type.String({ description: 'An alert the server knows.', maxLength: 64 })),
    labels: maybe(
      Type.Record(Type.String({ maxLength: 1024 }), Type.String({ maxLength: 16_384 }), {
        description: 'Labels of an alert that is only thought of; alertname among them. It is supposed to fire.',
        maxProperties: 256,
      }),
    ),
    runbook: maybe(
      Type.String({ description: 'Hold this runbook against it rather than the one that matches.', maxLength: 253 }),
    ),
    inputs: maybe(
      Type.Record(
        Type.String({ pattern: '^[a-zA-Z][a-zA-Z0-9]{0,62}$' }),
        Type.Union([Type.String({ maxLength: 4096 }), Type.Integer(), Type.Boolean()]),
        { description: 'Inputs of the runbook.', maxProperties: 32, additionalProperties: false },
      ),
    ),
    organization: maybe(
      Type.String({ description: 'Whose runbook, for callers that see the whole Sovereign.', maxLength: 253 }),
    ),
  },
  { additionalProperties: false },
);

export function explainRoutes(app: Api, ports: ApiPorts): void {
  app.post(
    '/api/v1/explanations',
    {
      config: { access: 'run.start' },
      schema: {
        operationId: 'explain',
        summary: 'What would be done about an alert now, with every fact read; nothing is written and nothing is done',
        tags: ['runbooks'],
        body: Body,
        response: answers(View),
      },
    },
    async (request) => viewOf(await ports.explainer.explain({ ...request.body, actor: actorOf(request) })),
  );
}
