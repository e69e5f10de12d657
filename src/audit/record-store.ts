import { type SelectQueryBuilder, sql } from 'kysely';
import type { Queryable, Tables, Tx } from '../database/tables.ts';
import { CatalystError } from '../errors.ts';
import type { Json } from '../integrations/contract.ts';
import { hashEntry, type RecordEntry, type RecordedEntry, type RecordKind } from './record.ts';

/** The end of the chain. */
interface Head {
  seq: number;
  hash: string;
}

/**
 * Where the chain ends when everything this process has appended is committed, in the order in which it was sent. Where
 * nobody else appends it does end there, and to write on from there takes one statement instead of two. Whether it does is
 * the database's to say: after a rollback, after another process's entry or in another database it does not, and the entries
 * are written behind the head as it is read.
 */
let expectedHead: Head | undefined;
/** Whether the last entries found the head as expected. Where others append all the time, guessing would be in vain. */
let asExpected = false;
/** Appends that are under way in this process. */
let underWay = 0;

/**
 * Appends entries to the chain. Call it last in a transaction: it locks the head of the chain until the commit, and
 * whoever appends next waits for it.
 */
export async function appendRecord(tx: Tx, entries: readonly RecordEntry[]): Promise<void> {
  if (entries.length === 0) return;
  underWay += 1;
  try {
    if (expectedHead && asExpected && (await writeBehind(tx, expectedHead, entries))) return;
    const head = await tx.selectFrom('record_head').select(['seq', 'hash']).forUpdate().executeTakeFirstOrThrow();
    // Others that are reading the head right now will come before whoever expects it to be what we write.
    asExpected = underWay === 1 && head.hash === expectedHead?.hash;
    if (!(await writeBehind(tx, head, entries)))
      throw new CatalystError('Internal', 'The head of the record moved while it was locked.');
  } finally {
    underWay -= 1;
  }
}

/** @returns false when the chain does not end in `head`: nothing is written */
async function writeBehind(tx: Tx, head: Head, entries: readonly RecordEntry[]): Promise<boolean> {
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
  expectedHead = { seq, hash };
  // The lock comes first and by itself: a condition on the head would be held against what it was before the wait.
  // One parameter, however many entries. `data` crosses as text and stays to the byte what was hashed.
  const { numAffectedRows } = await sql`
    WITH locked AS MATERIALIZED (SELECT seq, hash FROM record_head FOR UPDATE), moved AS (
      UPDATE record_head SET seq = ${seq}, hash = ${hash} FROM locked
      WHERE locked.seq = ${head.seq} AND locked.hash = ${head.hash} RETURNING record_head.seq
    )
    INSERT INTO record (seq, at, kind, actor, organization, alert_id, incident_id, run_id, sentence, data, previous_hash, hash)
    SELECT seq, at, kind, actor, organization, alert_id, incident_id, run_id, sentence, data::json, previous_hash, hash
    FROM json_to_recordset(${JSON.stringify(rows)}::json) AS r(seq bigint, at timestamptz, kind text, actor text,
      organization text, alert_id text, incident_id text, run_id text, sentence text, data text, previous_hash text,
      hash text)
    WHERE EXISTS (SELECT FROM moved)`.execute(tx);
  return numAffectedRows === BigInt(rows.length);
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
  return (await readRows(db, filter)).map(entryOf);
}

function entryOf({ dataText, ...entry }: RecordRow): RecordedEntry {
  return { ...entry, data: JSON.parse(dataText) as Json };
}

/** Entries one search looks at: some ten milliseconds, however long the record is. */
const searchedAtOnce = 5_000;

/**
 * Entries whose kind, actor or sentence contains a text, in any case, in order. One look goes through so many entries and
 * no more, so that it may find nothing and still not be at the end.
 * @returns besides, the entry behind which the next look goes on; undefined at the end
 */
export async function searchRecord(
  db: Queryable,
  { text, limit, ...filter }: RecordFilter & { text: string },
): Promise<{ entries: RecordedEntry[]; next: number | undefined }> {
  const order = filter.order ?? 'asc';
  const window = narrowed(db.selectFrom('record').select(['seq', 'kind', 'actor', 'sentence']), filter)
    .orderBy('seq', order)
    .limit(searchedAtOnce);
  const { rows } = await sql<{ hits: number[] | null; looked: number; last: number | null }>`
    SELECT (array_agg(seq ORDER BY seq ${sql.raw(order)}) FILTER (
        WHERE strpos(lower(concat_ws(' ', kind, actor, sentence)), lower(${text})) > 0))[1:${limit + 1}]::float8[] AS hits,
      count(*)::int AS looked, ${order === 'asc' ? sql`max(seq)` : sql`min(seq)`}::float8 AS last
    FROM (${window}) AS looked_at`.execute(db);
  const { hits, looked, last } = rows[0] ?? { hits: null, looked: 0, last: null };
  const found = (hits ?? []).slice(0, limit);
  const entries = found.length === 0 ? [] : (await readRows(db, { seqs: found, order, limit })).map(entryOf);
  if (hits && hits.length > limit) return { entries, next: found.at(-1) };
  return { entries, next: looked === searchedAtOnce && last !== null ? last : undefined };
}

/** An entry with its data exactly as it was hashed. */
type RecordRow = Omit<RecordedEntry, 'data'> & { dataText: string };

async function readRows(db: Queryable, filter: RecordFilter & { seqs?: readonly number[] }): Promise<RecordRow[]> {
  let query = narrowed(
    db
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
      .select(sql<string>`data::text`.as('data_text')),
    filter,
  )
    .orderBy('seq', filter.order ?? 'asc')
    .limit(filter.limit);
  if (filter.seqs) query = query.where('seq', '=', sql<number>`ANY(${[...filter.seqs]}::bigint[])`);
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

function narrowed<Row>(
  query: SelectQueryBuilder<Tables, 'record', Row>,
  { after, order, incidentId, runId, organization }: Omit<RecordFilter, 'limit'>,
): SelectQueryBuilder<Tables, 'record', Row> {
  let narrow = query;
  if (after !== undefined) narrow = narrow.where('seq', order === 'desc' ? '<' : '>', after);
  if (incidentId !== undefined) narrow = narrow.where('incident_id', '=', incidentId);
  if (runId !== undefined) narrow = narrow.where('run_id', '=', runId);
  if (organization !== undefined) narrow = narrow.where('organization', '=', organization);
  return narrow;
}

export type ChainVerdict =
  | { intact: true; entries: number; head: string }
  | { intact: false; entries: number; brokenAt: number; sentence: string };

/** Entries hashed in one go, while which nothing else is done: some milliseconds. */
const verifiedAtOnce = 200;

/**
 * Reads the whole record and recomputes every hash.
 * @param rest waited for between two pages, by callers that leave the processor to others
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
