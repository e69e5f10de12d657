import { type Kysely, sql } from 'kysely';

/** Incidents that were merged, split or caused by another, and what is read about many of them at once. */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db);
}

const statements = [
  `ALTER TABLE incident
    /* The incident that goes on in its place. */
    ADD COLUMN merged_into TEXT,
    /* The incident its alerts were taken out of. */
    ADD COLUMN split_from TEXT,
    /* The incident it follows from, and why that is thought. */
    ADD COLUMN caused_by TEXT,
    ADD COLUMN caused_by_sentence TEXT,
    DROP CONSTRAINT incident_resolved_how_check,
    ADD CONSTRAINT incident_resolved_how_check
      CHECK (resolved_how IN ('Verified', 'Checked', 'Person', 'Forced', 'Merged', 'FalseAlarm'))`,
  `CREATE INDEX incident_merged ON incident (merged_into) WHERE merged_into IS NOT NULL`,
  `CREATE INDEX incident_caused ON incident (caused_by) WHERE caused_by IS NOT NULL AND state <> 'Resolved'`,
  `CREATE INDEX incident_type ON incident (type, opened_at DESC)`,

  // Correlation keys and alerts that lead to an incident they would not find by themselves: it took them over, or they
  // were split off into it. Counts while that incident is open.
  `CREATE TABLE incident_alias (
    key TEXT PRIMARY KEY,
    incident_id TEXT NOT NULL
  )`,
  `CREATE INDEX incident_alias_incident ON incident_alias (incident_id)`,

  // Runs that are shown with an incident they have left by a merge or a split.
  `CREATE TABLE incident_run (
    incident_id TEXT NOT NULL,
    run_id TEXT NOT NULL REFERENCES run (id),
    PRIMARY KEY (incident_id, run_id)
  )`,

  // Where each check that recognises an incident by facts stands. Claimed by moving next_at.
  `CREATE TABLE recognition (
    name TEXT PRIMARY KEY,
    next_at TIMESTAMPTZ NOT NULL,
    looked_at TIMESTAMPTZ,
    /* Since when it has held, or has not, without a break; the latter counts while it is raised. */
    holding_since TIMESTAMPTZ,
    clear_since TIMESTAMPTZ,
    /* Start of the alert it has raised; null while it raises none. */
    raised_at TIMESTAMPTZ,
    sentence TEXT
  )`,
  `CREATE INDEX recognition_due ON recognition (next_at)`,

  `CREATE INDEX run_runbook ON run (runbook, id DESC)`,
];
