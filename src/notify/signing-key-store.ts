/** Secrets the product makes for itself, once for all replicas. SQL only. */
import { randomBytes } from 'node:crypto';
import type { Database } from '../database/tables.ts';

/** The secret of that name; made now if there is none. Of replicas that start together all get the same one. */
export async function readOrMakeSecret(db: Database, name: string, now: number): Promise<string> {
  const row = { name, secret: randomBytes(32).toString('base64url'), created_at: new Date(now) };
  await db
    .insertInto('signing_key')
    .values(row)
    .onConflict((conflict) => conflict.column('name').doNothing())
    .execute();
  const kept = await db.selectFrom('signing_key').select('secret').where('name', '=', name).executeTakeFirstOrThrow();
  return kept.secret;
}
