/**
 * Every error the product tells to people or machines, in one place: its stable code, the HTTP status it becomes, and
 * whether trying again can help. A code is never renamed and never used again for something else.
 */
export const errorCodes = {
  BadRequest: { status: 400, retryable: false },
  InvalidBody: { status: 400, retryable: false },
  Unauthenticated: { status: 401, retryable: false },
  Forbidden: { status: 403, retryable: false },
  NotFound: { status: 404, retryable: false },
  Conflict: { status: 409, retryable: false },
  /** The thing asked for is in a state that does not allow it, e.g. approving a run that has ended. */
  InvalidState: { status: 409, retryable: false },
  /** An Idempotency-Key was used before with another request. */
  IdempotencyKeyReused: { status: 422, retryable: false },
  /** A declared document (runbook, configuration) is wrong. */
  InvalidResource: { status: 422, retryable: false },
  TooLarge: { status: 413, retryable: false },
  /** A guard said no; `details.reason` says which and why. */
  RefusedByGuard: { status: 409, retryable: false },
  /** Too many requests of one caller in a minute. Never said to an Alertmanager: it would not try again. */
  TooManyRequests: { status: 429, retryable: true },
  Internal: { status: 500, retryable: false },
  /** Starting, stopping, overloaded, or the database is away. */
  Unavailable: { status: 503, retryable: true },
  /** An integration was asked for, and nobody configured it. */
  NotConfigured: { status: 501, retryable: false },
  /** The other system answered with an error that trying again will not mend. */
  UpstreamRefused: { status: 502, retryable: false },
  /** The other system could not be reached, or answered 429 or 5xx. */
  UpstreamUnavailable: { status: 502, retryable: true },
  /** A limit of time ran out; whether the effect took place may be unknown. */
  TimedOut: { status: 504, retryable: true },
} as const satisfies Record<string, { status: number; retryable: boolean }>;

export type ErrorCode = keyof typeof errorCodes;

export interface ErrorOptions {
  cause?: unknown;
  /** What the reader can do about it, as a sentence. */
  hint?: string;
  /** Facts about the failure. Never holds a secret. */
  details?: Record<string, unknown>;
  /**
   * For an action that failed: true when it certainly had no effect (refused before it was carried out), false when it
   * may have had one (connection lost after sending). Default true only for codes that are not retryable.
   */
  certain?: boolean;
}

/** An error with a stable code, a sentence, and what to do about it. */
export class CatalystError extends Error {
  readonly code: ErrorCode;
  readonly status: number;
  readonly retryable: boolean;
  readonly hint: string | undefined;
  readonly details: Record<string, unknown>;
  readonly certain: boolean;

  constructor(code: ErrorCode, message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'CatalystError';
    this.code = code;
    this.status = errorCodes[code].status;
    this.retryable = errorCodes[code].retryable;
    this.hint = options.hint;
    this.details = options.details ?? {};
    this.certain = options.certain ?? !this.retryable;
  }
}

/** The message of anything that was thrown, as one line. */
export function messageOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.replaceAll(/\s*\n\s*/g, ' ').trim();
}
