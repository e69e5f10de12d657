/** What is known of metrics: by the name of a series, from the Exporter documents. */
import type { ExportedMetric, Exporter } from '../catalog/kinds/exporter.ts';

export interface KnownMetric extends ExportedMetric {
  exporter: Exporter;
}

export interface MetricCatalog {
  /** The metric a series name belongs to: `x_bucket` belongs to the histogram `x`. */
  find(series: string): KnownMetric | undefined;
  /** Names of every series there can be. */
  readonly series: readonly string[];
}

const suffixes: Readonly<Record<string, readonly string[]>> = {
  histogram: ['_bucket', '_sum', '_count'],
  summary: ['', '_sum', '_count'],
};

export function metricCatalog(exporters: readonly Exporter[]): MetricCatalog {
  const bySeries = new Map<string, KnownMetric>();
  for (const exporter of exporters)
    for (const metric of exporter.spec.metrics)
      for (const suffix of suffixes[metric.type] ?? ['']) bySeries.set(metric.name + suffix, { ...metric, exporter });
  return { find: (series) => bySeries.get(series), series: [...bySeries.keys()].sort() };
}

/** Labels that a scrape, its relabelling or the way to the store adds to any series. */
export const scrapeLabels: ReadonlySet<string> = new Set([
  ...['__name__', 'job', 'instance', 'cluster', 'namespace', 'pod', 'container', 'service', 'endpoint', 'node'],
  ...['exported_namespace', 'exported_pod', 'exported_job', 'exported_service', 'exported_instance'],
]);
