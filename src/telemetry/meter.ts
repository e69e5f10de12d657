/**
 * Counts and measures by the definitions in `metrics.ts`, on OpenTelemetry's SDK, and writes them as Prometheus text.
 * No server of its own: the API serves what `render` returns.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { Attributes, Counter, Histogram, Meter, ObservableResult } from '@opentelemetry/api';
import { PrometheusSerializer } from '@opentelemetry/exporter-prometheus';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { MeterProvider, MetricReader } from '@opentelemetry/sdk-metrics';
import {
  type LabelsOf,
  type MetricDefinition,
  type MetricKey,
  type MetricsOfKind,
  metricDefinitions,
} from './metrics.ts';

export type Observation<K extends MetricKey> = { labels: LabelsOf<K>; value: number };

export interface Metrics {
  /** Adds to a counter; 1 where no value is given. */
  count<K extends MetricsOfKind<'counter'>>(key: K, labels: LabelsOf<K>, value?: number): void;
  /** Measures once, in the unit of the metric's name. */
  measure<K extends MetricsOfKind<'histogram'>>(key: K, labels: LabelsOf<K>, value: number): void;
  /**
   * Says where a gauge is read, each time the metrics are. Values that the closed labels name and the reading leaves
   * out are 0; a reading that fails leaves the gauge out, so that nobody takes an old value for a new one.
   */
  observe<K extends MetricsOfKind<'gauge'>>(key: K, read: () => Promise<readonly Observation<K>[]>): void;
  /** Prometheus text format 0.0.4. */
  render(): Promise<string>;
  stop(): Promise<void>;
}

export const metricsContentType = 'text/plain; version=0.0.4; charset=utf-8';

/** A scrape has 10 s by Prometheus' default; a gauge that asks the database gets half of it. */
const readLimitMs = 5_000;

/** A reader that is asked, instead of one that exports. */
class PullReader extends MetricReader {
  protected override async onShutdown(): Promise<void> {}
  protected override async onForceFlush(): Promise<void> {}
}

type ReadGauge = () => Promise<readonly { labels: object; value: number }[]>;

/** `keys` are the metrics this process has; default all of them. */
export function createMetrics(build: { version: string }, keys?: readonly MetricKey[]): Metrics {
  const reader = new PullReader();
  const provider = new MeterProvider({
    resource: resourceFromAttributes({ 'service.name': 'catalyst-sre', 'service.version': build.version }),
    readers: [reader],
  });
  const meter = provider.getMeter('catalyst-sre');
  const counters = new Map<MetricKey, Counter>();
  const histograms = new Map<MetricKey, Histogram>();
  const gauges = new Map<MetricKey, ReadGauge>();
  const delay = monitorEventLoopDelay({ resolution: 10 });
  delay.enable();

  for (const [key, definition] of Object.entries(metricDefinitions) as [MetricKey, MetricDefinition][]) {
    if (keys && !keys.includes(key)) continue;
    if (key === 'processCpu') observeCpu(meter, definition);
    else if (definition.kind === 'counter') counters.set(key, createCounter(meter, definition));
    else if (definition.kind === 'histogram') histograms.set(key, createHistogram(meter, definition));
    else createGauge(meter, definition, () => gauges.get(key)?.() ?? Promise.resolve([]));
  }
  observeProcess(gauges, build.version, delay);
  const serializer = new PrometheusSerializer('', false, undefined, true, true);

  return {
    count: (key, labels, value = 1) => counters.get(key)?.add(value, labels as Attributes),
    measure: (key, labels, value) => histograms.get(key)?.record(value, labels as Attributes),
    observe: (key, read) => {
      gauges.set(key, read);
    },
    render: async () => {
      const { resourceMetrics } = await reader.collect({ timeoutMillis: readLimitMs });
      return `${serializer.serialize(resourceMetrics).trimEnd()}\n`;
    },
    stop: async () => {
      delay.disable();
      await provider.shutdown();
    },
  };
}

function createCounter(meter: Meter, definition: MetricDefinition): Counter {
  const counter = meter.createCounter(definition.name, { description: definition.help });
  for (const labels of closedLabelSets(definition)) counter.add(0, labels);
  return counter;
}

function createHistogram(meter: Meter, definition: MetricDefinition): Histogram {
  return meter.createHistogram(definition.name, {
    description: definition.help,
    advice: { explicitBucketBoundaries: [...(definition.buckets ?? [])] },
  });
}

function createGauge(meter: Meter, definition: MetricDefinition, read: ReadGauge): void {
  const gauge = meter.createObservableGauge(definition.name, { description: definition.help });
  gauge.addCallback(async (result: ObservableResult) => {
    const readings = await read();
    const seen = new Set(readings.map((reading) => labelKey(reading.labels)));
    for (const labels of closedLabelSets(definition)) if (!seen.has(labelKey(labels))) result.observe(0, labels);
    for (const reading of readings) result.observe(reading.value, reading.labels as Attributes);
  });
}

/** Every combination of a metric's labels where all of them have a closed list; none where one has not. */
export function closedLabelSets(definition: MetricDefinition): Record<string, string>[] {
  let sets: Record<string, string>[] = [{}];
  for (const [label, values] of Object.entries(definition.labels)) {
    if (typeof values === 'string') return [];
    sets = sets.flatMap((set) => values.map((value) => ({ ...set, [label]: value })));
  }
  return sets;
}

function labelKey(labels: object): string {
  return JSON.stringify(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function observeCpu(meter: Meter, definition: MetricDefinition): void {
  const counter = meter.createObservableCounter(definition.name, { description: definition.help });
  counter.addCallback((result) => {
    const { user, system } = process.cpuUsage();
    result.observe((user + system) / 1e6);
  });
}

function observeProcess(
  gauges: Map<MetricKey, ReadGauge>,
  version: string,
  delay: ReturnType<typeof monitorEventLoopDelay>,
): void {
  const single = (key: MetricsOfKind<'gauge'>, value: () => number) =>
    gauges.set(key, async () => [{ labels: {}, value: value() }]);
  single('processResidentMemory', () => process.memoryUsage.rss());
  single('heapUsed', () => process.memoryUsage().heapUsed);
  single('processStartTime', () => Math.floor(performance.timeOrigin / 1000));
  gauges.set('buildInfo', async () => [{ labels: { version, node: process.versions.node }, value: 1 }]);
  gauges.set('eventLoopLag', async () => {
    // Nanoseconds; NaN before the first sample.
    const seconds = (nanoseconds: number) => (Number.isFinite(nanoseconds) ? nanoseconds / 1e9 : 0);
    const readings = [
      { labels: { quantile: '0.5' }, value: seconds(delay.percentile(50)) },
      { labels: { quantile: '0.99' }, value: seconds(delay.percentile(99)) },
      { labels: { quantile: '1' }, value: seconds(delay.max) },
    ];
    delay.reset();
    return readings;
  });
}
