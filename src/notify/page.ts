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
const longestBackoff = 10 * minute;
/** A page nobody took for a day tells of yesterday; it is given up, and that is on record. */
const giveUpAfter = 24 * 60 * minute;

/** When to try again after a failed attempt, or that it is given up. */
export function nextAttempt(
  page: Pick<Page, 'attempts' | 'createdAt'>,
  now: number,
): { kind: 'Retry'; at: number } | { kind: 'GiveUp' } {
  // 2 ** 1023 is the largest power a number holds; the wait is capped long before.
  const wait = Math.min(firstBackoff * 2 ** Math.min(page.attempts - 1, 30), longestBackoff);
  const giveUpAt = page.createdAt + giveUpAfter;
  if (now >= giveUpAt) return { kind: 'GiveUp' };
  return { kind: 'Retry', at: Math.min(now + wait, giveUpAt) };
}
