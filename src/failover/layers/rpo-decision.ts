/** Whether a component may be taken over: how far behind it is, against what may be lost. Pure. */
import type { LagReading } from './layer.ts';

export type RpoVerdict = 'ok' | 'over' | 'unknown';

/** What was read, and when by this region's own elapsed clock. */
export interface LagSample extends LagReading {
  at: number;
}

export interface RpoReading {
  component: string;
  verdict: RpoVerdict;
  /** Undefined is unknown. */
  seconds: number | undefined;
  rpoSeconds: number;
  sentence: string;
}

/**
 * How old the last reading may be, ms, at the moment the active was last heard of: three rounds of 5 s. Once the active
 * is gone most signals fall silent, and the last word from when it lived is what counts.
 */
export const freshnessMs = 15_000;

export interface LagHistory {
  current: LagSample | undefined;
  /** The newest one with a number. */
  lastKnown: LagSample | undefined;
}

/** Adds a reading to what is remembered. */
export function remember(history: LagHistory | undefined, sample: LagSample): LagHistory {
  return { current: sample, lastKnown: sample.seconds === undefined ? history?.lastKnown : sample };
}

/**
 * `aliveAt`: when the active was last seen to renew, in the clock of the samples; undefined where it never was. A lag
 * without a fresh timestamp is unknown, and unknown is infinite.
 */
export function rpoVerdict(
  component: { name: string; rpoSeconds: number },
  history: LagHistory | undefined,
  now: number,
  aliveAt: number | undefined,
): RpoReading {
  const { name, rpoSeconds } = component;
  const known = history?.lastKnown;
  const told = (verdict: RpoVerdict, seconds: number | undefined, sentence: string): RpoReading => ({
    component: name,
    verdict,
    seconds,
    rpoSeconds,
    sentence,
  });
  if (known?.seconds === undefined || !Number.isFinite(known.seconds))
    return told(
      'unknown',
      undefined,
      `${name}: its lag is not known. ${history?.current?.sentence ?? 'It was never read.'}`,
    );
  // While the active lives, now is what counts; afterwards, the moment it was last heard of.
  const reference = Math.min(now, aliveAt ?? now);
  const stale = reference - known.at > freshnessMs;
  if (stale)
    return told(
      'unknown',
      undefined,
      `${name}: its lag was last known ${Math.round((reference - known.at) / 1000)} s before the active was last heard of.`,
    );
  const age = Math.max(0, Math.round((now - known.at) / 1000));
  const when = age > freshnessMs / 1000 ? `, as of ${age} s ago` : '';
  const verdict = known.seconds <= rpoSeconds ? 'ok' : 'over';
  return told(verdict, known.seconds, `${name}: ${round(known.seconds)} s behind${when}; ${rpoSeconds} s may be lost.`);
}

function round(seconds: number): number {
  return Math.round(seconds * 10) / 10;
}
