/** Game days on this server. Without --drills they are said to be off rather than not there. */
import { CatalystError } from '../errors.ts';
import type { Json } from '../integrations/contract.ts';
import { command, IdempotencyHeader } from './command.ts';
import { type Api, actorOf, answers, found } from './fastify.ts';
import type { ApiPorts, DrillRun, Drills } from './ports.ts';
import { NameParameter } from './read-routes.ts';
import { Drill, DrillRun as DrillRunView, listOf } from './views.ts';

export function drillRoutes(app: Api, ports: ApiPorts): void {
  const offered = (): Drills => {
    if (ports.drills) return ports.drills;
    throw new CatalystError('NotConfigured', 'No drills can be started on this server.', {
      hint: 'They are for a sandbox: catalyst-sre serve --sandbox --drills.',
    });
  };
  app.get(
    '/api/v1/drills',
    {
      config: { access: 'read' },
      schema: {
        operationId: 'listDrills',
        summary: 'Lists drills, and how each went last',
        tags: ['drills'],
        response: answers(listOf(Drill, 'drills')),
      },
    },
    async () => ({
      items: offered()
        .list()
        .map(({ last, ...drill }) => ({ ...drill, ...(last ? { state: last.state } : {}) })),
    }),
  );
  app.get(
    '/api/v1/drills/:name',
    {
      config: { access: 'read' },
      schema: {
        operationId: 'getDrill',
        summary: 'How a drill went last, or goes right now',
        tags: ['drills'],
        params: NameParameter,
        response: answers(DrillRunView),
      },
    },
    async (request) => {
      const { name } = request.params;
      const drill = offered()
        .list()
        .find((one) => one.name === name);
      return present(found(drill?.last, 'drill', name));
    },
  );
  app.post(
    '/api/v1/drills/:name',
    {
      config: { access: 'drill.start' },
      schema: {
        operationId: 'startDrill',
        summary: 'Breaks something in the sandbox on purpose; follow it with GET',
        tags: ['drills'],
        params: NameParameter,
        headers: IdempotencyHeader,
        response: answers(DrillRunView, 202),
      },
    },
    (request, reply) => {
      const actor = actorOf(request);
      return command(ports.idempotencyKeys, request, reply, async () => ({
        status: 202,
        body: present(offered().start(request.params.name, actor)) as unknown as Json,
      }));
    },
  );
}

function present({ startedAt, result, ...run }: DrillRun) {
  return { ...run, startedAt: new Date(startedAt).toISOString(), ...(result ? { result } : {}) };
}
