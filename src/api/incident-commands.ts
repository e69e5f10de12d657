/** What people and programs can do to incidents. */
import Type, { type Static, type TSchema } from 'typebox';
import type { Json } from '../integrations/contract.ts';
import type { Actor } from './access.ts';
import { about, closed, command, comment, optional } from './command.ts';
import { type Api, actorOf, answers, found } from './fastify.ts';
import type { ApiPorts } from './ports.ts';
import { IdParameter, presentIncident } from './read-routes.ts';
import { Incident } from './views.ts';

const maybe = Type.Optional;
const version = (of: string) =>
  maybe(Type.Integer({ description: `Version of ${of} you saw; a newer one is a Conflict.`, minimum: 1 }));

const Acknowledge = optional(
  { comment: maybe(comment('Why, or what you are about to do.')), version: version('the incident') },
  'Acknowledging.',
);
const Escalate = optional(
  { comment: maybe(comment('What you need.')), version: version('the incident') },
  'Asking for help.',
);
const Resolve = Type.Object(
  {
    resolution: comment('What the cause was and what ended it.'),
    falseAlarm: maybe(Type.Boolean({ description: 'Nothing was wrong: it does not count in statistics.' })),
  },
  closed,
);
const Note = Type.Object({ text: comment('The note.') }, closed);
const Merge = Type.Object(
  {
    into: Type.String({ description: 'The incident that goes on.', minLength: 1, maxLength: 64 }),
    version: version('the incident that ends'),
    intoVersion: version('the incident that goes on'),
  },
  closed,
);
/** Alerts of one split: those of a storm leave by a merge of what stays. */
const mostAlerts = 1000;
const Split = Type.Object(
  {
    alerts: Type.Array(Type.String({ minLength: 1, maxLength: 64 }), {
      description: 'Ids of the alerts that leave; at least one has to stay.',
      minItems: 1,
      maxItems: mostAlerts,
    }),
    title: maybe(Type.String({ description: 'Title of the new one.', minLength: 1, maxLength: 256 })),
    version: version('the incident'),
  },
  closed,
);

export function incidentCommands(app: Api, { incidentCommands: commands, incidents, idempotencyKeys }: ApiPorts): void {
  const visible = async (id: string, actor: Actor) =>
    found(await incidents.find(id, actor.organization), 'incident', id);

  /** A command on one incident the caller sees; `act` returns the id of the incident to answer with, if another. */
  function add<Body extends TSchema>(
    verb: string,
    [operationId, summary]: readonly [string, string],
    body: Body,
    act: (id: string, body: Static<Body>, actor: Actor) => Promise<string | undefined>,
  ): void {
    const base = about(operationId, summary, 'incidents', 'incident.act');
    app.post(
      `/api/v1/incidents/:id/${verb}`,
      { ...base, schema: { ...base.schema, params: IdParameter, body: body as TSchema, response: answers(Incident) } },
      (request, reply) => {
        const actor = actorOf(request);
        const { id } = request.params;
        return command(idempotencyKeys, request, reply, async () => {
          await visible(id, actor);
          const other = await act(id, request.body as Static<Body>, actor);
          return { status: 200, body: presentIncident(await visible(other ?? id, actor)) as Json };
        });
      },
    );
  }

  add(
    'acknowledge',
    ['acknowledgeIncident', 'Takes an incident: stops its escalation'],
    Acknowledge,
    (id, body, actor) => nothing(commands.acknowledge(id, actor, body ?? {})),
  );
  add(
    'escalate',
    ['escalateIncident', 'Asks for help: pages the next step of the escalation policy now'],
    Escalate,
    (id, body, actor) => nothing(commands.escalate(id, actor, body ?? {})),
  );
  add('resolve', ['resolveIncident', 'Resolves an incident'], Resolve, (id, { resolution, falseAlarm }, actor) =>
    nothing(commands.resolve(id, actor, resolution, falseAlarm ?? false)),
  );
  add('notes', ['noteIncident', 'Adds a note to the timeline of an incident'], Note, (id, { text }, actor) =>
    nothing(commands.note(id, actor, text)),
  );
  add(
    'merge',
    ['mergeIncident', 'Merges an incident into another one of its Organization, which is answered with'],
    Merge,
    async (id, body, actor) => {
      await visible(body.into, actor);
      return commands.merge(id, actor, body);
    },
  );
  add(
    'split',
    ['splitIncident', 'Takes alerts out of an incident into a new one, which is answered with'],
    Split,
    (id, body, actor) => commands.split(id, actor, body),
  );
}

async function nothing(work: Promise<void>): Promise<undefined> {
  await work;
}
