/** What is new in a catalog since it was last told of, document by document and problem by problem. Pure. */
import type { Catalog } from './catalog.ts';
import { kinds } from './kinds.ts';
import type { Problem, Resource } from './resource.ts';

/** What a catalog says at a moment. */
export interface CatalogState {
  /** By kind, Organization and name. */
  documents: ReadonlyMap<string, Resource>;
  /** By everything that is said of them. */
  problems: ReadonlyMap<string, Problem>;
}

export type CatalogNews =
  | { kind: 'catalog.changed'; what: 'added' | 'changed' | 'removed'; resource: Resource; sentence: string }
  | { kind: 'catalog.problem'; problem: Problem; organization: string | undefined; sentence: string };

export function stateOf(catalog: Pick<Catalog, 'resources' | 'problems'>): CatalogState {
  const documents = kinds
    .flatMap((kind) => catalog.resources(kind))
    .map((resource) => {
      const { kind, metadata, provenance } = resource;
      return [JSON.stringify([kind, provenance.organization ?? null, metadata.name]), resource] as const;
    });
  const problems = catalog.problems().map((problem) => [JSON.stringify(problem), problem] as const);
  return { documents: new Map(documents), problems: new Map(problems) };
}

/**
 * Documents that came, changed or went, by the digest of their text: a commit that leaves a document as it was is no news
 * of it. Then problems that were not there before; one that is gone shows in the document that changed.
 */
export function newsBetween(before: CatalogState, now: CatalogState): CatalogNews[] {
  const news: CatalogNews[] = [];
  const change = (what: 'added' | 'changed' | 'removed', resource: Resource) => {
    const { source, revision, file } = resource.provenance;
    const at = revision === undefined ? '' : ` at ${revision.slice(0, 12)}`;
    const sentence = `${resource.kind} ${resource.metadata.name} was ${what}: ${source}${at}, ${file}.`;
    news.push({ kind: 'catalog.changed', what, resource, sentence });
  };
  for (const [key, resource] of now.documents) {
    const known = before.documents.get(key);
    if (known === undefined) change('added', resource);
    else if (known.provenance.digest !== resource.provenance.digest) change('changed', resource);
  }
  for (const [key, resource] of before.documents) if (!now.documents.has(key)) change('removed', resource);
  for (const [key, problem] of now.problems) {
    if (before.problems.has(key)) continue;
    const { source, file, line, sentence } = problem;
    const owner = [...now.documents.values()].find(({ provenance }) => provenance.source === source);
    const where = file === '' ? source : `${source}, ${file}:${line}`;
    news.push({
      kind: 'catalog.problem',
      problem,
      organization: owner?.provenance.organization,
      sentence: `${where}: ${sentence}`,
    });
  }
  return news;
}
