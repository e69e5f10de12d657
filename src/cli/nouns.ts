/** What can be read, and how it looks as a table: NAME first, AGE last. */
import type { Item } from './client.ts';
import type { Printable } from './printers/print.ts';
import { age, type Column, duration } from './printers/table.ts';

export interface Noun extends Printable {
  plural: string;
  aliases: readonly string[];
  path: string;
  /** Query parameters by the flag that sets them. */
  filters: Readonly<Partial<Record<FilterFlag, string>>>;
  /** Which entries of the record tell of a change, and which items changed. */
  watch: {
    kinds: readonly string[];
    ids(entry: Item): readonly (string | undefined)[];
    query?: string;
    newest?: boolean;
  };
}

/** Flags of `get` that narrow a list; each noun says which it has. */
export const filterFlags = [
  'by',
  'window',
  'state',
  'severity',
  'outcome',
  'runbook',
  'name',
  'service',
  'incident',
  'alert',
  'run',
] as const;
export type FilterFlag = (typeof filterFlags)[number];

const field = (header: string, key: string, more: Partial<Column> = {}): Column => ({
  header,
  value: (item) => String(item[key] ?? ''),
  ...more,
});
const since = (key: string, header = 'AGE'): Column => ({ header, value: (item, now) => age(item[key], now) });
const id = field('NAME', 'id');
const organization: Column = {
  header: 'ORGANIZATION',
  value: (item) => String(item.organization ?? '<sovereign>'),
};
const text = (value: unknown) => (typeof value === 'string' ? value : undefined);
const byId = (item: Item) => String(item.id);

export const nouns: readonly Noun[] = [
  {
    singular: 'alert',
    plural: 'alerts',
    aliases: ['alert', 'al'],
    path: '/api/v1/alerts',
    nameOf: byId,
    columns: [
      id,
      field('ALERT', 'name'),
      field('STATE', 'state', { coloured: true }),
      organization,
      field('INCIDENT', 'incidentId'),
      field('DELIVERIES', 'deliveries', { wide: true }),
      field('SOURCE', 'source', { wide: true }),
      { header: 'LABELS', value: (item) => labelsOf(item.labels), wide: true },
      since('startsAt'),
    ],
    filters: { state: 'state', name: 'name', incident: 'incidentId' },
    watch: { kinds: ['alert.'], ids: (entry) => [text(entry.alertId)] },
  },
  {
    singular: 'deadletter',
    plural: 'deadletters',
    aliases: ['deadletter', 'dl'],
    path: '/api/v1/deadletters',
    nameOf: byId,
    columns: [
      id,
      field('SOURCE', 'source'),
      organization,
      field('SIZE', 'size'),
      field('PROBLEM', 'problem'),
      field('BEGINNING', 'beginning', { wide: true }),
      since('receivedAt'),
    ],
    filters: {},
    watch: { kinds: ['delivery.deadLettered'], ids: () => [], newest: true },
  },
  {
    singular: 'incident',
    plural: 'incidents',
    aliases: ['incident', 'inc'],
    path: '/api/v1/incidents',
    nameOf: byId,
    columns: [
      id,
      field('SEVERITY', 'severity', { coloured: true }),
      field('STATE', 'state', { coloured: true }),
      organization,
      field('TITLE', 'title'),
      field('TYPE', 'type', { wide: true }),
      field('ACKNOWLEDGED-BY', 'acknowledgedBy', { wide: true }),
      since('openedAt'),
    ],
    filters: { state: 'state', severity: 'severity' },
    watch: { kinds: ['incident.'], ids: (entry) => [text(entry.incidentId)] },
  },
  {
    singular: 'incident-type',
    plural: 'incident-types',
    aliases: ['incidenttype', 'it'],
    path: '/api/v1/incident-types',
    nameOf: (item) => String(item.name),
    columns: [
      field('NAME', 'name'),
      organization,
      field('SEVERITY', 'severity', { coloured: true }),
      field('TITLE', 'title'),
      {
        header: 'RECOGNISED-BY',
        value: (item) => (Array.isArray(item.recognisedBy) ? item.recognisedBy.join('; ') : ''),
      },
      { header: 'FILE', value: (item) => `${item.file}:${item.line}`, wide: true },
    ],
    filters: {},
    watch: { kinds: ['catalog.'], ids: (entry) => [text((entry.data as Item | null)?.name)] },
  },
  {
    singular: 'run',
    plural: 'runs',
    aliases: ['run'],
    path: '/api/v1/runs',
    nameOf: byId,
    columns: [
      id,
      field('RUNBOOK', 'runbook'),
      field('MODE', 'mode'),
      { header: 'STATUS', value: (item) => String(item.outcome ?? item.state ?? ''), coloured: true },
      field('REASON', 'reason'),
      { ...organization, wide: true },
      field('TARGET', 'target', { wide: true }),
      field('REQUESTED-BY', 'requestedBy', { wide: true }),
      field('INCIDENT', 'incidentId', { wide: true }),
      field('SENTENCE', 'sentence', { wide: true }),
      since('createdAt'),
    ],
    filters: { state: 'state', outcome: 'outcome', runbook: 'runbook', incident: 'incidentId', alert: 'alertId' },
    watch: { kinds: ['run.', 'approval.'], ids: (entry) => [text(entry.runId)] },
  },
  {
    singular: 'runbook',
    plural: 'runbooks',
    aliases: ['runbook', 'rb'],
    path: '/api/v1/runbooks',
    nameOf: (item) => String(item.name),
    columns: [
      field('NAME', 'name'),
      organization,
      { header: 'MODE', value: (item) => String(item.mode ?? '<default>') },
      { header: 'TRIGGERS', value: (item) => (Array.isArray(item.triggers) ? item.triggers.join(', ') : '') },
      field('SOURCE', 'source'),
      { header: 'REVISION', value: (item) => String(item.revision ?? '').slice(0, 12), wide: true },
      { header: 'FILE', value: (item) => `${item.file}:${item.line}`, wide: true },
    ],
    filters: {},
    watch: { kinds: ['catalog.'], ids: (entry) => [text((entry.data as Item | null)?.name)] },
  },
  {
    singular: 'slo',
    plural: 'slos',
    aliases: ['slo'],
    path: '/api/v1/slos',
    nameOf: (item) => String(item.name),
    columns: [
      field('NAME', 'name'),
      field('SERVICE', 'service'),
      field('STATE', 'state', { coloured: true }),
      { header: 'OBJECTIVE', value: (item) => percent(item.objective, 4) },
      { header: 'SLI', value: (item) => percent(item.sli, 4) },
      { header: 'BUDGET-LEFT', value: (item) => percent(item.budgetLeft, 1) },
      { header: 'BURN-1H', value: burnOfAnHour },
      field('WINDOW', 'window'),
      { ...organization, wide: true },
      field('SENTENCE', 'sentence', { wide: true }),
    ],
    filters: { state: 'state', service: 'service' },
    watch: { kinds: ['catalog.'], ids: (entry) => [text((entry.data as Item | null)?.name)] },
  },
  {
    singular: 'on-call',
    plural: 'on-call',
    aliases: ['oncall'],
    path: '/api/v1/on-call',
    nameOf: (item) => String(item.name),
    columns: [
      field('NAME', 'name'),
      organization,
      field('NOW', 'person'),
      { header: 'UNTIL', value: (item) => minute(item.until) },
      { header: 'NEXT', value: (item) => text((item.next as Item | undefined)?.person) ?? '' },
      field('BY', 'by', { wide: true }),
      field('TIME-ZONE', 'timeZone', { wide: true }),
      { header: 'PEOPLE', value: (item) => (Array.isArray(item.people) ? item.people.join(', ') : ''), wide: true },
    ],
    filters: {},
    watch: { kinds: ['catalog.'], ids: (entry) => [text((entry.data as Item | null)?.name)] },
  },
  {
    singular: 'decision',
    plural: 'decisions',
    aliases: ['decision', 'dec'],
    path: '/api/v1/decisions',
    nameOf: byId,
    columns: [
      id,
      field('OUTCOME', 'outcome'),
      field('REASON', 'reason'),
      field('RUNBOOK', 'runbook'),
      field('ALERT', 'alertId'),
      field('RUN', 'runId', { wide: true }),
      field('SENTENCE', 'sentence', { wide: true }),
      since('at'),
    ],
    filters: { alert: 'alertId', run: 'runId' },
    watch: { kinds: ['decision.'], ids: (entry) => [text(entry.alertId)], query: 'alertId' },
  },
  {
    singular: 'approval',
    plural: 'approvals',
    aliases: ['approval', 'ap'],
    path: '/api/v1/approvals',
    nameOf: byId,
    columns: [
      id,
      field('RUN', 'runId'),
      field('RUNBOOK', 'runbook'),
      field('STATE', 'state', { coloured: true }),
      field('ROLE', 'role'),
      field('DECIDED-BY', 'decidedBy', { wide: true }),
      { header: 'PLAN-DIGEST', value: (item) => String(item.planDigest ?? '').slice(0, 12), wide: true },
      since('requestedAt'),
    ],
    filters: { state: 'state', run: 'runId' },
    watch: { kinds: ['approval.'], ids: (entry) => [text(entry.runId)], query: 'runId' },
  },
  {
    singular: 'page',
    plural: 'pages',
    aliases: ['page'],
    path: '/api/v1/pages',
    nameOf: byId,
    columns: [
      id,
      field('RECEIVER', 'receiver'),
      field('SEVERITY', 'severity', { coloured: true }),
      field('STATE', 'state', { coloured: true }),
      field('ATTEMPTS', 'attempts'),
      field('SUBJECT', 'subject'),
      field('LAST-ERROR', 'lastError', { wide: true }),
      since('createdAt'),
    ],
    filters: { state: 'state', incident: 'incidentId', run: 'runId' },
    watch: { kinds: ['page.'], ids: (entry) => [text(entry.incidentId)], query: 'incidentId' },
  },
  {
    singular: 'statistic',
    plural: 'statistics',
    aliases: ['statistic', 'stats'],
    path: '/api/v1/statistics/incidents',
    nameOf: (item) => String(item.key ?? '<sovereign>'),
    columns: [
      { header: 'NAME', value: (item) => String(item.key ?? '<sovereign>') },
      field('INCIDENTS', 'incidents'),
      { header: 'MEDIAN-TTA', value: (item) => median(item.acknowledge) },
      { header: 'MEDIAN-TTR', value: (item) => median(item.resolve) },
      { header: 'FIXED', value: (item) => shareText(item.fixedByAutomation) },
      { header: 'SELF-HEALED', value: (item) => shareText(item.selfHealing) },
      { header: 'IN-TIME', value: (item) => shareText(item.inTime) },
    ],
    filters: { by: 'by', window: 'window' },
    watch: { kinds: [], ids: () => [] },
  },
  {
    singular: 'record',
    plural: 'record',
    aliases: ['rec'],
    path: '/api/v1/record',
    nameOf: (item) => String(item.seq),
    columns: [
      field('NAME', 'seq'),
      field('KIND', 'kind'),
      field('ACTOR', 'actor'),
      field('SENTENCE', 'sentence'),
      { ...organization, wide: true },
      field('INCIDENT', 'incidentId', { wide: true }),
      field('RUN', 'runId', { wide: true }),
      { header: 'HASH', value: (item) => String(item.hash ?? '').slice(0, 12), wide: true },
      since('at'),
    ],
    filters: { incident: 'incidentId', run: 'runId' },
    watch: { kinds: [''], ids: (entry) => [String(entry.seq)] },
  },
];

/** `90` becomes `1m30s`. */
const median = (times: unknown) => {
  const seconds = (times as Item | undefined)?.median;
  return typeof seconds === 'number' ? duration(seconds * 1000) : '';
};
/** `3 of 4 (75%)` */
const shareText = (share: unknown) => {
  const { count, of, share: value } = (share ?? {}) as Item;
  return of === 0 ? '' : `${count} of ${of} (${percent(value, 0)})`;
};

/** A runbook for an incident. */
export const incidentRunbook: Printable = {
  singular: 'runbook',
  nameOf: (item) => String(item.name),
  columns: [
    field('RANK', 'rank'),
    field('RUNBOOK', 'name'),
    field('MATCH', 'match'),
    { header: 'FIXED', value: ({ success }) => shareText(success) },
    { header: 'HEALTH', value: ({ health }) => String((health as Item)?.state ?? '') },
    { header: 'HELD-BY', value: ({ suppressed }) => String((suppressed as Item | undefined)?.reason ?? '') },
    { header: 'COMMIT', value: (item) => String(item.revision ?? '').slice(0, 12) || String(item.source ?? '') },
    {
      header: 'LAST-RUN',
      value: ({ lastRuns }, now) => age((Array.isArray(lastRuns) ? lastRuns : [])[0]?.createdAt, now),
    },
  ],
};

export function nounOf(word: string): Noun | undefined {
  return nouns.find((noun) => noun.plural === word || noun.aliases.includes(word));
}

/** `2026-01-05T09:00:00.000Z` becomes `2026-01-05T09:00Z`: shifts begin on the minute. */
function minute(time: unknown): string {
  return typeof time === 'string' ? time.replace(/:\d\d\.\d+Z$/, 'Z') : '';
}

/** `0.9995` becomes `99.95%`. */
function percent(share: unknown, digits: number): string {
  return typeof share === 'number' ? `${Number((share * 100).toFixed(digits))}%` : '';
}

function burnOfAnHour({ burnRates }: Item): string {
  const found = (Array.isArray(burnRates) ? burnRates : []).find(({ window }) => window === '1h');
  return found ? `${Number(Number(found.rate).toFixed(1))}x` : '';
}

function labelsOf(labels: unknown): string {
  return Object.entries((labels ?? {}) as Record<string, string>)
    .map(([key, value]) => `${key}=${value}`)
    .join(',');
}
