/** Objectives as the handbook groups them: by the section they come from, else by whose they are. Pure. */
import type { Slo } from './server/api-types.ts';

/** Handbook §9. */
export const sections: Readonly<Record<string, string>> = {
  '9.1': 'Catalyst control plane',
  '9.2': 'AI Hub',
  '9.3': 'Open Banking',
  '9.4': 'Data & Integration',
  '9.5': 'Communication',
};

export interface SloHeading {
  heading: string;
  /** `5 objectives, 1 burns` */
  sentence: string;
}
export type SloRow = SloHeading | Slo;

/** What one looks for first comes first. */
const badness: Readonly<Record<Slo['state'], number>> = { NoData: 0, OK: 1, Burning: 2, Exhausted: 3 };

export const isHeading = (row: SloRow): row is SloHeading => 'heading' in row;
export const isBad = ({ state }: Pick<Slo, 'state'>) => state === 'Burning' || state === 'Exhausted';

/** Of two Organizations with an objective of one name each has its own. */
export const sloKey = ({ name, organization }: Slo) => `${organization ?? ''}/${name}`;

/** Every group with its heading before it; sections first, in their order. */
export function sloRows(slos: readonly Slo[]): SloRow[] {
  const groups = Map.groupBy(
    slos.toSorted((a, b) => badness[b.state] - badness[a.state] || a.title.localeCompare(b.title)),
    headingOf,
  );
  return [...groups.keys()]
    .sort((a, b) => rank(a) - rank(b) || a.localeCompare(b))
    .flatMap((heading): SloRow[] => {
      const of = groups.get(heading) ?? [];
      return [{ heading, sentence: sloSentence(of) }, ...of];
    });
}

/** How many there are and how they stand, worst first: `2 exhausted, 1 burning, 3 OK, 1 without data`. */
export function sloSentence(slos: readonly Slo[]): string {
  const words = { Exhausted: 'exhausted', Burning: 'burning', OK: 'OK', NoData: 'without data' } as const;
  return Object.entries(words)
    .map(([state, word]) => [slos.filter((slo) => slo.state === state).length, word] as const)
    .filter(([count]) => count > 0)
    .map(([count, word]) => `${count} ${word}`)
    .join(', ');
}

function headingOf(slo: Slo): string {
  const section = slo.handbook.find((number) => number in sections);
  if (section !== undefined) return `§${section} ${sections[section]}`;
  return slo.organization === undefined ? `The Sovereign's own: ${slo.service}` : `${slo.organization}: ${slo.service}`;
}

/** The handbook's sections, then the Sovereign's own, then those of Organizations. */
const rank = (heading: string) => (heading.startsWith('§') ? 0 : heading.startsWith("The Sovereign's") ? 1 : 2);
