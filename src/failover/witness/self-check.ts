/**
 * The conformance checks over a configured witness, before anybody relies on it: `catalyst-sre witness check`, and
 * pre-flight. They use a register of their own region, `self-check-<region>`, so they leave one small entry behind and
 * never touch a group's lease.
 */
import { randomBytes } from 'node:crypto';
import type { Clock } from '../../clock.ts';
import { type CheckResult, checkConformance } from './conformance.ts';
import type { Witness } from './witness.ts';

/** A renewal has two seconds before it is tried again; half of them for the network's bad days. */
export const slowestMs = 1_000;

export interface SelfCheck {
  witness: string;
  passed: boolean;
  results: readonly CheckResult[];
  /** Of single reads and writes, ms: the middle and the slowest of a hundred. */
  latency: { p50: number; p99: number };
  /** Answers that come so late that renewals would be repeated. */
  slow: boolean;
}

export async function selfCheck(
  name: string,
  open: () => Witness,
  options: { region: string; clock: Clock; signal: AbortSignal; onResult?: (result: CheckResult) => void },
): Promise<SelfCheck> {
  const { region, clock, signal, onResult } = options;
  const report = await checkConformance({
    // A DNS label has 63 characters; the longest region name leaves none for the prefix.
    group: `self-check-${region}`.slice(0, 63).replace(/-+$/, ''),
    holder: region,
    open,
    clock,
    run: randomBytes(6).toString('hex'),
    signal,
    ...(onResult === undefined ? {} : { onResult }),
  });
  const at = (share: number) =>
    report.latencies[Math.min(report.latencies.length - 1, Math.floor(report.latencies.length * share))] ?? 0;
  const latency = { p50: at(0.5), p99: at(0.99) };
  return { witness: name, passed: report.passed, results: report.results, latency, slow: latency.p99 > slowestMs };
}
