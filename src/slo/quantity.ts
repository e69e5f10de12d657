/** Measured values with a comparison, as handbook §9 prints them: `<500ms`, `>99.5%`, `<20`. */
import { type Decimal, decimal, shift, times } from './decimal.ts';

export interface Comparison {
  operator: '<' | '>';
  value: Decimal;
  /** `%`, a unit of time, or the empty text. */
  unit: string;
}

/** Reads a comparison. Throws RangeError where the schema's pattern would. */
export function parseComparison(text: string): Comparison {
  const found = /^([<>]) ?([0-9]+(?:\.[0-9]+)?) ?(%|us|ms|s|m|h)?$/.exec(text);
  if (!found) throw new RangeError(`${text} is not a comparison such as <500ms or >99.5%.`);
  const [, operator, value = '', unit = ''] = found;
  return { operator: operator as '<' | '>', value: decimal(value), unit };
}

/** Units of time in microseconds: each is a whole number of the next smaller one. */
const microseconds: Readonly<Record<string, bigint>> = {
  us: 1n,
  ms: 1_000n,
  s: 1_000_000n,
  m: 60_000_000n,
  h: 3_600_000_000n,
};

/**
 * The value in another unit, or undefined where there is no such thing: time does not become per cent.
 * @param unit `us`, `ms`, `s`, `m`, `h`, `percent`, `ratio` or `none`
 */
export function inUnit({ value, unit }: Comparison, wanted: string): Decimal | undefined {
  if (unit === '%') return wanted === 'percent' ? value : wanted === 'ratio' ? shift(value, 2) : undefined;
  if (unit === '') return wanted in microseconds || wanted === 'percent' ? undefined : value;
  const [from, to] = [microseconds[unit], microseconds[wanted]];
  if (from === undefined || to === undefined) return undefined;
  if (from >= to) return times(value, { digits: from / to, scale: 0 });
  return divide(value, to / from);
}

/** Twelve places: a microsecond in hours has ten. */
function divide({ digits, scale }: Decimal, by: bigint): Decimal {
  const places = 12;
  return { digits: (digits * 10n ** BigInt(places)) / by, scale: scale + places };
}
