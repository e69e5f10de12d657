/** One catalog of many sources. Pure. */
import type { CompiledRunbook } from './compiled-runbook.ts';
import { type IncidentType, incidentTypeKind } from './kinds/incident-type.ts';
import { runbookKind } from './kinds/runbook.ts';
import { keyOf, problemOf, type Served, type SourceState } from './last-good.ts';
import { byPlace, byText } from './order.ts';
import type { Kind, Problem, Resource } from './resource.ts';

export interface RankedSource {
  precedence: number;
  state: SourceState;
}

/** One consistent catalog; it never changes. */
export interface CatalogView {
  /**
   * What counts for an Organization, or for the Sovereign's own where undefined: its own documents and the Sovereign's,
   * one for each name, ordered by name.
   */
  runbooks(organization: string | undefined): readonly CompiledRunbook[];
  /** The runbook of this name as the Organization sees it. */
  find(name: string, organization: string | undefined): CompiledRunbook | undefined;
  /** Every runbook that counts for somebody, ordered by name, then by Organization. */
  readonly all: readonly CompiledRunbook[];
  /** Every IncidentType that counts for somebody, in the same order. */
  readonly incidentTypes: readonly IncidentType[];
  /** Every document of a kind that counts for somebody, in the same order. */
  resources(kind: Kind): readonly Resource[];
  /** Ordered by source, file, line and column. */
  readonly problems: readonly Problem[];
  /** The same text for two catalogs that say the same. */
  readonly fingerprint: string;
}

interface Ranked {
  served: Served;
  /** 0 for the source that wins over all others. */
  rank: number;
}

/** By kind and name: what one Organization, or the Sovereign, sees. */
type Sight = ReadonlyMap<string, Ranked>;

/**
 * Merges sources. The rules:
 * - A document of an Organization counts for that Organization alone; one of the Sovereign's counts for everybody.
 * - Of documents with the same kind and name that count for somebody, the one of the source with the higher precedence
 *   serves for them; among sources of equal precedence, the later one. In one source an Organization's own goes before
 *   the Sovereign's.
 * - Two documents with the same kind and name in one source and one scope: the first by file name, then by line, serves,
 *   and a problem names both places.
 *
 * @param sources in the order in which they were configured
 */
export function mergeSources(sources: readonly RankedSource[]): CatalogView {
  const ranked = sources.map((source, position) => ({ ...source, position, ...uniqueOf(source.state) }));
  ranked.sort((a, b) => b.precedence - a.precedence || b.position - a.position);
  const byOwner = new Map<string | undefined, Ranked[]>([[undefined, []]]);
  for (const [rank, { served: documents }] of ranked.entries())
    for (const served of documents) {
      const owner = ownerOf(served);
      const own = byOwner.get(owner) ?? [];
      byOwner.set(owner, own);
      own.push({ served, rank });
    }
  const everybodys = firstOfEach(byOwner.get(undefined) ?? []);
  const sights = new Map<string | undefined, Sight>([[undefined, everybodys]]);
  const winners = [...everybodys.values()];
  for (const [owner, documents] of byOwner) {
    if (owner === undefined) continue;
    // At equal rank, which is one source, an Organization's own goes before the Sovereign's.
    const own = [...firstOfEach(documents)].filter(([key, { rank }]) => rank <= (everybodys.get(key)?.rank ?? rank));
    sights.set(owner, new Map([...everybodys, ...own]));
    winners.push(...own.map(([, one]) => one));
  }
  const sightFor = (organization: string | undefined) => sights.get(organization) ?? everybodys;
  const served = winners.map((winner) => winner.served).sort(byNameAndOwner);
  const lists = new Map<Sight, readonly CompiledRunbook[]>();
  const problems = problemsOf(ranked);
  return {
    runbooks(organization) {
      const sight = sightFor(organization);
      const list = lists.get(sight) ?? runbooksOf([...sight.values()].map((one) => one.served).sort(byNameAndOwner));
      lists.set(sight, list);
      return list;
    },
    find: (name, organization) => sightFor(organization).get(`${runbookKind.kind}/${name}`)?.served.runbook,
    all: runbooksOf(served),
    // Validated against the schema of its kind when it was loaded.
    incidentTypes: resourcesOf(served, incidentTypeKind) as readonly IncidentType[],
    resources: (kind) => resourcesOf(served, kind),
    problems,
    fingerprint: JSON.stringify([served.map(({ resource }) => [keyOf(resource), resource.provenance]), problems]),
  };
}

function ownerOf({ resource }: Served): string | undefined {
  return resource.provenance.organization;
}

/** The documents of a source without the second ones of a name, and problems that name those. */
function uniqueOf(state: SourceState): { served: Served[]; doubles: Problem[] } {
  const everything = [...state.files.values()]
    .flatMap((file) => [...file.served.values()])
    .sort((a, b) => byPlace(a.resource.provenance, b.resource.provenance));
  const first = new Map<string, Served>();
  const doubles: Problem[] = [];
  for (const served of everything) {
    const key = JSON.stringify([ownerOf(served), keyOf(served.resource)]);
    const earlier = first.get(key);
    if (earlier === undefined) first.set(key, served);
    else doubles.push(double(earlier, served));
  }
  return { served: [...first.values()], doubles };
}

function double({ resource: first }: Served, { resource: second }: Served): Problem {
  const place = ({ provenance }: typeof first) => `${provenance.file}:${provenance.line}`;
  const sentence = `${keyOf(second)} is declared at ${place(first)} and again at ${place(second)}; the first serves. Remove or rename one.`;
  return problemOf(second, 'declared-twice', sentence);
}

/** @param ranked the winner first */
function firstOfEach(ranked: readonly Ranked[]): Sight {
  const first = new Map<string, Ranked>();
  for (const one of ranked) {
    const key = keyOf(one.served.resource);
    if (!first.has(key)) first.set(key, one);
  }
  return first;
}

function runbooksOf(served: readonly Served[]): readonly CompiledRunbook[] {
  return served.flatMap(({ runbook }) => (runbook === undefined ? [] : [runbook]));
}

function resourcesOf(served: readonly Served[], { kind }: Kind): readonly Resource[] {
  return served.flatMap(({ resource }) => (resource.kind === kind ? [resource] : []));
}

/** All there is to say. */
function problemsOf(ranked: readonly { state: SourceState; doubles: readonly Problem[] }[]): readonly Problem[] {
  const all = ranked.flatMap(({ state, doubles }) => [
    ...state.problems,
    ...[...state.files.values()].flatMap((file) => [...file.problems, ...file.stale]),
    ...doubles,
  ]);
  return all.sort(byProblem);
}

function byNameAndOwner(a: Served, b: Served): number {
  return byText(keyOf(a.resource), keyOf(b.resource)) || byText(ownerOf(a) ?? '', ownerOf(b) ?? '');
}

function byProblem(a: Problem, b: Problem): number {
  return byText(a.source, b.source) || byPlace(a, b) || byText(a.rule, b.rule) || byText(a.sentence, b.sentence);
}
