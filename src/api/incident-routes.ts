/** What people ask about an incident beside what it is. */
import Type from 'typebox';
import { parseDuration } from '../catalog/duration.ts';
import { CatalystError } from '../errors.ts';
import type { IncidentRunbook } from '../run/incident-runbooks.ts';
import { type StatisticsBy, statisticsBy } from '../run/statistics-queries.ts';
import { type Api, actorOf, answers, found } from './fastify.ts';
import { IncidentRunbooks, IncidentStatistics } from './incident-views.ts';
import type { ApiPorts } from './ports.ts';
import { IdParameter } from './read-routes.ts';
import { withTimes } from './views.ts';

/** RFC 7763. */
const markdownType = 'text/markdown';

export function incidentRoutes(app: Api, ports: ApiPorts): void {
  app.get(
    '/api/v1/incidents/:id/runbooks',
    {
      config: { access: 'read' },
      schema: {
        operationId: 'listIncidentRunbooks',
        summary: 'The runbooks for an incident, the one to look at first first, each with why',
        tags: ['incidents'],
        params: IdParameter,
        response: answers(IncidentRunbooks),
      },
    },
    async (request) => {
      const { id } = request.params;
      const known = found(await ports.incidents.runbooks(id, actorOf(request).organization), 'incident', id);
      return withTimes({ ...known, items: known.items.map(presentRunbook) }, ['since']);
    },
  );
  app.get(
    '/api/v1/incidents/:id/review',
    {
      config: { access: 'read' },
      schema: {
        operationId: 'getIncidentReview',
        summary: 'The draft of a post-incident review, as Markdown, from the record',
        tags: ['incidents'],
        params: IdParameter,
        response: {
          200: {
            description: 'The draft.',
            content: { [markdownType]: { schema: Type.String({ description: 'Markdown.' }) } },
          },
        },
      },
    },
    async (request, reply) => {
      const { id } = request.params;
      const review = found(await ports.incidents.review(id, actorOf(request).organization), 'incident', id);
      return reply.type(`${markdownType}; charset=utf-8`).send(review);
    },
  );
  app.get(
    '/api/v1/statistics/incidents',
    {
      config: { access: 'read' },
      schema: {
        operationId: 'getIncidentStatistics',
        summary: 'How incidents went: times to acknowledge and to resolve, and what automation fixed',
        tags: ['incidents'],
        querystring: Type.Object(
          {
            window: Type.String({
              description: 'How far back, as a duration up to a year.',
              maxLength: 32,
              default: '30d',
              examples: ['30d'],
            }),
            by: Type.Unsafe<StatisticsBy>(
              Type.String({ description: 'What the rows are.', enum: [...statisticsBy], default: 'type' }),
            ),
            limit: Type.Integer({ description: 'Rows at most.', minimum: 1, maximum: 500, default: 200 }),
          },
          { additionalProperties: false },
        ),
        response: answers(IncidentStatistics),
      },
    },
    async (request) => {
      const { window, by, limit } = request.query;
      const duration = parseDuration(window);
      if (duration === undefined || duration === 0)
        throw new CatalystError('BadRequest', `${window} is not a duration up to a year.`, { hint: 'Write 30d.' });
      const { organization } = actorOf(request);
      const statistics = await ports.incidents.statistics({ by, window: duration, organization, limit });
      return { by, ...withTimes(statistics, ['from', 'to']) };
    },
  );
}

function presentRunbook({ name, match, sentence, chosen, health, success, ...rest }: IncidentRunbook, index: number) {
  const { suppressed, lastRuns, alertId, runbook } = rest;
  const { organization, source, revision, file, line, digest } = runbook.resource.provenance;
  return {
    rank: index + 1,
    name,
    organization,
    mode: runbook.mode,
    match: match.kind,
    chosen,
    sentence,
    health,
    success,
    suppressed,
    ...{ source, revision, file, line, digest },
    lastRuns: lastRuns.map((run) => withTimes(run, ['createdAt', 'actedAt', 'endedAt'])),
    explain: { runbook: name, alertId },
  };
}
