/** Configuration of budgets (handbook §4.3). */
import Type, { type Static } from 'typebox';

export const BudgetConfig = Type.Object(
  {
    organizations: Type.Record(
      Type.String({ pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$' }),
      Type.Object(
        {
          limit: Type.Number({
            description: 'What the Organization may spend in the period, in the unit of spend.',
            exclusiveMinimum: 0,
            examples: [5000],
          }),
          query: Type.Optional(
            Type.String({
              description: 'PromQL that gives what was spent so far in the period: exactly one sample.',
              minLength: 1,
              maxLength: 4096,
              examples: ['sum(organization_spend_euros{organization="acme"})'],
            }),
          ),
          file: Type.Optional(
            Type.String({
              description: 'File that holds what was spent so far, as one number; read each time.',
              minLength: 1,
              maxLength: 4096,
            }),
          ),
        },
        { additionalProperties: false, description: 'Budget of one Organization: limit, and query or file.' },
      ),
      { description: 'Budgets by Organization.' },
    ),
  },
  { additionalProperties: false, description: 'Budgets, and where the spend is read.' },
);
export type BudgetConfig = Static<typeof BudgetConfig>;
