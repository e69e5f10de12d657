/** Sessions and what leads to one, in SQL. What a browser or a link holds is never stored, only its hash. */
import { sql } from 'kysely';
import type { Database, Queryable } from '../../database/tables.ts';
import type { Grant, Session } from './session.ts';

export async function insertSession(db: Queryable, session: Session): Promise<void> {
  await db
    .insertInto('session')
    .values({
      id: session.id,
      person: session.person,
      method: session.method,
      grants: JSON.stringify(session.grants),
      active: session.active,
      csrf: session.csrf,
      created_at: new Date(session.createdAt),
      last_seen_at: new Date(session.lastSeenAt),
      expires_at: new Date(session.expiresAt),
    })
    .execute();
}

export async function findSession(db: Queryable, id: string): Promise<Session | undefined> {
  const row = await db.selectFrom('session').selectAll().where('id', '=', id).executeTakeFirst();
  return (
    row && {
      id: row.id,
      person: row.person,
      method: row.method,
      grants: row.grants as Grant[],
      active: row.active,
      csrf: row.csrf,
      createdAt: row.created_at.getTime(),
      lastSeenAt: row.last_seen_at.getTime(),
      expiresAt: row.expires_at.getTime(),
    }
  );
}

/** Of these sessions those that are there, by id: which grant counts, and until when they last, milliseconds since the epoch. */
export async function findSessions(
  db: Queryable,
  ids: readonly string[],
): Promise<Map<string, Pick<Session, 'active' | 'expiresAt'>>> {
  const rows = await db
    .selectFrom('session')
    .select(['id', 'active', 'expires_at'])
    .where('id', '=', sql<string>`ANY(${[...ids]}::text[])`)
    .execute();
  return new Map(rows.map(({ id, active, expires_at }) => [id, { active, expiresAt: expires_at.getTime() }]));
}

export async function touchSession(db: Queryable, id: string, now: number): Promise<void> {
  await db
    .updateTable('session')
    .set({ last_seen_at: new Date(now) })
    .where('id', '=', id)
    .execute();
}

export async function activateGrant(db: Queryable, id: string, active: number): Promise<void> {
  await db.updateTable('session').set({ active }).where('id', '=', id).execute();
}

/** True when it was there. */
export async function deleteSession(db: Queryable, id: string): Promise<boolean> {
  return (await db.deleteFrom('session').where('id', '=', id).returning('id').executeTakeFirst()) !== undefined;
}

export interface LoginTicket {
  /** SHA-256 of the secret that redeems it, hex. */
  id: string;
  purpose: 'Link' | 'Oidc';
  data: unknown;
  expiresAt: number;
}

export async function insertTicket(db: Queryable, { id, purpose, data, expiresAt }: LoginTicket): Promise<void> {
  await db
    .insertInto('login_ticket')
    .values({ id, purpose, data: JSON.stringify(data), expires_at: new Date(expiresAt) })
    .execute();
}

/** Redeems a ticket: of two that try at once, one gets it. */
export async function takeTicket(
  db: Queryable,
  id: string,
  purpose: LoginTicket['purpose'],
  now: number,
): Promise<unknown> {
  const row = await db
    .deleteFrom('login_ticket')
    .where('id', '=', id)
    .where('purpose', '=', purpose)
    .returning(['data', 'expires_at'])
    .executeTakeFirst();
  return row && row.expires_at.getTime() > now ? row.data : undefined;
}

/** Forgets what nobody can use any more. */
export async function purgeSessions(db: Database, now: number): Promise<void> {
  await db.deleteFrom('session').where('expires_at', '<', new Date(now)).execute();
  await db.deleteFrom('login_ticket').where('expires_at', '<', new Date(now)).execute();
}
