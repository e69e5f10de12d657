/** What people and programs can do to incidents and runs. */
import Type from 'typebox';
import { CatalystError } from '../errors.ts';
import type { Json } from '../integrations/contract.ts';
import type { Actor } from './access.ts';
import { about, closed, command, comment, optional } from './command.ts';
import { type Api, actorOf, answers, found } from './fastify.ts';
import { incidentCommands } from './incident-commands.ts';
import type { ApiPorts } from './ports.ts';
import { IdParameter, NameParameter, presentRun } from './read-routes.ts';
import { Run } from './views.ts';

const maybe = Type.Optional;

const Vote = optional(
  {
    comment: maybe(comment('Why.')),
    planDigest: maybe(
      Type.String({ description: 'Digest of the plan you saw; another plan is refused.', maxLength: 64 }),
    ),
  },
  'A vote.',
);
const Cancel = optional({ reason: maybe(comment('Why.')) }, 'Cancelling.');
const Start = optional(
  {
    inputs: maybe(
      Type.Record(
        Type.String({ pattern: '^[a-zA-Z][a-zA-Z0-9]{0,62}$' }),
        Type.Union([Type.String({ maxLength: 4096 }), Type.Integer(), Type.Boolean()]),
        { description: 'Inputs by name, as the runbook declares them.', maxProperties: 32, ...closed },
      ),
    ),
    alertId: maybe(
      Type.String({ description: 'The alert it is about: what the expressions of the runbook see.', maxLength: 64 }),
    ),
    incidentId: maybe(Type.String({ description: 'The incident it is about.', maxLength: 64 })),
    dryRun: maybe(Type.Boolean({ description: 'Say what would be done, and do nothing. Default false.' })),
    organization: maybe(
      Type.String({ description: 'Whose runbook, for callers that see the whole Sovereign.', maxLength: 253 }),
    ),
  },
  'Starting a run.',
);

export function commandRoutes(app: Api, ports: ApiPorts): void {
  incidentCommands(app, ports);
  voteCommand(app, ports, 'approve', 'Approves what the run waits for');
  voteCommand(app, ports, 'reject', 'Rejects what the run waits for; the run ends');
  cancelCommand(app, ports);
  startCommand(app, ports);
  refreshCommand(app, ports);
}

async function runAnswer(ports: ApiPorts, id: string, actor: Actor, status = 200) {
  const run = found(await ports.runs.find(id, actor.organization), 'run', id);
  return { status, body: presentRun(run) as Json };
}

function voteCommand(app: Api, ports: ApiPorts, verb: 'approve' | 'reject', summary: string): void {
  const base = about(`${verb}Run`, summary, 'runs', 'run.approve');
  app.post(
    `/api/v1/runs/:id/${verb}`,
    { ...base, schema: { ...base.schema, params: IdParameter, body: Vote, response: answers(Run) } },
    (request, reply) => {
      const actor = actorOf(request);
      const { id } = request.params as { id: string };
      const vote = (request.body ?? {}) as { comment?: string; planDigest?: string };
      return command(ports.idempotencyKeys, request, reply, async () => {
        await runAnswer(ports, id, actor);
        await ports.runCommands[verb](id, { actor, ...vote });
        return runAnswer(ports, id, actor);
      });
    },
  );
}

function cancelCommand(app: Api, ports: ApiPorts): void {
  const base = about('cancelRun', 'Asks a run to stop before its next step', 'runs', 'run.cancel');
  app.post(
    '/api/v1/runs/:id/cancel',
    { ...base, schema: { ...base.schema, params: IdParameter, body: Cancel, response: answers(Run) } },
    (request, reply) => {
      const actor = actorOf(request);
      const { id } = request.params;
      return command(ports.idempotencyKeys, request, reply, async () => {
        await runAnswer(ports, id, actor);
        await ports.runCommands.cancel(id, actor, request.body?.reason);
        return runAnswer(ports, id, actor);
      });
    },
  );
}

function startCommand(app: Api, ports: ApiPorts): void {
  const base = about('startRun', 'Starts a run of a runbook', 'runbooks', 'run.start');
  app.post(
    '/api/v1/runbooks/:name/runs',
    { ...base, schema: { ...base.schema, params: NameParameter, body: Start, response: answers(Run, 201) } },
    (request, reply) => {
      const actor = actorOf(request);
      const { name } = request.params;
      const { inputs = {}, dryRun = false, organization, alertId, incidentId } = request.body ?? {};
      if (organization !== undefined && actor.organization !== undefined && organization !== actor.organization)
        throw new CatalystError('Forbidden', `This token belongs to ${actor.organization}, not to ${organization}.`);
      const slice = actor.organization ?? organization;
      return command(ports.idempotencyKeys, request, reply, async () => {
        const runbook = found(await ports.runbooks.find(name, slice), 'runbook', name);
        if (actor.organization !== undefined && runbook.organization !== actor.organization)
          throw new CatalystError(
            'Forbidden',
            `Runbook ${name} belongs to the Sovereign; an Organization may only read it.`,
            {
              hint: 'Ask a sovereign-admin to run it.',
            },
          );
        const { runId } = await ports.runCommands.start({
          runbook: name,
          organization: slice,
          inputs,
          dryRun,
          alertId,
          incidentId,
          actor,
          traceparent: request.traceparent,
        });
        return runAnswer(ports, runId, actor, 201);
      });
    },
  );
}

function refreshCommand(app: Api, ports: ApiPorts): void {
  const base = about('refreshCatalog', 'Reads a repository of the catalog again now', 'catalog', 'catalog.refresh');
  const body = Type.Object(
    {
      repository: Type.String({
        description: 'Owner and name: acme/runbooks.',
        pattern: '^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$',
        maxLength: 200,
      }),
    },
    closed,
  );
  const answer = Type.Object({ refreshing: Type.Boolean({ description: 'Whether a source reads it.' }) });
  app.post(
    '/api/v1/catalog/refresh',
    { ...base, schema: { ...base.schema, body, response: answers(answer, 202) } },
    (request, reply) => {
      const { organization } = actorOf(request);
      const { repository } = request.body;
      // What an Organization may not read is not there for it.
      const visible = organization === undefined || repository.startsWith(`${organization}/`);
      return command(ports.idempotencyKeys, request, reply, async () => ({
        status: 202,
        body: { refreshing: visible && (await ports.catalog.refresh(repository)) },
      }));
    },
  );
}
