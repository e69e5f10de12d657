/** Budgets per Organization: what is spent, against what may be. */
import { readFile } from 'node:fs/promises';
import { CatalystError, messageOf } from '../../errors.ts';
import type { CallContext, FactDefinition, Integration } from '../contract.ts';
import { configured, healthOf, textArgument } from '../define.ts';
import type { BudgetConfig } from './schema.ts';

export interface BudgetPorts {
  /** Value of a PromQL expression that gives exactly one sample. Throws NotConfigured without Prometheus. */
  query(context: CallContext, expression: string): Promise<number>;
}

type Budget = BudgetConfig['organizations'][string];

export function createBudget(config: BudgetConfig | undefined, ports: BudgetPorts): Integration {
  const budgets = () => configured(config?.organizations, 'budget');
  const ratio = async (context: CallContext, organization: string) => {
    const budget = budgetOf(budgets(), organization);
    return (await spent(context, budget, organization, ports)) / budget.limit;
  };
  return {
    name: 'budget',
    description: 'What an Organization has spent of its budget.',
    configured: config !== undefined,
    facts: [spentRatio(ratio)],
    actions: [],
    health: (context) =>
      healthOf(async () => {
        const organizations = Object.keys(budgets());
        await Promise.all(organizations.map((organization) => ratio(context, organization)));
        return `the spend of ${organizations.length} Organizations can be read`;
      }),
  };
}

function spentRatio(read: (context: CallContext, organization: string) => Promise<number>): FactDefinition {
  return {
    name: 'budget.spentRatio',
    description:
      'Share of its budget that an Organization has spent: 1 is all of it. An error for one without a budget.',
    parameters: [{ name: 'organization', type: 'string', description: 'Name of the Organization.' }],
    returns: 'double',
    example: 0.72,
    read: async (context, args) => read(context, textArgument(args, 0, 'organization')),
  };
}

function budgetOf(budgets: BudgetConfig['organizations'], organization: string): Budget {
  const budget = Object.hasOwn(budgets, organization) ? budgets[organization] : undefined;
  if (budget !== undefined) return budget;
  throw new CatalystError('NotFound', `Organization ${organization} has no budget`, {
    hint: `Set integrations.budget.organizations.${organization}.`,
  });
}

async function spent(context: CallContext, budget: Budget, organization: string, ports: BudgetPorts): Promise<number> {
  const value =
    budget.query === undefined ? await readSpend(budget.file, organization) : await ports.query(context, budget.query);
  // A negative spend is a broken meter, and would open every guard.
  if (value >= 0) return value;
  throw new CatalystError('UpstreamRefused', `the spend of ${organization} is ${value}, which cannot be`);
}

async function readSpend(file: string | undefined, organization: string): Promise<number> {
  if (file === undefined) {
    throw new CatalystError('NotConfigured', `the budget of ${organization} has neither query nor file`, {
      hint: `Set one of them in integrations.budget.organizations.${organization}.`,
    });
  }
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    throw new CatalystError('UpstreamUnavailable', `the spend of ${organization} cannot be read: ${messageOf(error)}`, {
      cause: error,
      certain: true,
    });
  });
  const value = Number(text.trim());
  if (text.trim() !== '' && Number.isFinite(value)) return value;
  throw new CatalystError('UpstreamRefused', `${file} does not hold one number`, {
    hint: 'Write what was spent so far, e.g. 1234.5.',
  });
}
