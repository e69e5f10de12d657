/**
 * The RunbookTest: what a runbook should do, as given, when, then. Runs offline, in milliseconds, through the product's own
 * engine on a clock that jumps.
 */
import Type, { type Static } from 'typebox';
import type { Kind, Resource } from '../resource.ts';
import { modes } from './runbook.ts';

const Strict = { additionalProperties: false } as const;
const Words = <const T extends readonly string[]>(values: T, description: string) =>
  Type.Unsafe<T[number]>(Type.String({ enum: [...values], description }));
const Duration = (description: string, example: string) =>
  Type.String({ description, pattern: '^([0-9]+(ms|s|m|h|d))+$', maxLength: 32, examples: [example] });

const FactValue = Type.Object(
  {
    value: Type.Optional(Type.Unknown({ description: 'The value it has.' })),
    error: Type.Optional(Type.String({ description: 'It cannot be read, and says this.', maxLength: 1024 })),
    after: Type.Optional(Duration('From this time after the start of the run on. Default 0s.', '30s')),
    afterAction: Type.Optional(
      Type.String({
        description: 'From the time on that this action was carried out.',
        maxLength: 256,
        examples: ['openbao operator unseal'],
      }),
    ),
  },
  { ...Strict, description: 'A value or an error, and from when on.' },
);

export const Given = Type.Object(
  {
    alert: Type.Optional(
      Type.Object(
        {
          labels: Type.Record(Type.String(), Type.String({ maxLength: 4096 }), {
            description: 'Labels; alertname decides which runbook is triggered.',
            maxProperties: 64,
          }),
          annotations: Type.Optional(
            Type.Record(Type.String(), Type.String({ maxLength: 4096 }), {
              description: 'Annotations.',
              maxProperties: 64,
            }),
          ),
        },
        { ...Strict, description: 'The alert that fires.' },
      ),
    ),
    facts: Type.Optional(
      Type.Record(
        Type.String(),
        Type.Array(FactValue, {
          description: 'What it says over time; the last entry that is due counts.',
          minItems: 1,
          maxItems: 64,
        }),
        {
          description:
            'Facts by name, or by call as the runbook writes it: prometheus.query("up"). One that is not given cannot be read.',
          maxProperties: 256,
        },
      ),
    ),
    firing: Type.Optional(
      Words(
        ['firing', 'notFiring', 'silenced', 'unknown'],
        'What Prometheus and Alertmanager say of the alert. Default firing.',
      ),
    ),
    target: Type.Optional(
      Words(
        ['present', 'missing', 'replacedAfterPlan', 'changedAfterFirstAction'],
        'How the target behaves. Default present.',
      ),
    ),
    before: Type.Optional(
      Type.Record(Type.String(), Type.Unknown(), {
        description: 'What an action sees before it acts, by its name; e.g. {replicas: 2} for kubernetes scale.',
        maxProperties: 64,
      }),
    ),
    mode: Type.Optional(Words(modes, 'Mode of the Sovereign. Default Automatic.')),
    approvals: Type.Optional(
      Type.Array(Words(['approve', 'reject', 'expire'], 'What people say.'), {
        description: 'What people say to each approval asked for, in order. Default approve.',
        maxItems: 32,
      }),
    ),
    inputs: Type.Optional(
      Type.Record(Type.String(), Type.Unknown(), { description: 'Inputs by name.', maxProperties: 32 }),
    ),
    budgetSpent: Type.Optional(
      Type.String({
        description: 'Spent share of the budget, a decimal number. Default: no budget is set.',
        pattern: '^[0-9]+(\\.[0-9]+)?$',
        examples: ['0.85'],
      }),
    ),
    ranBefore: Type.Optional(Duration('The runbook acted on this target so long ago.', '2m')),
  },
  { ...Strict, description: 'The world the runbook meets.' },
);

const Fault = Type.Object(
  {
    action: Type.String({ description: 'Name of the action.', maxLength: 256, examples: ['kubernetes restart'] }),
    fault: Words(
      ['fail', 'unavailable', 'uncertainNotDone', 'uncertainDone', 'crashBefore', 'crashAfter'],
      'fail: it is refused. unavailable: it cannot be reached. uncertain…: the answer is lost, and it did or did not take effect. crash…: the process dies before or after the effect.',
    ),
    times: Type.Optional(Type.Integer({ description: 'How often. Default 1.', minimum: 1, maximum: 100 })),
  },
  { ...Strict, description: 'Something goes wrong.' },
);

const Then = Type.Object(
  {
    triggered: Type.Optional(
      Type.Boolean({ description: 'Whether the alert triggers the runbook at all. Default true.' }),
    ),
    outcome: Type.Optional(
      Words(['Succeeded', 'Suggested', 'Refused', 'Failed', 'RolledBack', 'Unknown', 'Cancelled'], 'How the run ends.'),
    ),
    reason: Type.Optional(
      Type.String({ description: 'The typed reason it ends with.', maxLength: 64, examples: ['Verified'] }),
    ),
    actions: Type.Optional(
      Type.Array(Type.String({ maxLength: 1024 }), {
        description:
          'Effects that reached the world, in order: the action, and its input where it is written as JSON after it.',
        maxItems: 256,
      }),
    ),
    paged: Type.Optional(Type.Boolean({ description: 'Whether somebody is paged.' })),
    within: Type.Optional(Duration('The run ends within this time of the virtual clock.', '10m')),
  },
  { ...Strict, description: 'What must come of it; what is not named is not looked at.' },
);

export const RunbookTestSpec = Type.Object(
  {
    runbook: Type.String({
      description: 'Name of the runbook.',
      minLength: 1,
      maxLength: 253,
      examples: ['openbao-sealed'],
    }),
    cases: Type.Array(
      Type.Object(
        {
          name: Type.String({ description: 'What it shows.', minLength: 1, maxLength: 256 }),
          given: Type.Optional(Given),
          when: Type.Optional(Type.Array(Fault, { description: 'What goes wrong.', maxItems: 32 })),
          // biome-ignore lint/suspicious/noThenProperty: given, when, then is what such tests are made of; nobody awaits a schema.
          then: Then,
        },
        { ...Strict, description: 'One case.' },
      ),
      { description: 'The cases.', minItems: 1, maxItems: 256 },
    ),
  },
  { ...Strict, description: 'Tests of a runbook.' },
);

export type RunbookTestSpec = Static<typeof RunbookTestSpec>;
export type RunbookTestCase = RunbookTestSpec['cases'][number];
export type RunbookTest = Resource<RunbookTestSpec>;

/** Read from files only: a test is nothing a cluster keeps. */
export const runbookTestKind: Kind = {
  kind: 'RunbookTest',
  plural: 'runbooktests',
  shortNames: [],
  description: 'What a runbook should do, as given, when, then.',
  spec: RunbookTestSpec,
};
