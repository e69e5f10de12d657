/** A share of counted things, and how sure it is. Pure. */

export interface Share {
  count: number;
  of: number;
  /** `count / of`, 0 to 1; undefined where nothing was counted. */
  share: number | undefined;
  /** Between these two it lies with 95 % confidence; 0 and 1 where nothing was counted. */
  low: number;
  high: number;
}

/** The normal distribution's 97.5th percentile: 95 % lie within so many standard deviations. */
const z = 1.959964;

/** The share with its Wilson interval, which stays honest for few and for extreme counts: 3 of 3 is not yet 100 %. */
export function shareOf(count: number, of: number): Share {
  if (of === 0) return { count, of, share: undefined, low: 0, high: 1 };
  const share = count / of;
  const scale = 1 + z ** 2 / of;
  const middle = (share + z ** 2 / (2 * of)) / scale;
  const half = (z / scale) * Math.sqrt((share * (1 - share)) / of + z ** 2 / (4 * of ** 2));
  return { count, of, share, low: Math.max(0, middle - half), high: Math.min(1, middle + half) };
}

/** `3 of 4 (75 %)` */
export function saidShare({ count, of, share }: Share): string {
  return share === undefined ? 'none' : `${count} of ${of} (${Math.round(share * 100)} %)`;
}
