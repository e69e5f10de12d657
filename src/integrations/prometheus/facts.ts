/** Numbers from Prometheus. */
import { CatalystError } from '../../errors.ts';
import type { CallContext, FactDefinition, FactType } from '../contract.ts';
import { reachable, textArgument } from '../define.ts';
import type { PrometheusClient, Sample } from './client.ts';

const expression = { name: 'expr', type: 'string' as FactType, description: 'PromQL expression.' };

export function prometheusFacts(client: () => PrometheusClient): FactDefinition[] {
  return [
    {
      name: 'prometheus.reachable',
      description: 'Whether Prometheus answers a query.',
      returns: 'bool',
      example: true,
      read: (context) => reachable(() => client().query(context, 'vector(1)')),
    },
    {
      name: 'prometheus.query',
      description: 'Value of an expression that gives exactly one sample; an error when it gives none or several.',
      parameters: [expression],
      returns: 'double',
      example: 0.25,
      read: async (context, args) => queryNumber(context, client(), textArgument(args, 0, 'expr')),
    },
    {
      name: 'prometheus.queryOr',
      description: 'As prometheus.query, but with a value for an expression that gives no sample.',
      parameters: [expression, { name: 'default', type: 'double', description: 'Value where there is no sample.' }],
      returns: 'double',
      example: 0,
      async read(context, args) {
        const samples = await client().query(context, textArgument(args, 0, 'expr'));
        const [, fallback] = args;
        if (samples.length > 0) return onlyNumber(samples);
        if (typeof fallback === 'number') return fallback;
        throw new CatalystError('BadRequest', 'argument 2 (default) must be a number');
      },
    },
    {
      name: 'prometheus.count',
      description: 'How many samples an expression gives: 0 when nothing matches.',
      parameters: [expression],
      returns: 'int',
      example: 2,
      read: async (context, args) => (await client().query(context, textArgument(args, 0, 'expr'))).length,
    },
  ];
}

/** The value of an expression that gives exactly one sample. */
export async function queryNumber(context: CallContext, client: PrometheusClient, expr: string): Promise<number> {
  return onlyNumber(await client.query(context, expr));
}

/** The value of the only sample. Throws when there are none or several, and for NaN and infinity, which no check could compare. */
function onlyNumber(samples: readonly Sample[]): number {
  const [sample] = samples;
  if (sample === undefined || samples.length > 1) {
    throw new CatalystError('NotFound', `the expression gives ${samples.length} samples, not exactly one`, {
      hint:
        sample === undefined
          ? 'Does the series exist? prometheus.queryOr takes a value for this case.'
          : 'Aggregate it, e.g. with sum() or max().',
    });
  }
  const value = Number(sample.value.replace('Inf', 'Infinity'));
  if (Number.isFinite(value)) return value;
  throw new CatalystError('NotFound', `the expression gives ${sample.value}, which is not a number to compare`, {
    hint: 'A ratio without traffic is NaN: guard it, e.g. with "and on() sum(rate(…)) > 0".',
  });
}
