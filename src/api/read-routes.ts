/** Lists and items of every noun that is only read. */
import Type, { type TProperties, type TSchema } from 'typebox';
import type { ApprovalSummary, DecisionSummary, PageSummary, RunSummary } from '../run/run-queries.ts';
import { type Api, actorOf, answers, found } from './fastify.ts';
import { IncidentType } from './incident-views.ts';
import type { AlertSummary, ApiPorts, IncidentSummary, ListPage, ReadModel } from './ports.ts';
import {
  Alert,
  Approval,
  alertStates,
  approvalStates,
  DeadLetter,
  Decision,
  Incident,
  incidentStates,
  JournalEntry,
  listOf,
  Page,
  PageQuery,
  pageStates,
  Run,
  Runbook,
  RunbookDetail,
  runOutcomes,
  runStates,
  Slo,
  SloDetail,
  severities,
  sloStates,
  withTimes,
  words,
} from './views.ts';

const maybe = Type.Optional;
const byId = (of: string) => maybe(Type.String({ description: `Only those of this ${of}.`, maxLength: 64 }));
export const IdParameter = Type.Object({ id: Type.String({ description: 'Id.', maxLength: 64 }) });
export const NameParameter = Type.Object({ name: Type.String({ description: 'Name.', maxLength: 253 }) });

export const presentAlert = (alert: AlertSummary) => withTimes(alert, ['startsAt', 'endsAt', 'firstSeen', 'lastSeen']);
export const presentIncident = (incident: IncidentSummary) =>
  withTimes(incident, ['openedAt', 'respondBy', 'acknowledgedAt', 'mitigatedAt', 'resolvedAt']);
export const presentRun = (run: RunSummary) => withTimes(run, ['createdAt', 'actedAt', 'endedAt']);
const presentDecision = (decision: DecisionSummary) => withTimes(decision, ['at']);
const presentApproval = (approval: ApprovalSummary) => withTimes(approval, ['requestedAt', 'expiresAt', 'decidedAt']);
const presentPage = (page: PageSummary) => withTimes(page, ['createdAt', 'deliveredAt']);

interface Noun<Summary, Filter, Detail> {
  /** `incident`; its paths are `/api/v1/incidents` and `/api/v1/incidents/:id`. */
  noun: string;
  model: ReadModel<Summary, Filter, Detail>;
  item: TSchema;
  detail?: TSchema;
  filters: TProperties;
  present(summary: Summary): unknown;
  presentDetail?(detail: Detail): unknown;
}

export function readRoutes(app: Api, ports: ApiPorts): void {
  addNoun(app, {
    noun: 'alert',
    model: ports.alerts,
    item: Alert,
    filters: {
      state: maybe(words(alertStates, 'Only those in this state.')),
      name: maybe(Type.String({ description: 'Only those of this name.', maxLength: 253 })),
      incidentId: byId('incident'),
    },
    present: presentAlert,
  });
  addNoun(app, {
    noun: 'incident',
    model: ports.incidents,
    item: Incident,
    filters: {
      state: maybe(words(incidentStates, 'Only those in this state.')),
      severity: maybe(words(severities, 'Only those of this severity.')),
    },
    present: presentIncident,
  });
  addNoun(app, {
    noun: 'incident-type',
    model: ports.incidentTypes,
    item: IncidentType,
    filters: {},
    present: (type) => type,
  });
  addNoun(app, {
    noun: 'run',
    model: ports.runs,
    item: Run,
    filters: {
      state: maybe(words(runStates, 'Only those in this state.')),
      outcome: maybe(words(runOutcomes, 'Only those that ended so.')),
      runbook: maybe(Type.String({ description: 'Only those of this runbook.', maxLength: 253 })),
      incidentId: byId('incident'),
      alertId: byId('alert'),
    },
    present: presentRun,
  });
  addNoun(app, {
    noun: 'runbook',
    model: ports.runbooks,
    item: Runbook,
    detail: RunbookDetail,
    filters: {},
    present: (runbook) => runbook,
    presentDetail: (runbook) => runbook,
  });
  addNoun(app, {
    noun: 'slo',
    model: ports.slos,
    item: Slo,
    detail: SloDetail,
    filters: {
      state: maybe(words(sloStates, 'Only those that stand so.')),
      service: maybe(Type.String({ description: 'Only those of this service.', maxLength: 253 })),
      ofOrganization: maybe(
        Type.String({
          description: 'As this Organization sees them: its own, and of the others only its budgets.',
          maxLength: 63,
        }),
      ),
    },
    present: (slo) => slo,
    presentDetail: (slo) => slo,
  });
  addNoun(app, {
    noun: 'decision',
    model: ports.decisions,
    item: Decision,
    filters: { alertId: byId('alert'), runId: byId('run') },
    present: presentDecision,
  });
  addNoun(app, {
    noun: 'approval',
    model: ports.approvals,
    item: Approval,
    filters: { state: maybe(words(approvalStates, 'Only those in this state.')), runId: byId('run') },
    present: presentApproval,
  });
  addNoun(app, {
    noun: 'page',
    model: ports.pages,
    item: Page,
    filters: {
      state: maybe(words(pageStates, 'Only those in this state.')),
      incidentId: byId('incident'),
      runId: byId('run'),
    },
    present: presentPage,
  });
  journalRoute(app, ports);
  deadLetterRoute(app, ports);
}

/** Nouns whose items have names; those of others are ids. */
const named: readonly string[] = ['runbook', 'slo', 'incident-type'];

function addNoun<Summary, Filter, Detail>(app: Api, noun: Noun<Summary, Filter, Detail>): void {
  const plural = `${noun.noun}s`;
  const idName = named.includes(noun.noun) ? 'name' : 'id';
  app.get(
    `/api/v1/${plural}`,
    {
      config: { access: 'read' },
      schema: {
        operationId: `list${capital(plural)}`,
        summary: `Lists ${plural}, newest first`,
        tags: [plural],
        querystring: Type.Object({ ...PageQuery, ...noun.filters }, { additionalProperties: false }),
        response: answers(listOf(noun.item, plural)),
      },
    },
    async (request) => {
      const { limit, after, ...filter } = request.query as { limit: number; after?: string };
      const page: ListPage<Summary> = await noun.model.list(
        { limit, after, organization: actorOf(request).organization },
        filter as Filter,
      );
      return { items: page.items.map(noun.present), ...(page.next === undefined ? {} : { next: page.next }) };
    },
  );
  app.get(
    `/api/v1/${plural}/:${idName}`,
    {
      config: { access: 'read' },
      schema: {
        operationId: `get${capital(noun.noun)}`,
        summary: `One ${noun.noun}`,
        tags: [plural],
        params: idName === 'name' ? NameParameter : IdParameter,
        response: answers(noun.detail ?? noun.item),
      },
    },
    async (request) => {
      const id = (request.params as Record<string, string>)[idName] ?? '';
      const item = found(await noun.model.find(id, actorOf(request).organization), noun.noun, id);
      return noun.presentDetail ? noun.presentDetail(item) : noun.present(item as unknown as Summary);
    },
  );
}

function journalRoute(app: Api, ports: ApiPorts): void {
  app.get(
    '/api/v1/runs/:id/journal',
    {
      config: { access: 'read' },
      schema: {
        operationId: 'getRunJournal',
        summary: 'The journal of a run, from its beginning',
        tags: ['runs'],
        params: IdParameter,
        querystring: Type.Object(
          {
            limit: Type.Integer({ description: 'How many at most.', minimum: 1, maximum: 1000, default: 1000 }),
            after: maybe(
              Type.Integer({ description: 'Entries behind this one; `next` of the page before.', minimum: 0 }),
            ),
          },
          { additionalProperties: false },
        ),
        response: answers(listOf(JournalEntry, 'entries')),
      },
    },
    async (request) => {
      const run = found(
        await ports.runs.find(request.params.id, actorOf(request).organization),
        'run',
        request.params.id,
      );
      const { limit, after } = request.query;
      const entries = await ports.runs.journal(run.id, { after, limit: limit + 1 });
      const items = entries.slice(0, limit).map((entry) => withTimes(entry, ['at']));
      return entries.length > limit ? { items, next: String(items.at(-1)?.seq) } : { items };
    },
  );
}

function deadLetterRoute(app: Api, ports: ApiPorts): void {
  app.get(
    '/api/v1/deadletters',
    {
      config: { access: 'read', sensitive: 'deliveries that cannot be read' },
      schema: {
        operationId: 'listDeadLetters',
        summary: 'Deliveries that were kept but cannot be read, newest first',
        tags: ['alerts'],
        querystring: Type.Object(PageQuery, { additionalProperties: false }),
        response: answers(listOf(DeadLetter, 'dead letters')),
      },
    },
    async (request) => {
      const page = await ports.deadLetters.list({ ...request.query, organization: actorOf(request).organization });
      return { ...page, items: page.items.map((letter) => withTimes(letter, ['receivedAt'])) };
    },
  );
}

/** `incident-type` -> `IncidentType` */
function capital(noun: string): string {
  return noun.replaceAll(/(^|-)([a-z])/g, (_, _dash, letter: string) => letter.toUpperCase());
}
