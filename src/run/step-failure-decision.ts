/** What a failed try of a step means: whether its effect is certain, and whether and when it is tried again. Pure. */
import type { CompiledRunStep } from '../catalog/compiled-runbook.ts';
import { formatDuration } from '../catalog/duration.ts';
import { CatalystError } from '../errors.ts';
import type { Reason } from './reasons.ts';

/** A system that asks for more than this is asked again all the same, ms: an alert cannot wait for ever. */
const longestRetryAfter = 10 * 60_000;

/** One try that failed: which it was, counted from 1, and whether it is certain that it had no effect. */
interface FailedTry {
  attempt: number;
  error: unknown;
  certain: boolean;
}

/**
 * @param now ms since the epoch
 * @returns the reason, and when to try again, ms since the epoch; null when the step has failed, or has to be asked about
 */
export function afterFailure(
  step: Pick<CompiledRunStep, 'attempts' | 'backoff'>,
  { attempt, error, certain }: FailedTry,
  now: number,
): { reason: Reason; retryAt: number | null } {
  const again = certain && attempt < step.attempts && mayHelp(error);
  const wait = Math.max(step.backoff * 2 ** (attempt - 1), askedToWait(error));
  const reason = error instanceof CatalystError && error.code === 'TimedOut' ? 'StepTimedOut' : 'ActionFailed';
  return { reason, retryAt: again ? now + wait : null };
}

/** An error nobody classified may have come after the effect. */
export function isCertain(error: unknown): boolean {
  return error instanceof CatalystError && error.certain;
}

function mayHelp(error: unknown): boolean {
  return error instanceof CatalystError && (error.retryable || error.code === 'Conflict');
}

/** How long the other system asks to be left alone (`Retry-After`), ms. */
function askedToWait(error: unknown): number {
  const asked = error instanceof CatalystError ? error.details.retryAfterMs : undefined;
  return typeof asked === 'number' ? Math.min(asked, longestRetryAfter) : 0;
}

export function timeoutError(step: CompiledRunStep, cause: unknown): CatalystError {
  return new CatalystError('TimedOut', `${step.call.action.name} took longer than ${formatDuration(step.timeout)}.`, {
    cause,
  });
}
