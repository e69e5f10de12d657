/** Prometheus rules from SLOs and alert rules. Pure: the same documents give the same rules. */
import { formatDuration, parseDuration } from '../catalog/duration.ts';
import type { AlertRule } from '../catalog/kinds/alert-rule.ts';
import { windowText } from './burn-rate.ts';
import { type Decimal, decimal, shift, times, write } from './decimal.ts';
import { withWindow } from './promql.ts';
import { recorded, type Slo } from './slo.ts';

export interface RecordingRule {
  record: string;
  expr: string;
  labels?: Record<string, string>;
}

export interface AlertingRule {
  alert: string;
  expr: string;
  for?: string;
  keep_firing_for?: string;
  labels: Record<string, string>;
  annotations: Record<string, string>;
}

export interface RuleGroup {
  name: string;
  interval: string;
  rules: (RecordingRule | AlertingRule)[];
}

/** As often as Prometheus usually scrapes. */
const fastInterval = '30s';
/** Windows of a day and more hardly change in two minutes, and each series has a sample within Prometheus' five. */
const slowInterval = '2m';
const day = 86_400_000;
/** Long windows look at the base series once in five minutes, which is what each of its samples covers. */
const longStep = '5m';

/** The least rate that is told from none; one request in thirty days is 0.003 per second within its five minutes. */
const nothing = '1e-9';

/** The two groups of an SLO: what pages, and what is summed over days. */
export function sloGroups(slo: Slo): RuleGroup[] {
  const labels = sloLabels(slo);
  const record = (name: string, expr: string): RecordingRule => ({ record: name, expr, labels });
  const fast = slo.indicator.base.map((base) => record(base.record, base.expr));
  const slow: RecordingRule[] = [];
  for (const window of slo.ratioWindows)
    (window < day ? fast : slow).push(record(`slo:error_ratio:${windowText(window)}`, errorRatio(slo, window)));
  const budgetWindow = recorded(`error_ratio:${windowText(slo.window)}`, slo.name);
  slow.push(record('slo:objective:ratio', `vector(${write(slo.objective)})`));
  slow.push(record('slo:error_budget_remaining:ratio', `1 - ${budgetWindow} / ${write(slo.budget)}`));
  return [
    { name: `slo-${slo.name}`, interval: fastInterval, rules: [...fast, ...sloAlerts(slo)] },
    { name: `slo-${slo.name}-budget`, interval: slowInterval, rules: slow },
  ];
}

/** Bad events among all events of the window. */
function errorRatio({ name }: Slo, window: number): string {
  const [bad, total] = [recorded('bad:5m', name), recorded('total:5m', name)];
  const text = windowText(window);
  if (text === '5m') return `${bad} / clamp_min(${total}, ${nothing})`;
  const range = window < day ? `[${text}]` : `[${text}:${longStep}]`;
  return `sum_over_time(${bad}${range}) / clamp_min(sum_over_time(${total}${range}), ${nothing})`;
}

function sloAlerts(slo: Slo): AlertingRule[] {
  const { threshold } = slo;
  const literal: AlertingRule[] = threshold
    ? [
        {
          alert: threshold.alert,
          expr: threshold.expr,
          for: threshold.for,
          labels: { ...slo.spec.labels, ...sloLabels(slo), severity: threshold.severity },
          annotations: annotationsOf(thresholdSentence(slo), slo.spec, threshold),
        },
      ]
    : [];
  return [...literal, ...slo.pairs.map((pair) => burnAlert(slo, pair)), ...missingAlert(slo)];
}

function sloLabels({ name, spec }: Slo): Record<string, string> {
  return { slo: name, slo_service: spec.service };
}

function thresholdSentence({ spec, by }: Slo): string {
  return `${spec.title} is ${spec.threshold?.when} for ${spec.threshold?.for}${groupSentence(by)}`;
}

function groupSentence(by: readonly string[]): string {
  return by.length === 0 ? '' : ` (${by.map((label) => `${label} {{ $labels.${label} }}`).join(', ')})`;
}

function burnAlert(slo: Slo, { factor, long, short, severity }: Slo['pairs'][number]): AlertingRule {
  const limit = write(times(decimal(factor), slo.budget));
  const over = (window: number) => `${recorded(`error_ratio:${windowText(window)}`, slo.name)} > ${limit}`;
  const gone = formatDuration(slo.window / Number(factor), 60_000);
  const summary = `${slo.spec.title} burns its error budget ${factor} times too fast: all of it goes in ${gone}${groupSentence(slo.by)}`;
  return {
    alert: slo.burnAlert,
    expr: `${over(long)} and ${over(short)}`,
    labels: { ...slo.spec.labels, ...sloLabels(slo), severity, burn_rate: factor, window: windowText(long) },
    annotations: annotationsOf(summary, slo.spec, slo.spec.burnRate ?? {}),
  };
}

/** Half an hour: longer than a rollout or a restart of Prometheus leaves a gap. */
const missingFor = '30m';

/** Name of the alert that nothing is measured. */
export const missingAlertName = 'SLODataMissing';

function missingAlert(slo: Slo): AlertingRule[] {
  if (!slo.alertsWhenMissing) return [];
  return [
    {
      alert: missingAlertName,
      expr: `absent(${recorded('bad:5m', slo.name)})`,
      for: missingFor,
      labels: { ...sloLabels(slo), severity: 'warning' },
      annotations: {
        summary: `Nothing is measured for ${slo.spec.title}`,
        description:
          'No series of the indicator exists: the exporter is gone or was never scraped, or a metric, label or bucket has another name. While this lasts the objective says nothing.',
        notify_only: 'Somebody has to find out why nothing is measured.',
      },
    },
  ];
}

interface Answer {
  runbook?: string | undefined;
  notifyOnly?: string | undefined;
}

function annotationsOf(
  summary: string,
  { description, handbook }: { description?: string; handbook?: readonly string[] },
  { runbook, notifyOnly }: Answer,
): Record<string, string> {
  return {
    summary,
    ...(description === undefined ? {} : { description: description.trim() }),
    ...(runbook === undefined ? {} : { runbook }),
    ...(notifyOnly === undefined ? {} : { notify_only: notifyOnly }),
    ...(handbook === undefined ? {} : { handbook: handbook.map((section) => `§${section}`).join(', ') }),
  };
}

function alertRule({ spec }: AlertRule): AlertingRule {
  const { alert, expr, for: wait, keepFiringFor, severity, labels, summary } = spec;
  return {
    alert,
    expr: withWindow(expr.trim(), '5m'),
    ...(wait === undefined || parseDuration(wait) === 0 ? {} : { for: wait }),
    ...(keepFiringFor === undefined ? {} : { keep_firing_for: keepFiringFor }),
    labels: { ...labels, severity },
    annotations: annotationsOf(summary, spec, spec),
  };
}

export function alertGroup(alert: AlertRule): RuleGroup {
  return { name: `alert-${alert.metadata.name}`, interval: fastInterval, rules: [alertRule(alert)] };
}

/** As per cent, for people: `0.001` is `0.1%`. */
export const percent = (ratio: Decimal): string => `${write(shift(ratio, -2))}%`;

/** Names of the series that are recorded for an SLO, but for the value, which ratios have none of. */
export function recordedSeries(slo: Slo): Set<string> {
  return new Set(
    sloGroups(slo).flatMap(({ rules }) => rules.flatMap((rule) => ('record' in rule ? [rule.record] : []))),
  );
}
