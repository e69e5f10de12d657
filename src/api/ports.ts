/**
 * What the API needs of the house, declared by the API. The composition root plugs the services in; tests plug fakes in.
 *
 * A read takes whose slice may be seen: `organization` undefined is the whole Sovereign. An item outside of the slice is
 * not found. Times are milliseconds since the epoch; the API writes them as RFC 3339.
 */
import type { RecordedEntry } from '../audit/record.ts';
import type { ChainVerdict, RecordFilter } from '../audit/record-store.ts';
import type { ResolvedHow } from '../incident/incident.ts';
import type { Json } from '../integrations/contract.ts';
import type { RunbookExplanation } from '../run/explain.ts';
import type { ExplainRequest } from '../run/explain-service.ts';
import type { IncidentRunbooks } from '../run/incident-runbooks.ts';
import type {
  ApprovalSummary,
  DecisionSummary,
  JournalEntry,
  ListPage,
  ListRequest,
  PageSummary,
  RunFilter,
  RunSummary,
} from '../run/run-queries.ts';
import type { Statistics, StatisticsQuestion } from '../run/statistics-queries.ts';
import type { Actor } from './access.ts';

export type { ListPage, ListRequest } from '../run/run-queries.ts';

/** A delivery as it came in, to the byte. */
export interface Delivery {
  /** Name of the token that brought it: two Alertmanagers of one cluster share a token, so their repeats are one alert. */
  source: string;
  organization?: string | undefined;
  body: Uint8Array;
  traceparent?: string | undefined;
}

export interface Intake {
  /** Resolves after the commit. Throws Unavailable when it could not commit. Never judges the body. */
  accept(delivery: Delivery): Promise<unknown>;
}

export interface AlertSummary {
  id: string;
  source: string;
  organization?: string | undefined;
  fingerprint: string;
  name: string;
  labels: Record<string, string>;
  annotations: Record<string, string>;
  generatorUrl: string;
  externalUrl: string;
  state: 'Firing' | 'Resolved' | 'Superseded';
  startsAt: number;
  endsAt?: number | undefined;
  firstSeen: number;
  lastSeen: number;
  deliveries: number;
  incidentId?: string | undefined;
}
export interface AlertFilter {
  state?: AlertSummary['state'] | undefined;
  name?: string | undefined;
  incidentId?: string | undefined;
}

/** A delivery that was kept but cannot be read. */
export interface DeadLetterSummary {
  id: string;
  receivedAt: number;
  source: string;
  organization?: string | undefined;
  /** Why it cannot be read. */
  problem: string;
  /** Bytes. */
  size: number;
  /** Its first bytes as text, unreadable ones replaced. */
  beginning: string;
}
export interface DeadLetters {
  list(request: ListRequest): Promise<ListPage<DeadLetterSummary>>;
}

export interface IncidentSummary {
  id: string;
  organization?: string | undefined;
  type: string;
  title: string;
  severity: 'P1' | 'P2' | 'P3' | 'P4';
  state: 'Open' | 'Acknowledged' | 'Mitigated' | 'Resolved';
  openedAt: number;
  /** By when somebody has to take it (handbook §13.1). */
  respondBy?: number | undefined;
  acknowledgedAt?: number | undefined;
  acknowledgedBy?: string | undefined;
  mitigatedAt?: number | undefined;
  resolvedAt?: number | undefined;
  resolvedBy?: string | undefined;
  resolution?: string | undefined;
  resolvedHow?: ResolvedHow | undefined;
  mergedInto?: string | undefined;
  splitFrom?: string | undefined;
  causedBy?: string | undefined;
  causedBySentence?: string | undefined;
  version: number;
}
export interface IncidentFilter {
  state?: IncidentSummary['state'] | undefined;
  severity?: IncidentSummary['severity'] | undefined;
}

/** What an alert means to people (handbook §13). */
export interface IncidentTypeSummary {
  name: string;
  /** Undefined for the Sovereign's own, which every Organization may read. */
  organization?: string | undefined;
  title: string;
  severity: IncidentSummary['severity'];
  /** In words: `alert OpenBaoSealed`. */
  recognisedBy: readonly string[];
  /** Names, the most useful first. */
  runbooks: readonly string[];
  /** What to look at, for a person. */
  guidance?: string | undefined;
  source: string;
  revision?: string | undefined;
  file: string;
  line: number;
}

export interface RunbookSummary {
  name: string;
  /** Undefined for the Sovereign's own, which every Organization may read. */
  organization?: string | undefined;
  description?: string | undefined;
  mode?: 'Suggest' | 'Approval' | 'Automatic' | undefined;
  /** What starts it, in words: `alert OpenBaoSealed`. */
  triggers: string[];
  source: string;
  revision?: string | undefined;
  file: string;
  line: number;
  digest: string;
}
export interface RunbookDetail extends RunbookSummary {
  /** `spec` as it was declared. */
  spec: Json;
}

/** How an objective stands: worst of its budgets first. Shares are from 0 to 1. */
interface SloStanding {
  state: 'OK' | 'Burning' | 'Exhausted' | 'NoData';
  sentence: string;
  sli?: number;
  budgetLeft?: number;
  burnRates: readonly { window: string; rate: number }[];
}
export interface SloBudget extends SloStanding {
  labels: Readonly<Record<string, string>>;
  organization: string | undefined;
}
export interface SloSummary extends SloStanding {
  name: string;
  title: string;
  service: string;
  /** Whose document it is; undefined for the Sovereign's. */
  organization: string | undefined;
  /** Sections of the handbook it comes from: `9.1`. Empty for what is not the handbook's. */
  handbook: readonly string[];
  /** Organizations that have a budget of it, of those its reader may see. */
  organizations: readonly string[];
  /** Undefined where the document cannot be worked out. */
  objective?: number;
  window: string;
}
export interface SloFilter {
  state?: SloSummary['state'] | undefined;
  service?: string | undefined;
  /** As this Organization would see them: its own objectives, and of the Sovereign's only its budgets. */
  ofOrganization?: string | undefined;
}
export interface SloDetail extends SloSummary {
  description: string | undefined;
  budgets: readonly SloBudget[];
}

/** A schedule, who is on call by it, until when, and who comes next. */
export interface OnCallSummary {
  name: string;
  /** Undefined for the Sovereign's own, which every Organization may read. */
  organization?: string | undefined;
  timeZone: string;
  /** Everybody who takes turns. */
  people: string[];
  /** Undefined where nobody is on call. */
  person?: string | undefined;
  /** The rotation, or `override`. */
  by?: string | undefined;
  /** When somebody else, or nobody, is on call; undefined where that is more than a quarter of a year away. */
  until?: number | undefined;
  next?: { person: string; by: string; from: number } | undefined;
}
export interface OnCallDetail extends OnCallSummary {
  /** `spec` as it was declared. */
  spec: Json;
}
export interface OnCallShift {
  person: string;
  by: string;
  from: number;
  to: number;
}

/** Lists newest first and finds one; `after` is what `next` of the page before was. */
export interface ReadModel<Summary, Filter = Record<never, never>, Detail = Summary> {
  list(request: ListRequest, filter: Filter): Promise<ListPage<Summary>>;
  find(id: string, organization: string | undefined): Promise<Detail | undefined>;
}

export type Alerts = ReadModel<AlertSummary, AlertFilter>;
export interface Incidents extends ReadModel<IncidentSummary, IncidentFilter> {
  /** Undefined where there is no such incident in the slice. */
  runbooks(id: string, organization: string | undefined): Promise<IncidentRunbooks | undefined>;
  /** The draft of its review, as Markdown; undefined where there is no such incident in the slice. */
  review(id: string, organization: string | undefined): Promise<string | undefined>;
  /** Over incidents opened within `window` ms before now. */
  statistics(
    question: Omit<StatisticsQuestion, 'from' | 'to'> & { window: number },
  ): Promise<Statistics & { from: number; to: number }>;
}
/** By name; an Organization sees its own and the Sovereign's, and its own where both have the name. */
export type IncidentTypes = ReadModel<IncidentTypeSummary>;
/** By name; an Organization sees its own and the Sovereign's, and its own where both have the name. */
export type Runbooks = ReadModel<RunbookSummary, Record<never, never>, RunbookDetail>;
/** By name; an Organization sees its own objectives and, of the Sovereign's, the budgets of its namespaces. */
export type Slos = ReadModel<SloSummary, SloFilter, SloDetail>;
/** By name; an Organization sees its own schedules and the Sovereign's, and its own where both have the name. */
export interface OnCalls extends ReadModel<OnCallSummary, Record<never, never>, OnCallDetail> {
  /** Undefined where there is no such schedule. */
  shifts(
    name: string,
    organization: string | undefined,
    range: { from: number; to: number },
  ): Promise<readonly OnCallShift[] | undefined>;
  /** The path at which calendar programs, which cannot log in, get it: whoever has it can read it. */
  feedPath(name: string, organization: string | undefined): Promise<string | undefined>;
  /** The calendar behind such a path; undefined where the token is not that of the schedule, or there is none. */
  feed(
    schedule: { name: string; organization: string | undefined },
    token: string,
    person: string | undefined,
  ): Promise<string | undefined>;
  /** As iCalendar; with `person` only theirs. */
  calendar(name: string, organization: string | undefined, person: string | undefined): Promise<string | undefined>;
}
export type Decisions = ReadModel<DecisionSummary, { alertId?: string | undefined; runId?: string | undefined }>;
export type Approvals = ReadModel<
  ApprovalSummary,
  { state?: ApprovalSummary['state'] | undefined; runId?: string | undefined }
>;
export type Pages = ReadModel<
  PageSummary,
  { state?: PageSummary['state'] | undefined; incidentId?: string | undefined; runId?: string | undefined }
>;
export interface Runs extends ReadModel<RunSummary, RunFilter> {
  /** Oldest first; `after` is the number of an entry. */
  journal(runId: string, page: { after?: number | undefined; limit: number }): Promise<JournalEntry[]>;
}

export interface SeenIncident {
  comment?: string | undefined;
  /** The version the caller saw; a newer one is a Conflict. */
  version?: number | undefined;
}

/** The caller has been found to see the incident. Throws InvalidState when its state does not allow it. */
export interface IncidentCommands {
  acknowledge(id: string, actor: Actor, seen: SeenIncident): Promise<void>;
  /** @param falseAlarm nothing was wrong: it does not count in statistics */
  resolve(id: string, actor: Actor, resolution: string, falseAlarm: boolean): Promise<void>;
  note(id: string, actor: Actor, text: string): Promise<void>;
  /** Pages the next step of the incident's policy now. */
  escalate(id: string, actor: Actor, seen: SeenIncident): Promise<void>;
  /** The caller has been found to see both. Returns the id of the one that goes on. Throws Conflict. */
  merge(id: string, actor: Actor, how: { into: string; version?: number; intoVersion?: number }): Promise<string>;
  /** Returns the id of the new one. Throws Conflict. */
  split(id: string, actor: Actor, how: { alerts: string[]; title?: string; version?: number }): Promise<string>;
}

/** What the link in a page leads to. Times are ms since the epoch. */
export type Acknowledgement =
  /** Forged, cut off, or signed with another key. */
  | { state: 'Unknown' }
  | { state: 'Expired' }
  | { state: 'Open'; about: AcknowledgedIncident; receiver: string }
  | { state: 'Acknowledged' | 'Resolved'; about: AcknowledgedIncident; by: string; at: number };
export interface AcknowledgedIncident {
  id: string;
  title: string;
  severity: string;
  openedAt: number;
}
/** The links in pages: whoever was paged acknowledges without logging in. */
export interface AcknowledgeLinks {
  look(token: string): Promise<Acknowledgement>;
  /** `done` when it is this link that acknowledged; `now` is how it stands afterwards. */
  acknowledge(token: string): Promise<{ done: boolean; now: Acknowledgement }>;
}

export interface StartRun {
  runbook: string;
  /** Whose runbook is looked for first: that of the actor, or the one a Sovereign-wide actor names. */
  organization?: string | undefined;
  inputs: Record<string, Json>;
  /** Says what it would do, and does nothing: a run in the mode Suggest. */
  dryRun: boolean;
  /** What it is about: the runbook's expressions see it. */
  alertId?: string | undefined;
  incidentId?: string | undefined;
  actor: Actor;
  traceparent?: string | undefined;
}
export interface ApprovalVote {
  actor: Actor;
  comment?: string | undefined;
  /** Digest of the plan the person saw; another plan is a Conflict. */
  planDigest?: string | undefined;
}

/**
 * The caller has been found to see the run. The service checks that the actor's role is the one the approval asks for,
 * and throws Forbidden; InvalidState when the run's state does not allow it; RefusedByGuard when a guard says no.
 */
export interface RunCommands {
  start(request: StartRun): Promise<{ runId: string }>;
  approve(runId: string, vote: ApprovalVote): Promise<void>;
  reject(runId: string, vote: ApprovalVote): Promise<void>;
  cancel(runId: string, actor: Actor, reason: string | undefined): Promise<void>;
}

/** Says what would be done about an alert now, and does nothing. Throws NotFound, BadRequest, Forbidden. */
export interface Explainer {
  explain(request: ExplainRequest & { actor: Actor }): Promise<RunbookExplanation>;
}

/** One thing that happened in a drill. */
export interface DrillEvent {
  /** Since the start of the drill, ms. */
  at: number;
  kind: 'fault' | 'alert' | 'incident' | 'decision' | 'fact' | 'action' | 'verification' | 'page' | 'note' | 'problem';
  sentence: string;
}
export interface DrillResult {
  passed: boolean;
  /** The reason a guard gave, when it was one that held the product back. */
  refusedBy?: string | undefined;
  /** What the drill showed, or what went otherwise than it should. */
  sentence: string;
  /** ms */
  took: number;
  /** What was measured: `time to detect` -> `1.2s`. */
  measured: Readonly<Record<string, string>>;
}
/** A game day that was started on this server. */
export interface DrillRun {
  name: string;
  state: 'Running' | 'Passed' | 'Failed';
  startedAt: number;
  startedBy: string;
  events: readonly DrillEvent[];
  /** Set when it has ended. */
  result?: DrillResult | undefined;
}
/** Faults that can be put into the world on purpose; only where the server was started with --drills. */
export interface Drills {
  list(): readonly { name: string; title: string; description: string; last?: DrillRun | undefined }[];
  /** Throws NotFound, and InvalidState while a drill is running. */
  start(name: string, actor: Actor): DrillRun;
}

export interface Catalog {
  /** Asks for the repository (`acme/runbooks`) to be read again soon; false when no source reads it. */
  refresh(repository: string): Promise<boolean>;
}

export interface TheRecord {
  read(filter: RecordFilter): Promise<RecordedEntry[]>;
  /** A search looks at so many entries at a time: it may find none and still have a `next`. */
  search(filter: RecordFilter & { text: string }): Promise<{ entries: RecordedEntry[]; next: number | undefined }>;
  /** Sequence number of the newest entry; 0 when there is none. */
  head(): Promise<number>;
  verify(signal: AbortSignal): Promise<ChainVerdict>;
}

/** Tells that entries may have been added. It may tell too often, late, or not at all: the stream looks each second, too. */
export interface Wakeup {
  subscribe(listener: () => void): () => void;
}

export interface HealthCheck {
  name: string;
  healthy: boolean;
  sentence: string;
}
export interface Health {
  /** What must work to take alerts: the database above all. Never rejects, and answers within a second. */
  check(): Promise<{ ready: boolean; checks: HealthCheck[] }>;
}

/** Answers that were given, by the key the caller chose. */
export interface IdempotencyKeys {
  /**
   * Claims the key for this request, or says what became of the one that claimed it before.
   */
  claim(actor: string, key: string, requestDigest: string): Promise<KeyClaim>;
  complete(actor: string, key: string, answer: { status: number; body: Json }): Promise<void>;
  release(actor: string, key: string): Promise<void>;
}
export type KeyClaim =
  | { kind: 'claimed' }
  | { kind: 'answered'; status: number; body: Json }
  | { kind: 'inProgress' }
  | { kind: 'otherRequest' };

export interface ApiPorts {
  intake: Intake;
  alerts: Alerts;
  deadLetters: DeadLetters;
  incidents: Incidents;
  incidentTypes: IncidentTypes;
  runs: Runs;
  runbooks: Runbooks;
  slos: Slos;
  onCall: OnCalls;
  decisions: Decisions;
  approvals: Approvals;
  pages: Pages;
  incidentCommands: IncidentCommands;
  acknowledgeLinks: AcknowledgeLinks;
  runCommands: RunCommands;
  explainer: Explainer;
  /** Absent: no drill can be started over this server. */
  drills?: Drills | undefined;
  catalog: Catalog;
  record: TheRecord;
  wakeup: Wakeup;
  health: Health;
  idempotencyKeys: IdempotencyKeys;
}
