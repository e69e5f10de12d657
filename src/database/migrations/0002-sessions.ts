import { type Kysely, sql } from 'kysely';

/** People who are logged in, and the single-use tickets that lead there. Secrets are stored as SHA-256, hex. */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db);
}

const statements = [
  `CREATE TABLE session (
    id TEXT PRIMARY KEY,
    person TEXT NOT NULL,
    method TEXT NOT NULL CHECK (method IN ('Oidc', 'Link')),
    grants JSONB NOT NULL,
    active INTEGER NOT NULL,
    csrf TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    last_seen_at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL
  )`,
  `CREATE INDEX session_age ON session (expires_at)`,

  `CREATE TABLE login_ticket (
    id TEXT PRIMARY KEY,
    purpose TEXT NOT NULL CHECK (purpose IN ('Link', 'Oidc')),
    data JSONB NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL
  )`,
  `CREATE INDEX login_ticket_age ON login_ticket (expires_at)`,
];
