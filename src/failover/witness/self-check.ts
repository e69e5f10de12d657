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
const slowestMs = 1_000;

export interface SelfCheck {
  witness: string;
  passed: boolean;
  results: readonly CheckResult[];
  /** What it cannot do that it must, in a sentence each; undefined when a check broke off and none failed. */
  problems: readonly string[] | undefined;
  /** Of single reads and writes, ms: the middle and the slowest of about twenty. */
  latency: { p50: number; max: number };
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
  const { latencies } = report;
  const latency = { p50: latencies[Math.floor(latencies.length / 2)] ?? 0, max: latencies.at(-1) ?? 0 };
  const failed = report.results.filter(({ outcome, brokeOff }) => outcome === 'failed' && !brokeOff);
  const known = failed.length > 0 || report.passed;
  return {
    witness: name,
    passed: report.passed,
    results: report.results,
    problems: known ? failed.map((result) => `${result.name}: ${result.sentence}`) : undefined,
    latency,
    slow: latency.max > slowestMs,
  };
}
