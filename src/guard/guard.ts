/**
 * Guards: every reason not to act, as pure functions of values. Each returns a verdict; the first that blocks wins.
 */
import type { CompiledRunbook } from '../catalog/compiled-runbook.ts';
import { formatDuration } from '../catalog/duration.ts';
import type { Effect } from '../integrations/contract.ts';

export type GuardReason = 'Cooldown' | 'TooManyRuns' | 'BudgetExhausted' | 'BudgetUnknown';

/** What a guard says: go on (perhaps with a warning), or not, and why. */
export type GuardVerdict =
  | { guard: string; verdict: 'Pass'; sentence: string }
  | { guard: string; verdict: 'Warn'; sentence: string }
  | { guard: string; verdict: 'Block'; reason: GuardReason; sentence: string };

/** What guards look at, read by the engine beforehand. Times in milliseconds since the epoch. */
export interface GuardInput {
  now: number;
  limits: CompiledRunbook['guards'];
  /** Effects of the plan's steps. */
  effects: readonly Effect[];
  /** Runs of this runbook on this target that acted, newest first: when they first acted and when they ended. */
  history: readonly { actedAt: number; endedAt: number | undefined }[];
  /** Spent share of the Organization's budget: 0.8 is 80 %. `notSet` where nobody set a budget, `unknown` where it could not be read. */
  budget: { state: 'notSet' } | { state: 'known'; ratio: number } | { state: 'unknown'; sentence: string };
}

/** Handbook §4.3: from here a warning … */
const budgetWarning = 0.8;
/** … and from here no scale-up. */
const budgetLimit = 1;

/** Every verdict, in the order in which they are looked at. */
export function evaluateGuards(input: GuardInput): GuardVerdict[] {
  return [cooldown(input), runsPerWindow(input), budget(input)];
}

/** The first verdict that blocks. */
export function blockingVerdict(
  verdicts: readonly GuardVerdict[],
): Extract<GuardVerdict, { verdict: 'Block' }> | undefined {
  return verdicts.find((verdict) => verdict.verdict === 'Block');
}

function cooldown({ now, limits, history }: GuardInput): GuardVerdict {
  const guard = 'cooldown';
  const last = history[0];
  if (!last) return { guard, verdict: 'Pass', sentence: 'It has not acted on this target before.' };
  const since = last.endedAt ?? now;
  const free = since + limits.cooldown;
  if (now >= free)
    return { guard, verdict: 'Pass', sentence: `It last acted on this target ${said(now - since)} ago.` };
  return {
    guard,
    verdict: 'Block',
    reason: 'Cooldown',
    sentence: `It acted on this target ${said(now - since)} ago; the cooldown of ${said(limits.cooldown)} lasts until ${new Date(free).toISOString()}.`,
  };
}

function runsPerWindow({ now, limits, history }: GuardInput): GuardVerdict {
  const guard = 'maxRuns';
  const { count, per } = limits.maxRuns;
  const recent = history.filter((run) => run.actedAt > now - per).length;
  const sentence = `It acted on this target ${recent} of at most ${count} times in ${said(per)}.`;
  return recent < count
    ? { guard, verdict: 'Pass', sentence }
    : { guard, verdict: 'Block', reason: 'TooManyRuns', sentence };
}

function budget({ effects, budget: spent }: GuardInput): GuardVerdict {
  const guard = 'budget';
  if (!effects.includes('ScaleUp')) return { guard, verdict: 'Pass', sentence: 'Nothing scales up.' };
  if (spent.state === 'notSet') return { guard, verdict: 'Pass', sentence: 'No budget is set.' };
  if (spent.state === 'unknown')
    return {
      guard,
      verdict: 'Block',
      reason: 'BudgetUnknown',
      sentence: `The budget could not be read: ${spent.sentence}`,
    };
  const sentence = `${(spent.ratio * 100).toFixed(1)} % of the budget is spent.`;
  if (spent.ratio >= budgetLimit) return { guard, verdict: 'Block', reason: 'BudgetExhausted', sentence };
  return { guard, verdict: spent.ratio >= budgetWarning ? 'Warn' : 'Pass', sentence };
}

/** A length of time as people say it; nobody needs its milliseconds. */
function said(ms: number): string {
  return formatDuration(ms, 1_000);
}
