/** What people ask about an incident beside what it is. */
import type { IncidentRunbook } from '../run/incident-runbooks.ts';
import { type Api, actorOf, answers, found } from './fastify.ts';
import { IncidentRunbooks } from './incident-views.ts';
import type { ApiPorts } from './ports.ts';
import { IdParameter } from './read-routes.ts';
import { withTimes } from './views.ts';

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
