/** How an objective stands, from the series its rules record. Pure. */
import { windowText } from './burn-rate.ts';
import { write } from './decimal.ts';
import type { Slo } from './slo.ts';

export const sloStates = ['OK', 'Burning', 'Exhausted', 'NoData'] as const;
/** From the best to the worst, with NoData in between: not knowing is worse than burning, a spent budget is known. */
const badness: Readonly<Record<SloState, number>> = { OK: 0, Burning: 1, NoData: 2, Exhausted: 3 };
export type SloState = (typeof sloStates)[number];

/** A sample of an instant vector, as Prometheus writes it. */
export interface LiveSample {
  metric: Readonly<Record<string, string>>;
  value: string;
}

export interface BurnRate {
  /** `1h` */
  window: string;
  /** How many times faster than the budget allows: 1 spends it exactly in its window. */
  rate: number;
}

/** One budget: the objective's, or that of one combination of its labels. */
export interface BudgetStatus {
  /** Values of the labels of `by`; empty where there is one budget in all. */
  labels: Readonly<Record<string, string>>;
  state: SloState;
  sentence: string;
  /** Share of good events or moments over the last five minutes, 0 to 1. */
  sli?: number;
  /** Share of the error budget that is left: 1 is all of it, below 0 it is overspent. */
  budgetLeft?: number;
  /** Shortest window first. */
  burnRates: readonly BurnRate[];
}

/** Series the status is made of, as a matcher of names. */
export const statusSeries = 'slo:error_ratio:.+|slo:error_budget_remaining:ratio|slo:objective:ratio';

/**
 * Every budget of an objective, worst first; one of state NoData where nothing is measured.
 * @param samples those of this objective, by `statusSeries`
 */
export function budgetsOf(slo: Slo, samples: readonly LiveSample[]): BudgetStatus[] {
  const groups = new Map<string, { labels: Record<string, string>; values: Map<string, number> }>();
  for (const { metric, value } of samples) {
    const number = Number(value.replace('Inf', 'Infinity'));
    if (!Number.isFinite(number) || metric.__name__ === 'slo:objective:ratio') continue;
    const labels = Object.fromEntries(slo.by.map((label) => [label, metric[label] ?? '']));
    const key = JSON.stringify(labels);
    const group = groups.get(key) ?? { labels, values: new Map() };
    group.values.set(metric.__name__ ?? '', number);
    groups.set(key, group);
  }
  const found = [...groups.values()].map(({ labels, values }) => budgetOf(slo, labels, values));
  if (found.length === 0) return [noData({}, whyNothing(slo, samples))];
  return found.sort((a, b) => badness[b.state] - badness[a.state] || (a.budgetLeft ?? 0) - (b.budgetLeft ?? 0));
}

export function noData(labels: BudgetStatus['labels'], sentence: string): BudgetStatus {
  return { labels, state: 'NoData', sentence, burnRates: [] };
}

/** The recorded objective tells rules that are missing from rules that find nothing. */
function whyNothing(slo: Slo, samples: readonly LiveSample[]): string {
  const isLoaded = samples.some(({ metric }) => metric.__name__ === 'slo:objective:ratio');
  return isLoaded
    ? 'Its rules run, but nothing is measured: the exporter is gone, was never scraped, or its metric has another name.'
    : `Prometheus has no rules for it. Load what catalyst-sre render prometheus writes to prometheus/rules/${slo.spec.service}/slo-${slo.name}.yaml.`;
}

function budgetOf(slo: Slo, labels: BudgetStatus['labels'], values: ReadonlyMap<string, number>): BudgetStatus {
  const budget = Number(write(slo.budget));
  const ratio = (window: number) => values.get(`slo:error_ratio:${windowText(window)}`);
  const rate = (window: number) => {
    const bad = ratio(window);
    return bad === undefined ? undefined : bad / budget;
  };
  const burnRates = slo.ratioWindows.flatMap((window) => {
    const value = rate(window);
    return value === undefined ? [] : [{ window: windowText(window), rate: value }];
  });
  const left = values.get('slo:error_budget_remaining:ratio');
  const bad = ratio(slo.ratioWindows[0] ?? 0);
  const measured = { labels, burnRates, ...(bad === undefined ? {} : { sli: 1 - bad }) };
  if (left === undefined)
    return {
      ...measured,
      state: 'NoData',
      sentence: `Its error budget over ${windowText(slo.window)} is not recorded yet: the rules are younger than five minutes.`,
    };
  const status = { ...measured, budgetLeft: left };
  if (left <= 0)
    return {
      ...status,
      state: 'Exhausted',
      sentence: `The error budget of ${windowText(slo.window)} is spent: ${percent(-left)} more than there was.`,
    };
  const pair = slo.pairs.find(
    ({ factor, long, short }) => (rate(long) ?? 0) > Number(factor) && (rate(short) ?? 0) > Number(factor),
  );
  if (pair) {
    const { long, short, factor } = pair;
    const gone = windowText(Math.round((left * slo.window) / (rate(long) ?? 1) / 60_000) * 60_000);
    const sentence = `It burns more than ${factor} times too fast over ${windowText(long)} and ${windowText(short)}; the ${percent(left)} left are gone in ${gone}.`;
    return { ...status, state: 'Burning', sentence };
  }
  return {
    ...status,
    state: 'OK',
    sentence: `${percent(left)} of the error budget of ${windowText(slo.window)} are left.`,
  };
}

function percent(share: number): string {
  return `${Number((share * 100).toFixed(1))} %`;
}
