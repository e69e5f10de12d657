/**
 * Puts changes of the catalog on record while the product runs, so that who looks sees them and the audit knows what
 * counted when. Documents live in Git and in the cluster, so the record is behind them by a moment; what could not be
 * written is written once it can be.
 */
import type { RecordEntry } from '../audit/record.ts';
import { appendRecord } from '../audit/record-store.ts';
import type { Catalog } from '../catalog/catalog.ts';
import { type CatalogNews, newsBetween, stateOf } from '../catalog/catalog-news-decision.ts';
import type { Clock } from '../clock.ts';
import type { Database, Tx } from '../database/tables.ts';

/** Replicas see a change within this of one another: a Git source is read every five minutes. */
const sameFor = 15 * 60_000;
/** Of so many newest entries: what was recorded is looked for without reading the record of years. */
const lookBack = 20_000;

export interface CatalogRecordPorts {
  db: Database;
  clock: Clock;
  catalog: Pick<Catalog, 'resources' | 'problems' | 'revision'>;
}

/** A round writes what is new since the one before; true when something was written. What is there at first is no news. */
export function createCatalogRecord({ db, clock, catalog }: CatalogRecordPorts): () => Promise<boolean> {
  let told = { revision: catalog.revision, state: stateOf(catalog) };
  return async () => {
    if (catalog.revision === told.revision) return false;
    const next = { revision: catalog.revision, state: stateOf(catalog) };
    const entries = newsBetween(told.state, next.state).map((news) => entryOf(news, clock.now()));
    const written = entries.length > 0 && (await db.transaction().execute((tx) => appendNew(tx, entries, clock.now())));
    told = next;
    return written;
  };
}

/** Appends what no other replica has written; their turn comes one by one. */
async function appendNew(tx: Tx, entries: readonly RecordEntry[], now: number): Promise<boolean> {
  const { seq } = await tx.selectFrom('record_head').select('seq').forUpdate().executeTakeFirstOrThrow();
  const rows = await tx
    .selectFrom('record')
    .select(['kind', 'data'])
    .where('seq', '>', Number(seq) - lookBack)
    .where('kind', 'in', ['catalog.changed', 'catalog.problem'])
    .where('at', '>=', new Date(now - sameFor))
    .orderBy('seq')
    .execute();
  /** What was said last of each document and place. */
  const last = new Map(rows.map(({ kind, data }) => [subjectOf(kind, data), JSON.stringify(data)]));
  const fresh = entries.filter((entry) => last.get(subjectOf(entry.kind, entry.data)) !== JSON.stringify(entry.data));
  await appendRecord(tx, fresh);
  return fresh.length > 0;
}

function subjectOf(kind: string, data: unknown): string {
  const { resource, organization, name, source, file, rule } = data as Record<string, unknown>;
  return JSON.stringify([
    kind,
    resource,
    organization,
    name,
    ...(kind === 'catalog.problem' ? [source, file, rule] : []),
  ]);
}

/** @returns `data.name` is the document's, by which those who watch find it again */
function entryOf(news: CatalogNews, at: number): RecordEntry {
  const common = { at, kind: news.kind, actor: 'catalog', sentence: news.sentence };
  if (news.kind === 'catalog.problem') {
    const { severity, rule, source, file, line, column, resource } = news.problem;
    const [kind = null, name = null] = resource?.split('/') ?? [];
    const organization = news.organization ?? null;
    const data = { resource: kind, name, organization, severity, rule, source, file, line, column };
    return { ...common, organization: news.organization, data };
  }
  const { kind, metadata, provenance } = news.resource;
  const { source, file, line, digest, organization } = provenance;
  const data = { resource: kind, name: metadata.name, organization: organization ?? null, what: news.what };
  return { ...common, organization, data: { ...data, digest, source, file, line } };
}
