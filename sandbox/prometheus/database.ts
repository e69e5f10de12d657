/** Samples over time: every scrape of the last minutes, one in fifteen seconds before that. */
import type { Labels, Sample } from './series.ts';

/** `value` undefined marks the end of a series, as Prometheus' staleness marker does. */
export interface Point {
  time: number;
  value: number | undefined;
}

export interface Series {
  labels: Labels;
  points: Point[];
}

/** What an expression is evaluated over. */
export interface Queryable {
  select(name: string | undefined, test: (labels: Labels) => boolean): Series[];
}

/** How long every sample is kept, how far apart the older ones are, and how long those are kept. */
const FINE_MS = 300_000;
export const COARSE_STEP_MS = 15_000;
const RETENTION_MS = 6 * 3_600_000;
/** How far an instant query looks back for the newest sample, as in Prometheus. */
export const LOOKBACK_MS = 300_000;

const COUNTER = /_(total|bucket|count|sum)$/;

export function seriesKey(labels: Labels): string {
  const names = Object.keys(labels).sort();
  return names.map((name) => `${name}=${labels[name]}`).join('\u0000');
}

export class Database implements Queryable {
  readonly #series = new Map<string, { labels: Labels; coarse: Point[]; fine: Point[] }>();
  readonly #byName = new Map<string, Set<string>>();

  /** Stores the samples of one moment; series that are not among them end. */
  append(time: number, samples: readonly Sample[]): void {
    const seen = new Set<string>();
    for (const { labels, value } of samples) {
      const key = seriesKey(labels);
      seen.add(key);
      this.#at(key, labels).fine.push({ time, value });
    }
    for (const [key, series] of this.#series) {
      const last = series.fine.at(-1) ?? series.coarse.at(-1);
      if (!seen.has(key) && last?.value !== undefined) series.fine.push({ time, value: undefined });
      this.#age(key, series, time);
    }
  }

  /** Pretends that the samples of now had been scraped since `from`: gauges level, counters rising steadily. */
  backfill(samples: readonly Sample[], from: number, to: number): void {
    for (const { labels, value } of samples) {
      const isCounter = COUNTER.test(labels.__name__ ?? '');
      const { coarse } = this.#at(seriesKey(labels), labels);
      for (let time = from; time < to; time += COARSE_STEP_MS) {
        coarse.push({ time, value: isCounter ? (value * (time - from)) / (to - from) : value });
      }
    }
  }

  /** The series with this name (or any) that the test accepts. */
  select(name: string | undefined, test: (labels: Labels) => boolean): Series[] {
    const keys = name === undefined ? this.#series.keys() : (this.#byName.get(name) ?? []);
    const found: Series[] = [];
    for (const key of keys) {
      const series = this.#series.get(key);
      if (series && test(series.labels)) {
        found.push({
          labels: series.labels,
          points: series.coarse.length > 0 ? series.coarse.concat(series.fine) : series.fine,
        });
      }
    }
    return found;
  }

  #at(key: string, labels: Labels) {
    let series = this.#series.get(key);
    if (!series) {
      series = { labels, coarse: [], fine: [] };
      this.#series.set(key, series);
      const name = labels.__name__ ?? '';
      this.#byName.set(name, (this.#byName.get(name) ?? new Set()).add(key));
    }
    return series;
  }

  #age(key: string, series: { labels: Labels; coarse: Point[]; fine: Point[] }, now: number): void {
    const { coarse, fine } = series;
    for (let first = fine[0]; first && now - first.time > FINE_MS; first = fine[0]) {
      fine.shift();
      const last = coarse.at(-1);
      if (!last || first.value === undefined || first.time - last.time >= COARSE_STEP_MS) coarse.push(first);
    }
    while (coarse[0] && now - coarse[0].time > RETENTION_MS) coarse.shift();
    if (fine.length + coarse.length > 0) return;
    this.#series.delete(key);
    this.#byName.get(series.labels.__name__ ?? '')?.delete(key);
  }
}

/** The value an instant query sees at `time`. */
export function valueAt(points: readonly Point[], time: number): number | undefined {
  const last = points[countUpTo(points, time) - 1];
  return last && time - last.time < LOOKBACK_MS ? last.value : undefined;
}

/** The samples after `from`, up to and with `to`. */
export function pointsBetween(points: readonly Point[], from: number, to: number): { time: number; value: number }[] {
  return points
    .slice(countUpTo(points, from), countUpTo(points, to))
    .filter((point): point is { time: number; value: number } => point.value !== undefined);
}

/** How many points lie at or before `time`: a binary search, the points being in order. */
function countUpTo(points: readonly Point[], time: number): number {
  let low = 0;
  let high = points.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((points[middle]?.time ?? 0) <= time) low = middle + 1;
    else high = middle;
  }
  return low;
}
