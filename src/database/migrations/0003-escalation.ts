import { type Kysely, sql } from 'kysely';

/** The response clock of an incident: since when it runs, which step of escalation is due next, and how many were taken. */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db);
}

const statements = [
  `ALTER TABLE incident
    ADD COLUMN clock_from TIMESTAMPTZ,
    ADD COLUMN escalate_at TIMESTAMPTZ,
    ADD COLUMN escalation_step INTEGER NOT NULL DEFAULT 0`,
  `UPDATE incident SET clock_from = opened_at,
    escalate_at = CASE WHEN state = 'Open' AND acknowledged_at IS NULL THEN respond_by END`,
  `ALTER TABLE incident ALTER COLUMN clock_from SET NOT NULL`,
  `DROP INDEX incident_unanswered`,
  `CREATE INDEX incident_escalate ON incident (escalate_at) WHERE escalate_at IS NOT NULL`,
];
