import { type Kysely, sql } from 'kysely';

/** When the last step of an incident's escalation was taken, on its own clock; and the keys that links are signed with. */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db);
}

const statements = [
  `ALTER TABLE incident ADD COLUMN stepped_at TIMESTAMPTZ`,
  `UPDATE incident SET stepped_at = (SELECT max(created_at) FROM page WHERE page.incident_id = incident.id)
    WHERE escalate_at IS NOT NULL AND escalation_step > 0`,
  `CREATE INDEX page_incident ON page (incident_id) WHERE incident_id IS NOT NULL`,
  `CREATE TABLE signing_key (
    name TEXT PRIMARY KEY,
    secret TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL
  )`,
];
