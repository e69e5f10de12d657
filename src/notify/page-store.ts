/** Pages in the database: an outbox. SQL only. */
import { type Selectable, sql } from 'kysely';
import type { PageTable, Queryable, Tx } from '../database/tables.ts';
import type { Page } from './page.ts';

/** Writes a page, unless one with its dedupe key exists; returns the one that exists then, and whether it is new. */
export async function insertPage(tx: Tx, page: Page): Promise<{ page: Page; created: boolean }> {
  const inserted = await tx
    .insertInto('page')
    .values({
      id: page.id,
      dedupe_key: page.dedupeKey,
      receiver: page.receiver,
      organization: page.organization ?? null,
      incident_id: page.incidentId ?? null,
      run_id: page.runId ?? null,
      severity: page.severity,
      subject: page.subject,
      body: page.body,
      state: page.state,
      attempts: page.attempts,
      next_attempt_at: dateOf(page.nextAttemptAt),
      last_error: page.lastError ?? null,
      created_at: new Date(page.createdAt),
      delivered_at: dateOf(page.deliveredAt),
    })
    .onConflict((conflict) => conflict.column('dedupe_key').doNothing())
    .returning('id')
    .executeTakeFirst();
  if (inserted) return { page, created: true };
  const row = await tx
    .selectFrom('page')
    .selectAll()
    .where('dedupe_key', '=', page.dedupeKey)
    .executeTakeFirstOrThrow();
  return { page: pageOf(row), created: false };
}

/**
 * Takes pages that are due, the longest due first, by counting the attempt and moving the next one to `claimedUntil`
 * before anything is sent: after a crash in the middle a page is sent once more, and only then. One that is due later
 * than any wait is long was written before the machine's clock was set back, and is due now.
 */
export async function claimPages(
  db: Queryable,
  options: { now: number; claimedUntil: number; longestWait: number; limit: number },
): Promise<Page[]> {
  const due = db
    .selectFrom('page')
    .select('id')
    .where('state', '=', sql.lit('Pending'))
    .where((e) =>
      e.or([
        e('next_attempt_at', '<=', new Date(options.now)),
        e('next_attempt_at', '>', new Date(options.now + options.longestWait)),
      ]),
    )
    .orderBy('next_attempt_at')
    .limit(options.limit)
    .forUpdate()
    .skipLocked();
  const rows = await db
    .updateTable('page')
    .set({ next_attempt_at: new Date(options.claimedUntil), attempts: sql`attempts + 1` })
    .where('id', 'in', due)
    .returningAll()
    .execute();
  return rows.map(pageOf);
}

/** Writes how an attempt ended, if nobody else has claimed or ended the page since; returns whether it did. */
export async function endAttempt(
  tx: Tx,
  page: Page,
  end: Pick<Page, 'state' | 'nextAttemptAt' | 'lastError' | 'deliveredAt'>,
): Promise<boolean> {
  const result = await tx
    .updateTable('page')
    .set({
      state: end.state,
      next_attempt_at: dateOf(end.nextAttemptAt),
      last_error: end.lastError ?? null,
      delivered_at: dateOf(end.deliveredAt),
    })
    .where('id', '=', page.id)
    .where('state', '=', sql.lit('Pending'))
    .where('attempts', '=', page.attempts)
    .executeTakeFirst();
  return result.numUpdatedRows > 0n;
}

/** Whether any page about the incident whose key begins so was delivered. */
export async function deliveredBegunWith(db: Queryable, incidentId: string, keyPrefix: string): Promise<boolean> {
  const row = await db
    .selectFrom('page')
    .select('id')
    .where('incident_id', '=', incidentId)
    .where(sql<boolean>`starts_with(dedupe_key, ${keyPrefix})`)
    .where('state', '=', 'Delivered')
    .limit(1)
    .executeTakeFirst();
  return row !== undefined;
}

export async function getPage(db: Queryable, id: string): Promise<Page | undefined> {
  const row = await db.selectFrom('page').selectAll().where('id', '=', id).executeTakeFirst();
  return row && pageOf(row);
}

export interface PageFilter {
  state?: Page['state'];
  incidentId?: string;
  /** Only this Organization's. */
  organization?: string;
  /** The id of the last one already seen; ids sort by time. */
  before?: string;
  limit: number;
}

/** Pages, the newest first. */
export async function listPages(db: Queryable, filter: PageFilter): Promise<Page[]> {
  let query = db.selectFrom('page').selectAll().orderBy('id', 'desc').limit(filter.limit);
  if (filter.state !== undefined) query = query.where('state', '=', filter.state);
  if (filter.incidentId !== undefined) query = query.where('incident_id', '=', filter.incidentId);
  if (filter.organization !== undefined) query = query.where('organization', '=', filter.organization);
  if (filter.before !== undefined) query = query.where('id', '<', filter.before);
  return (await query.execute()).map(pageOf);
}

function pageOf(row: Selectable<PageTable>): Page {
  return {
    id: row.id,
    dedupeKey: row.dedupe_key,
    receiver: row.receiver,
    organization: row.organization ?? undefined,
    incidentId: row.incident_id ?? undefined,
    runId: row.run_id ?? undefined,
    severity: row.severity,
    subject: row.subject,
    body: row.body,
    state: row.state,
    attempts: row.attempts,
    nextAttemptAt: row.next_attempt_at?.getTime(),
    lastError: row.last_error ?? undefined,
    createdAt: row.created_at.getTime(),
    deliveredAt: row.delivered_at?.getTime(),
  };
}

function dateOf(at: number | undefined): Date | null {
  return at === undefined ? null : new Date(at);
}
