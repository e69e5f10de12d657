/** Counters over many runs, and how they are printed. */
import type { Oracle } from './oracles.ts';
import type { RunResult } from './simulate.ts';

export interface Tally {
  runs: number;
  simulatedMs: number;
  steps: number;
  /** Runs in which two regions were open in some layer at the same time. */
  twoActive: number;
  overlapMs: number;
  coveredMs: { traffic: number; stateful: number };
  faultMs: number;
  takeovers: number;
  resumes: number;
  handovers: number;
  lossToLease: number[];
  /** By oracle: in how many runs it spoke, and the first few seeds. */
  violations: Partial<Record<Oracle, { runs: number; seeds: number[] }>>;
}

export function emptyTally(): Tally {
  return {
    runs: 0,
    simulatedMs: 0,
    steps: 0,
    twoActive: 0,
    overlapMs: 0,
    coveredMs: { traffic: 0, stateful: 0 },
    faultMs: 0,
    takeovers: 0,
    resumes: 0,
    handovers: 0,
    lossToLease: [],
    violations: {},
  };
}

const seedsShown = 5;

export function count(tally: Tally, run: RunResult): void {
  tally.runs += 1;
  for (const key of ['simulatedMs', 'steps', 'faultMs', 'takeovers', 'resumes', 'handovers'] as const)
    tally[key] += run[key];
  tally.coveredMs.traffic += run.coveredMs.traffic;
  tally.coveredMs.stateful += run.coveredMs.stateful;
  const overlap = Math.max(run.overlapMs.traffic, run.overlapMs.mesh, run.overlapMs.stateful);
  if (overlap > 0) tally.twoActive += 1;
  tally.overlapMs += overlap;
  tally.lossToLease.push(...run.lossToLease);
  for (const oracle of new Set(run.violations.map((violation) => violation.oracle))) note(tally, oracle, 1, [run.seed]);
}

function note(tally: Tally, oracle: Oracle, runs: number, seeds: readonly number[]): void {
  const before = tally.violations[oracle] ?? { runs: 0, seeds: [] };
  tally.violations[oracle] = { runs: before.runs + runs, seeds: [...before.seeds, ...seeds].slice(0, seedsShown) };
}

export function add(tally: Tally, other: Tally): void {
  for (const key of [
    'runs',
    'simulatedMs',
    'steps',
    'twoActive',
    'overlapMs',
    'faultMs',
    'takeovers',
    'resumes',
    'handovers',
  ] as const)
    tally[key] += other[key];
  tally.coveredMs.traffic += other.coveredMs.traffic;
  tally.coveredMs.stateful += other.coveredMs.stateful;
  tally.lossToLease.push(...other.lossToLease);
  for (const [oracle, { runs, seeds }] of Object.entries(other.violations)) note(tally, oracle as Oracle, runs, seeds);
}

export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? Number.NaN;
}
