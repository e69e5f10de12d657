/**
 * Every metric of the product, in one place. Base units, the unit in the name, bounded labels: a label never holds an
 * id. A label with a closed list of values is there from the start with 0, so that a first increase shows as one.
 */

/** Values of a label: a closed list, or a sentence that says what bounds it. */
export type LabelValues = readonly string[] | string;

export interface MetricDefinition {
  name: string;
  kind: 'counter' | 'histogram' | 'gauge';
  help: string;
  labels: Readonly<Record<string, LabelValues>>;
  /** Upper bounds of a histogram's buckets. */
  buckets?: readonly number[];
}

/** Answers of a server: from an in-memory read to Alertmanager's 10 s; with the 200 ms, 500 ms and 1 s of handbook §9.1. */
const requestSeconds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.25, 0.5, 1, 2.5, 5, 10];
/** Work of the engine: from a restart that takes a second to an approval that takes an hour. */
const workSeconds = [0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600];

const runbookLabel = 'Names of the runbooks in the catalog.';
const failoverGroupLabel = 'Names of the failover groups.';
const reasonLabel = 'The closed list of reasons of the engine and its guards.';

export const metricDefinitions = {
  alertsReceived: {
    name: 'catalyst_sre_alerts_received_total',
    kind: 'counter',
    help: 'Alerts in deliveries that were read, repeats included.',
    labels: { status: ['firing', 'resolved'] },
  },
  deliveries: {
    name: 'catalyst_sre_deliveries_total',
    kind: 'counter',
    help: 'Deliveries at the door, by what the sender was told. Alertmanager tries again only after Unavailable.',
    labels: { outcome: ['Accepted', 'Unavailable', 'Unauthenticated', 'TooLarge', 'Refused'] },
  },
  deadLetters: {
    name: 'catalyst_sre_dead_letters_total',
    kind: 'counter',
    help: 'Deliveries that were kept but cannot be read.',
    labels: {},
  },
  intakeQueue: {
    name: 'catalyst_sre_intake_queue',
    kind: 'gauge',
    help: 'Deliveries that are committed and not yet worked through.',
    labels: {},
  },
  incidentsOpen: {
    name: 'catalyst_sre_incidents_open',
    kind: 'gauge',
    help: 'Incidents that are not resolved.',
    labels: { severity: ['P1', 'P2', 'P3', 'P4'] },
  },
  runs: {
    name: 'catalyst_sre_runs_total',
    kind: 'counter',
    help: 'Runs that have ended.',
    labels: {
      runbook: runbookLabel,
      outcome: ['Succeeded', 'Suggested', 'Refused', 'Failed', 'RolledBack', 'Unknown', 'Cancelled'],
      reason: reasonLabel,
    },
  },
  runDuration: {
    name: 'catalyst_sre_run_duration_seconds',
    kind: 'histogram',
    help: 'Time from the creation of a run to its end.',
    labels: { runbook: runbookLabel },
    buckets: workSeconds,
  },
  oldestDueRun: {
    name: 'catalyst_sre_oldest_due_run_seconds',
    kind: 'gauge',
    help: 'How long the run that waits longest for a free engine has been due; 0 when none waits.',
    labels: {},
  },
  recordBroken: {
    name: 'catalyst_sre_record_broken',
    kind: 'gauge',
    help: '1 when the hourly look through the record found that it was changed or cut off.',
    labels: {},
  },
  stepAttempts: {
    name: 'catalyst_sre_step_attempts_total',
    kind: 'counter',
    help: 'Tries of actions.',
    labels: { action: 'Names of the actions of the integrations.', outcome: ['Succeeded', 'Failed', 'Unknown'] },
  },
  stepOverhead: {
    name: 'catalyst_sre_step_overhead_seconds',
    kind: 'histogram',
    help: 'Time the engine itself adds around an action: committing its intent, and committing its outcome, each.',
    labels: {},
    buckets: requestSeconds,
  },
  verificationDuration: {
    name: 'catalyst_sre_verification_duration_seconds',
    kind: 'histogram',
    help: 'Time from the start of a verification to its verdict.',
    labels: { outcome: ['Verified', 'Failed', 'Unknown'] },
    buckets: workSeconds,
  },
  actionsBlocked: {
    name: 'catalyst_sre_actions_blocked_total',
    kind: 'counter',
    help: 'Actions that a guard or a mode held back.',
    labels: { reason: reasonLabel },
  },
  webhookToFirstAction: {
    name: 'catalyst_sre_webhook_to_first_action_seconds',
    kind: 'histogram',
    help: 'Time from the commit of a delivery to the first action of the run it started.',
    labels: {},
    buckets: workSeconds,
  },
  pages: {
    name: 'catalyst_sre_pages_total',
    kind: 'counter',
    help: 'Tries to tell somebody. Failed means given up; Retried means tried again later.',
    labels: { outcome: ['Delivered', 'Retried', 'Failed'] },
  },
  catalogDocuments: {
    name: 'catalyst_sre_catalog_documents',
    kind: 'gauge',
    help: 'Documents in use, by where they came from.',
    labels: { source: 'Catalog sources of the configuration.' },
  },
  catalogProblems: {
    name: 'catalyst_sre_catalog_problems',
    kind: 'gauge',
    help: 'What is wrong with documents as they stand now.',
    labels: { severity: ['error', 'warning'] },
  },
  reconcileErrors: {
    name: 'catalyst_sre_reconcile_errors_total',
    kind: 'counter',
    help: 'Rounds of a background loop that ended in an error.',
    labels: { controller: 'Names of the background loops.', reason: 'The error codes.' },
  },
  streamClients: {
    name: 'catalyst_sre_stream_clients',
    kind: 'gauge',
    help: 'Clients that follow the event stream.',
    labels: {},
  },
  witnessRequests: {
    name: 'catalyst_sre_witness_requests_total',
    kind: 'counter',
    help: 'Requests to this witness. Applied and Conflict are both good answers; Failed means that the disk cannot be trusted.',
    labels: { operation: ['Read', 'Write'], outcome: ['Applied', 'Conflict', 'Read', 'Refused', 'Failed'] },
  },
  witnessCommit: {
    name: 'catalyst_sre_witness_commit_seconds',
    kind: 'histogram',
    help: 'Time of one commit of this witness, fsync included; the writes that arrive meanwhile share the next one.',
    labels: {},
    buckets: requestSeconds,
  },
  witnessWrites: {
    name: 'catalyst_sre_witness_committed_writes_total',
    kind: 'counter',
    help: 'Writes in the commits of this witness, refused ones included.',
    labels: {},
  },
  witnessGroups: {
    name: 'catalyst_sre_witness_groups',
    kind: 'gauge',
    help: 'Failover groups whose lease this witness keeps.',
    labels: {},
  },
  httpServerRequestDuration: {
    name: 'http_server_request_duration_seconds',
    kind: 'histogram',
    help: 'Time from the first byte of a request to the last of its answer (OpenTelemetry http.server.request.duration).',
    labels: {
      http_request_method: 'The methods of RFC 9110; others are _OTHER.',
      http_route: 'The routes of the server; unknown when none matched.',
      http_response_status_code: 'The status codes the product answers with.',
    },
    buckets: requestSeconds,
  },
  failoverLeaseStatus: {
    name: 'failover_lease_status',
    kind: 'gauge',
    help: '1 while this region holds the lease of the group.',
    labels: { group: failoverGroupLabel },
  },
  failoverActive: {
    name: 'failover_active',
    kind: 'gauge',
    help: '1 while the gate of the group is open in this region. The sum over both regions must never exceed 1.',
    labels: { group: failoverGroupLabel },
  },
  failoverLeaseEpoch: {
    name: 'failover_lease_epoch',
    kind: 'gauge',
    help: 'Newest epoch of the lease this region has seen.',
    labels: { group: failoverGroupLabel },
  },
  failoverSecondsToFence: {
    name: 'failover_lease_seconds_to_fence',
    kind: 'gauge',
    help: 'Seconds until the gate shuts by itself unless the lease is renewed; 0 while it is shut.',
    labels: { group: failoverGroupLabel },
  },
  failoverWitnessReachable: {
    name: 'failover_witness_reachable',
    kind: 'gauge',
    help: '1 when the witness has answered within the last TTL.',
    labels: { group: failoverGroupLabel, witness: 'Names of the witnesses in the configuration.' },
  },
  failoverLastFailoverTime: {
    name: 'failover_last_failover_time',
    kind: 'gauge',
    help: 'When this region last took the group over, in seconds since the epoch; 0 when it never did.',
    labels: { group: failoverGroupLabel },
  },
  failoverRpo: {
    name: 'failover_rpo_seconds',
    kind: 'gauge',
    help: 'Data that would be missing after a takeover, as time; absent while it is not known.',
    labels: { group: failoverGroupLabel, component: 'Names of the components of the group.' },
  },
  failoverPreflightFailed: {
    name: 'failover_preflight_failed',
    kind: 'gauge',
    help: '1 for a pre-flight check that failed or could not be made.',
    labels: { group: failoverGroupLabel, check: 'Names of the pre-flight checks.' },
  },
  failoverExecutionDuration: {
    name: 'failover_execution_duration_seconds',
    kind: 'histogram',
    help: 'Time from the intent to take the group over, or to hand it over, to its end.',
    labels: { group: failoverGroupLabel, kind: ['takeover', 'switchover'] },
    buckets: workSeconds,
  },
  failoverPages: {
    name: 'failover_pages_total',
    kind: 'counter',
    help: 'Times the failover controller had something a person must look at.',
    labels: { severity: ['critical', 'warning'] },
  },
  processCpu: {
    name: 'process_cpu_seconds_total',
    kind: 'counter',
    help: 'Processor time of the process, user and system.',
    labels: {},
  },
  processResidentMemory: {
    name: 'process_resident_memory_bytes',
    kind: 'gauge',
    help: 'Resident memory of the process.',
    labels: {},
  },
  processStartTime: {
    name: 'process_start_time_seconds',
    kind: 'gauge',
    help: 'Start of the process, in seconds since the epoch.',
    labels: {},
  },
  heapUsed: {
    name: 'nodejs_heap_size_used_bytes',
    kind: 'gauge',
    help: 'JavaScript heap in use.',
    labels: {},
  },
  eventLoopLag: {
    name: 'nodejs_eventloop_lag_seconds',
    kind: 'gauge',
    help: 'Delay of the event loop since the last time this was read. The embedded database shares the loop.',
    labels: { quantile: ['0.5', '0.99', '1'] },
  },
  buildInfo: {
    name: 'catalyst_sre_build_info',
    kind: 'gauge',
    help: 'Always 1; the labels tell what is running.',
    labels: { version: 'The version of the product.', node: 'The version of Node.js.' },
  },
} as const satisfies Record<string, MetricDefinition>;

export type MetricKey = keyof typeof metricDefinitions;
type DefinitionOf<K extends MetricKey> = (typeof metricDefinitions)[K];

/** The labels of a metric: the listed words where its list is closed, any text where something else bounds it. */
export type LabelsOf<K extends MetricKey> = {
  [L in keyof DefinitionOf<K>['labels']]: DefinitionOf<K>['labels'][L] extends readonly (infer V)[] ? V : string;
};
export type MetricsOfKind<Kind extends MetricDefinition['kind']> = {
  [K in MetricKey]: DefinitionOf<K>['kind'] extends Kind ? K : never;
}[MetricKey];
