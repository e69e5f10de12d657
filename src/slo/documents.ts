/** The documents about alerting, sorted by kind and worked out; what is wrong with them is said with line and column. */
import { type Loaded, loadDocuments } from '../catalog/document.ts';
import type { AlertRule } from '../catalog/kinds/alert-rule.ts';
import type { Exporter } from '../catalog/kinds/exporter.ts';
import type { IncidentType } from '../catalog/kinds/incident-type.ts';
import type { Runbook } from '../catalog/kinds/runbook.ts';
import { type ServiceLevelObjective, serviceLevelObjectiveKind } from '../catalog/kinds/service-level-objective.ts';
import type { SourceText } from '../catalog/lint.ts';
import { byText } from '../catalog/order.ts';
import { onLine, type Positions } from '../catalog/positions.ts';
import type { Problem, Resource } from '../catalog/resource.ts';
import type { Report } from '../catalog/runbook-lint.ts';
import { type MetricCatalog, metricCatalog } from './metric-catalog.ts';
import { compileSlo, type Slo } from './slo.ts';

/** Everything rules, tests, dashboards and checks are made of. Ordered by name, so that the output is. */
export interface SloDocuments {
  slos: readonly Slo[];
  alerts: readonly AlertRule[];
  exporters: readonly Exporter[];
  runbooks: readonly Runbook[];
  incidentTypes: readonly IncidentType[];
  metrics: MetricCatalog;
  /** Of loading and of working out the SLOs. */
  problems: Problem[];
  /** Says what is wrong with a document. */
  reporter(resource: Resource): Report;
}

/** Converts a text of another tool to our documents; undefined when it is not of that tool. */
export type Import = (text: SourceText) => Loaded | undefined;

/**
 * Loads documents. One of the same kind and name in a later text replaces an earlier one: a Sovereign's own goes before
 * the handbook's.
 */
export function loadSloDocuments(texts: readonly SourceText[], imports: readonly Import[] = []): SloDocuments {
  const problems: Problem[] = [];
  const positions = new Map<Resource, Positions>();
  const byKey = new Map<string, Resource>();
  for (const text of texts) {
    const foreign = imports.map((read) => read(text)).find((found) => found !== undefined);
    const loaded: Loaded = foreign ?? loadDocuments(text.text, text.origin);
    problems.push(...loaded.problems);
    for (const resource of loaded.resources) {
      byKey.set(`${resource.kind}/${resource.metadata.name}`, resource);
      positions.set(resource, loaded.positions.get(resource) ?? onLine(resource.provenance.line));
    }
  }
  const all = [...byKey.values()].sort((a, b) => byText(a.metadata.name, b.metadata.name));
  const ofKind = <R extends Resource>(kind: string) => all.filter((r): r is R => r.kind === kind);
  const exporters = ofKind<Exporter>('Exporter');
  const metrics = metricCatalog(exporters);
  const reporter = (resource: Resource) => reportOn(resource, positions.get(resource) ?? onLine(1), problems);
  const slos = ofKind<ServiceLevelObjective>('ServiceLevelObjective').flatMap(
    (resource) => compileSlo(resource, metrics, reporter(resource)) ?? [],
  );
  return {
    slos,
    alerts: ofKind<AlertRule>('AlertRule'),
    exporters,
    runbooks: ofKind<Runbook>('Runbook'),
    incidentTypes: ofKind<IncidentType>('IncidentType'),
    metrics,
    problems,
    reporter,
  };
}

/** What only the exporters can tell: their documents may come later, and from another source. */
const needsExporters: ReadonlySet<string> = new Set(['unknown-unit']);

/** Takes out the objectives that cannot be worked out, whatever the exporters are, and says why: they would never count. */
export function refuseSlos({ resources, problems, positions }: Loaded): Loaded {
  const wrong: Problem[] = [];
  const works = (resource: Resource): boolean => {
    if (resource.kind !== serviceLevelObjectiveKind.kind) return true;
    const before = wrong.length;
    const report = reportOn(resource, positions.get(resource) ?? onLine(resource.provenance.line), wrong);
    compileSlo(resource as ServiceLevelObjective, metricCatalog([]), (severity, rule, ...rest) => {
      if (!needsExporters.has(rule)) report(severity, rule, ...rest);
    });
    return wrong.slice(before).every(({ severity }) => severity !== 'error');
  };
  return { resources: resources.filter(works), problems: [...problems, ...wrong], positions };
}

function reportOn(resource: Resource, positions: Positions, problems: Problem[]): Report {
  const { source, file } = resource.provenance;
  return (severity, rule, path, sentence, offset) => {
    problems.push({
      severity,
      rule,
      sentence,
      source,
      file,
      ...positions.value(path, offset),
      resource: `${resource.kind}/${resource.metadata.name}`,
    });
  };
}
