/** How the objectives of the catalog stand, read from Prometheus: shortly remembered, a bounded number of queries. */
import type { Clock } from '../clock.ts';
import { messageOf } from '../errors.ts';
import type { Slo } from './slo.ts';
import { type BudgetStatus, budgetsOf, type LiveSample, noData, statusSeries } from './status-decision.ts';

export interface LivePorts {
  clock: Clock;
  /** Samples of an instant query. @throws CatalystError */
  query(expression: string, signal: AbortSignal): Promise<readonly LiveSample[]>;
}

export interface SloStatus {
  slo: Slo;
  /** Worst first, at least one. */
  budgets: readonly BudgetStatus[];
}

export interface LiveSlos {
  /** The status of each of them, in their order. What Prometheus does not tell is NoData, with the reason. */
  read(slos: readonly Slo[]): Promise<readonly SloStatus[]>;
}

/** The rules record every 30 s; half of it is never much older than what Prometheus has. */
const keepFor = 15_000;
/** Objectives of one query: with ten series each, and some of them by model or namespace, its answer stays below a megabyte. */
const perQuery = 50;
/** For all queries together: whoever waits has a request open. */
const limitMs = 20_000;

export function createLiveSlos({ clock, query }: LivePorts): LiveSlos {
  let last: { slos: readonly Slo[]; at: number; statuses: Promise<readonly SloStatus[]> } | undefined;
  const look = async (slos: readonly Slo[]) => {
    const signal = AbortSignal.timeout(limitMs);
    const statuses: SloStatus[] = [];
    // One after the other: Prometheus has better things to do than to answer them all at once.
    for (let start = 0; start < slos.length; start += perQuery)
      statuses.push(...(await statusOf(slos.slice(start, start + perQuery), (text) => query(text, signal))));
    return statuses;
  };
  return {
    read(slos) {
      const now = clock.monotonic();
      if (last && last.slos === slos && now - last.at < keepFor) return last.statuses;
      last = { slos, at: now, statuses: look(slos) };
      return last.statuses;
    },
  };
}

async function statusOf(
  slos: readonly Slo[],
  query: (expression: string) => Promise<readonly LiveSample[]>,
): Promise<SloStatus[]> {
  // Names are lower case letters, digits, dots and dashes; of those a dot means something in a pattern.
  const names = slos.map(({ name }) => name.replaceAll('.', '\\\\.')).join('|');
  try {
    const samples = Map.groupBy(
      await query(`{__name__=~"${statusSeries}",slo=~"${names}"}`),
      ({ metric }) => metric.slo ?? '',
    );
    return slos.map((slo) => ({ slo, budgets: budgetsOf(slo, samples.get(slo.name) ?? []) }));
  } catch (error) {
    const sentence = `Prometheus cannot be asked: ${messageOf(error)}`;
    return slos.map((slo) => ({ slo, budgets: [noData({}, sentence)] }));
  }
}
