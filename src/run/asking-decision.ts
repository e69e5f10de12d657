/** What the answer to "did it happen?" means for an effect that was intended and whose outcome nobody saw. Pure. */
import type { CompiledRunStep } from '../catalog/compiled-runbook.ts';
import type { Happened } from '../integrations/contract.ts';
import type { Entry, Phase, StepState } from './journal.ts';
import type { Reason } from './reasons.ts';

/**
 * How often the world is asked about one uncertain step before the run stops as Unknown. Three: a system that restarts
 * may fail to answer once or twice, and a person has to look soon in any case.
 */
const maxAsks = 3;
/** Wait between two such questions, ms. */
const askAgainAfter = 5_000;

export interface Answer {
  /** Ms since the epoch. */
  now: number;
  answer: Happened;
  /** False when the question itself failed, so that nobody said that it cannot be known. */
  answered: boolean;
  /** Carrying the action out once more does no harm, whatever happened. */
  repeatable: boolean;
}

/** Times in ms since the epoch. */
export type Asked =
  /** It is known, or asked about later when the entry says so. */
  | { so: 'Write'; entry: Entry; wakeAt?: number }
  /** It has not happened, and it may still. */
  | { so: 'Wait'; until: number; sentence: string }
  /** Nobody can tell: a person has to look. */
  | { so: 'Unknown'; sentence: string };

/**
 * "No" is believed of an action that must not be carried out twice only when the step's own limit has passed since it was
 * intended: a request whose sender was killed goes on without it.
 */
export function afterAsking(
  step: Pick<CompiledRunStep, 'timeout' | 'attempts'>,
  { phase, index }: { phase: Phase; index: number },
  state: StepState,
  { now, answer, answered, repeatable }: Answer,
): Asked {
  const told = { phase, index, readings: [] };
  if (answer.answer === 'yes') {
    const data = { ...told, result: answer.result ?? null, target: answer.target ?? null };
    const sentence = `It had taken effect: ${answer.sentence}`;
    return { so: 'Write', entry: { at: now, kind: 'StepSucceeded', sentence, data } };
  }
  if (answer.answer === 'no') {
    const underWayUntil = repeatable ? 0 : (state.intendedAt ?? 0) + step.timeout;
    if (now < underWayUntil) {
      const sentence = `It has not taken effect yet, and may still be under way: ${answer.sentence}`;
      return { so: 'Wait', until: Math.min(now + askAgainAfter, underWayUntil), sentence };
    }
    // After a crash the same attempt is made; after an attempt that failed by itself, the next one, if there is one.
    if (state.status === 'Uncertain' && state.attempt >= step.attempts) {
      const reason: Reason = state.reason ?? 'ActionFailed';
      const data = { ...told, reason, certain: true, retryAt: null };
      return {
        so: 'Write',
        entry: { at: now, kind: 'StepFailed', sentence: `It had no effect: ${answer.sentence}`, data },
      };
    }
    const data = { phase, index, answer: 'no', repeat: true } as const;
    return {
      so: 'Write',
      entry: { at: now, kind: 'StepAsked', sentence: `It had not taken effect: ${answer.sentence}`, data },
    };
  }
  const last = answered || state.asked + 1 >= maxAsks;
  // Of an action that may be repeated it matters less, but repeating it for ever would not help either.
  if (last && (!repeatable || state.asked + 1 >= maxAsks * 2)) return { so: 'Unknown', sentence: answer.sentence };
  const data = { phase, index, answer: 'unknown', repeat: last } as const;
  const sentence = `Whether it took effect is not known: ${answer.sentence}`;
  const entry = { at: now, kind: 'StepAsked', sentence, data } as const;
  return last ? { so: 'Write', entry } : { so: 'Write', entry, wakeAt: now + askAgainAfter };
}
