/**
 * Decimal fractions, exactly. A threshold of 14.4 times a budget of 0.1 % is written 0.0144 into a rule, not
 * 0.014400000000000001, and the same text on every machine.
 */
export interface Decimal {
  digits: bigint;
  /** Digits behind the point. */
  scale: number;
}

/** Reads `0.05`, `14.4`, `5`. Throws RangeError for anything else. */
export function decimal(text: string): Decimal {
  const found = /^(-?[0-9]+)(?:\.([0-9]+))?$/.exec(text);
  if (!found) throw new RangeError(`${text} is not a decimal number.`);
  const [, whole = '0', fraction = ''] = found;
  return { digits: BigInt(whole + fraction), scale: fraction.length };
}

export function times(a: Decimal, b: Decimal): Decimal {
  return { digits: a.digits * b.digits, scale: a.scale + b.scale };
}

export function minus(a: Decimal, b: Decimal): Decimal {
  const scale = Math.max(a.scale, b.scale);
  return { digits: raise(a, scale) - raise(b, scale), scale };
}

/** Negative, zero or positive, as `a` is below, at or above `b`. */
export function compare(a: Decimal, b: Decimal): number {
  const { digits } = minus(a, b);
  return digits < 0n ? -1 : digits > 0n ? 1 : 0;
}

/** Divides by a power of ten, which is exact. */
export function shift(a: Decimal, places: number): Decimal {
  return { digits: a.digits, scale: a.scale + places };
}

export function write(a: Decimal): string {
  const scale = Math.max(a.scale, 0);
  const digits = a.scale < 0 ? a.digits * 10n ** BigInt(-a.scale) : a.digits;
  const sign = digits < 0n ? '-' : '';
  const text = (digits < 0n ? -digits : digits).toString().padStart(scale + 1, '0');
  const whole = text.slice(0, text.length - scale);
  const fraction = text.slice(text.length - scale).replace(/0+$/, '');
  return sign + whole + (fraction ? `.${fraction}` : '');
}

export const one: Decimal = { digits: 1n, scale: 0 };

function raise(a: Decimal, scale: number): bigint {
  return a.digits * 10n ** BigInt(scale - a.scale);
}
