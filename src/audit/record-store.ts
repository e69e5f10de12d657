import { sql } from 'kysely';
import type { Queryable, Tx } from '../database/tables.ts';
import type { Json } from '../integrations/contract.ts';
import { hashEntry, type RecordEntry, type RecordedEntry, type RecordKind } from './record.ts';

/**
 * Appends entries to the chain. Call it last in a transaction: it locks the head of the chain until the commit, and
 * whoever appends next waits for it.
 */
export async function appendRecord(tx: Tx, entries: readonly RecordEntry[]): Promise<void> {
  if (entries.length === 0) return;
  const head = await tx.selectFrom('record_head').select(['seq', 'hash']).forUpdate().executeTakeFirstOrThrow();
  let { seq, hash } = head;
  const rows = entries.map((entry) => {
    const data = withoutNul(JSON.stringify(entry.data));
    const clean = { ...entry, sentence: withoutNul(entry.sentence).toWellFormed() };
    const previousHash = hash;
    seq += 1;
    hash = hashEntry(previousHash, seq, clean, data);
    return {
      seq,
      at: new Date(entry.at).toISOString(),
      kind: entry.kind,
      actor: entry.actor,
      organization: entry.organization,
      alert_id: entry.alertId,
      incident_id: entry.incidentId,
      run_id: entry.runId,
      sentence: clean.sentence,
      data,
      previous_hash: previousHash,
      hash,
    };
  });
  // One parameter, however many entries. `data` crosses as text and stays to the byte what was hashed.
  await sql`
    INSERT INTO record (seq, at, kind, actor, organization, alert_id, incident_id, run_id, sentence, data, previous_hash, hash)
    SELECT seq, at, kind, actor, organization, alert_id, incident_id, run_id, sentence, data::json, previous_hash, hash
    FROM json_to_recordset(${JSON.stringify(rows)}::json) AS r(seq bigint, at timestamptz, kind text, actor text,
      organization text, alert_id text, incident_id text, run_id text, sentence text, data text, previous_hash text,
      hash text)`.execute(tx);
  await tx.updateTable('record_head').set({ seq, hash }).execute();
}

/** PostgreSQL text cannot hold U+0000; a hostile label must not stop the record. */
function withoutNul(text: string): string {
  return text.replaceAll('\u0000', '').replaceAll('\\u0000', '\\ufffd');
}

export interface RecordFilter {
  /** Entries behind this sequence number, in the order that is asked for. */
  after?: number;
  /** Oldest first, or newest first. Default: oldest. */
  order?: 'asc' | 'desc';
  incidentId?: string;
  runId?: string;
  /** Only what this Organization may see: its own entries. */
  organization?: string;
  limit: number;
}

/** The newest entry about an incident itself; what a run or a page did beside it does not count. */
export async function lastOfIncident(db: Queryable, incidentId: string): Promise<RecordedEntry | undefined> {
  const row = await db
    .selectFrom('record')
    .select('seq')
    .where('incident_id', '=', incidentId)
    .where('kind', 'like', 'incident.%')
    .orderBy('seq', 'desc')
    .limit(1)
    .executeTakeFirst();
  return row && (await readRecord(db, { after: row.seq - 1, limit: 1 }))[0];
}

/** Sequence number of the newest entry; 0 when there is none. */
export async function recordHead(db: Queryable): Promise<number> {
  return (await db.selectFrom('record_head').select('seq').executeTakeFirstOrThrow()).seq;
}

/** Entries in order. */
export async function readRecord(db: Queryable, filter: RecordFilter): Promise<RecordedEntry[]> {
  return (await readRows(db, filter)).map(({ dataText, ...entry }) => ({
    ...entry,
    data: JSON.parse(dataText) as Json,
  }));
}

/** An entry with its data exactly as it was hashed. */
type RecordRow = Omit<RecordedEntry, 'data'> & { dataText: string };

async function readRows(db: Queryable, filter: RecordFilter): Promise<RecordRow[]> {
  let query = db
    .selectFrom('record')
    .select([
      'seq',
      'at',
      'kind',
      'actor',
      'organization',
      'alert_id',
      'incident_id',
      'run_id',
      'sentence',
      'previous_hash',
      'hash',
    ])
    .select(sql<string>`data::text`.as('data_text'))
    .orderBy('seq', filter.order ?? 'asc')
    .limit(filter.limit);
  if (filter.after !== undefined) query = query.where('seq', filter.order === 'desc' ? '<' : '>', filter.after);
  if (filter.incidentId !== undefined) query = query.where('incident_id', '=', filter.incidentId);
  if (filter.runId !== undefined) query = query.where('run_id', '=', filter.runId);
  if (filter.organization !== undefined) query = query.where('organization', '=', filter.organization);
  const rows = await query.execute();
  return rows.map((row) => ({
    seq: row.seq,
    at: row.at.getTime(),
    kind: row.kind as RecordKind,
    actor: row.actor,
    organization: row.organization ?? undefined,
    alertId: row.alert_id ?? undefined,
    incidentId: row.incident_id ?? undefined,
    runId: row.run_id ?? undefined,
    sentence: row.sentence,
    previousHash: row.previous_hash,
    hash: row.hash,
    dataText: row.data_text,
  }));
}

export type ChainVerdict =
  | { intact: true; entries: number; head: string }
  | { intact: false; entries: number; brokenAt: number; sentence: string };

/** Entries hashed in one go, while which nothing else is done: some milliseconds. */
const verifiedAtOnce = 200;

/**
 * Reads the whole record and recomputes every hash.
 * @param rest waited for now and then, by who has more time than the machine
 */
export async function verifyChain(
  db: Queryable,
  { signal, rest }: { signal?: AbortSignal; rest?: () => Promise<void> } = {},
): Promise<ChainVerdict> {
  // Before the entries: those that are appended while they are read lie beyond this head.
  const head = await db.selectFrom('record_head').select(['seq', 'hash']).executeTakeFirstOrThrow();
  let previousHash = '0'.repeat(64);
  let expected = 1;
  for (;;) {
    signal?.throwIfAborted();
    const page = await readRows(db, { after: expected - 1, limit: verifiedAtOnce });
    for (const entry of page) {
      const broken = entry.seq !== expected ? `Entry ${expected} is missing.` : verdictOn(entry, previousHash);
      if (broken) return { intact: false, entries: expected - 1, brokenAt: expected, sentence: broken };
      previousHash = entry.hash;
      expected += 1;
    }
    if (page.length < verifiedAtOnce) break;
    await rest?.();
  }
  if (head.seq > expected - 1) {
    return {
      intact: false,
      entries: expected - 1,
      brokenAt: expected,
      sentence: `The record ends at entry ${expected - 1}, but its head stands at ${head.seq}: entries were cut off.`,
    };
  }
  return { intact: true, entries: expected - 1, head: previousHash };
}

function verdictOn(entry: RecordRow, previousHash: string): string | undefined {
  if (entry.previousHash !== previousHash) return `Entry ${entry.seq} does not follow the one before it.`;
  if (hashEntry(previousHash, entry.seq, entry, entry.dataText) !== entry.hash)
    return `Entry ${entry.seq} was changed after it was written.`;
  return undefined;
}
