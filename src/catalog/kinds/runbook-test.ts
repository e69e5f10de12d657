/**
 * The RunbookTest: what a runbook does in a world that is made up, over virtual time. The engine that plays it is the
 * one that runs runbooks; only the world is replaced.
 */
import Type, { type Static } from 'typebox';
import type { Kind, Resource } from '../resource.ts';
import { modes } from './runbook.ts';

const Strict = { additionalProperties: false } as const;

const Duration = (description: string, example: string) =>
  Type.String({ description, pattern: '^([0-9]+(ms|s|m|h|d))+$', maxLength: 32, examples: [example] });

const Labels = (description: string) =>
  Type.Record(Type.String(), Type.String({ maxLength: 16384 }), { description, maxProperties: 128 });

/** Why a decision was made: one CamelCase word, the same as in the record. */
const Reason = Type.String({
  description: 'Why: one CamelCase word.',
  pattern: '^[A-Z][A-Za-z0-9]*$',
  maxLength: 64,
  examples: ['PreconditionFailed'],
});

const Moment = Type.Object(
  {
    from: Duration('From this time after the start on.', '30s'),
    value: Type.Optional(Type.Unknown({ description: 'The fact has this value …' })),
    error: Type.Optional(
      Type.String({ description: '… or cannot be read, with this sentence.', minLength: 1, maxLength: 1024 }),
    ),
  },
  { ...Strict, description: 'What a fact is from a time on: exactly one of value and error.' },
);

/** A plain value; a map is written under `value`, so that it cannot be taken for one of the other forms. */
const FactGiven = Type.Union(
  [
    Type.String(),
    Type.Number(),
    Type.Boolean(),
    Type.Array(Type.Unknown()),
    Type.Object({ value: Type.Unknown() }, Strict),
    Type.Object(
      { sequence: Type.Array(Moment, { minItems: 1, maxItems: 64, description: 'In the order of time.' }) },
      Strict,
    ),
    Type.Object({ error: Type.String({ minLength: 1, maxLength: 1024 }) }, Strict),
  ],
  { description: 'A value, {value: …}, {sequence: […]} over virtual time, or {error: …}.' },
);

const Given = Type.Object(
  {
    alert: Type.Optional(
      Type.Object(
        {
          labels: Labels('Its labels, alertname among them.'),
          annotations: Type.Optional(Labels('Its annotations.')),
        },
        { ...Strict, description: 'The alert that fires at the start.' },
      ),
    ),
    inputs: Type.Optional(
      Type.Record(Type.String(), Type.Union([Type.String(), Type.Integer(), Type.Boolean()]), {
        description: 'Inputs of a start by hand.',
        maxProperties: 32,
      }),
    ),
    facts: Type.Optional(
      Type.Record(Type.String(), FactGiven, {
        description:
          'Facts by name, or by call as it would be written: prometheus.query("up"). The name alone stands for every call. What is not here cannot be read.',
        maxProperties: 256,
      }),
    ),
    mode: Type.Optional(
      Type.Union([Type.Literal('Suggest'), Type.Literal('Approval'), Type.Literal('Automatic')], {
        description: `The Sovereign's mode: ${modes.join(', ')}. Default Automatic, so that a test shows what the runbook would do.`,
      }),
    ),
    approvals: Type.Optional(
      Type.Union([Type.Literal('Granted'), Type.Literal('Rejected'), Type.Literal('Unanswered')], {
        description: 'What people say when they are asked. Default Unanswered: the approval expires.',
      }),
    ),
  },
  { ...Strict, description: 'The world before.' },
);

const Fault = Type.Object(
  {
    step: Type.Integer({
      description: 'The step it strikes, counted from 1 as a reader counts.',
      minimum: 1,
      maximum: 64,
    }),
    attempts: Type.Optional(
      Type.Integer({ description: 'How many tries of the step it strikes. Default: all.', minimum: 1, maximum: 20 }),
    ),
    fault: Type.Union(
      [Type.Literal('fail'), Type.Literal('uncertain'), Type.Literal('timeout'), Type.Literal('crash')],
      {
        description:
          'fail: the action fails and certainly had no effect. uncertain: it fails and may have had one. timeout: it never answers. crash: the process dies after the effect, before it is written down.',
      },
    ),
  },
  { ...Strict, description: 'Something that goes wrong on the way.' },
);

const When = Type.Object(
  {
    trigger: Type.Optional(
      Type.Union([Type.Literal('alert'), Type.Literal('schedule'), Type.Literal('manual')], {
        description: 'What starts the runbook. Default alert where given.alert is there, manual otherwise.',
      }),
    ),
    faults: Type.Optional(Type.Array(Fault, { description: 'What goes wrong.', maxItems: 64 })),
  },
  { ...Strict, description: 'What happens.' },
);

const ExpectedAction = Type.Object(
  {
    action: Type.String({ description: 'Its name.', minLength: 1, maxLength: 128, examples: ['kubernetes scale'] }),
    input: Type.Optional(
      Type.Record(Type.String(), Type.Unknown(), { description: 'Inputs it has at least.', maxProperties: 64 }),
    ),
  },
  { ...Strict, description: 'An action that was carried out.' },
);

const Then = Type.Object(
  {
    decision: Type.Optional(
      Type.Union([Type.Literal('Run'), Type.Literal('Suggest'), Type.Literal('Refuse'), Type.Literal('NoMatch')], {
        description: 'What is decided before the first step.',
      }),
    ),
    reason: Type.Optional(Reason),
    actions: Type.Optional(
      Type.Array(ExpectedAction, {
        description: 'All actions that had an effect, in order, those of a rollback last; an empty list means none.',
        maxItems: 128,
      }),
    ),
    outcome: Type.Optional(
      Type.Union(
        [
          Type.Literal('Succeeded'),
          Type.Literal('Failed'),
          Type.Literal('VerificationFailed'),
          Type.Literal('Refused'),
          Type.Literal('Suggested'),
          Type.Literal('Rejected'),
          Type.Literal('Expired'),
        ],
        { description: 'How the run ends.' },
      ),
    ),
    rolledBack: Type.Optional(Type.Boolean({ description: 'Whether something was taken back.' })),
    paged: Type.Optional(Type.Boolean({ description: 'Whether a person was paged.' })),
  },
  { ...Strict, description: 'What must be true after. What is not said is not looked at.' },
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
          name: Type.String({ description: 'What it shows, as a sentence.', minLength: 1, maxLength: 256 }),
          given: Given,
          when: Type.Optional(When),
          // biome-ignore lint/suspicious/noThenProperty: the value is data, never a function, so nothing awaits it
          then: Then,
        },
        { ...Strict, description: 'One case.' },
      ),
      { description: 'Each in a world of its own.', minItems: 1, maxItems: 128 },
    ),
  },
  { ...Strict, description: 'Tests of one runbook.' },
);

export type RunbookTestSpec = Static<typeof RunbookTestSpec>;
export type RunbookTestCase = RunbookTestSpec['cases'][number];
export type RunbookTest = Resource<RunbookTestSpec>;

export const runbookTestKind: Kind = {
  kind: 'RunbookTest',
  plural: 'runbooktests',
  shortNames: ['rbt'],
  description: 'What a runbook does in a world that is made up.',
  spec: RunbookTestSpec,
};
