/**
 * When a budget burns too fast. The table is that of the Site Reliability Workbook, chapter 5, "Multiwindow,
 * multi-burn-rate alerts": a factor says how many budgets would be gone at the end of the window, the long window how
 * much has gone (2 %, 5 %, 10 %, 10 % of the budget), and the short one ends the alert soon after the trouble.
 */
import { formatDuration } from '../catalog/duration.ts';

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;

/** The window the table is written for. */
const tableWindow = 30 * day;

const table = [
  { factor: '14.4', long: hour, short: 5 * minute, severity: 'critical' },
  { factor: '6', long: 6 * hour, short: 30 * minute, severity: 'critical' },
  { factor: '3', long: day, short: 2 * hour, severity: 'warning' },
  { factor: '1', long: 3 * day, short: 6 * hour, severity: 'warning' },
] as const;

export const burnFactors: readonly string[] = table.map((row) => row.factor);

/** The base series look back so far: a shorter window would see nothing new. */
export const baseWindow = 5 * minute;

export interface BurnPair {
  factor: string;
  /** ms */
  long: number;
  /** ms */
  short: number;
  severity: 'critical' | 'warning';
}

/**
 * The table for any window: factors stay, windows grow and shrink with it, in whole minutes.
 * @param window ms
 */
export function burnPairs(window: number, factors: readonly string[] = burnFactors): BurnPair[] {
  const scaled = (ms: number) => Math.max(baseWindow, Math.round((ms * window) / tableWindow / minute) * minute);
  return table
    .filter(({ factor }) => factors.includes(factor))
    .map(({ factor, long, short, severity }) => ({ factor, long: scaled(long), short: scaled(short), severity }));
}

/**
 * Every window an error ratio is needed over, shortest first: those of the whole table, so that dashboards show the same
 * windows whichever pairs alert.
 */
export function ratioWindows(window: number): number[] {
  const all = burnPairs(window).flatMap(({ long, short }) => [long, short]);
  return [...new Set([baseWindow, ...all, window])].sort((a, b) => a - b);
}

/** As Prometheus writes it: `1h`, `5h36m`. */
export const windowText = (ms: number): string => formatDuration(ms);
