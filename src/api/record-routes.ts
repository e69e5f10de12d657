/** The record: read, as timeline of an incident, and checked. */
import Type from 'typebox';
import { CatalystError } from '../errors.ts';
import { type Api, actorOf, answers, found } from './fastify.ts';
import type { ApiPorts } from './ports.ts';
import { IdParameter } from './read-routes.ts';
import { ChainVerdict, listOf, PageQuery, RecordEntry, withTimes } from './views.ts';

/** Recomputing the chain reads every entry: about 50,000 a second, so 5 minutes are some 15 million. */
const verifyLimitMs = 300_000;

const After = Type.Optional(
  Type.Integer({
    description: 'Entries behind this number, in the order that is asked for; `next` of the page before.',
    minimum: 0,
  }),
);
const Order = Type.Unsafe<'asc' | 'desc'>(
  Type.String({ description: 'Oldest first, or newest first.', enum: ['asc', 'desc'], default: 'asc' }),
);
const Text = Type.Optional(
  Type.String({
    description:
      'Only those whose kind, actor or sentence contains this, in any case. An answer looks at 5,000 entries at most: it may hold few or none and still have a `next`.',
    minLength: 1,
    maxLength: 200,
  }),
);
const Query = {
  limit: PageQuery.limit,
  after: After,
  order: Order,
};

export function recordRoutes(app: Api, ports: ApiPorts): void {
  const page = async (filter: Parameters<ApiPorts['record']['read']>[0]) => {
    const entries = await ports.record.read({ ...filter, limit: filter.limit + 1 });
    const items = entries.slice(0, filter.limit);
    const next = entries.length > filter.limit ? { next: String(items.at(-1)?.seq) } : {};
    return { items: items.map((entry) => withTimes(entry, ['at'])), ...next };
  };
  const searched = async (filter: Parameters<ApiPorts['record']['search']>[0]) => {
    const { entries, next } = await ports.record.search(filter);
    const items = entries.map((entry) => withTimes(entry, ['at']));
    return next === undefined ? { items } : { items, next: String(next) };
  };
  const sliceOf = (organization: string | undefined) => (organization === undefined ? {} : { organization });
  const maybeId = (of: string) =>
    Type.Optional(Type.String({ description: `Only those of this ${of}.`, maxLength: 64 }));

  app.get(
    '/api/v1/record',
    {
      config: { access: 'record.read', sensitive: 'the record' },
      schema: {
        operationId: 'readRecord',
        summary: 'Reads the record, oldest or newest first',
        tags: ['record'],
        querystring: Type.Object(
          { ...Query, incidentId: maybeId('incident'), runId: maybeId('run'), text: Text },
          { additionalProperties: false },
        ),
        response: answers(listOf(RecordEntry, 'entries')),
      },
    },
    (request) => {
      const { text, ...query } = request.query;
      const filter = { ...query, ...sliceOf(actorOf(request).organization) };
      return text === undefined ? page(filter) : searched({ ...filter, text });
    },
  );

  app.get(
    '/api/v1/record/:seq',
    {
      config: { access: 'record.read' },
      schema: {
        operationId: 'getRecordEntry',
        summary: 'One entry of the record',
        tags: ['record'],
        params: Type.Object({ seq: Type.Integer({ description: 'Its number.', minimum: 1, maximum: 1e15 }) }),
        response: answers(RecordEntry),
      },
    },
    async (request) => {
      const { seq } = request.params;
      const [entry] = await ports.record.read({ after: seq - 1, limit: 1, ...sliceOf(actorOf(request).organization) });
      if (entry?.seq !== seq) throw new CatalystError('NotFound', `There is no entry ${seq} in the record.`);
      return withTimes(entry, ['at']);
    },
  );

  app.get(
    '/api/v1/incidents/:id/timeline',
    {
      config: { access: 'read' },
      schema: {
        operationId: 'getTimeline',
        summary: 'Everything the record says about an incident, oldest or newest first',
        tags: ['incidents'],
        params: IdParameter,
        querystring: Type.Object(Query, { additionalProperties: false }),
        response: answers(listOf(RecordEntry, 'entries')),
      },
    },
    async (request) => {
      const { id } = request.params;
      found(await ports.incidents.find(id, actorOf(request).organization), 'incident', id);
      return page({ ...request.query, incidentId: id });
    },
  );

  app.get(
    '/api/v1/record/verify',
    {
      config: { access: 'record.verify' },
      handlerTimeout: verifyLimitMs,
      schema: {
        operationId: 'verifyRecord',
        summary: 'Recomputes the hash of every entry',
        tags: ['record'],
        response: answers(ChainVerdict),
      },
    },
    (request) => {
      if (actorOf(request).organization !== undefined)
        throw new CatalystError(
          'Forbidden',
          'The chain runs through all Organizations; checking it takes a Sovereign-wide token.',
        );
      return ports.record.verify(request.signal);
    },
  );
}
