/** A ServiceLevelObjective worked out: its numbers, its windows, and the expressions of its base series. */
import { parseDuration } from '../catalog/duration.ts';
import type { ServiceLevelObjective, ServiceLevelObjectiveSpec } from '../catalog/kinds/service-level-objective.ts';
import type { Report } from '../catalog/runbook-lint.ts';
import type { Path } from '../catalog/schema.ts';
import { type BurnPair, burnPairs, ratioWindows } from './burn-rate.ts';
import { type Decimal, decimal, minus, one, shift } from './decimal.ts';
import { type Indicator, indicatorOf } from './indicator.ts';
import type { MetricCatalog } from './metric-catalog.ts';
import { inUnit, parseComparison } from './quantity.ts';

export interface ThresholdAlert {
  alert: string;
  /** PromQL. */
  expr: string;
  for: string;
  severity: string;
  runbook?: string | undefined;
  notifyOnly?: string | undefined;
}

export interface Slo {
  resource: ServiceLevelObjective;
  name: string;
  spec: ServiceLevelObjectiveSpec;
  /** 0.999 */
  objective: Decimal;
  /** 0.001: the share that may be bad. */
  budget: Decimal;
  /** ms */
  window: number;
  by: readonly string[];
  indicator: Indicator;
  /** Pairs that alert. */
  pairs: readonly BurnPair[];
  /** Windows the error ratio is recorded over, ms, shortest first. */
  ratioWindows: readonly number[];
  burnAlert: string;
  threshold: ThresholdAlert | undefined;
  /** Whether it is an alert when nothing is measured. */
  alertsWhenMissing: boolean;
}

export const defaultWindow = '30d';
/** Where the handbook gives no objective: five requests in a hundred may be slow (that is what p95 says), one moment in a hundred bad. */
const defaultObjectives = { ratio: undefined, latency: '95%', timeslice: '99%' } as const;

type Fail = (rule: string, path: Path, sentence: string, offset?: number) => undefined;

/** Undefined when an error was reported. */
export function compileSlo(resource: ServiceLevelObjective, metrics: MetricCatalog, report: Report): Slo | undefined {
  let failed = false;
  const fail: Fail = (rule, path, sentence, offset) => {
    failed = true;
    report('error', rule, ['spec', ...path], sentence, offset);
    return undefined;
  };
  const { spec, metadata } = resource;
  const objective = objectiveOf(spec, fail);
  const window = windowOf(spec, fail);
  const indicator = indicatorOf(metadata.name, spec, metrics, fail);
  if (!objective || window === undefined || !indicator || failed) return undefined;
  const threshold = thresholdOf(metadata.name, spec, indicator, fail);
  if (failed) return undefined;
  const waits = 'timeslice' in spec.sli && spec.sli.timeslice.when !== undefined;
  return {
    resource,
    name: metadata.name,
    spec,
    objective,
    budget: minus(one, objective),
    window,
    by: spec.by ?? [],
    indicator,
    pairs: burnPairs(window, spec.burnRate?.factors),
    ratioWindows: ratioWindows(window),
    burnAlert: spec.burnRate?.alert ?? `${camelCase(metadata.name)}BudgetBurn`,
    threshold,
    alertsWhenMissing: (spec.whenMissing ?? (waits ? 'Ignore' : 'Alert')) === 'Alert',
  };
}

/** `console-availability` becomes `ConsoleAvailability`. */
export function camelCase(name: string): string {
  return name.replaceAll(/(^|[-.])([a-z0-9])/g, (_all, _mark, first: string) => first.toUpperCase());
}

/** The selector of a recorded series of this SLO. */
export const recorded = (series: string, name: string): string => `slo:${series}{slo="${name}"}`;

function objectiveOf(spec: ServiceLevelObjectiveSpec, fail: Fail): Decimal | undefined {
  const [kind] = Object.keys(spec.sli) as (keyof typeof defaultObjectives)[];
  const text = spec.objective ?? (kind && defaultObjectives[kind]);
  if (text === undefined)
    return fail('objective-missing', [], 'A ratio has to say its objective. Write for instance objective: 99.9%.');
  const objective = shift(decimal(text.slice(0, -1)), 2);
  if (objective.digits <= 0n)
    return fail('objective-zero', ['objective'], 'An objective of 0% holds whatever happens. Name a share above 0%.');
  if (minus(one, objective).digits <= 0n)
    return fail(
      'objective-hundred',
      ['objective'],
      'An objective of 100% leaves no error budget, and every alert on it would fire at the first error. Name a share below 100%.',
    );
  return objective;
}

function windowOf(spec: ServiceLevelObjectiveSpec, fail: Fail): number | undefined {
  const text = spec.window ?? defaultWindow;
  const window = parseDuration(text);
  if (window === undefined)
    return fail('window-too-long', ['window'], `${text} is longer than a year. Use at most 366d.`);
  const tight = burnPairs(window).some(({ long, short }) => long <= short);
  if (tight)
    return fail(
      'window-too-short',
      ['window'],
      `${text} is too short: its alerts would look at windows below five minutes. Use at least 3d.`,
    );
  return window;
}

function thresholdOf(
  name: string,
  spec: ServiceLevelObjectiveSpec,
  indicator: Indicator,
  fail: Fail,
): ThresholdAlert | undefined {
  const { threshold } = spec;
  if (!threshold) return undefined;
  const comparison = parseComparison(threshold.when);
  const path = ['threshold', 'when'];
  if (comparison.operator === indicator.goodIs)
    return fail(
      'threshold-inverted',
      path,
      `${threshold.when} holds while all is well, so the alert would fire then. Turn the sign around.`,
    );
  const value = inUnit(comparison, indicator.unit);
  if (!value)
    return fail(
      'wrong-unit',
      path,
      `${threshold.when} cannot be compared with a value in ${indicator.unit}. Give it a unit of that kind.`,
    );
  return {
    alert: threshold.alert ?? `${camelCase(name)}Threshold`,
    expr: indicator.threshold(value),
    for: threshold.for,
    severity: threshold.severity ?? 'warning',
    runbook: threshold.runbook,
    notifyOnly: threshold.notifyOnly,
  };
}
