/** When facts open an incident, and when they say that it is over. Pure; continuous as a verification is. */

/** Times are milliseconds since the epoch. */
export interface RecognitionState {
  lookedAt: number | undefined;
  /** Since when the check has held without a break. */
  holdingSince: number | undefined;
  /** Since when it has not held without a break, while it is raised. */
  clearSince: number | undefined;
  /** Start of the alert that was raised; undefined while none is. */
  raisedAt: number | undefined;
}

/** What a look saw: whether the check holds; undefined where it cannot be told. */
export type Seen = boolean | undefined;

export interface RecognitionMove {
  next: RecognitionState;
  /** An alert that begins or ends with this look. */
  alert: { status: 'firing' | 'resolved'; startsAt: number } | undefined;
  /** When to look again. */
  lookAt: number;
}

/**
 * Twice the interval and five seconds: a busy machine may look late once. Of a longer time in which nobody looked nothing
 * can be said, and what had held or had not begins anew. What cannot be told is such a time too: it neither opens an
 * incident nor closes one.
 */
export function decideRecognition(
  state: RecognitionState,
  seen: Seen,
  { for: holds, every }: { for: number; every: number },
  now: number,
): RecognitionMove {
  const gap = state.lookedAt !== undefined && (now - state.lookedAt > every * 2 + 5_000 || now < state.lookedAt);
  const before = gap || seen === undefined ? { holdingSince: undefined, clearSince: undefined } : state;
  const holdingSince = seen === true ? (before.holdingSince ?? now) : undefined;
  const clearSince = seen === false && state.raisedAt !== undefined ? (before.clearSince ?? now) : undefined;
  const next = { lookedAt: now, holdingSince, clearSince, raisedAt: state.raisedAt };
  const since = state.raisedAt === undefined ? holdingSince : clearSince;
  if (since === undefined) return { next, alert: undefined, lookAt: now + every };
  if (now - since < holds) return { next, alert: undefined, lookAt: Math.min(now + every, since + holds) };
  return state.raisedAt === undefined
    ? { next: { ...next, raisedAt: since }, alert: { status: 'firing', startsAt: since }, lookAt: now + every }
    : {
        next: { ...next, raisedAt: undefined, clearSince: undefined },
        alert: { status: 'resolved', startsAt: state.raisedAt },
        lookAt: now + every,
      };
}
