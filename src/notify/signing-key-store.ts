/** Secrets the product makes for itself, once for all replicas. SQL only. */
import { randomBytes } from 'node:crypto';
import type { Database, Tx } from '../database/tables.ts';

const newSecret = () => randomBytes(32).toString('base64url');

/** The secret of that name; made now if there is none. Of replicas that start together all get the same one. */
export async function readOrMakeSecret(db: Database, name: string, now: number): Promise<string> {
  const find = () => db.selectFrom('signing_key').select('secret').where('name', '=', name);
  const known = await find().executeTakeFirst();
  if (known) return known.secret;
  const row = { name, secret: newSecret(), created_at: new Date(now) };
  await db
    .insertInto('signing_key')
    .values(row)
    .onConflict((conflict) => conflict.column('name').doNothing())
    .execute();
  return (await find().executeTakeFirstOrThrow()).secret;
}

/** Puts another secret in the place of the one of that name, whether there was one or not. */
export async function replaceSecret(tx: Tx, name: string, now: number): Promise<void> {
  const secret = newSecret();
  const created_at = new Date(now);
  await tx
    .insertInto('signing_key')
    .values({ name, secret, created_at })
    .onConflict((conflict) => conflict.column('name').doUpdateSet({ secret, created_at }))
    .execute();
}
