/** What one look at a verification means: whether it holds, whether it has held long enough, and when to look again. Pure. */
import type { CompiledVerifyStep } from '../catalog/compiled-runbook.ts';
import { formatDuration } from '../catalog/duration.ts';
import type { Entry, Evidence, StepState } from './journal.ts';
import { sayingOf } from './prepare.ts';

export interface Look {
  /** Ms since the epoch. */
  now: number;
  evidence: Evidence;
  /** When somebody looked last, ms since the epoch. */
  lastObserved: number | undefined;
}

/** For the journal, in this order; and when to look again, ms since the epoch, unless it is decided. */
export interface Looked {
  entries: readonly Entry[];
  again: { at: number; sentence: string } | undefined;
}

export function afterLook(
  step: CompiledVerifyStep,
  index: number,
  state: Pick<StepState, 'holdingSince' | 'deadline'>,
  { now, evidence, lastObserved }: Look,
): Looked {
  const { readings } = evidence;
  const saying = sayingOf(step);
  const holds = evidence.error === undefined && evidence.value === true;
  const entries: Entry[] = [];
  let since = state.holdingSince;

  // "Held without a break" cannot be said of a time in which nobody looked: the watch starts anew.
  if (since !== undefined && lastObserved !== undefined && now - lastObserved > longestGap(step)) {
    const sentence = `Nobody looked for ${formatDuration(now - lastObserved, 1_000)}; the watch starts anew.`;
    entries.push({ at: now, kind: 'VerifyBroke', sentence, data: { index, readings: [] } });
    since = undefined;
  }
  if (holds && since === undefined) {
    entries.push({ at: now, kind: 'VerifyHolds', sentence: `${saying} holds.`, data: { index, readings } });
    since = now;
  }
  if (!holds && since !== undefined) {
    const sentence = evidence.error ?? `${saying} does not hold any more.`;
    entries.push({ at: now, kind: 'VerifyBroke', sentence, data: { index, readings } });
    since = undefined;
  }

  if (since !== undefined && now - since >= step.for) {
    const sentence = step.for > 0 ? `${saying} has held for ${formatDuration(step.for)}.` : `${saying} holds.`;
    const data = { phase: 'steps', index, result: null, target: null, readings } as const;
    return { entries: [...entries, { at: now, kind: 'StepSucceeded', sentence, data }], again: undefined };
  }
  const deadline = state.deadline ?? now;
  if (now >= deadline) {
    const time = step.for > 0 ? ` for ${formatDuration(step.for)}` : '';
    const sentence = evidence.error ?? `${saying} did not hold${time} within ${formatDuration(step.within)}.`;
    const reason = 'VerificationFailed';
    const data = { phase: 'steps', index, reason, certain: true, retryAt: null, readings } as const;
    return { entries: [...entries, { at: now, kind: 'StepFailed', sentence, data }], again: undefined };
  }
  const next = onGrid(now + step.every, step.every);
  const at = Math.min(next, since === undefined ? next : since + step.for, deadline);
  return {
    entries,
    again: { at, sentence: holds ? `${saying} holds.` : (evidence.error ?? `${saying} does not hold yet.`) },
  };
}

/** How long nobody may have looked, ms: twice the interval and five seconds, as a busy machine may look late once. */
function longestGap({ every }: CompiledVerifyStep): number {
  return every * 2 + 5_000;
}

/**
 * Puts a moment off to the next point that a second, or a tenth of a shorter interval, divides: runs that look at the same
 * pace then look together, and are claimed and handed back together.
 */
function onGrid(moment: number, every: number): number {
  const grid = Math.max(1, Math.min(1_000, every / 10));
  return Math.ceil(moment / grid) * grid;
}
