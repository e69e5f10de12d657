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
import { compileSlo, defaultWindow, type Slo } from '../slo/slo.ts';
import { type BudgetStatus, noData } from '../slo/status-decision.ts';

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
  let compiled: (Compiled & { revision: number }) | undefined;
  const compiledNow = () => {
    if (compiled?.revision !== catalog.revision) compiled = { revision: catalog.revision, ...compileAll(catalog) };
    return compiled;
  };
  const seenBy = async (organization: string | undefined): Promise<SloDetail[]> => {
    const { slos, without } = compiledNow();
    const statuses = await live.read(slos);
    return [
      ...statuses.flatMap((status) => present(status, organization, organizationOf) ?? []),
      ...without.map(presentWithout).filter((slo) => organization === undefined || slo.organization === organization),
    ].sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
  };
  return {
    list: async ({ after, limit, organization }, { state, service, ofOrganization }) => {
      // Whoever sees one Organization sees nothing as another.
      if (organization !== undefined && (ofOrganization ?? organization) !== organization) return { items: [] };
      const all = (await seenBy(organization ?? ofOrganization)).filter(
        (slo) =>
          (state === undefined || slo.state === state) &&
          (service === undefined || slo.service === service) &&
          (after === undefined || keyOf(slo) > after),
      );
      const page = all.slice(0, limit);
      const items: SloSummary[] = page.map(({ budgets: _, description: __, ...summary }) => summary);
      const last = page.at(-1);
      return last && all.length > limit ? { items, next: keyOf(last) } : { items };
    },
    find: async (name, organization) => (await seenBy(organization)).find((slo) => slo.name === name),
  };
}

/** Two Organizations may have objectives of one name; neither part can hold a slash. The Sovereign's come first. */
const keyOf = ({ name, organization = '' }: Pick<SloSummary, 'name' | 'organization'>) => `${name}/${organization}`;

interface Compiled {
  slos: readonly Slo[];
  /** Objectives of which nothing can be told, and why. */
  without: readonly { resource: ServiceLevelObjective; sentence: string }[];
}

/** The series of an objective carry only its name, so that of several with one name at most one can be told. */
function compileAll(catalog: SloPorts['catalog']): Compiled {
  const metrics = metricCatalog(catalog.resources<Exporter>(exporterKind));
  const byName = Map.groupBy(
    catalog.resources<ServiceLevelObjective>(serviceLevelObjectiveKind),
    ({ metadata }) => metadata.name,
  );
  const slos: Slo[] = [];
  const without: { resource: ServiceLevelObjective; sentence: string }[] = [];
  for (const named of byName.values()) {
    const ours = named.find(({ provenance }) => provenance.organization === undefined);
    const counts = ours ?? (named.length === 1 ? named[0] : undefined);
    for (const resource of named) {
      if (resource !== counts) {
        without.push({
          resource,
          sentence: 'Another objective has this name, and in Prometheus the two look the same.',
        });
        continue;
      }
      let problem = '';
      const slo = compileSlo(resource, metrics, (_severity, _rule, _path, sentence) => {
        problem ||= sentence;
      });
      if (slo) slos.push(slo);
      else without.push({ resource, sentence: `It cannot be worked out: ${problem}` });
    }
  }
  return { slos, without };
}

function presentWithout({ resource, sentence }: Compiled['without'][number]): SloDetail {
  const { title, description, service, handbook = [], window = defaultWindow } = resource.spec;
  const { organization } = resource.provenance;
  const budget = { ...noData({}, sentence), organization };
  const { labels: _, ...standing } = budget;
  return {
    name: resource.metadata.name,
    title,
    description: description?.trim(),
    service,
    handbook,
    organizations: organization === undefined ? [] : [organization],
    window,
    ...standing,
    budgets: [budget],
  };
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
    handbook: slo.spec.handbook ?? [],
    organizations: [...new Set(budgets.flatMap((budget) => budget.organization ?? []))].sort(),
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
