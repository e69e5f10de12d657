/** The objectives of the catalog as the API shows them: whose each budget is, and what its caller may see of it. */
import type { SloBudget, SloDetail, SloSummary, Slos } from '../api/ports.ts';
import type { Catalog } from '../catalog/catalog.ts';
import { type Exporter, exporterKind } from '../catalog/kinds/exporter.ts';
import { type ServiceLevelObjective, serviceLevelObjectiveKind } from '../catalog/kinds/service-level-objective.ts';
import type { Clock } from '../clock.ts';
import type { Prometheus } from '../integrations/prometheus/index.ts';
import { windowText } from '../slo/burn-rate.ts';
import { write } from '../slo/decimal.ts';
import { createLiveSlos, type SloStatus } from '../slo/live.ts';
import { metricCatalog } from '../slo/metric-catalog.ts';
import { compileSlo, type Slo } from '../slo/slo.ts';
import type { BudgetStatus } from '../slo/status-decision.ts';

export interface SloPorts {
  catalog: Pick<Catalog, 'resources' | 'revision'>;
  prometheus: Pick<Prometheus, 'samples'>;
  clock: Clock;
  organizationOf(labels: Readonly<Record<string, string>>): string | undefined;
}

export function sloModel(ports: SloPorts): Slos {
  const { catalog, clock, prometheus, organizationOf } = ports;
  const live = createLiveSlos({
    clock,
    query: (expression, signal) => prometheus.samples({ clock, signal }, expression),
  });
  let compiled: { revision: number; slos: readonly Slo[] } | undefined;
  const slosNow = () => {
    if (compiled?.revision !== catalog.revision) compiled = { revision: catalog.revision, slos: compileAll(catalog) };
    return compiled.slos;
  };
  const seenBy = async (organization: string | undefined): Promise<SloDetail[]> =>
    (await live.read(slosNow())).flatMap((status) => present(status, organization, organizationOf) ?? []);
  return {
    list: async ({ after, limit, organization }, { state, service }) => {
      const all = (await seenBy(organization)).filter(
        (slo) =>
          (state === undefined || slo.state === state) &&
          (service === undefined || slo.service === service) &&
          (after === undefined || slo.name > after),
      );
      const items: SloSummary[] = all.slice(0, limit).map(({ budgets: _, description: __, ...summary }) => summary);
      return all.length > limit ? { items, next: items.at(-1)?.name } : { items };
    },
    find: async (name, organization) => (await seenBy(organization)).find((slo) => slo.name === name),
  };
}

/**
 * The objectives that can be told apart in Prometheus, whose series carry only their name: the Sovereign's where it has
 * the name, and otherwise the only one of it. What does not compile is a problem of `slo lint`.
 */
function compileAll(catalog: SloPorts['catalog']): readonly Slo[] {
  const metrics = metricCatalog(catalog.resources<Exporter>(exporterKind));
  const byName = Map.groupBy(
    catalog.resources<ServiceLevelObjective>(serviceLevelObjectiveKind),
    ({ metadata }) => metadata.name,
  );
  return [...byName.values()]
    .flatMap((named) => {
      const ours = named.filter(({ provenance }) => provenance.organization === undefined);
      return ours.length > 0 ? ours.slice(0, 1) : named.length === 1 ? named : [];
    })
    .flatMap((resource) => compileSlo(resource, metrics, () => {}) ?? [])
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Undefined when nothing of it is for this caller to see. */
function present(
  { slo, budgets: all }: SloStatus,
  caller: string | undefined,
  organizationOf: SloPorts['organizationOf'],
): SloDetail | undefined {
  const owner = slo.resource.provenance.organization;
  const budgets: SloBudget[] = all
    .map((budget) => ({ ...rounded(budget), organization: owner ?? organizationOf(budget.labels) }))
    .filter(({ organization }) => caller === undefined || organization === caller);
  const [worst] = budgets;
  if (!worst) return undefined;
  const { labels: _, organization: __, ...status } = worst;
  return {
    name: slo.name,
    title: slo.spec.title,
    description: slo.spec.description?.trim(),
    service: slo.spec.service,
    organization: owner,
    objective: Number(write(slo.objective)),
    window: windowText(slo.window),
    ...status,
    budgets,
  };
}

/** Six digits say more than five minutes of any traffic can. */
function rounded(budget: BudgetStatus): BudgetStatus {
  const round = (value: number) => Number(value.toFixed(6));
  return {
    ...budget,
    ...(budget.sli === undefined ? {} : { sli: round(budget.sli) }),
    ...(budget.budgetLeft === undefined ? {} : { budgetLeft: round(budget.budgetLeft) }),
    burnRates: budget.burnRates.map(({ window, rate }) => ({ window, rate: round(rate) })),
  };
}
