/** Pre-flight for witnesses: each is held against the conformance checks when the controller starts, and again by and by. */
import type { Clock } from '../../clock.ts';
import type { CheckResult } from '../layers/layer.ts';

/** A store is replaced or reconfigured rarely; a run of the checks is some hundred writes. */
const againMs = 6 * 60 * 60_000;
/** A run that broke off, as the store was away, is repeated sooner. */
const retryMs = 60_000;

/** What a witness cannot do that it must, in a sentence each; undefined where that could not be found out. */
export type CheckWitness = (name: string, signal: AbortSignal) => Promise<readonly string[] | undefined>;

export interface WitnessWatch {
  /** Of these witnesses; none for one that could not be checked yet, as whether it answers is a check of its own. */
  results(names: readonly string[]): CheckResult[];
  stop(): Promise<void>;
}

export function watchWitnesses(names: readonly string[], check: CheckWitness, clock: Clock): WitnessWatch {
  const stopping = new AbortController();
  const { signal } = stopping;
  const found = new Map<string, readonly string[]>();
  const watch = async (name: string): Promise<void> => {
    while (!signal.aborted) {
      const problems = await check(name, signal).catch(() => undefined);
      if (problems) found.set(name, problems);
      await clock.sleep(problems ? againMs : retryMs, signal).catch(() => {});
    }
  };
  const watching = Promise.all(names.map(watch));
  return {
    results: (of) =>
      of.flatMap((name): CheckResult[] => {
        const problems = found.get(name);
        if (!problems) return [];
        const sentence = problems.length === 0 ? 'keeps what it must.' : `cannot keep a lease: ${problems.join('; ')}.`;
        return [
          {
            check: 'witness-conforms',
            verdict: problems.length === 0 ? 'passed' : 'failed',
            sentence: `Witness ${name} ${sentence}`,
          },
        ];
      }),
    stop: async () => {
      stopping.abort();
      await watching;
    },
  };
}
