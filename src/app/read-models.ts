/** What the API reads, over the stores of the rooms. */

import type { Alert } from '../alert/alert.ts';
import { getAlert, listAlerts } from '../alert/alert-store.ts';
import { listDeadLetters } from '../alert/delivery-store.ts';
import type { AlertSummary, ApiPorts, IncidentSummary, RunbookDetail } from '../api/ports.ts';
import type { Catalog } from '../catalog/catalog.ts';
import type { CompiledRunbook, CompiledTrigger } from '../catalog/compiled-runbook.ts';
import type { IncidentType } from '../catalog/kinds/incident-type.ts';
import type { Clock } from '../clock.ts';
import type { Database } from '../database/tables.ts';
import type { Incident } from '../incident/incident.ts';
import { getIncident, listIncidents } from '../incident/incident-store.ts';
import type { Json } from '../integrations/contract.ts';
import { readTypeHistory, type TypeQuestion } from '../run/effectiveness-queries.ts';
import { reviewOfIncident } from '../run/incident-review.ts';
import { runbooksForIncident } from '../run/incident-runbooks.ts';
import type { ListPage, ListRequest } from '../run/run-queries.ts';
import { readStatistics } from '../run/statistics-queries.ts';
import { remembered } from './remembered.ts';

/** Figures over a month or a quarter do not change within half a minute so that anybody would act otherwise, ms. */
const figuresLast = 30_000;
/** Since when it counts moves with the time, and is no part of the question. */
const ofType = ({ type, organization }: TypeQuestion) => JSON.stringify([type, organization]);

type ReadPorts = Pick<ApiPorts, 'alerts' | 'deadLetters' | 'incidents' | 'runbooks'>;

export interface ReadModelPorts {
  db: Database;
  clock: Clock;
  catalog: Pick<Catalog, 'runbooks' | 'find' | 'all' | 'incidentTypes' | 'problems'>;
}

export function readModels({ db, clock, catalog }: ReadModelPorts): ReadPorts {
  const listed = (type: string, organization: string | undefined) =>
    typeOf(catalog.incidentTypes(), type, organization)?.spec.runbooks ?? [];
  const history = remembered(clock, figuresLast, ofType, (question: TypeQuestion) => readTypeHistory(db, question));
  const statistics = remembered(
    clock,
    figuresLast,
    (question) => JSON.stringify(question),
    async ({ window, ...question }: Parameters<ReadPorts['incidents']['statistics']>[0]) => {
      const to = clock.now();
      const from = to - window;
      return { from, to, ...(await readStatistics(db, { ...question, from, to })) };
    },
  );
  return {
    alerts: {
      list: async ({ after, limit, organization }, filter) => {
        const last = after === undefined ? undefined : await getAlert(db, after);
        if (after !== undefined && !last) return { items: [] };
        const alerts = await listAlerts(db, {
          ...given({ ...filter, organization }),
          limit: limit + 1,
          ...(last ? { before: { lastSeen: last.lastSeen, id: last.id } } : {}),
        });
        return pageOf(alerts.map(alertSummary), limit);
      },
      find: async (id, organization) => visible(await getAlert(db, id), organization, alertSummary),
    },
    incidents: {
      list: async ({ after, limit, organization }, filter) => {
        const last = after === undefined ? undefined : await getIncident(db, after);
        if (after !== undefined && !last) return { items: [] };
        const incidents = await listIncidents(db, {
          ...given({ ...filter, organization }),
          limit: limit + 1,
          ...(last ? { before: { openedAt: last.openedAt, id: last.id } } : {}),
        });
        return pageOf(incidents.map(incidentSummary), limit);
      },
      find: async (id, organization) => visible(await getIncident(db, id), organization, incidentSummary),
      runbooks: (id, organization) => runbooksForIncident({ db, clock, catalog, listed, history }, id, organization),
      review: (id, organization) => reviewOfIncident(db, id, organization),
      statistics,
    },
    runbooks: {
      // Who looks at the whole Sovereign sees those of every Organization, too.
      list: async (request) => {
        const { organization } = request;
        return pageOfRunbooks(organization === undefined ? catalog.all() : catalog.runbooks(organization), request);
      },
      find: async (name, organization) => {
        const other = () => catalog.all().find(({ resource }) => resource.metadata.name === name);
        const runbook = catalog.find(name, organization) ?? (organization === undefined ? other() : undefined);
        return runbook && runbookDetail(runbook);
      },
    },
    deadLetters: {
      list: async ({ after, limit, organization }) => {
        const letters = await listDeadLetters(db, {
          limit: limit + 1,
          ...(organization === undefined ? {} : { organization }),
          ...(after === undefined ? {} : { before: Number(after) }),
        });
        return pageOf(
          letters.map((letter) => ({ ...letter, id: String(letter.id) })),
          limit,
        );
      },
    },
  };
}

/** The IncidentType of this name as the Organization sees it: its own before the Sovereign's. */
function typeOf(types: readonly IncidentType[], name: string, organization: string | undefined) {
  const named = types.filter(({ metadata }) => metadata.name === name);
  const owned = (owner: string | undefined) => named.find(({ provenance }) => provenance.organization === owner);
  return (organization === undefined ? undefined : owned(organization)) ?? owned(undefined);
}

/** Without the keys nobody gave a value. */
function given<T extends object>(value: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, inner]) => inner !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}

/** One more than asked for tells that there is another page. */
function pageOf<T extends { id: string }>(found: T[], limit: number): ListPage<T> {
  const items = found.slice(0, limit);
  return found.length > limit ? { items, next: items.at(-1)?.id } : { items };
}

/** To an Organization, what belongs to others does not exist. */
function visible<T extends { organization: string | undefined }, S>(
  found: T | undefined,
  organization: string | undefined,
  summary: (item: T) => S,
): S | undefined {
  if (!found || (organization !== undefined && found.organization !== organization)) return undefined;
  return summary(found);
}

function alertSummary(alert: Alert): AlertSummary {
  const { earliestStart: _earliest, firedAt: _fired, traceparent: _trace, ...summary } = alert;
  return summary;
}

/** Without what only the loops of the server need. */
function incidentSummary(incident: Incident): IncidentSummary {
  const {
    correlationKey: _key,
    clockFrom: _clock,
    escalatedAt: _escalated,
    escalateAt: _escalate,
    escalationStep: _step,
    checkAt: _check,
    checkOutcome: _outcome,
    checkSentence: _sentence,
    clearSince: _clear,
    ...summary
  } = incident;
  return summary;
}

function pageOfRunbooks(runbooks: readonly CompiledRunbook[], { after, limit }: ListRequest): ListPage<RunbookDetail> {
  // Two Organizations may have runbooks of one name; neither part can hold a slash.
  const key = ({ name, organization = '' }: RunbookDetail) => `${name}/${organization}`;
  const sorted = runbooks.map(runbookDetail).sort((a, b) => (key(a) < key(b) ? -1 : 1));
  const rest = after === undefined ? sorted : sorted.filter((runbook) => key(runbook) > after);
  const items = rest.slice(0, limit);
  const last = items.at(-1);
  return last && rest.length > limit ? { items, next: key(last) } : { items };
}

function runbookDetail({ resource, triggers }: CompiledRunbook): RunbookDetail {
  const { name } = resource.metadata;
  const { organization, source, revision, file, line, digest } = resource.provenance;
  const { description, mode } = resource.spec;
  return {
    name,
    organization,
    description,
    mode,
    triggers: triggers.map(triggerText),
    source,
    revision,
    file,
    line,
    digest,
    spec: resource.spec as unknown as Json,
  };
}

function triggerText(trigger: CompiledTrigger): string {
  const narrowed =
    'matchers' in trigger ? trigger.matchers.map((m) => ` ${m.label}${m.operator}"${m.value}"`).join(',') : '';
  switch (trigger.kind) {
    case 'alert':
      return `alert ${trigger.alertName}${narrowed}`;
    case 'incident':
      return `incident ${trigger.type}${narrowed}`;
    case 'schedule':
      return `schedule ${trigger.cron} (${trigger.timeZone})`;
  }
}
