/**
 * Unit tests for promtool, one file beside each rule file. Each alert is shown to be silent while all is well, to fire
 * when something is wrong, and to end when it is well again; to be silent when there is nothing to do; and to do what it
 * is meant to when there are no series. The series are the examples of the documents; those of a latency follow from its
 * buckets.
 */
import { parseDuration } from '../catalog/duration.ts';
import type { AlertRule } from '../catalog/kinds/alert-rule.ts';
import type { Example } from '../catalog/kinds/alerting.ts';
import { compare, decimal } from './decimal.ts';
import { exampleLabels } from './example-labels.ts';
import { parsePromQl, rangesOf, selectorsOf } from './promql.ts';
import { inUnit, parseComparison } from './quantity.ts';
import type { RuleUnit } from './rule-unit.ts';
import { missingAlertName } from './rules.ts';
import { recorded, type Slo } from './slo.ts';

interface InputSeries {
  series: string;
  values: string;
}

interface ExprTest {
  expr: string;
  eval_time: string;
  exp_samples: { labels: string; value: number }[];
}

interface RuleTest {
  name: string;
  interval: string;
  input_series: InputSeries[];
  promql_expr_test: ExprTest[];
}

interface RuleTestFile {
  rule_files: string[];
  evaluation_interval: string;
  tests: RuleTest[];
}

/** What a series does in a phase. */
type Phase = 'quiet' | 'firing' | 'idle';
type ExampleSeries = Example[number];

const minute = 60_000;

export function ruleTests(unit: RuleUnit): RuleTestFile {
  const { service, name, of } = unit;
  return {
    rule_files: [`../../rules/${service}/${name}.yaml`],
    evaluation_interval: '2m',
    tests: 'slo' in of ? sloTests(of.slo) : alertTests(of.alert),
  };
}

/** Minutes of quiet before: a rate has its samples, and a false alarm would show. */
const before = 20;

/** How much a series grows in a minute, where its phase is written so: `60/m`. */
export function growth(phase: string | number): number | undefined {
  const text = String(phase);
  return text.endsWith('/m') ? Number(text.slice(0, -2)) : undefined;
}

/** A timeline of phases, each so many minutes long. */
function timeline(series: readonly ExampleSeries[], phases: readonly [Phase, number][]): InputSeries[] {
  return series.map((one) => {
    const parts: string[] = [];
    let last: number | undefined;
    for (const [phase, minutes] of phases) {
      const text = String(phase === 'idle' ? (one.idle ?? one.quiet) : one[phase]);
      const step = growth(text);
      if (text === 'absent') {
        // Ends a series at once instead of after the five minutes for which Prometheus goes on showing it.
        parts.push(last === undefined ? `_x${minutes}` : `stale _x${minutes - 1}`);
        last = undefined;
      } else if (step !== undefined) {
        const from: number = (last ?? 0) + (last === undefined ? 0 : step);
        parts.push(`${from}+${step}x${minutes - 1}`);
        last = from + step * (minutes - 1);
      } else {
        parts.push(`${text}x${minutes - 1}`);
        last = Number(text);
      }
    }
    return { series: one.series, values: parts.join(' ') };
  });
}

/** 1 while an alert with these labels fires, 0 while none does. */
function firing(labels: string, at: number, fires: boolean): ExprTest {
  return {
    expr: `(count(ALERTS{${labels},alertstate="firing"}) or vector(0)) > bool 0`,
    eval_time: `${at}m`,
    exp_samples: [{ labels: '{}', value: fires ? 1 : 0 }],
  };
}

function value(expr: string, at: number, expected: number): ExprTest {
  return { expr, eval_time: `${at}m`, exp_samples: [{ labels: '{}', value: expected }] };
}

function sloTests(slo: Slo): RuleTest[] {
  const example = exampleOf(slo);
  const tests = example ? [burning(slo, example), idle(slo, example)] : [];
  return [...tests, noData(slo)];
}

/** Series that are firing and quiet: those of the document, or those that follow from the buckets of a latency. */
export function exampleOf(slo: Slo): Example | undefined {
  return slo.spec.example ?? latencyExample(slo);
}

/** Labels of ALERTS for each alert of an SLO but that for missing data. */
function alertsOf(slo: Slo): string[] {
  const burns = slo.pairs.map((pair) => `alertname="${slo.burnAlert}",burn_rate="${pair.factor}"`);
  return slo.threshold ? [`alertname="${slo.threshold.alert}"`, ...burns] : burns;
}

function burning(slo: Slo, example: Example): RuleTest {
  const hold = minutesOf(slo.threshold?.for);
  // Long enough to fill the window of the most urgent pair, and for the threshold to hold.
  const bad = Math.max(90, hold + 30, ...slo.pairs.slice(0, 1).map(({ long }) => long / minute + 30));
  // Long enough for the short window of every pair to be good from end to end.
  const good = Math.max(...slo.pairs.map(({ short }) => short / minute), hold) + 40;
  const end = before + bad + good;
  const alerts = alertsOf(slo);
  return {
    name: `${slo.name}: silent while all is well, fires, and recovers`,
    interval: '1m',
    input_series: timeline(example, [
      ['quiet', before],
      ['firing', bad],
      ['quiet', good],
    ]),
    promql_expr_test: [
      ...alerts.map((labels) => firing(labels, before - 1, false)),
      ...alerts.map((labels) => firing(labels, before + bad - 1, true)),
      value(`count(${recorded('error_budget_remaining:ratio', slo.name)} < 0)`, before + bad - 1, 1),
      ...alerts.map((labels) => firing(labels, end - 1, false)),
      value(`max(${recorded('error_ratio:5m', slo.name)})`, end - 1, 0),
    ],
  };
}

function idle(slo: Slo, example: Example): RuleTest {
  const end = 120;
  return {
    name: `${slo.name}: silent when there is nothing to do`,
    interval: '1m',
    input_series: timeline(example, [['idle', end]]),
    promql_expr_test: alertsOf(slo).map((labels) => firing(labels, end - 1, false)),
  };
}

function noData(slo: Slo): RuleTest {
  return {
    name: `${slo.name}: without any series`,
    interval: '1m',
    input_series: [],
    promql_expr_test: [
      ...alertsOf(slo).map((labels) => firing(labels, 60, false)),
      firing(`alertname="${missingAlertName}",slo="${slo.name}"`, 60, slo.alertsWhenMissing),
      { expr: recorded('error_budget_remaining:ratio', slo.name), eval_time: '60m', exp_samples: [] },
    ],
  };
}

const minutesOf = (text: string | undefined): number => Math.ceil((parseDuration(text ?? '0s') ?? 0) / minute);

/** Requests that are all fast, then all slow, in the buckets of the histogram; undefined where those are not known. */
function latencyExample(slo: Slo): Example | undefined {
  const { buckets } = slo.indicator;
  if (!buckets?.bounds || !('latency' in slo.spec.sli)) return undefined;
  const { histogram, matchers = '' } = slo.spec.sli.latency;
  const labels = exampleLabels(matchers, slo.by);
  if (!labels) return undefined;
  const limit = slo.spec.threshold && inUnit(parseComparison(slo.spec.threshold.when), slo.indicator.unit);
  const slowFrom = limit ?? decimal(buckets.target);
  const series = (name: string, le?: string) =>
    `${histogram}${name}{${[...labels, ...(le === undefined ? [] : [`le="${le}"`])].join(',')}}`;
  const rate = '60/m';
  const bucket = (bound: string): ExampleSeries => ({
    series: series('_bucket', bound.includes('.') ? bound : `${bound}.0`),
    firing: compare(decimal(bound), slowFrom) > 0 ? rate : '0/m',
    quiet: rate,
    idle: '0/m',
  });
  const all = { firing: rate, quiet: rate, idle: '0/m' };
  return [
    ...buckets.bounds.map(bucket),
    { series: series('_bucket', '+Inf'), ...all },
    { series: series('_count'), ...all },
  ];
}

function alertTests({ spec }: AlertRule): RuleTest[] {
  const labels = `alertname="${spec.alert}"`;
  const parsed = parsePromQl(spec.expr);
  const withoutData: RuleTest = {
    name: `${spec.alert}: without any series`,
    interval: '1m',
    input_series: [],
    promql_expr_test: [firing(labels, 120, spec.noData === 'Fires')],
  };
  const { example } = spec;
  if (!example || selectorsOf(parsed).length === 0) return [withoutData];
  // Ranges of a day look for what is unusual; an hour of it is enough.
  const range = Math.min(60, ...[Math.max(0, ...rangesOf(parsed).map((ms) => ms / minute))]);
  const hold = minutesOf(spec.for) + minutesOf(spec.keepFiringFor);
  const bad = hold + range + 10;
  const end = before + bad + bad;
  return [
    {
      name: `${spec.alert}: silent while all is well, fires, and recovers`,
      interval: '1m',
      input_series: timeline(example, [
        ['quiet', before],
        ['firing', bad],
        ['quiet', bad],
      ]),
      promql_expr_test: [
        firing(labels, before - 1, false),
        firing(labels, before + bad - 1, true),
        firing(labels, end - 1, false),
      ],
    },
    {
      name: `${spec.alert}: silent when there is nothing to do`,
      interval: '1m',
      input_series: timeline(example, [['idle', 120]]),
      promql_expr_test: [firing(labels, 119, false)],
    },
    withoutData,
  ];
}
