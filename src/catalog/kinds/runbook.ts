/**
 * The Runbook: what to do about an alert, an incident, a time or a wish, and how to know that it worked (handbook §14).
 */
import Type, { type Static } from 'typebox';
import type { Kind, Resource } from '../resource.ts';

/** Go-style duration as Prometheus and Kubernetes write it: `30s`, `5m`, `1h30m`, `500ms`. */
const Duration = (description: string, example: string) =>
  Type.String({ description, pattern: '^([0-9]+(ms|s|m|h|d))+$', maxLength: 32, examples: [example] });

const Cel = (description: string, example: string) =>
  Type.String({ description, minLength: 1, maxLength: 4096, examples: [example] });

const DnsName = (description: string, example: string) =>
  Type.String({ description, pattern: '^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$', maxLength: 253, examples: [example] });

export const modes = ['Suggest', 'Approval', 'Automatic'] as const;
/** How far the engine may go by itself, strictest first. */
export type Mode = (typeof modes)[number];

const Strict = { additionalProperties: false } as const;

const Matcher = Type.String({
  description:
    'An Alertmanager label matcher: one of = != =~ !~ between a label name and a quoted or bare value. Regular expressions are RE2 and anchored.',
  maxLength: 1024,
  examples: ['severity="critical"'],
});

const Trigger = Type.Object(
  {
    alertName: Type.Optional(
      Type.String({
        description: 'Runs when an alert of this name fires.',
        minLength: 1,
        maxLength: 253,
        examples: ['OpenBaoSealed'],
      }),
    ),
    matchers: Type.Optional(
      Type.Array(Matcher, {
        description: 'Label matchers that must all hold; they narrow alertName or incident.',
        maxItems: 32,
      }),
    ),
    incident: Type.Optional(
      Type.String({
        description: 'Runs when an incident of this type opens.',
        minLength: 1,
        maxLength: 253,
        examples: ['OpenBaoSealed'],
      }),
    ),
    schedule: Type.Optional(
      Type.String({
        description: 'Runs by this cron expression (five fields), once for each local date and time it names.',
        minLength: 1,
        maxLength: 128,
        examples: ['0 2 * * *'],
      }),
    ),
    timeZone: Type.Optional(
      Type.String({
        description: 'IANA time zone of the schedule. Default UTC.',
        maxLength: 64,
        examples: ['Europe/Helsinki'],
      }),
    ),
  },
  {
    ...Strict,
    description:
      'One way the runbook starts: exactly one of alertName, incident, schedule; none for a runbook started by hand only.',
  },
);

const Precondition = Type.Object(
  {
    check: Cel('A CEL expression over facts that must be true before anything is done.', 'spire.server.healthy'),
    description: Type.Optional(
      Type.String({ description: 'Why it matters, shown beside its value.', maxLength: 1024 }),
    ),
  },
  { ...Strict, description: 'A condition that must hold before the first step.' },
);

const Retry = Type.Object(
  {
    attempts: Type.Integer({ description: 'How often the action is tried in all.', minimum: 1, maximum: 20 }),
    backoff: Type.Optional(Duration('Wait before the second try; doubled for each one after. Default 2s.', '2s')),
  },
  {
    ...Strict,
    description: 'Trying again after a failure that certainly had no effect, or whose action is idempotent.',
  },
);

const With = Type.Record(Type.String(), Type.Unknown(), {
  description: 'Input of the action by name, for values that do not read well as words. Strings may hold ${{ CEL }}.',
  maxProperties: 64,
});

const Run = Type.String({
  description:
    'The action and its words: split like a command line, never given to a shell; ${{ CEL }} stays inside one word.',
  minLength: 1,
  maxLength: 4096,
  examples: ['kubernetes restart Deployment ${{ target.namespace }} ${{ target.name }}'],
});

const Undo = Type.Object(
  { run: Run, with: Type.Optional(With) },
  { ...Strict, description: 'The action that takes the step back, instead of the one the action itself knows.' },
);

const StepName = Type.Optional(Type.String({ description: 'Name shown for the step.', maxLength: 128 }));
const When = Type.Optional(Cel('The step is skipped unless this is true.', "alert.labels.severity == 'critical'"));
const Timeout = Type.Optional(Duration('Limit for one try of the action. Default 1m.', '1m'));

const RunStep = Type.Object(
  {
    name: StepName,
    run: Run,
    with: Type.Optional(With),
    when: When,
    timeout: Timeout,
    retry: Type.Optional(Retry),
    undo: Type.Optional(Undo),
  },
  { ...Strict, description: 'Carries out one action.' },
);

const VerifyStep = Type.Object(
  {
    name: StepName,
    verify: Cel('A CEL expression that shows whether the fix worked.', 'openbao.status.sealed == false'),
    for: Type.Optional(Duration('How long it must hold without a break. Default 0s: once is enough.', '2m')),
    within: Type.Optional(Duration('By when it must have held that long. Default 5m.', '10m')),
    every: Type.Optional(Duration('How often it is looked at. Default: a twentieth of within, from 1s to 30s.', '5s')),
    when: When,
  },
  { ...Strict, description: 'Waits until an expression holds, and fails when it does not in time.' },
);

const WaitStep = Type.Object(
  { name: StepName, wait: Duration('How long to wait.', '30s'), when: When },
  { ...Strict, description: 'Waits.' },
);

const Approval = Type.Object(
  {
    role: Type.Optional(
      Type.String({
        description: 'Role that may approve. Default sovereign-admin.',
        maxLength: 64,
        examples: ['sovereign-admin'],
      }),
    ),
    within: Type.Optional(Duration('The approval expires after this time. Default 1h.', '1h')),
    reason: Type.Optional(Type.String({ description: 'What the approver is asked, in words.', maxLength: 1024 })),
  },
  { ...Strict, description: 'Asks a person.' },
);

const ApproveStep = Type.Object(
  { name: StepName, approve: Approval, when: When },
  { ...Strict, description: 'Stops until a person with the role approves the rest of the plan.' },
);

const Step = Type.Union([RunStep, VerifyStep, WaitStep, ApproveStep], {
  description: 'One step: exactly one of run, verify, wait, approve.',
});

const Target = Type.Object(
  {
    apiVersion: Type.Optional(
      Type.String({
        description: 'Default apps/v1 for Deployment, StatefulSet, DaemonSet; v1 for Pod and Node; batch/v1 for Job.',
        maxLength: 128,
        examples: ['apps/v1'],
      }),
    ),
    kind: Type.String({ description: 'Kind of the object.', minLength: 1, maxLength: 128, examples: ['Deployment'] }),
    namespace: Type.Optional(
      Type.String({
        description: 'Its namespace; may hold ${{ CEL }}.',
        maxLength: 1024,
        examples: ['${{ alert.labels.namespace }}'],
      }),
    ),
    name: Type.String({
      description: 'Its name; may hold ${{ CEL }}.',
      minLength: 1,
      maxLength: 1024,
      examples: ['${{ alert.labels.deployment }}'],
    }),
  },
  {
    ...Strict,
    description:
      'The object the runbook acts on. It is bound to its UID when the decision is made; a replaced target is refused.',
  },
);

const Guards = Type.Object(
  {
    cooldown: Type.Optional(
      Duration(
        'Least time between the end of one run of this runbook on a target that acted and the start of the next. Default 5m.',
        '15m',
      ),
    ),
    maxRuns: Type.Optional(
      Type.Object(
        {
          count: Type.Integer({ description: 'So many runs that acted on a target …', minimum: 1, maximum: 1000 }),
          per: Duration('… in a window of this length; one more is refused and paged.', '1h'),
        },
        { ...Strict, description: 'Limit of runs per window. Default 3 per 1h.' },
      ),
    ),
    concurrencyKey: Type.Optional(
      Type.String({
        description:
          'Runs with the same key go one after the other; may hold ${{ CEL }}. Default: the target, or the runbook where it has none.',
        maxLength: 1024,
      }),
    ),
    queueFor: Type.Optional(Duration('How long a run may wait for its key before it gives up. Default 10m.', '10m')),
  },
  { ...Strict, description: 'When not to act.' },
);

export const RunbookSpec = Type.Object(
  {
    description: Type.Optional(
      Type.String({ description: 'What it is for, for the person who reads it during an incident.', maxLength: 8192 }),
    ),
    triggers: Type.Optional(
      Type.Array(Trigger, { description: 'What starts it. Without any it is started by hand.', maxItems: 32 }),
    ),
    mode: Type.Optional(
      // Written out: from a mapped array TypeBox infers `never`.
      Type.Union([Type.Literal('Suggest'), Type.Literal('Approval'), Type.Literal('Automatic')], {
        description: 'How far it may go by itself; the strictest of Sovereign, Organization and Runbook wins.',
      }),
    ),
    priority: Type.Optional(
      Type.Integer({
        description: 'Among runbooks that match equally closely the highest goes first. Default 0.',
        minimum: -1000,
        maximum: 1000,
      }),
    ),
    target: Type.Optional(Target),
    inputs: Type.Optional(
      Type.Record(
        Type.String({ pattern: '^[a-zA-Z][a-zA-Z0-9]*$' }),
        Type.Object(
          {
            description: Type.Optional(Type.String({ description: 'What it is.', maxLength: 1024 })),
            type: Type.Union([Type.Literal('string'), Type.Literal('int'), Type.Literal('bool')], {
              description: 'Its CEL type.',
            }),
            default: Type.Optional(
              Type.Union([Type.String({ maxLength: 4096 }), Type.Integer(), Type.Boolean()], {
                description: 'Value where none is given; without one it must be given.',
              }),
            ),
          },
          { ...Strict, description: 'One input.' },
        ),
        { description: 'Values a person may give when starting it by hand: `inputs.NAME` in CEL.', maxProperties: 32 },
      ),
    ),
    preconditions: Type.Optional(
      Type.Array(Precondition, { description: 'What must hold before the first step.', maxItems: 32 }),
    ),
    steps: Type.Array(Step, {
      description: 'What is done, in order. A failed step never lets the next one run.',
      minItems: 1,
      maxItems: 64,
    }),
    rollback: Type.Optional(
      Type.Union(
        [
          DnsName('A named rollback: page-oncall undoes what can be undone and pages.', 'page-oncall'),
          Type.Array(RunStep, {
            description: 'Steps carried out, in order, when a step has failed.',
            minItems: 1,
            maxItems: 32,
          }),
        ],
        { description: 'What happens when a step fails. Default page-oncall.' },
      ),
    ),
    guards: Type.Optional(Guards),
  },
  { ...Strict, description: 'A runbook.' },
);

export type RunbookSpec = Static<typeof RunbookSpec>;
export type RunbookStep = Static<typeof Step>;
export type RunStep = Static<typeof RunStep>;
export type VerifyStep = Static<typeof VerifyStep>;
export type WaitStep = Static<typeof WaitStep>;
export type ApproveStep = Static<typeof ApproveStep>;
export type RunbookTrigger = Static<typeof Trigger>;
export type Runbook = Resource<RunbookSpec>;

export const runbookKind: Kind = {
  kind: 'Runbook',
  plural: 'runbooks',
  shortNames: ['rb'],
  description: 'What to do about an alert, and how to know that it worked.',
  spec: RunbookSpec,
};
