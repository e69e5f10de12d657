import { type Kysely, sql } from 'kysely';

/**
 * Indexes for what people ask of a database that has run for years. Each list is read in its own order from an index that
 * begins with what it is narrowed by, so that a filter few rows pass, or none, costs no more than one all of them pass,
 * and that the embedded database, which gathers no statistics by itself, plans as PostgreSQL does.
 *
 * What a run's row changes on its way (`state`) is left out: an update that touches no index costs least.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db);
}

const statements = [
  `CREATE INDEX incident_severity ON incident (severity, opened_at DESC, id DESC)`,
  `CREATE INDEX incident_unresolved ON incident (state, opened_at DESC, id DESC) WHERE state <> 'Resolved'`,
  `CREATE INDEX incident_organization ON incident (organization, opened_at DESC, id DESC)
    WHERE organization IS NOT NULL`,

  // Its order is that of ids, which is what runs are listed by.
  `DROP INDEX run_recent`,
  // A run has ended exactly when it has an end; of thousands a few have not.
  `CREATE INDEX run_unended ON run (id DESC) WHERE ended_at IS NULL`,
  `CREATE INDEX run_outcome ON run (outcome, id DESC) WHERE outcome IS NOT NULL`,
  `CREATE INDEX run_alert ON run (alert_id) WHERE alert_id IS NOT NULL`,
  `CREATE INDEX run_organization ON run (organization, id DESC) WHERE organization IS NOT NULL`,
  // Figures count the runs that acted: answered from the index, without the rows and the documents in them.
  `CREATE INDEX run_acted ON run (created_at) INCLUDE (incident_id, runbook, reason) WHERE acted_at IS NOT NULL`,

  `CREATE INDEX alert_name ON alert (name, last_seen DESC, id DESC)`,
  `CREATE INDEX alert_organization ON alert (organization, last_seen DESC, id DESC) WHERE organization IS NOT NULL`,

  `CREATE INDEX page_run ON page (run_id) WHERE run_id IS NOT NULL`,
  `CREATE INDEX page_failed ON page (id DESC) WHERE state = 'Failed'`,
  `CREATE INDEX page_organization ON page (organization, id DESC) WHERE organization IS NOT NULL`,

  `CREATE INDEX record_organization ON record (organization, seq) WHERE organization IS NOT NULL`,
];
