/** Orders that are the same on every machine, whatever its locale. */
import type { Problem } from './resource.ts';

export function byText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

/** As who mends them goes through the files. */
export function byPlace(a: Place, b: Place): number {
  return byText(a.file, b.file) || a.line - b.line || (a.column ?? 1) - (b.column ?? 1);
}

/** Documents have no column: each begins a line. */
type Place = Pick<Problem, 'file' | 'line'> & Partial<Pick<Problem, 'column'>>;
