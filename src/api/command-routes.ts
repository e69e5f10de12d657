/** What people and programs can do to incidents and runs. */
import Type from 'typebox';
import { CatalystError } from '../errors.ts';
import type { Json } from '../integrations/contract.ts';
import type { Actor, Permission } from './access.ts';
import { command, IdempotencyHeader } from './command.ts';
import { type Api, actorOf, answers, found } from './fastify.ts';
import type { ApiPorts } from './ports.ts';
import { IdParameter, NameParameter, presentIncident, presentRun } from './read-routes.ts';
import { Incident, Run } from './views.ts';

const closed = { additionalProperties: false } as const;
const comment = (description: string) => Type.String({ description, minLength: 1, maxLength: 4096 });
const maybe = Type.Optional;

/** A body that may be left out altogether: `null` is what a request without one has. */
const optional = <T extends Parameters<typeof Type.Object>[0]>(properties: T, description: string) =>
  Type.Union([Type.Object(properties, { ...closed, description }), Type.Null()], { description });

const version = maybe(
  Type.Integer({ description: 'Version of the incident you saw; a newer one is a Conflict.', minimum: 1 }),
);
const Acknowledge = optional(
  { comment: maybe(comment('Why, or what you are about to do.')), version },
  'Acknowledging.',
);
const Escalate = optional({ comment: maybe(comment('What you need.')), version }, 'Asking for help.');
const Resolve = Type.Object({ resolution: comment('What the cause was and what ended it.') }, closed);
const Note = Type.Object({ text: comment('The note.') }, closed);
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

/** What every command route has in common. */
function about(operationId: string, summary: string, tag: string, access: Permission) {
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

function incidentCommands(app: Api, ports: ApiPorts): void {
  const { incidentCommands: commands, incidents, idempotencyKeys: keys } = ports;
  const visible = async (id: string, actor: Actor) =>
    found(await incidents.find(id, actor.organization), 'incident', id);
  const answer = async (id: string, actor: Actor) => ({
    status: 200,
    body: presentIncident(await visible(id, actor)) as Json,
  });

  const acknowledge = about(
    'acknowledgeIncident',
    'Takes an incident: stops its escalation',
    'incidents',
    'incident.act',
  );
  app.post(
    '/api/v1/incidents/:id/acknowledge',
    {
      ...acknowledge,
      schema: { ...acknowledge.schema, params: IdParameter, body: Acknowledge, response: answers(Incident) },
    },
    (request, reply) => {
      const actor = actorOf(request);
      const { id } = request.params;
      return command(keys, request, reply, async () => {
        await visible(id, actor);
        await commands.acknowledge(id, actor, request.body ?? {});
        return answer(id, actor);
      });
    },
  );

  const escalate = about(
    'escalateIncident',
    'Asks for help: pages the next step of the escalation policy now',
    'incidents',
    'incident.act',
  );
  app.post(
    '/api/v1/incidents/:id/escalate',
    { ...escalate, schema: { ...escalate.schema, params: IdParameter, body: Escalate, response: answers(Incident) } },
    (request, reply) => {
      const actor = actorOf(request);
      const { id } = request.params;
      return command(keys, request, reply, async () => {
        await visible(id, actor);
        await commands.escalate(id, actor, request.body ?? {});
        return answer(id, actor);
      });
    },
  );

  const resolve = about('resolveIncident', 'Resolves an incident', 'incidents', 'incident.act');
  app.post(
    '/api/v1/incidents/:id/resolve',
    { ...resolve, schema: { ...resolve.schema, params: IdParameter, body: Resolve, response: answers(Incident) } },
    (request, reply) => {
      const actor = actorOf(request);
      const { id } = request.params;
      return command(keys, request, reply, async () => {
        await visible(id, actor);
        await commands.resolve(id, actor, request.body.resolution);
        return answer(id, actor);
      });
    },
  );

  const note = about('noteIncident', 'Adds a note to the timeline of an incident', 'incidents', 'incident.act');
  app.post(
    '/api/v1/incidents/:id/notes',
    { ...note, schema: { ...note.schema, params: IdParameter, body: Note, response: answers(Incident) } },
    (request, reply) => {
      const actor = actorOf(request);
      const { id } = request.params;
      return command(keys, request, reply, async () => {
        await visible(id, actor);
        await commands.note(id, actor, request.body.text);
        return answer(id, actor);
      });
    },
  );
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
