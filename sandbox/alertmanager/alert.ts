import type { Labels } from './matchers.ts';

/** Times in milliseconds. */
export interface Alert {
  fingerprint: string;
  labels: Labels;
  annotations: Labels;
  startsAt: number;
  endsAt: number;
  updatedAt: number;
  generatorURL: string;
}
