/** Idempotency keys: SQL only. A key is claimed before the command and answered after it. */
import type { Clock } from '../clock.ts';
import type { Database, Queryable } from '../database/tables.ts';
import type { Json } from '../integrations/contract.ts';
import type { IdempotencyKeys } from './ports.ts';

/** Status of a row whose command has not answered yet. */
const claimed = 0;
/** A claim older than this belongs to a process that died: no command may take longer (see the API's handler limit). */
const claimLimitMs = 60_000;
/** A day, as clients that try again over night expect it. */
const keptMs = 24 * 3_600_000;

export function createIdempotencyKeys(db: Database, clock: Clock): IdempotencyKeys {
  return {
    async claim(actor, key, requestDigest) {
      const now = clock.now();
      const row = {
        actor,
        key,
        request_digest: requestDigest,
        status: claimed,
        answer: 'null',
        created_at: new Date(now),
      };
      const inserted = await db
        .insertInto('idempotency_key')
        .values(row)
        .onConflict((conflict) =>
          conflict
            .columns(['actor', 'key'])
            .doUpdateSet({ request_digest: requestDigest, status: claimed, answer: 'null', created_at: new Date(now) })
            // Only a key that nobody may ask for any more is taken over.
            .where((eb) =>
              eb.or([
                eb('idempotency_key.created_at', '<', new Date(now - keptMs)),
                eb.and([
                  eb('idempotency_key.status', '=', claimed),
                  eb('idempotency_key.request_digest', '=', requestDigest),
                  eb('idempotency_key.created_at', '<', new Date(now - claimLimitMs)),
                ]),
              ]),
            ),
        )
        .returning('key')
        .executeTakeFirst();
      if (inserted) return { kind: 'claimed' };
      const earlier = await byKey(db, actor, key);
      // Released between the two statements: the caller tries again.
      if (!earlier) return { kind: 'inProgress' };
      if (earlier.request_digest !== requestDigest) return { kind: 'otherRequest' };
      if (earlier.status === claimed) return { kind: 'inProgress' };
      return { kind: 'answered', status: earlier.status, body: earlier.answer as Json };
    },
    async complete(actor, key, answer) {
      await db
        .updateTable('idempotency_key')
        .set({ status: answer.status, answer: JSON.stringify(answer.body) })
        .where('actor', '=', actor)
        .where('key', '=', key)
        .execute();
    },
    async release(actor, key) {
      await db
        .deleteFrom('idempotency_key')
        .where('actor', '=', actor)
        .where('key', '=', key)
        .where('status', '=', claimed)
        .execute();
    },
  };
}

function byKey(db: Queryable, actor: string, key: string) {
  return db
    .selectFrom('idempotency_key')
    .select(['request_digest', 'status', 'answer'])
    .where('actor', '=', actor)
    .where('key', '=', key)
    .executeTakeFirst();
}

/** Deletes keys nobody may ask for any more. */
export async function purgeIdempotencyKeys(db: Queryable, now: number): Promise<number> {
  const result = await db
    .deleteFrom('idempotency_key')
    .where('created_at', '<', new Date(now - keptMs))
    .executeTakeFirst();
  return Number(result.numDeletedRows);
}
