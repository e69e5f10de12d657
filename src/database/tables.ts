/**
 * The tables as TypeScript sees them. Times are `Date` in rows and cross into domain types as milliseconds.
 * JSON columns are written as text (`JSON.stringify`), because the two drivers disagree on how to encode arrays.
 */
import type { ColumnType, Generated, Kysely, Transaction } from 'kysely';

/** Read as the parsed value, written as JSON text. */
type JsonColumn = ColumnType<unknown, string, string>;
type Nullable<T> = ColumnType<T | null, T | null | undefined, T | null>;

export interface DeliveryTable {
  id: Generated<number>;
  received_at: Date;
  source: string;
  organization: Nullable<string>;
  body: Uint8Array;
  traceparent: Nullable<string>;
  state: 'Pending' | 'Processed' | 'DeadLetter';
  problem: Nullable<string>;
  processed_at: Nullable<Date>;
}

export interface AlertTable {
  id: string;
  source: string;
  organization: Nullable<string>;
  fingerprint: string;
  name: string;
  labels: JsonColumn;
  annotations: JsonColumn;
  generator_url: string;
  external_url: string;
  starts_at: Date;
  earliest_start: Date;
  ends_at: Nullable<Date>;
  state: 'Firing' | 'Resolved' | 'Superseded';
  fired_at: Nullable<Date>;
  first_seen: Date;
  last_seen: Date;
  deliveries: number;
  incident_id: Nullable<string>;
  traceparent: Nullable<string>;
}

export interface IncidentTable {
  id: string;
  organization: Nullable<string>;
  type: string;
  title: string;
  severity: 'P1' | 'P2' | 'P3' | 'P4';
  state: 'Open' | 'Acknowledged' | 'Mitigated' | 'Resolved';
  correlation_key: string;
  opened_at: Date;
  acknowledged_at: Nullable<Date>;
  acknowledged_by: Nullable<string>;
  mitigated_at: Nullable<Date>;
  resolved_at: Nullable<Date>;
  resolved_by: Nullable<string>;
  resolved_how: Nullable<'Verified' | 'Checked' | 'Person' | 'Forced' | 'Merged' | 'FalseAlarm'>;
  resolution: Nullable<string>;
  clock_from: Date;
  respond_by: Date;
  escalated_at: Nullable<Date>;
  escalate_at: Nullable<Date>;
  escalation_step: number;
  stepped_at: Nullable<Date>;
  check_at: Nullable<Date>;
  check_outcome: Nullable<string>;
  check_sentence: Nullable<string>;
  clear_since: Nullable<Date>;
  version: Generated<number>;
  merged_into: Nullable<string>;
  split_from: Nullable<string>;
  caused_by: Nullable<string>;
  caused_by_sentence: Nullable<string>;
}

export interface IncidentAliasTable {
  key: string;
  incident_id: string;
}

export interface RecognitionTable {
  name: string;
  next_at: Date;
  looked_at: Nullable<Date>;
  holding_since: Nullable<Date>;
  clear_since: Nullable<Date>;
  raised_at: Nullable<Date>;
  sentence: Nullable<string>;
}

export interface IncidentRunTable {
  incident_id: string;
  run_id: string;
}

export interface DecisionTable {
  id: Generated<number>;
  at: Date;
  delivery_id: Nullable<number>;
  alert_id: string;
  outcome: 'RunStarted' | 'NotActed';
  reason: string;
  sentence: string;
  runbook: Nullable<string>;
  run_id: Nullable<string>;
  considered: JsonColumn;
}

export interface RunTable {
  id: string;
  runbook: string;
  organization: Nullable<string>;
  document: JsonColumn;
  trigger: JsonColumn;
  dedupe_key: string;
  alert_id: Nullable<string>;
  incident_id: Nullable<string>;
  mode: 'Suggest' | 'Approval' | 'Automatic';
  inputs: JsonColumn;
  requested_by: string;
  state: 'Pending' | 'AwaitingApproval' | 'Running' | 'RollingBack' | 'Ended';
  outcome: Nullable<'Succeeded' | 'Suggested' | 'Refused' | 'Failed' | 'RolledBack' | 'Unknown' | 'Cancelled'>;
  reason: Nullable<string>;
  sentence: string;
  target_key: Nullable<string>;
  lock_key: Nullable<string>;
  waits_for: Nullable<string>;
  created_at: Date;
  acted_at: Nullable<Date>;
  ended_at: Nullable<Date>;
  wake_at: Nullable<Date>;
  claimed_by: Nullable<string>;
  claimed_until: Nullable<Date>;
  claim_epoch: Generated<number>;
  entries: Generated<number>;
  observed_at: Nullable<Date>;
  cancel_requested_by: Nullable<string>;
  traceparent: Nullable<string>;
}

export interface RunEntryTable {
  run_id: string;
  seq: number;
  at: Date;
  kind: string;
  data: JsonColumn;
}

export interface ApprovalTable {
  id: string;
  run_id: string;
  step: number;
  role: string;
  plan: JsonColumn;
  plan_digest: string;
  requested_at: Date;
  expires_at: Date;
  state: 'Pending' | 'Approved' | 'Rejected' | 'Expired';
  decided_by: Nullable<string>;
  decided_at: Nullable<Date>;
  comment: Nullable<string>;
}

export interface PageTable {
  id: string;
  dedupe_key: string;
  receiver: string;
  organization: Nullable<string>;
  incident_id: Nullable<string>;
  run_id: Nullable<string>;
  severity: string;
  subject: string;
  body: string;
  state: 'Pending' | 'Delivered' | 'Failed';
  attempts: Generated<number>;
  next_attempt_at: Nullable<Date>;
  last_error: Nullable<string>;
  created_at: Date;
  delivered_at: Nullable<Date>;
}

export interface ScheduleTable {
  name: string;
  considered_until: Date;
}

export interface IdempotencyKeyTable {
  key: string;
  actor: string;
  request_digest: string;
  status: number;
  answer: JsonColumn;
  created_at: Date;
}

export interface RecordTable {
  seq: number;
  at: Date;
  kind: string;
  actor: string;
  organization: Nullable<string>;
  alert_id: Nullable<string>;
  incident_id: Nullable<string>;
  run_id: Nullable<string>;
  sentence: string;
  data: JsonColumn;
  previous_hash: string;
  hash: string;
}

export interface RecordHeadTable {
  only_one: Generated<boolean>;
  seq: number;
  hash: string;
}

export interface SessionTable {
  id: string;
  person: string;
  method: 'Oidc' | 'Link';
  grants: JsonColumn;
  active: number;
  csrf: string;
  created_at: Date;
  last_seen_at: Date;
  expires_at: Date;
}

export interface LoginTicketTable {
  id: string;
  purpose: 'Link' | 'Oidc';
  data: JsonColumn;
  expires_at: Date;
}

export interface SigningKeyTable {
  name: string;
  secret: string;
  created_at: Date;
}

export interface Tables {
  delivery: DeliveryTable;
  alert: AlertTable;
  incident: IncidentTable;
  incident_alias: IncidentAliasTable;
  incident_run: IncidentRunTable;
  recognition: RecognitionTable;
  decision: DecisionTable;
  run: RunTable;
  run_entry: RunEntryTable;
  approval: ApprovalTable;
  page: PageTable;
  schedule: ScheduleTable;
  idempotency_key: IdempotencyKeyTable;
  record: RecordTable;
  record_head: RecordHeadTable;
  session: SessionTable;
  login_ticket: LoginTicketTable;
  signing_key: SigningKeyTable;
}

/** The database, outside any transaction. */
export type Database = Kysely<Tables>;
/**
 * An open transaction. Inside one, nothing may use the outer `Database`: on the embedded database that waits for itself.
 */
export type Tx = Transaction<Tables>;
/** What a store function takes first. */
export type Queryable = Database | Tx;
