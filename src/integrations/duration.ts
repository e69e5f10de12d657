/** Durations as runbooks and Prometheus write them. */
import { CatalystError } from '../errors.ts';

const unitMs: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Pattern of a duration, for schemas. */
export const durationPattern = '^([0-9]+(ms|s|m|h|d))+$';

/** Milliseconds of a duration such as `1h30m`. Throws BadRequest. */
export function durationMs(text: string): number {
  if (!new RegExp(durationPattern).test(text)) {
    throw new CatalystError('BadRequest', `"${text}" is not a duration`, { hint: 'Write it like 30s, 5m or 1h30m.' });
  }
  let total = 0;
  for (const [, count, unit] of text.matchAll(/([0-9]+)(ms|s|m|h|d)/g))
    total += Number(count) * (unitMs[unit ?? ''] ?? 0);
  return total;
}
