/** Chance that can be repeated: everything random in a chaos run comes from its seed. */
import { createHash } from 'node:crypto';

/** A number from 0 to 1 (exclusive) that depends on the seed and the words alone, whatever the order of asking. */
export function drawn(seed: number, ...words: (string | number)[]): number {
  const digest = createHash('sha256')
    .update([seed, ...words].join('\u0000'))
    .digest();
  // 48 bits: all a double between 0 and 1 holds exactly, and some.
  return digest.readUIntBE(0, 6) / 2 ** 48;
}

/** Draws one after the other. */
export interface Dice {
  /** From 0 to 1, exclusive. */
  next(): number;
  /** A whole number from `least` to `most`, both included. */
  whole(least: number, most: number): number;
}

export function dice(seed: number, name: string): Dice {
  let draws = 0;
  const next = () => drawn(seed, name, draws++);
  return { next, whole: (least, most) => least + Math.floor(next() * (most - least + 1)) };
}
