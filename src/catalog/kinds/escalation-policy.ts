/**
 * The EscalationPolicy: who is paged about an incident nobody has acknowledged, and when. Of the policies that count for
 * an Organization, the first by name that takes the severity is used, the Organization's own before the Sovereign's.
 */
import Type, { type Static } from 'typebox';
import { parseDuration } from '../duration.ts';
import type { Kind, Resource, SpecProblem } from '../resource.ts';
import type { Severity } from './incident-type.ts';
import { severities } from './incident-type.ts';

const Strict = { additionalProperties: false } as const;
const Name = (description: string, example: string) =>
  Type.String({ description, pattern: '^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$', maxLength: 63, examples: [example] });

const Target = Type.Union(
  [
    Type.Object(
      { schedule: Name('Whoever is on call in this OnCallSchedule.', 'sre') },
      { ...Strict, description: 'Whoever is on call.' },
    ),
    Type.Object({ receiver: Name('This receiver.', 'ops-chat') }, { ...Strict, description: 'A receiver.' }),
  ],
  { description: 'Who is paged.' },
);

const Step = Type.Object(
  {
    after: Type.String({
      description: 'So long after the incident was opened, or opened again. 0s is at once.',
      pattern: '^([0-9]+(ms|s|m|h|d))+$',
      maxLength: 32,
      examples: ['10m'],
    }),
    notify: Type.Array(Target, { description: 'Who is paged.', minItems: 1, maxItems: 16 }),
  },
  { ...Strict, description: 'One step.' },
);

export const EscalationPolicySpec = Type.Object(
  {
    severities: Type.Array(
      Type.Unsafe<Severity>(Type.String({ enum: [...severities], description: 'A severity.', examples: ['P1'] })),
      { description: 'The severities it is for.', minItems: 1, maxItems: 4 },
    ),
    steps: Type.Array(Step, {
      description:
        'In order of time. When the response time of the severity (handbook §13.1) runs out, all steps that are left are taken at once.',
      minItems: 1,
      maxItems: 16,
    }),
  },
  { ...Strict, description: 'Who is paged, and when.' },
);

export type EscalationPolicySpec = Static<typeof EscalationPolicySpec>;
export type EscalationPolicy = Resource<EscalationPolicySpec>;

export const escalationPolicyKind: Kind = {
  kind: 'EscalationPolicy',
  plural: 'escalationpolicies',
  shortNames: ['escalation'],
  description: 'Who is paged about an incident nobody has acknowledged, and when.',
  spec: EscalationPolicySpec,
  check: ({ steps }: EscalationPolicySpec): SpecProblem[] =>
    steps.flatMap(({ after }, i) => {
      const path = ['spec', 'steps', i, 'after'];
      const time = parseDuration(after);
      if (time === undefined) return [{ rule: 'bad-duration', path, sentence: `${after} is longer than a year.` }];
      const before = parseDuration(steps[i - 1]?.after ?? '0s') ?? 0;
      if (time >= before) return [];
      const sentence = `Step ${i + 1} comes after ${after}, which is before step ${i}. Put the steps in the order of their times.`;
      return [{ rule: 'steps-out-of-order', path, sentence }];
    }),
};
