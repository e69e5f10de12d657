/** Error budgets, as the rules of `catalyst-sre render prometheus` record them in Prometheus. */
import { CatalystError } from '../../errors.ts';
import type { FactDefinition, FactType, Integration, Json } from '../contract.ts';
import { healthOf, textArgument } from '../define.ts';
import type { Prometheus } from '../prometheus/index.ts';

export type SloPorts = Pick<Prometheus, 'configured' | 'query' | 'samples'>;

const slo = { name: 'slo', type: 'string' as FactType, description: 'Name of the ServiceLevelObjective.' };

export function createSlo(prometheus: SloPorts): Integration {
  return {
    name: 'slo',
    description:
      'How service level objectives stand. It needs the integration prometheus, and configuration of its own none.',
    configured: prometheus.configured,
    facts: [budgetLeft(prometheus), burning(prometheus)],
    actions: [],
    health: (context) =>
      healthOf(async () => {
        const recorded = await prometheus.samples(context, 'group by (slo) (slo:objective:ratio)');
        return `Prometheus has the rules of ${recorded.length} objectives`;
      }),
  };
}

function budgetLeft({ query }: SloPorts): FactDefinition {
  return {
    name: 'slo.budgetLeft',
    description:
      'Share of its error budget that is left: 1 is all of it, 0 or less is none. Of several budgets (by) the least. An error when nothing is recorded.',
    parameters: [slo],
    returns: 'double',
    example: 0.42,
    read: async (context, args) => {
      const name = nameOf(args);
      return recorded(name, query(context, `min(slo:error_budget_remaining:ratio{slo="${name}"})`));
    },
  };
}

function burning({ query }: SloPorts): FactDefinition {
  return {
    name: 'slo.burning',
    description:
      'Whether one of its burn-rate alerts fires: its error budget goes faster than it may. An error when its rules are not in Prometheus.',
    parameters: [slo],
    returns: 'bool',
    example: false,
    read: async (context, args) => {
      const name = nameOf(args);
      const firing = `count(ALERTS{slo="${name}",burn_rate!="",alertstate="firing"}) or vector(0)`;
      // Without rules no alert fires either: the recorded objective tells the two apart.
      const expression = `(${firing}) and on () slo:objective:ratio{slo="${name}"}`;
      return (await recorded(name, query(context, expression))) > 0;
    },
  };
}

function nameOf(args: readonly Json[]): string {
  const name = textArgument(args, 0, 'slo');
  // As the kind's schema has it; anything else could end the matcher.
  if (/^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/.test(name)) return name;
  throw new CatalystError('BadRequest', `${JSON.stringify(name)} is not the name of a ServiceLevelObjective`);
}

async function recorded(name: string, value: Promise<number>): Promise<number> {
  try {
    return await value;
  } catch (error) {
    if (!(error instanceof CatalystError && error.code === 'NotFound')) throw error;
    throw new CatalystError('NotFound', `Prometheus has nothing recorded for the objective ${name}`, {
      cause: error,
      hint: 'Load the rules of catalyst-sre render prometheus; catalyst-sre describe slo says more.',
    });
  }
}
