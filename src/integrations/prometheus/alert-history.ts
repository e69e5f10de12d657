/** What fired in the past, from the series Prometheus keeps of its own alerts. */
import { CatalystError } from '../../errors.ts';
import type { CallContext } from '../contract.ts';
import { isObject } from '../define.ts';

/** One time an alert fired without a break. ms since the epoch. */
export interface FiringSpan {
  labels: Record<string, string>;
  from: number;
  /** Undefined while it still fired at the end of the window. */
  to: number | undefined;
}

export interface Window {
  from: number;
  to: number;
  /** Distance of the samples, ms. A firing shorter than this may not show. */
  step: number;
}

/** Prometheus answers at most 11,000 points per series; fewer keep an answer small. */
const pointsAtOnce = 10_000;

/** @param query asks `/api/v1/query_range` and returns `data` */
export async function firingSpans(
  query: (context: CallContext, parameters: Record<string, string>) => Promise<unknown>,
  context: CallContext,
  { from, to, step }: Window,
): Promise<FiringSpan[]> {
  const series = new Map<string, { labels: Record<string, string>; times: number[] }>();
  for (let start = from; start <= to; start += step * pointsAtOnce) {
    const end = Math.min(to, start + step * (pointsAtOnce - 1));
    const data = await query(context, {
      query: 'ALERTS{alertstate="firing"}',
      start: String(start / 1000),
      end: String(end / 1000),
      step: String(step / 1000),
    });
    for (const { metric, times } of matrixOf(data)) {
      const { __name__: _name, alertstate: _state, ...labels } = metric;
      const key = JSON.stringify(Object.entries(labels).sort());
      const known = series.get(key) ?? { labels, times: [] };
      known.times.push(...times);
      series.set(key, known);
    }
  }
  return [...series.values()].flatMap(({ labels, times }) => spansOf(labels, times, { from, to, step }));
}

function spansOf(labels: Record<string, string>, times: readonly number[], { to, step }: Window): FiringSpan[] {
  const spans: FiringSpan[] = [];
  let from: number | undefined;
  for (const [i, at] of times.entries()) {
    from ??= at;
    const next = times[i + 1];
    // One sample missing is a break: Prometheus writes one at each evaluation while it fires.
    if (next !== undefined && next - at <= step) continue;
    const ended = at + step;
    spans.push({ labels, from, to: next === undefined && ended > to ? undefined : ended });
    from = undefined;
  }
  return spans;
}

function matrixOf(data: unknown): { metric: Record<string, string>; times: number[] }[] {
  if (!isObject(data) || data.resultType !== 'matrix' || !Array.isArray(data.result))
    throw new CatalystError('UpstreamRefused', 'Prometheus did not answer with a range of samples.');
  return data.result.flatMap((one) =>
    isObject(one) && isObject(one.metric) && Array.isArray(one.values)
      ? [
          {
            metric: one.metric as Record<string, string>,
            times: one.values.map((pair) => Number((pair as unknown[])[0]) * 1000),
          },
        ]
      : [],
  );
}
