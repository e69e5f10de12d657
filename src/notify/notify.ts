/** Who is told, and how: pages are written with what they tell of, and delivered by a loop. */
import type { RecordEntry, RecordKind } from '../audit/record.ts';
import { appendRecord } from '../audit/record-store.ts';
import type { Clock } from '../clock.ts';
import type { Database, Tx } from '../database/tables.ts';
import { CatalystError } from '../errors.ts';
import { newId } from '../ids.ts';
import { type Failure, longestBackoff, type NewPage, nextAttempt, type Page } from './page.ts';
import { claimPages, endAttempt, insertPage } from './page-store.ts';

/** A subject is read on a lock screen; a body is a page of text. */
const subjectLength = 200;
const bodyLength = 10_000;

/**
 * Writes a page in the transaction of what it tells of. Called again with the same dedupe key it changes nothing and
 * has no entries. The caller appends the entries last.
 */
export async function createPage(
  tx: Tx,
  page: NewPage,
  now: number,
): Promise<{ page: Page; created: boolean; entries: RecordEntry[] }> {
  const { page: kept, created } = await insertPage(tx, {
    id: newId(now),
    dedupeKey: page.dedupeKey,
    receiver: page.receiver,
    organization: page.organization,
    incidentId: page.incidentId,
    runId: page.runId,
    severity: page.severity,
    subject: fit(page.subject.replaceAll(/\s+/g, ' ').trim(), subjectLength),
    body: fit(page.body, bodyLength),
    state: 'Pending',
    attempts: 0,
    nextAttemptAt: now,
    lastError: undefined,
    createdAt: now,
    deliveredAt: undefined,
  });
  const sentence = `A page for ${kept.receiver} was written: ${kept.subject}`;
  return { page: kept, created, entries: created ? [entryOf(kept, 'page.created', now, sentence)] : [] };
}

/** Hands a page to its receiver. Throws when it was not taken; each attempt carries the page's id as Idempotency-Key. */
export type Deliver = (receiver: string, page: Page, signal: AbortSignal) => Promise<void>;

/** Limit of one attempt, ms; mail servers take seconds. */
const attemptFor = 20_000;
/** A claim outlasts the attempt, so that a page is never on its way twice at once. */
const claimFor = 60_000;
/** Pages on their way at once. */
const pagesAtOnce = 10;

/**
 * One step of a loop: delivers the pages that are due.
 *
 * @returns how many ended how; all 0 when none was due
 */
export async function deliverDue(options: {
  db: Database;
  clock: Clock;
  deliver: Deliver;
  signal?: AbortSignal;
}): Promise<{ delivered: number; retried: number; failed: number }> {
  const { db, clock } = options;
  const now = clock.now();
  const claim = { now, claimedUntil: now + claimFor, longestWait: longestBackoff, limit: pagesAtOnce };
  const due = await claimPages(db, claim);
  const ends = await Promise.all(due.map((page) => attempt(page, options)));
  const count = (end: string) => ends.filter((one) => one === end).length;
  return { delivered: count('delivered'), retried: count('retried'), failed: count('failed') };
}

async function attempt(
  page: Page,
  { db, clock, deliver, signal }: Parameters<typeof deliverDue>[0],
): Promise<'delivered' | 'retried' | 'failed' | 'lost'> {
  const failure = await tryOnce(page, clock, deliver, signal);
  const error = failure?.sentence;
  const now = clock.now();
  return db.transaction().execute(async (tx) => {
    const again = failure && nextAttempt(page, failure, now);
    if (again?.kind === 'Retry') {
      const kept = { state: 'Pending', nextAttemptAt: again.at, lastError: error, deliveredAt: undefined } as const;
      return (await endAttempt(tx, page, kept)) ? 'retried' : 'lost';
    }
    const state = again ? 'Failed' : 'Delivered';
    const deliveredAt = again ? undefined : now;
    if (!(await endAttempt(tx, page, { state, nextAttemptAt: undefined, lastError: error, deliveredAt })))
      return 'lost';
    const attempts = page.attempts === 1 ? '1 attempt' : `${page.attempts} attempts`;
    const sentence = again
      ? `The page for ${page.receiver} was given up after ${attempts}: ${error}`
      : `The page for ${page.receiver} was delivered after ${attempts}: ${page.subject}`;
    await appendRecord(tx, [entryOf(page, again ? 'page.failed' : 'page.delivered', now, sentence)]);
    return again ? 'failed' : 'delivered';
  });
}

/** Why the attempt failed, or undefined when the page was taken. Never throws. */
async function tryOnce(
  page: Page,
  clock: Clock,
  deliver: Deliver,
  signal: AbortSignal | undefined,
): Promise<Failure | undefined> {
  const done = new AbortController();
  const limit = new AbortController();
  const stop = AbortSignal.any([limit.signal, ...(signal ? [signal] : [])]);
  void clock.sleep(attemptFor, done.signal).then(
    () => limit.abort(new CatalystError('TimedOut', `The receiver did not answer within ${attemptFor / 1000} s.`)),
    () => {},
  );
  const stopped = new Promise<never>((_, reject) => {
    stop.addEventListener('abort', () => reject(stop.reason), { once: true });
  });
  try {
    stop.throwIfAborted();
    await Promise.race([deliver(page.receiver, page, stop), stopped]);
    return undefined;
  } catch (error) {
    return failureOf(error);
  } finally {
    done.abort();
    stopped.catch(() => {});
  }
}

/** Only our own errors are known to hold no secret; of others, which may quote a URL with a token, the name is told. */
function failureOf(error: unknown): Failure {
  if (error instanceof CatalystError) {
    const { retryAfterMs } = error.details;
    return {
      sentence: fit(error.message, 500),
      refused: !error.retryable,
      ...(typeof retryAfterMs === 'number' ? { retryAfterMs } : {}),
    };
  }
  const code = error instanceof Error && 'code' in error && typeof error.code === 'string' ? ` ${error.code}` : '';
  const what = error instanceof Error ? error.name : 'error';
  return { sentence: fit(`The receiver could not be reached (${what}${code}).`, 500), refused: false };
}

function entryOf(page: Page, kind: RecordKind, at: number, sentence: string): RecordEntry {
  return {
    at,
    kind,
    actor: 'engine',
    organization: page.organization,
    incidentId: page.incidentId,
    runId: page.runId,
    sentence,
    data: { pageId: page.id, receiver: page.receiver, severity: page.severity, attempts: page.attempts },
  };
}

/** At most so many characters, and nothing PostgreSQL text cannot hold. */
function fit(text: string, length: number): string {
  const clean = text.replaceAll('\u0000', '\ufffd').toWellFormed();
  return clean.length <= length ? clean : `${clean.slice(0, length - 1).toWellFormed()}…`;
}
