/**
 * A page: word to somebody that they are needed, or that something was done. It is written in the transaction of what it
 * tells of, and delivered afterwards until its receiver takes it.
 */

/** Times are milliseconds since the epoch. */
export interface Page {
  /** Also the Idempotency-Key of every attempt to deliver it. */
  id: string;
  /** What it is about, once: a second page with the same key is not written. */
  dedupeKey: string;
  /** Name of a configured receiver. */
  receiver: string;
  organization: string | undefined;
  incidentId: string | undefined;
  runId: string | undefined;
  severity: string;
  subject: string;
  body: string;
  state: 'Pending' | 'Delivered' | 'Failed';
  /** Attempts begun. */
  attempts: number;
  nextAttemptAt: number | undefined;
  /** Why the last attempt failed. Never holds a secret. */
  lastError: string | undefined;
  createdAt: number;
  deliveredAt: number | undefined;
}

/** What a page is made of. Subject and body never hold a secret. */
export interface NewPage {
  dedupeKey: string;
  receiver: string;
  severity: string;
  subject: string;
  body: string;
  incidentId?: string | undefined;
  runId?: string | undefined;
  organization?: string | undefined;
}

const second = 1_000;
const minute = 60 * second;

/** The wait after the first failure; it doubles with each one after. */
const firstBackoff = 5 * second;
/** The longest wait: a receiver that is back is used within ten minutes. */
export const longestBackoff = 10 * minute;
/**
 * A page nobody took for a day tells of yesterday; it is given up, and that is on record. A day is counted in attempts, as
 * seven take the first ten minutes and every one after it ten more: a machine whose clock is set ahead by a day has not
 * tried for a day.
 */
const mostAttempts = 150;

/** Why an attempt failed. */
export interface Failure {
  sentence: string;
  /** The receiver answered that it will not take it: nothing changes by itself, but people mend tokens and addresses. */
  refused: boolean;
  /** How long the receiver asked to be left alone, ms. */
  retryAfterMs?: number | undefined;
}

/** When to try again after a failed attempt, or that it is given up. */
export function nextAttempt(
  { attempts }: Pick<Page, 'attempts'>,
  { refused, retryAfterMs = 0 }: Pick<Failure, 'refused' | 'retryAfterMs'>,
  now: number,
): { kind: 'Retry'; at: number } | { kind: 'GiveUp' } {
  if (attempts >= mostAttempts) return { kind: 'GiveUp' };
  // 2 ** 1023 is the largest power a number holds; the wait is capped long before.
  const wait = refused ? longestBackoff : Math.max(firstBackoff * 2 ** Math.min(attempts - 1, 30), retryAfterMs);
  return { kind: 'Retry', at: now + Math.min(wait, longestBackoff) };
}
