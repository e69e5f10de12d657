import { type Kysely, sql } from 'kysely';

/**
 * The spine: deliveries, alerts, incidents, decisions, runs with their journal, approvals, pages, and the record.
 *
 * Enumerations are text with a check, so that adding a value is one statement. Times are timestamptz. Documents that are
 * hashed are `json` (kept to the letter), documents that are searched are `jsonb`.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db);
}

const statements = [
  // What Alertmanager handed over, to the byte. Acknowledged only after this row is committed.
  `CREATE TABLE delivery (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    received_at TIMESTAMPTZ NOT NULL,
    source TEXT NOT NULL,
    organization TEXT,
    body BYTEA NOT NULL,
    traceparent TEXT,
    state TEXT NOT NULL DEFAULT 'Pending' CHECK (state IN ('Pending', 'Processed', 'DeadLetter')),
    problem TEXT,
    processed_at TIMESTAMPTZ
  )`,
  `CREATE INDEX delivery_pending ON delivery (id) WHERE state = 'Pending'`,
  `CREATE INDEX delivery_dead ON delivery (id) WHERE state = 'DeadLetter'`,

  // One firing of one alert, from its start to its end: an episode. The fingerprint hashes labels only, so that the
  // source and the start are part of its identity.
  `CREATE TABLE alert (
    id TEXT PRIMARY KEY,
    source TEXT NOT NULL,
    organization TEXT,
    fingerprint TEXT NOT NULL,
    name TEXT NOT NULL,
    labels JSONB NOT NULL,
    annotations JSONB NOT NULL,
    generator_url TEXT NOT NULL,
    external_url TEXT NOT NULL,
    /* As first reported; part of the identity, never changed. */
    starts_at TIMESTAMPTZ NOT NULL,
    earliest_start TIMESTAMPTZ NOT NULL,
    ends_at TIMESTAMPTZ,
    state TEXT NOT NULL CHECK (state IN ('Firing', 'Resolved', 'Superseded')),
    /* When it became a reason to act; null when only its end was ever delivered. */
    fired_at TIMESTAMPTZ,
    first_seen TIMESTAMPTZ NOT NULL,
    last_seen TIMESTAMPTZ NOT NULL,
    deliveries INTEGER NOT NULL,
    incident_id TEXT,
    traceparent TEXT
  )`,
  // Two Organizations may name their sources alike; neither can touch the other's episodes.
  `CREATE UNIQUE INDEX alert_episode ON alert (source, (coalesce(organization, '')), fingerprint, starts_at)`,
  `CREATE INDEX alert_open ON alert (source, (coalesce(organization, '')), fingerprint) WHERE state = 'Firing'`,
  `CREATE INDEX alert_incident ON alert (incident_id)`,
  `CREATE INDEX alert_recent ON alert (last_seen DESC, id DESC)`,

  `CREATE TABLE incident (
    id TEXT PRIMARY KEY,
    organization TEXT,
    type TEXT NOT NULL,
    title TEXT NOT NULL,
    severity TEXT NOT NULL CHECK (severity IN ('P1', 'P2', 'P3', 'P4')),
    state TEXT NOT NULL CHECK (state IN ('Open', 'Acknowledged', 'Mitigated', 'Resolved')),
    correlation_key TEXT NOT NULL,
    opened_at TIMESTAMPTZ NOT NULL,
    acknowledged_at TIMESTAMPTZ,
    acknowledged_by TEXT,
    mitigated_at TIMESTAMPTZ,
    resolved_at TIMESTAMPTZ,
    resolved_by TEXT,
    resolved_how TEXT CHECK (resolved_how IN ('Verified', 'Checked', 'Person', 'Forced')),
    resolution TEXT,
    /* By when somebody has to have acknowledged it, and when it was escalated because nobody had. */
    respond_by TIMESTAMPTZ NOT NULL,
    escalated_at TIMESTAMPTZ,
    /* When to ask whether its alerts still fire, what the last answer was, and since when all are known to be over. */
    check_at TIMESTAMPTZ,
    check_outcome TEXT,
    check_sentence TEXT,
    clear_since TIMESTAMPTZ,
    version INTEGER NOT NULL DEFAULT 1
  )`,
  // Two deliveries at once cannot open the same incident twice.
  `CREATE UNIQUE INDEX incident_open_key ON incident (correlation_key) WHERE state <> 'Resolved'`,
  `CREATE INDEX incident_recent ON incident (opened_at DESC, id DESC)`,
  `CREATE INDEX incident_check ON incident (check_at) WHERE check_at IS NOT NULL`,
  `CREATE INDEX incident_unanswered ON incident (respond_by) WHERE state = 'Open' AND escalated_at IS NULL`,

  // What was done about each delivered alert, or the typed reason why nothing was.
  `CREATE TABLE decision (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at TIMESTAMPTZ NOT NULL,
    delivery_id BIGINT,
    alert_id TEXT NOT NULL,
    outcome TEXT NOT NULL CHECK (outcome IN ('RunStarted', 'NotActed')),
    reason TEXT NOT NULL,
    sentence TEXT NOT NULL,
    runbook TEXT,
    run_id TEXT,
    considered JSONB NOT NULL
  )`,
  `CREATE INDEX decision_alert ON decision (alert_id, id)`,
  `CREATE INDEX decision_run ON decision (run_id)`,

  // One execution of one runbook. The columns are the fold of its journal, kept for queries and claims; the journal is the truth.
  `CREATE TABLE run (
    id TEXT PRIMARY KEY,
    runbook TEXT NOT NULL,
    organization TEXT,
    document JSON NOT NULL,
    trigger JSONB NOT NULL,
    /* A firing, a local date or a request starts a runbook once. */
    dedupe_key TEXT NOT NULL UNIQUE,
    alert_id TEXT,
    incident_id TEXT,
    mode TEXT NOT NULL CHECK (mode IN ('Suggest', 'Approval', 'Automatic')),
    inputs JSONB NOT NULL,
    requested_by TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('Pending', 'AwaitingApproval', 'Running', 'RollingBack', 'Ended')),
    outcome TEXT CHECK (outcome IN ('Succeeded', 'Suggested', 'Refused', 'Failed', 'RolledBack', 'Unknown', 'Cancelled')),
    reason TEXT,
    sentence TEXT NOT NULL,
    target_key TEXT,
    lock_key TEXT,
    /* The key another run holds. */
    waits_for TEXT,
    created_at TIMESTAMPTZ NOT NULL,
    acted_at TIMESTAMPTZ,
    ended_at TIMESTAMPTZ,
    wake_at TIMESTAMPTZ,
    claimed_by TEXT,
    claimed_until TIMESTAMPTZ,
    /* Grows with each claim: a process that lost its claim cannot write with an old one. */
    claim_epoch INTEGER NOT NULL DEFAULT 0,
    entries INTEGER NOT NULL DEFAULT 0,
    /* When a verification was last looked at: a hold is not continuous over a gap. */
    observed_at TIMESTAMPTZ,
    cancel_requested_by TEXT,
    traceparent TEXT
  )`,
  `CREATE INDEX run_due ON run (wake_at) WHERE wake_at IS NOT NULL`,
  // The concurrency key: at most one run holds it.
  `CREATE UNIQUE INDEX run_lock ON run (lock_key) WHERE lock_key IS NOT NULL`,
  `CREATE INDEX run_waiting ON run (waits_for, created_at) WHERE waits_for IS NOT NULL`,
  `CREATE INDEX run_history ON run (runbook, target_key, acted_at) WHERE acted_at IS NOT NULL`,
  `CREATE INDEX run_recent ON run (created_at DESC, id DESC)`,
  `CREATE INDEX run_incident ON run (incident_id)`,

  `CREATE TABLE run_entry (
    run_id TEXT NOT NULL REFERENCES run (id),
    seq INTEGER NOT NULL,
    at TIMESTAMPTZ NOT NULL,
    kind TEXT NOT NULL,
    data JSON NOT NULL,
    PRIMARY KEY (run_id, seq)
  )`,

  `CREATE TABLE approval (
    id TEXT PRIMARY KEY,
    run_id TEXT NOT NULL REFERENCES run (id),
    step INTEGER NOT NULL,
    role TEXT NOT NULL,
    plan JSON NOT NULL,
    plan_digest TEXT NOT NULL,
    requested_at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('Pending', 'Approved', 'Rejected', 'Expired')),
    decided_by TEXT,
    decided_at TIMESTAMPTZ,
    comment TEXT
  )`,
  `CREATE INDEX approval_run ON approval (run_id)`,
  `CREATE INDEX approval_pending ON approval (expires_at) WHERE state = 'Pending'`,

  // Who is told: an outbox. Written with what it tells of, delivered after, again until the receiver takes it or the limit is reached.
  `CREATE TABLE page (
    id TEXT PRIMARY KEY,
    dedupe_key TEXT NOT NULL UNIQUE,
    receiver TEXT NOT NULL,
    organization TEXT,
    incident_id TEXT,
    run_id TEXT,
    severity TEXT NOT NULL,
    subject TEXT NOT NULL,
    body TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('Pending', 'Delivered', 'Failed')),
    attempts INTEGER NOT NULL DEFAULT 0,
    next_attempt_at TIMESTAMPTZ,
    last_error TEXT,
    created_at TIMESTAMPTZ NOT NULL,
    delivered_at TIMESTAMPTZ
  )`,
  `CREATE INDEX page_due ON page (next_attempt_at) WHERE state = 'Pending'`,

  // How far each schedule has been looked at, so that a start after an outage knows which times it missed.
  `CREATE TABLE schedule (
    name TEXT PRIMARY KEY,
    considered_until TIMESTAMPTZ NOT NULL
  )`,

  `CREATE TABLE idempotency_key (
    key TEXT NOT NULL,
    actor TEXT NOT NULL,
    request_digest TEXT NOT NULL,
    status INTEGER NOT NULL,
    answer JSON NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (actor, key)
  )`,
  `CREATE INDEX idempotency_key_age ON idempotency_key (created_at)`,

  // The record: append-only, each entry hashed over the one before. Also the timeline of incidents and the event stream.
  `CREATE TABLE record (
    seq BIGINT PRIMARY KEY,
    at TIMESTAMPTZ NOT NULL,
    kind TEXT NOT NULL,
    actor TEXT NOT NULL,
    organization TEXT,
    alert_id TEXT,
    incident_id TEXT,
    run_id TEXT,
    sentence TEXT NOT NULL,
    data JSON NOT NULL,
    previous_hash TEXT NOT NULL,
    hash TEXT NOT NULL
  )`,
  `CREATE INDEX record_incident ON record (incident_id, seq) WHERE incident_id IS NOT NULL`,
  `CREATE INDEX record_run ON record (run_id, seq) WHERE run_id IS NOT NULL`,
  `CREATE TABLE record_head (
    only_one BOOLEAN PRIMARY KEY DEFAULT true CHECK (only_one),
    seq BIGINT NOT NULL,
    hash TEXT NOT NULL
  )`,
  `INSERT INTO record_head (seq, hash) VALUES (0, '${'0'.repeat(64)}')`,
  `CREATE FUNCTION record_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'the record is append-only'; END $$`,
  `CREATE TRIGGER record_append_only BEFORE UPDATE OR DELETE ON record
    FOR EACH ROW EXECUTE FUNCTION record_is_append_only()`,
];
