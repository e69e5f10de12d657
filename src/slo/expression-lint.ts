/** What is wrong with one PromQL expression, given what exporters are known to have. */
import { didYouMean } from '../check/nearest.ts';
import { compileRe2 } from '../check/pattern.ts';
import { type KnownMetric, type MetricCatalog, scrapeLabels } from './metric-catalog.ts';
import { mismatches, type PromQl, parsePromQl, resultLabels, type Selector, selectorsOf } from './promql.ts';

type Say = (severity: 'error' | 'warning', rule: string, sentence: string, offset?: number) => void;

/**
 * Reports what is wrong; false when the expression cannot be parsed.
 * @param by labels it has to be grouped by, where it is the source of an SLO
 */
export function lintExpression(
  text: string,
  by: readonly string[] | undefined,
  metrics: MetricCatalog,
  say: Say,
): boolean {
  const parsed = parsePromQl(text);
  const [wrong] = parsed.problems;
  if (wrong) {
    say('error', 'promql-syntax', wrong.sentence, wrong.offset);
    return false;
  }
  for (const selector of selectorsOf(parsed)) lintSelector(selector, metrics, say);
  for (const { offset, left, right } of mismatches(parsed))
    say(
      'error',
      'unfireable-alert',
      `The two sides have different labels, (${left.join(', ')}) and (${right.join(', ')}), so no series of one matches one of the other and there is never a result. Use on () or group both alike.`,
      offset,
    );
  if (by) lintGrouping(parsed, by, metrics, say);
  return true;
}

function lintSelector(selector: Selector, metrics: MetricCatalog, say: Say): void {
  contradictions(selector, say);
  const { metric, matchers, offset } = selector;
  // Recorded series are not those of an exporter.
  if (metric === '' || metric.startsWith('slo:')) return;
  const known = metrics.find(metric);
  if (!known) {
    const hint =
      didYouMean(metric, metrics.series) || ' If there is such a metric, describe it in an Exporter document.';
    // A Sovereign has metrics of its own: nothing can be checked about them, which is worth a word.
    say('warning', 'unknown-metric', `No exporter is known to have ${metric}.${hint}`, offset);
    return;
  }
  for (const matcher of matchers) {
    const labels = labelsOf(known, metric);
    if (!labels.has(matcher.label))
      say(
        'error',
        'unknown-label',
        `${metric} has no label ${matcher.label}.${didYouMean(matcher.label, labels) || ` It has ${(known.labels ?? []).join(', ') || 'none of its own'}.`}`,
        matcher.offset,
      );
    else if (matcher.label === 'le') bucketBound(known, matcher, say);
  }
}

function labelsOf(known: KnownMetric, series: string): Set<string> {
  const own = new Set([...scrapeLabels, ...(known.labels ?? [])]);
  if (known.type === 'histogram' && series.endsWith('_bucket')) own.add('le');
  if (known.type === 'summary') own.add('quantile');
  return own;
}

type Matcher = Selector['matchers'][number];

function bucketBound(known: KnownMetric, { operator, value, offset }: Matcher, say: Say): void {
  if (operator !== '=' || value === '+Inf') return;
  const bounds = known.buckets;
  const plain = value.replace(/\.0$/, '');
  if (bounds && !bounds.includes(plain))
    say(
      'error',
      'missing-bucket',
      `${known.name} has no bucket that ends at ${value}. It has ${bounds.join(', ')}.`,
      offset,
    );
  else if (!plain.includes('.'))
    say(
      'error',
      'le-exact',
      `Prometheus 2 writes le="${plain}" and Prometheus 3 le="${plain}.0". Write le=~"${plain}(\\\\.0)?" to match both.`,
      offset,
    );
}

function contradictions({ matchers }: Selector, say: Say): void {
  for (const fixed of matchers.filter((m) => m.operator === '=')) {
    const clash = matchers.find((m) => m !== fixed && m.label === fixed.label && !accepts(m, fixed.value));
    if (!clash) continue;
    say(
      'error',
      'unfireable-alert',
      `${fixed.label} cannot be ${JSON.stringify(fixed.value)} and ${clash.operator} ${JSON.stringify(clash.value)} at once: nothing is ever selected.`,
      fixed.offset,
    );
    return;
  }
}

function accepts({ operator, value }: Matcher, text: string): boolean {
  if (operator === '=') return value === text;
  if (operator === '!=') return value !== text;
  const matches = compileRe2(value).matcher(text).matches();
  return operator === '=~' ? matches : !matches;
}

/** A label to group by that the expression has aggregated away, or that no metric in it has. */
function lintGrouping(parsed: PromQl, by: readonly string[], metrics: MetricCatalog, say: Say): void {
  const { labels, open } = resultLabels(parsed);
  const known = selectorsOf(parsed).flatMap(({ metric }) => metrics.find(metric) ?? []);
  const possible = new Set([...labels, ...scrapeLabels, ...known.flatMap((m) => m.labels ?? [])]);
  for (const label of by) {
    if (labels.has(label) || (open && possible.has(label))) continue;
    say(
      'error',
      'unknown-label',
      `It is to be grouped by ${label}, and there is no such label in the result.${didYouMean(label, open ? possible : labels)}`,
    );
  }
}
