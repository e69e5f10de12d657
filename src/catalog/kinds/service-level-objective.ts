/**
 * The ServiceLevelObjective: what is measured, how good it has to be, and when to tell whom (handbook §9). There are
 * three kinds of indicators. A ratio counts bad events among all. A latency counts requests slower than a bucket of a
 * histogram. A time slice asks of each moment whether a measured value is good, for quantiles and gauges.
 */
import Type, { type Static } from 'typebox';
import type { Kind, Resource } from '../resource.ts';
import {
  AlertName,
  AlertSeverity,
  Comparison,
  Duration,
  Example,
  Handbook,
  LabelName,
  Labels,
  NotifyOnly,
  PromQl,
  RunbookName,
  Service,
  Strict,
} from './alerting.ts';

const Ratio = Type.Object(
  {
    bad: Type.Optional(
      PromQl(
        'Rate of bad events: a counter, or any PromQL over [$window]. Either bad or good.',
        'hubble_http_requests_total{destination_workload="console",status=~"5.."}',
      ),
    ),
    good: Type.Optional(
      PromQl(
        'Rate of good events: a counter, or any PromQL over [$window]. Either bad or good.',
        'catalyst_consent_flows_total{outcome="granted"}',
      ),
    ),
    total: PromQl(
      'Rate of all events: a counter, or any PromQL over [$window].',
      'hubble_http_requests_total{destination_workload="console"}',
    ),
  },
  { ...Strict, description: 'Bad or good events among all events.' },
);

const Latency = Type.Object(
  {
    histogram: Type.String({
      description: 'Name of the histogram, without _bucket.',
      pattern: '^[a-zA-Z_:][a-zA-Z0-9_:]*$',
      maxLength: 256,
      examples: ['vllm:e2e_request_latency_seconds'],
    }),
    matchers: Type.Optional(
      Type.String({
        description: 'Label matchers as in PromQL, without braces.',
        maxLength: 2048,
        examples: ['service_name="catalyst-api"'],
      }),
    ),
    target: Comparison('A request is good when it is faster. A bucket has to end there.', '<500ms'),
    quantile: Type.Optional(
      Type.String({
        description: 'Quantile that the threshold alert looks at. Default p95.',
        pattern: '^p[0-9]{1,2}([.][0-9]{1,3})?$',
        maxLength: 8,
        examples: ['p95'],
      }),
    ),
  },
  { ...Strict, description: 'Requests faster than a bucket of a histogram among all requests.' },
);

const TimeSlice = Type.Object(
  {
    value: PromQl(
      'The measured value; ranges are written [$window].',
      'histogram_quantile(0.95, sum by (le) (rate(te_request_duration_bucket[$window])))',
    ),
    unit: Type.Optional(
      Type.Enum(['us', 'ms', 's', 'm', 'h', 'percent', 'ratio', 'none'], {
        description: 'Unit of the value. Default s.',
      }),
    ),
    target: Comparison('A moment is good when the value compares so.', '<100ms'),
    when: Type.Optional(
      PromQl(
        'A moment counts only while this has a result: an idle service is neither good nor bad.',
        'vllm:num_requests_running > 0',
      ),
    ),
  },
  { ...Strict, description: 'Moments at which a measured value is good among all moments at which it is measured.' },
);

const Threshold = Type.Object(
  {
    when: Comparison('The alert fires when the indicator compares so.', '<99.5%'),
    for: Duration('… for so long.', '5m'),
    alert: Type.Optional(AlertName('Name of the alert. Default: from the name of the document.', 'VLLMHighLatency')),
    severity: Type.Optional(AlertSeverity('Default warning.')),
    runbook: Type.Optional(RunbookName),
    notifyOnly: Type.Optional(NotifyOnly),
  },
  { ...Strict, description: 'The literal alert of the handbook: the indicator over the last five minutes.' },
);

const BurnRate = Type.Object(
  {
    factors: Type.Optional(
      Type.Array(Type.Enum(['14.4', '6', '3', '1'], { description: 'Budgets per window.' }), {
        description: 'Which of the four pairs alert; none with an empty list. Default all.',
        maxItems: 4,
      }),
    ),
    alert: Type.Optional(AlertName('Name of the alerts. Default: from the name of the document.', 'ConsoleBudgetBurn')),
    runbook: Type.Optional(RunbookName),
    notifyOnly: Type.Optional(NotifyOnly),
  },
  { ...Strict, description: 'Alerts on the rate at which the error budget is spent, over two windows each.' },
);

export const ServiceLevelObjectiveSpec = Type.Object(
  {
    title: Type.String({
      description: 'What it is about, in the words people use.',
      minLength: 1,
      maxLength: 256,
      examples: ['Console availability'],
    }),
    description: Type.Optional(
      Type.String({ description: 'What is measured, where, and what is not.', maxLength: 8192 }),
    ),
    service: Service,
    handbook: Type.Optional(Handbook),
    objective: Type.Optional(
      Type.String({
        description:
          'Share of good events or moments, above 0% and below 100%. Default for a latency 95%, for a time slice 99%; a ratio has to say.',
        pattern: '^[0-9]{1,3}([.][0-9]{1,6})?%$',
        maxLength: 16,
        examples: ['99.9%'],
      }),
    ),
    window: Type.Optional(Duration('Rolling window of the error budget. Default 30d.', '30d')),
    by: Type.Optional(
      Type.Array(LabelName('A label.', 'model_name'), {
        description: 'One budget for each combination of these labels. Default: one in all.',
        maxItems: 5,
      }),
    ),
    maxSeries: Type.Optional(
      Type.Integer({
        description: 'Most combinations of by that are followed, the busiest first. Default 100.',
        minimum: 1,
        maximum: 10000,
      }),
    ),
    sli: Type.Union(
      [
        Type.Object({ ratio: Ratio }, Strict),
        Type.Object({ latency: Latency }, Strict),
        Type.Object({ timeslice: TimeSlice }, Strict),
      ],
      { description: 'The indicator: exactly one of ratio, latency, timeslice.' },
    ),
    threshold: Type.Optional(Threshold),
    interpolated: Type.Optional(
      Type.Boolean({
        description:
          'That a target or threshold lies between two buckets of its histogram is known: what is measured there is an estimate. Default false.',
      }),
    ),
    burnRate: Type.Optional(BurnRate),
    labels: Type.Optional(Labels),
    whenMissing: Type.Optional(
      Type.Enum(['Alert', 'Ignore'], {
        description:
          'What it means when nothing is measured at all. Default Alert, with a time slice that has when Ignore.',
      }),
    ),
    example: Type.Optional(Example),
  },
  { ...Strict, description: 'A service level objective.' },
);

export type ServiceLevelObjectiveSpec = Static<typeof ServiceLevelObjectiveSpec>;
export type ServiceLevelObjective = Resource<ServiceLevelObjectiveSpec>;

export const serviceLevelObjectiveKind: Kind = {
  kind: 'ServiceLevelObjective',
  plural: 'servicelevelobjectives',
  shortNames: ['slo'],
  description: 'What is measured, how good it has to be, and when to tell whom.',
  spec: ServiceLevelObjectiveSpec,
};
