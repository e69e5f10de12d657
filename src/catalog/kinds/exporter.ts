/**
 * The Exporter: which metrics a program has, with their types, units, labels and buckets. What an indicator can be made
 * of is checked against it. Where no program has a metric yet, it is the contract for whoever builds it.
 */
import Type, { type Static } from 'typebox';
import type { Kind, Resource } from '../resource.ts';
import { LabelName, Strict } from './alerting.ts';

const units = [
  's',
  'ms',
  'us',
  'percent',
  'ratio',
  'bytes',
  'mebibytes',
  'celsius',
  'watts',
  'megahertz',
  'none',
] as const;

const Metric = Type.Object(
  {
    name: Type.String({
      description: 'Its name as Prometheus stores it; of a histogram or summary without _bucket, _sum, _count.',
      pattern: '^[a-zA-Z_:][a-zA-Z0-9_:]*$',
      maxLength: 256,
      examples: ['vllm:e2e_request_latency_seconds'],
    }),
    type: Type.Enum(['counter', 'gauge', 'histogram', 'summary'], { description: 'Its type.' }),
    unit: Type.Optional(Type.Enum(units, { description: 'Its unit. Default none: a number of things.' })),
    help: Type.String({ description: 'What it says.', minLength: 1, maxLength: 1024 }),
    labels: Type.Optional(
      Type.Array(LabelName('A label.', 'model_name'), {
        description: 'Its own labels; those that every scrape adds need not be here.',
        maxItems: 64,
      }),
    ),
    buckets: Type.Optional(
      Type.Array(Type.String({ pattern: '^[0-9]{1,15}([.][0-9]{1,12})?$', maxLength: 32, examples: ['0.5'] }), {
        description: 'Upper bounds of the buckets in its unit, without +Inf.',
        minItems: 1,
        maxItems: 200,
      }),
    ),
  },
  { ...Strict, description: 'A metric.' },
);

export const ExporterSpec = Type.Object(
  {
    description: Type.String({
      description: 'Which program it is, and what has to be switched on for these metrics.',
      minLength: 1,
      maxLength: 8192,
    }),
    source: Type.Optional(
      Type.String({
        description: 'Where the names can be looked up.',
        maxLength: 1024,
        examples: ['vllm-project/vllm vllm/v1/metrics/loggers.py'],
      }),
    ),
    contract: Type.Optional(
      Type.Object(
        {
          emittedBy: Type.String({
            description: 'Who has to emit these metrics.',
            minLength: 1,
            maxLength: 1024,
            examples: ['projector'],
          }),
          measured: Type.String({
            description: 'From when to when, or what, is measured.',
            minLength: 1,
            maxLength: 4096,
          }),
        },
        { ...Strict, description: 'No program has these metrics by itself: what one has to do to have them.' },
      ),
    ),
    metrics: Type.Array(Metric, { description: 'Its metrics.', minItems: 1, maxItems: 500 }),
  },
  { ...Strict, description: 'The metrics of a program.' },
);

export type ExporterSpec = Static<typeof ExporterSpec>;
export type ExportedMetric = ExporterSpec['metrics'][number];
export type Exporter = Resource<ExporterSpec>;

export const exporterKind: Kind = {
  kind: 'Exporter',
  plural: 'exporters',
  shortNames: [],
  description: 'The metrics of a program, with types, units, labels and buckets.',
  spec: ExporterSpec,
};
