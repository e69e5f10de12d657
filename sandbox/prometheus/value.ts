/** What an expression can be: a number, a text, samples of one moment, samples over a range. */
import type { Labels, Sample } from './series.ts';

export interface RangeSeries {
  labels: Labels;
  points: { time: number; value: number }[];
}

export type Value =
  | { type: 'scalar'; value: number }
  | { type: 'string'; value: string }
  | { type: 'vector'; samples: Sample[] }
  | { type: 'matrix'; series: RangeSeries[]; from: number; to: number };

/** Labels as results carry them, once a computation has made the metric's name untrue. */
export function withoutName({ __name__: _, ...labels }: Labels): Labels {
  return labels;
}

/** What Prometheus calls the types. */
export const TYPE_NAMES = { scalar: 'scalar', string: 'string', vector: 'instant vector', matrix: 'range vector' };
