/** The ways to run the protocol that are compared with each other. */
import { defaultParameters, type Parameters } from '../parameters.ts';
import type { DnsFallback } from '../protocol.ts';

export interface Variant {
  name: string;
  witnesses: 1 | 3;
  dnsFallback: DnsFallback;
  /** Whether both regions really ask the same resolvers (A5), or each sees a view of its own. */
  sameViews: boolean;
  /** Whether peers answer each other at all. */
  promises: boolean;
  parameters: Partial<Parameters>;
  /** Largest error of a clock's rate; the protocol assumes `clockError`. */
  clockError: number;
  /** Longest usual delay of a message, one way, in milliseconds. */
  slowMs: number;
  /** Whether its design promises never to be active twice, by argument and under its assumptions. */
  safe: 'everything' | 'data' | 'nothing';
}

const base: Variant = {
  name: '',
  witnesses: 1,
  dnsFallback: 'hold',
  sameViews: true,
  promises: true,
  parameters: {},
  clockError: defaultParameters.clockError,
  slowMs: 60,
  safe: 'everything',
};

export const variants = [
  { ...base, name: 'strict', promises: false },
  { ...base, name: 'strict-slow-links', promises: false, slowMs: 1_400 },
  { ...base, name: 'promise' },
  { ...base, name: 'three-witnesses', witnesses: 3 },
  { ...base, name: 'veto', dnsFallback: 'veto' },
  { ...base, name: 'continue-stateless', dnsFallback: 'continue-stateless' },
  { ...base, name: 'continue-stateless-three', dnsFallback: 'continue-stateless', witnesses: 3 },
  { ...base, name: 'continue', dnsFallback: 'continue' },
  {
    ...base,
    name: 'continue-stateless-views-differ',
    dnsFallback: 'continue-stateless',
    sameViews: false,
    safe: 'data',
  },
  { ...base, name: 'continue-views-differ', dnsFallback: 'continue', sameViews: false, safe: 'nothing' },
  { ...base, name: 'promote-330s', dnsFallback: 'promote', sameViews: false, safe: 'nothing' },
  {
    ...base,
    name: 'promote-60s',
    dnsFallback: 'promote',
    sameViews: false,
    safe: 'nothing',
    parameters: { dnsPromoteMs: 60_000 },
  },
  { ...base, name: 'clocks-off-30-percent', clockError: 0.3, safe: 'nothing' },
] as const satisfies readonly Variant[];

export type VariantName = (typeof variants)[number]['name'];

export function variantNamed(name: string): Variant {
  const variant = variants.find((one) => one.name === name);
  if (!variant)
    throw new Error(`There is no variant ${name}; there are ${variants.map((one) => one.name).join(', ')}.`);
  return variant;
}
