/** "Did you mean": the names nearest to one that does not exist. */

/** Edit distance with transpositions of neighbours counted once (optimal string alignment). */
function distance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = (last[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      let best = Math.min(substitution, (last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        best = Math.min(best, (beforeLast[j - 2] ?? 0) + 1);
      row.push(best);
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length] ?? 0;
}

/** The name nearest to `wrong`, or undefined when none is near enough to be meant. */
export function nearest(wrong: string, names: Iterable<string>): string | undefined {
  // Nobody mistypes longer names than this, and the distance is quadratic in the length.
  if (wrong.length > 200) return undefined;
  // One slip in three letters is still a slip; more is another word.
  let best = Math.max(1, Math.floor(wrong.length / 3)) + 1;
  let found: string | undefined;
  for (const name of names) {
    if (Math.abs(name.length - wrong.length) >= best) continue;
    const d = distance(wrong.toLowerCase(), name.toLowerCase());
    if (d < best) {
      best = d;
      found = name;
    }
  }
  return found;
}

/** ` Did you mean X?`, or nothing. To be appended to a sentence. */
export function didYouMean(wrong: string, names: Iterable<string>): string {
  const name = nearest(wrong, names);
  return name === undefined ? '' : ` Did you mean ${name}?`;
}
