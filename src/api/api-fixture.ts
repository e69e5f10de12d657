/** For tests: the API over ports that answer from memory. */
import { hashEntry, type RecordEntry, type RecordedEntry } from '../audit/record.ts';
import type { CompiledRunbook } from '../catalog/compiled-runbook.ts';
import { systemClock } from '../clock.ts';
import type { Database } from '../database/tables.ts';
import { CatalystError } from '../errors.ts';
import { shareOf } from '../incident/share.ts';
import type { RunbookExplanation } from '../run/explain.ts';
import type { IncidentRunbooks } from '../run/incident-runbooks.ts';
import type { ApprovalSummary, DecisionSummary, ListPage, ListRequest, RunSummary } from '../run/run-queries.ts';
import type { IncidentFigures } from '../run/statistics-queries.ts';
import { createLog } from '../telemetry/log.ts';
import { type AccessToken, hashToken, type Role } from './access.ts';
import { type ApiOptions, createApi } from './api.ts';
import type { Api } from './fastify.ts';
import { openApiDocument } from './openapi.ts';
import type {
  Acknowledgement,
  AlertSummary,
  ApiPorts,
  DeadLetterSummary,
  Delivery,
  DrillRun,
  Drills,
  IncidentSummary,
  IncidentTypeSummary,
  KeyClaim,
  OnCallDetail,
  ReadModel,
  RunbookDetail,
  SloDetail,
} from './ports.ts';
import { createSessions } from './session/sessions.ts';
import type { LoginOptions } from './session-routes.ts';

const at = Date.UTC(2026, 0, 5, 12);

export const token = (name: string, role: Role, organization?: string): AccessToken => ({
  name,
  role,
  organization,
  hash: hashToken(`${name}-token`),
});

export const tokens: AccessToken[] = [
  token('root', 'sovereign-admin'),
  token('officer', 'security-officer'),
  token('acme-admin', 'org-admin', 'acme'),
  token('acme-dev', 'org-developer', 'acme'),
  token('acme-viewer', 'org-viewer', 'acme'),
  token('globex-admin', 'org-admin', 'globex'),
  token('am', 'intake'),
  token('acme-am', 'intake', 'acme'),
  token('prometheus', 'metrics'),
];

export const bearer = (name: string) => ({ authorization: `Bearer ${name}-token` });

/** A read model over a list that a test may change. */
function model<T extends { id?: string; name?: string; organization?: string | undefined }>(
  items: T[],
  shared = false,
): ReadModel<T, object> & { list(request: ListRequest): Promise<ListPage<T>> } {
  const idOf = (item: T) => item.id ?? item.name ?? '';
  const visible = (organization: string | undefined) => (item: T) =>
    organization === undefined || item.organization === organization || (shared && item.organization === undefined);
  return {
    async list(request: ListRequest, filter: object = {}): Promise<ListPage<T>> {
      const all = items
        .filter(visible(request.organization))
        .filter((item) =>
          Object.entries(filter).every(([key, value]) => (item as Record<string, unknown>)[key] === value),
        );
      const start = request.after === undefined ? 0 : all.findIndex((item) => idOf(item) === request.after) + 1;
      const page = all.slice(start, start + request.limit);
      return start + request.limit < all.length ? { items: page, next: idOf(page.at(-1) as T) } : { items: page };
    },
    async find(id, organization) {
      return items.filter(visible(organization)).find((item) => idOf(item) === id);
    },
  };
}

export const exampleAlert = (id: string, organization?: string): AlertSummary => ({
  id,
  organization,
  source: 'am',
  fingerprint: '0123456789abcdef',
  name: 'OpenBaoSealed',
  labels: { alertname: 'OpenBaoSealed', severity: 'critical' },
  annotations: {},
  generatorUrl: 'http://prometheus/graph',
  externalUrl: 'http://alertmanager',
  state: 'Firing',
  startsAt: at,
  firstSeen: at,
  lastSeen: at,
  deliveries: 1,
  incidentId: 'i1',
});

export const exampleIncident = (id: string, organization?: string): IncidentSummary => ({
  id,
  organization,
  type: 'OpenBaoSealed',
  title: 'OpenBao is sealed',
  severity: 'P1',
  state: 'Open',
  openedAt: at,
  version: 1,
});

export const exampleRun = (id: string, organization?: string): RunSummary => ({
  id,
  organization,
  runbook: 'openbao-sealed',
  mode: 'Approval',
  state: 'AwaitingApproval',
  sentence: 'Waits for the approval of a sovereign-admin.',
  trigger: { alert: 'a1' },
  inputs: {},
  requestedBy: 'engine',
  createdAt: at,
  incidentId: 'i1',
});

export const exampleRunbook = (name: string, organization?: string): RunbookDetail => ({
  name,
  organization,
  description: 'Unseals OpenBao.',
  mode: 'Automatic',
  triggers: ['alert OpenBaoSealed'],
  source: organization ? `git:${organization}/runbooks` : 'handbook',
  file: `${name}.yaml`,
  line: 1,
  digest: 'd'.repeat(64),
  spec: { steps: [{ run: 'openbao operator unseal' }] },
});

const exampleSlo = (name: string, organization?: string): SloDetail => ({
  name,
  title: 'Checkout',
  description: undefined,
  service: 'shop',
  organization,
  handbook: [],
  organizations: organization === undefined ? [] : [organization],
  objective: 0.999,
  window: '30d',
  state: 'OK',
  sentence: '42 % of the error budget of 30d are left.',
  sli: 0.9995,
  budgetLeft: 0.42,
  burnRates: [{ window: '1h', rate: 0.5 }],
  budgets: [{ labels: {}, organization, state: 'NoData', sentence: 'Nothing is measured.', burnRates: [] }],
});

const exampleOnCall = (name: string, organization?: string): OnCallDetail => ({
  name,
  organization,
  timeZone: 'Europe/Berlin',
  people: ['jo', 'mira'],
  person: 'mira',
  by: 'week',
  until: at + 3_600_000,
  next: { person: 'jo', by: 'week', from: at + 3_600_000 },
  spec: { timeZone: 'Europe/Berlin', rotations: [] },
});

const exampleDecision = (id: string): DecisionSummary => ({
  id,
  at,
  alertId: 'a1',
  outcome: 'NotActed',
  reason: 'NoRunbookMatches',
  sentence: 'No runbook matches.',
  considered: [],
});

const exampleApproval = (id: string, organization?: string): ApprovalSummary => ({
  id,
  runId: 'r1',
  runbook: 'openbao-sealed',
  organization,
  step: 0,
  role: 'sovereign-admin',
  plan: ['unseal'],
  planDigest: 'p'.repeat(64),
  state: 'Pending',
  requestedAt: at,
  expiresAt: at + 3_600_000,
});

const exampleExplanation = (
  id: string | undefined,
  labels = exampleAlert('a1').labels,
  runbook = 'openbao-sealed',
): RunbookExplanation => {
  const reading = { fact: 'spire.server.healthy', value: true, at: at - 1_000, took: 12 };
  const sentence = 'It acted on this target 1m ago; the cooldown of 5m lasts until 2026-01-05T12:04:00.000Z.';
  return {
    at,
    verdict: 'Refuses',
    reason: 'Cooldown',
    sentence,
    alert: { id, name: labels.alertname ?? '', labels },
    considered: [{ runbook, reason: 'RunStarted', sentence: 'It names OpenBaoSealed, and its matchers hold (0).' }],
    preview: {
      runbook,
      mode: 'Automatic',
      confirmation: 'Prometheus lists the alert as firing',
      target: undefined,
      preconditions: [{ source: 'spire.server.healthy', value: true, readings: [reading] }],
      guards: [{ guard: 'cooldown', verdict: 'Block', reason: 'Cooldown', sentence }],
      plan: [
        {
          index: 0,
          name: 'unseal',
          kind: 'run',
          sentence: 'Give 3 unseal shares to each of 3 sealed pods.',
          effect: 'Change',
        },
      ],
      readings: [reading],
      obstacles: [{ reason: 'Cooldown', sentence }],
    },
  };
};

const exampleFigures = (incidents: number): IncidentFigures => ({
  incidents,
  acknowledge: { count: 1, mean: 90, median: 60 },
  resolve: { count: 0, mean: undefined, median: undefined },
  inTime: shareOf(1, 1),
  fixedByAutomation: shareOf(3, 4),
  selfHealing: shareOf(0, 0),
});

function exampleIncidentRunbooks(type: string): IncidentRunbooks {
  const { name, ...provenance } = exampleRunbook('openbao-sealed');
  const resource = { metadata: { name }, provenance };
  return {
    type,
    since: at - 90 * 86_400_000,
    selfHealing: shareOf(1, 4),
    items: [
      {
        name,
        match: { kind: 'Alert', alertName: type, matchers: 0 },
        chosen: true,
        success: shareOf(11, 12),
        health: { state: 'Good', sentence: '5 of its last 5 runs that acted were verified.' },
        lastRunAt: at,
        suppressed: { reason: 'Cooldown', sentence: 'It acted on this target 1m ago.' },
        sentence: `It is triggered by ${type}.`,
        runbook: { resource, mode: 'Automatic' } as unknown as CompiledRunbook,
        lastRuns: [
          {
            id: 'r0',
            state: 'Ended',
            outcome: 'Succeeded',
            reason: 'Verified',
            sentence: 'It holds.',
            createdAt: at,
            actedAt: at,
            endedAt: at,
          },
        ],
        alertId: 'a1',
      },
    ],
  };
}

/** A drill that has passed as soon as it is looked at. */
function exampleDrills(): Drills {
  let last: DrillRun | undefined;
  return {
    list: () => [
      { name: 'openbao-sealed', title: 'OpenBao restarts sealed', description: 'OpenBao restarts sealed.', last },
    ],
    start: (name, actor) => {
      if (name !== 'openbao-sealed') throw new CatalystError('NotFound', `There is no drill ${name}.`);
      const run = {
        name,
        startedAt: at,
        startedBy: actor.id,
        events: [{ at: 0, kind: 'fault' as const, sentence: 'It is sealed.' }],
      };
      const result = { passed: true, sentence: 'It was unsealed.', took: 1_000, measured: { 'time to act': '0.1s' } };
      last = {
        ...run,
        state: 'Passed',
        events: [...run.events, { at: 900, kind: 'verification', sentence: 'It is open.' }],
        result,
      };
      return { ...run, state: 'Running' };
    },
  };
}

/** A record in memory, chained as the real one is. */
export class MemoryRecord {
  entries: RecordedEntry[] = [];
  listeners = new Set<() => void>();
  reads = 0;
  failing = false;

  append(...entries: Partial<RecordEntry>[]): void {
    for (const partial of entries) {
      const previousHash = this.entries.at(-1)?.hash ?? '0'.repeat(64);
      const seq = this.entries.length + 1;
      const entry: RecordEntry = {
        at,
        kind: 'incident.noted',
        actor: 'engine',
        sentence: `Entry ${seq}.`,
        data: {},
        ...partial,
      };
      const hash = hashEntry(previousHash, seq, entry, JSON.stringify(entry.data));
      this.entries.push({ ...entry, seq, previousHash, hash });
    }
    for (const listener of this.listeners) listener();
  }
}

export interface Fixture {
  ports: ApiPorts;
  alerts: AlertSummary[];
  incidents: IncidentSummary[];
  runs: RunSummary[];
  runbooks: RunbookDetail[];
  record: MemoryRecord;
  deliveries: Delivery[];
  /** Every command that arrived, as `verb id actor`. */
  commands: string[];
  refreshed: string[];
  /** What the link in a page leads to, by its token. */
  links: Map<string, Acknowledgement>;
  /** What the next call of intake or a command throws. */
  fail: { intake?: Error; command?: Error };
}

export function createFixture(): Fixture {
  const f: Omit<Fixture, 'ports'> = {
    alerts: [exampleAlert('a1', 'acme'), exampleAlert('a2', 'globex'), exampleAlert('a3')],
    incidents: [exampleIncident('i1', 'acme'), exampleIncident('i2', 'globex'), exampleIncident('i3')],
    runs: [exampleRun('r1', 'acme'), exampleRun('r2', 'globex'), exampleRun('r3')],
    runbooks: [
      exampleRunbook('openbao-sealed'),
      exampleRunbook('restart-shop', 'acme'),
      exampleRunbook('secret-plan', 'globex'),
    ],
    record: new MemoryRecord(),
    deliveries: [],
    commands: [],
    refreshed: [],
    links: new Map(),
    fail: {},
  };
  const did = (...words: (string | undefined)[]) => {
    if (f.fail.command) throw f.fail.command;
    f.commands.push(words.filter((word) => word !== undefined).join(' '));
  };
  const schedules = model([exampleOnCall('sre'), exampleOnCall('shop', 'acme'), exampleOnCall('lab', 'globex')], true);
  const keys = new Map<string, { digest: string; answer?: { status: number; body: unknown } }>();
  const ports: ApiPorts = {
    intake: {
      accept: async (delivery) => {
        if (f.fail.intake) throw f.fail.intake;
        f.deliveries.push(delivery);
      },
    },
    alerts: model(f.alerts),
    deadLetters: model<DeadLetterSummary>([
      {
        id: '7',
        receivedAt: at,
        source: 'am',
        organization: 'acme',
        problem: 'It is not JSON.',
        size: 3,
        beginning: 'abc',
      },
      { id: '6', receivedAt: at, source: 'am', problem: 'It is empty.', size: 0, beginning: '' },
    ]),
    incidents: {
      ...model(f.incidents),
      runbooks: async (id, organization) => {
        const incident = await ports.incidents.find(id, organization);
        return incident && exampleIncidentRunbooks(incident.type);
      },
      review: async (id, organization) => {
        const incident = await ports.incidents.find(id, organization);
        return incident && `# Review: ${incident.title}\n`;
      },
      statistics: async ({ window, by, organization }) => {
        const figures = exampleFigures(organization === undefined ? 3 : 1);
        const key = by === 'type' ? 'OpenBaoSealed' : undefined;
        return { from: at - window, to: at, total: figures, items: [{ key, ...figures }] };
      },
    },
    runs: {
      ...model(f.runs),
      journal: async () => [{ seq: 1, at, kind: 'Created', data: {} }],
    },
    runbooks: model(f.runbooks, true),
    incidentTypes: model<IncidentTypeSummary>(
      [
        {
          name: 'restart-shop',
          organization: 'acme',
          title: 'Shop down',
          severity: 'P2',
          recognisedBy: ['alert ShopDown'],
          runbooks: [],
          guidance: 'Look at the pods.',
          source: 'test',
          file: 'shop.yaml',
          line: 1,
        },
      ],
      true,
    ),
    slos: model([exampleSlo('restart-shop', 'acme'), exampleSlo('console-availability')]),
    onCall: {
      ...schedules,
      shifts: async (name, organization, { from, to }) =>
        (await schedules.find(name, organization)) && [{ person: 'mira', by: 'week', from, to }],
      feedPath: async (name, organization) =>
        (await schedules.find(name, organization)) && `/calendars/${name}/the-token.ics`,
      feed: async ({ name }, token, person) =>
        token === 'the-token.ics' ? `BEGIN:VCALENDAR\r\nX-OF:${name} ${person ?? ''}\r\n` : undefined,
      calendar: async (name, organization, person) =>
        (await schedules.find(name, organization)) && `BEGIN:VCALENDAR\r\nX-OF:${name} ${person ?? ''}\r\n`,
    },
    decisions: model<DecisionSummary>([exampleDecision('1')]),
    approvals: model([exampleApproval('p1', 'acme'), exampleApproval('p2', 'globex')]),
    pages: model<never>([]) as never,
    incidentCommands: {
      acknowledge: async (id, actor, { comment, version }) =>
        did('acknowledge', id, actor.id, comment, version?.toString()),
      resolve: async (id, actor, resolution, falseAlarm) =>
        did('resolve', id, actor.id, resolution, falseAlarm ? 'false alarm' : undefined),
      escalate: async (id, actor, { comment, version }) => did('escalate', id, actor.id, comment, version?.toString()),
      note: async (id, actor, text) => did('note', id, actor.id, text),
      merge: async (id, actor, { into, version }) => {
        did('merge', id, actor.id, into, version?.toString());
        return into;
      },
      split: async (id, actor, { alerts, title }) => {
        did('split', id, actor.id, alerts.join(), title);
        return id;
      },
    },
    replaceLinkKey: async (actor) => did('replace', 'link-key', actor),
    acknowledgeLinks: {
      look: async (token) => {
        if (f.fail.command) throw f.fail.command;
        return f.links.get(token) ?? { state: 'Unknown' };
      },
      acknowledge: async (token) => {
        const link = f.links.get(token);
        if (link?.state !== 'Open') return { done: false, now: link ?? { state: 'Unknown' } };
        did('acknowledge', link.about.id, `receiver/${link.receiver}`);
        const now = { state: 'Acknowledged' as const, about: link.about, by: `receiver/${link.receiver}`, at };
        f.links.set(token, now);
        return { done: true, now };
      },
    },
    runCommands: {
      start: async (request) => {
        did(
          'start',
          request.runbook,
          request.actor.id,
          JSON.stringify(request.inputs),
          request.dryRun ? 'dry' : undefined,
        );
        const run = { ...exampleRun(`r${f.runs.length + 1}`, request.organization), runbook: request.runbook };
        f.runs.push(run);
        return { runId: run.id };
      },
      approve: async (id, vote) => {
        if (vote.actor.role !== 'sovereign-admin')
          throw new CatalystError('Forbidden', 'This approval asks for a sovereign-admin.');
        did('approve', id, vote.actor.id, vote.planDigest);
      },
      reject: async (id, vote) => did('reject', id, vote.actor.id),
      cancel: async (id, actor, reason) => did('cancel', id, actor.id, reason),
    },
    explainer: {
      explain: async ({ alertId, labels, runbook }) => {
        if (alertId !== undefined && !f.alerts.some(({ id }) => id === alertId))
          throw new CatalystError('NotFound', `There is no alert ${alertId}.`);
        return exampleExplanation(alertId, labels, runbook);
      },
    },
    drills: exampleDrills(),
    catalog: {
      refresh: async (repository) => {
        f.refreshed.push(repository);
        return true;
      },
    },
    record: {
      // The store's own test tells how a long record is searched.
      search: async ({ text, ...filter }) => {
        const all = await ports.record.read({ ...filter, limit: Number.POSITIVE_INFINITY });
        const found = all.filter(({ sentence }) => sentence.toLowerCase().includes(text.toLowerCase()));
        const entries = found.slice(0, filter.limit);
        return { entries, next: found.length > filter.limit ? entries.at(-1)?.seq : undefined };
      },
      read: async (filter) => {
        f.record.reads += 1;
        if (f.record.failing) throw new CatalystError('Unavailable', 'The database does not answer.');
        const { order, after } = filter;
        return (order === 'desc' ? f.record.entries.toReversed() : f.record.entries)
          .filter(({ seq }) => after === undefined || (order === 'desc' ? seq < after : seq > after))
          .filter((entry) => filter.incidentId === undefined || entry.incidentId === filter.incidentId)
          .filter((entry) => filter.runId === undefined || entry.runId === filter.runId)
          .filter((entry) => filter.organization === undefined || entry.organization === filter.organization)
          .slice(0, filter.limit);
      },
      head: async () => f.record.entries.length,
      verify: async () => ({
        intact: true,
        entries: f.record.entries.length,
        head: f.record.entries.at(-1)?.hash ?? '',
      }),
    },
    wakeup: {
      subscribe: (listener) => {
        f.record.listeners.add(listener);
        return () => f.record.listeners.delete(listener);
      },
    },
    health: {
      check: async () => ({ ready: true, checks: [{ name: 'database', healthy: true, sentence: 'It answers.' }] }),
    },
    idempotencyKeys: {
      claim: async (actor, key, digest): Promise<KeyClaim> => {
        const earlier = keys.get(`${actor} ${key}`);
        if (!earlier) {
          keys.set(`${actor} ${key}`, { digest });
          return { kind: 'claimed' };
        }
        if (earlier.digest !== digest) return { kind: 'otherRequest' };
        return earlier.answer
          ? { kind: 'answered', ...(earlier.answer as { status: number; body: never }) }
          : { kind: 'inProgress' };
      },
      complete: async (actor, key, answer) => {
        const earlier = keys.get(`${actor} ${key}`);
        if (earlier) earlier.answer = answer;
      },
      release: async (actor, key) => {
        keys.delete(`${actor} ${key}`);
      },
    },
  };
  return { ...f, ports };
}

export function fixtureOptions(): ApiOptions {
  return {
    version: '0.0.0-test',
    tokens: () => tokens,
    hooks: {
      deliveryBytes: 1024 * 1024,
      pushSecrets: [
        { repository: 'acme/runbooks', secret: 'acme-secret' },
        { repository: 'system/runbooks', secret: 'system-secret' },
      ],
    },
    clock: systemClock,
    log: createLog({ level: 'silent' }),
  };
}

/** The door for people, over a database of the test, with links and without a provider. */
export function loginOver(db: Database, more: Partial<LoginOptions> = {}): LoginOptions {
  const { clock, log } = { ...fixtureOptions(), ...more };
  const sessions = createSessions({ db, clock, sessionFor: 8 * 3_600_000, idleFor: 3_600_000 });
  return { sessions, db, clock, log, oidc: undefined, links: true, publicUrl: undefined, ...more };
}

export function startApi(fixture: Fixture, options: Partial<ApiOptions> = {}) {
  return createApi(fixture.ports, { ...fixtureOptions(), ...options });
}

/** Every route the server has, as method and path with parameters filled in. */
export function routesOf(app: Api): { method: 'GET' | 'POST'; path: string; url: string }[] {
  const { paths } = openApiDocument(app) as unknown as { paths: Record<string, Record<string, unknown>> };
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => ({
      method: method.toUpperCase() as 'GET' | 'POST',
      path,
      url: path
        .replace('{org}', 'acme')
        .replace('{repo}', 'runbooks')
        .replace('{seq}', '1')
        .replace('{schedule}', 'sre')
        .replace('{name}', path.includes('/drills') ? 'openbao-sealed' : 'restart-shop')
        .replace(
          '{id}',
          path.includes('/runs')
            ? 'r1'
            : path.includes('alerts')
              ? 'a1'
              : path.includes('decisions')
                ? '1'
                : path.includes('approvals')
                  ? 'p1'
                  : 'i1',
        ),
    })),
  );
}
