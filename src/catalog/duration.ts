/** Durations as Prometheus and Kubernetes write them: `30s`, `5m`, `1h30m`, `500ms`, `2d`. The only place that reads them. */

const units = { d: 86_400_000, h: 3_600_000, m: 60_000, s: 1000, ms: 1 } as const;
type Unit = keyof typeof units;

/** A year: longer waits are a mistake, and timers and dates stay in range. */
export const longestDuration = 366 * units.d;

/** Milliseconds, or undefined when the text is no duration or longer than a year. */
export function parseDuration(text: string): number | undefined {
  if (text.length > 32 || !/^([0-9]+(ms|s|m|h|d))+$/.test(text)) return undefined;
  let total = 0;
  for (const [, amount, unit] of text.matchAll(/([0-9]+)(ms|s|m|h|d)/g)) total += Number(amount) * units[unit as Unit];
  return total <= longestDuration ? total : undefined;
}

/**
 * The shortest way to write so many milliseconds: `90000` is `1m30s`.
 * @param to what it is rounded to, ms
 */
export function formatDuration(ms: number, to = 1): string {
  let rest = Math.round(ms / to) * to;
  let text = '';
  for (const [unit, size] of Object.entries(units)) {
    const amount = Math.floor(rest / size);
    if (amount > 0) text += `${amount}${unit}`;
    rest -= amount * size;
  }
  return text || '0s';
}
