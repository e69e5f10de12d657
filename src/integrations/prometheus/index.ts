/** Prometheus: numbers for checks, and whether an alert still fires. */
import type { CallContext, Integration } from '../contract.ts';
import { configured, healthOf } from '../define.ts';
import type { Secrets } from '../secrets.ts';
import { type FiringSpan, firingSpans, type Window } from './alert-history.ts';
import { PrometheusClient, type Sample } from './client.ts';
import { prometheusFacts, queryNumber } from './facts.ts';
import { prometheusOracle } from './oracle.ts';
import type { PrometheusConfig } from './schema.ts';

export interface PrometheusPorts {
  secrets: Secrets;
}

export interface Prometheus extends Integration {
  /** Value of an expression that gives exactly one sample: the port for other integrations. Throws CatalystError. */
  query(context: CallContext, expression: string): Promise<number>;
  /** What fired in a window of the past. Throws CatalystError. */
  alertHistory(context: CallContext, window: Window): Promise<FiringSpan[]>;
  /** Every sample of an instant vector. Throws CatalystError. */
  samples(context: CallContext, expression: string): Promise<Sample[]>;
}

export function createPrometheus(config: PrometheusConfig | undefined, { secrets }: PrometheusPorts): Prometheus {
  const made = config === undefined ? undefined : new PrometheusClient(config, secrets);
  const client = () => configured(made, 'prometheus');
  return {
    name: 'prometheus',
    description: 'Metrics: numbers for checks, and whether an alert still fires.',
    configured: made !== undefined,
    facts: prometheusFacts(client),
    actions: [],
    oracle: prometheusOracle(client, config?.externalUrls),
    health: (context) =>
      healthOf(async () => {
        await client().query(context, 'vector(1)');
        return 'Prometheus answers queries';
      }),
    stop: async () => made?.close(),
    query: async (context, expression) => queryNumber(context, client(), expression),
    alertHistory: async (context, window) =>
      firingSpans((inner, parameters) => client().queryRange(inner, parameters), context, window),
    samples: async (context, expression) => client().query(context, expression),
  };
}
