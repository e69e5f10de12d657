/** Fields that the kinds about alerting share. */
import Type, { type Static } from 'typebox';

export const Strict = { additionalProperties: false } as const;

/** A duration as Prometheus and Kubernetes write it. */
export const Duration = (description: string, example: string) =>
  Type.String({ description, pattern: '^([0-9]+(ms|s|m|h|d))+$', maxLength: 32, examples: [example] });

/** PromQL; `$window` stands for the length of the range that is looked at. */
export const PromQl = (description: string, example: string) =>
  Type.String({ description, minLength: 1, maxLength: 8192, examples: [example] });

export const LabelName = (description: string, example: string) =>
  Type.String({ description, pattern: '^[a-zA-Z_][a-zA-Z0-9_]*$', maxLength: 128, examples: [example] });

/** A measured value with its comparison, as handbook §9 prints it: `<500ms`, `>99.5%`, `<20`. */
export const Comparison = (description: string, example: string) =>
  Type.String({
    description,
    pattern: '^[<>] ?[0-9]{1,15}([.][0-9]{1,12})? ?(%|us|ms|s|m|h)?$',
    maxLength: 32,
    examples: [example],
  });

export const AlertName = (description: string, example: string) =>
  Type.String({ description, pattern: '^[a-zA-Z_][a-zA-Z0-9_]*$', maxLength: 128, examples: [example] });

export const DocumentName = (description: string, example: string) =>
  Type.String({ description, pattern: '^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$', maxLength: 253, examples: [example] });

export const AlertSeverity = (description: string) => Type.Enum(['critical', 'warning', 'info'], { description });

export const Service = Type.String({
  description: 'What it belongs to; documents of one service become one file, to be loaded where the service is.',
  pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$',
  maxLength: 63,
  examples: ['cortex'],
});

export const Handbook = Type.Array(
  Type.String({ pattern: '^[0-9]{1,2}([.][0-9]{1,2})?$', maxLength: 8, examples: ['9.2'] }),
  { description: 'Sections of the SRE handbook it comes from.', minItems: 1, maxItems: 8 },
);

export const Labels = Type.Record(
  Type.String({ pattern: '^[a-zA-Z_][a-zA-Z0-9_]*$' }),
  Type.String({ maxLength: 1024 }),
  { description: 'Labels added to the alerts; values may use {{ $labels.NAME }}.', maxProperties: 16 },
);

export const RunbookName = DocumentName('The runbook that answers the alert.', 'vllm-high-latency');

export const NotifyOnly = Type.String({
  description: 'Instead of a runbook: why people are told and nothing is done.',
  minLength: 10,
  maxLength: 1024,
  examples: ['The cause has to be found by a person.'],
});

/** One phase of a series: a steady value, growth per minute, or no series. */
const Phase = (description: string, example: string) =>
  Type.Union(
    [
      Type.Integer(),
      Type.String({
        pattern: '^(-?[0-9]{1,15}([.][0-9]{1,9})?(/m)?|NaN|absent)$',
        maxLength: 32,
        examples: [example],
      }),
    ],
    { description },
  );

/** Series from which the generated tests are made. */
export const Example = Type.Array(
  Type.Object(
    {
      series: Type.String({
        description: 'A series as Prometheus writes it.',
        minLength: 1,
        maxLength: 1024,
        examples: ['probe_success{job="console"}'],
      }),
      firing: Phase('While something is wrong: a value, N/m for growth per minute, or absent.', '0'),
      quiet: Phase('While all is well. A counter that grew goes on from where it was.', '1'),
      idle: Type.Optional(Phase('While there is nothing to do. Default: as quiet.', '0/m')),
    },
    { ...Strict, description: 'One series in its phases.' },
  ),
  {
    description: 'Series that make the alerts fire and end; the generated unit tests are made of them.',
    minItems: 1,
    maxItems: 32,
  },
);
export type Example = Static<typeof Example>;
