/** Follows the record from a fault to its verified fix, and says what happened in the order in which a person wants to know it. */

import type { FaultName } from '../../sandbox/faults.ts';
import type { Sandbox } from '../../sandbox/start.ts';
import type { DrillEvent, DrillResult } from '../api/ports.ts';
import type { RecordedEntry } from '../audit/record.ts';
import { readRecord, verifyChain } from '../audit/record-store.ts';
import type { FactReading } from '../check/check.ts';
import type { Clock } from '../clock.ts';
import type { Database } from '../database/tables.ts';
import { readEntries } from '../run/run-store.ts';

/** Where a drill takes place. */
export interface DrillStage {
  sandbox: Pick<Sandbox, 'inject' | 'isHealthy'>;
  db: Database;
  clock: Clock;
  /** Told when something was put on record, so that who watches sees it at once. */
  committed?: () => void;
}

/** A drill that has not ended by then has failed, ms: the slowest verification holds for two minutes. */
const drillLimit = 5 * 60_000;
/** How often the record is read, ms. */
const lookEvery = 100;
/** How long every run may have ended as refused before that counts as the end, ms: another alert of the fault may still come. */
const refusedFor = 5_000;

interface Progress {
  started: number;
  created: Set<string>;
  /** Runs that ended, and how. */
  ended: Map<string, RecordedEntry>;
  resolved: boolean;
  lastEnd: number;
  measured: Record<string, string>;
  /** What each running run said last. */
  said: Map<string, string>;
}

export async function watchDrill(
  fault: FaultName,
  after: number,
  stage: DrillStage,
  onEvent: (event: DrillEvent) => void,
  signal: AbortSignal,
): Promise<DrillResult> {
  const { db, clock } = stage;
  const seen: Progress = {
    started: clock.monotonic(),
    created: new Set(),
    ended: new Map(),
    resolved: false,
    lastEnd: 0,
    measured: {},
    said: new Map(),
  };
  const since = () => Math.round(clock.monotonic() - seen.started);
  const tell = (kind: DrillEvent['kind'], sentence: string) => onEvent({ at: since(), kind, sentence });
  let read = after;
  while (since() < drillLimit) {
    signal.throwIfAborted();
    const entries = await readRecord(db, { after: read, limit: 500 });
    read = entries.at(-1)?.seq ?? read;
    for (const entry of entries) note(entry, seen, since());
    for (const { entry, times } of together(entries)) {
      tell(eventKind(entry), times === 1 ? entry.sentence : `${entry.sentence} (${times} times)`);
      if (isPlan(entry) && entry.runId !== undefined)
        for (const sentence of await factsOf(db, entry.runId)) tell('fact', sentence);
    }
    if (entries.length === 0) for (const sentence of await whatRunsSay(db, seen)) tell('verification', sentence);
    const end = ending(seen, since());
    if (end) return conclude(end, fault, seen, since(), stage);
    await clock.sleep(lookEvery, signal);
  }
  const sentence = `Nothing ended within ${drillLimit / 60_000} minutes.`;
  return { passed: false, sentence, took: since(), measured: seen.measured };
}

function note(entry: RecordedEntry, seen: Progress, since: number): void {
  const measure = (what: string) => {
    seen.measured[what] ??= `${(since / 1000).toFixed(1)}s`;
  };
  const kind = eventKind(entry);
  if (kind === 'alert') measure('time to detect');
  if (kind === 'action') measure('time to act');
  if (entry.kind === 'run.created' && entry.runId !== undefined) seen.created.add(entry.runId);
  if (entry.kind === 'run.ended' && entry.runId !== undefined) {
    seen.ended.set(entry.runId, entry);
    seen.lastEnd = since;
    if (outcomeOf(entry) === 'Succeeded') measure('time to verified fix');
  }
  // The drill shows the whole way: the incident is over when facts say so of all its alerts.
  if (entry.kind === 'incident.resolved') {
    seen.resolved = true;
    measure('time to resolved incident');
  }
}

/** The run that the drill is about, once there is nothing more to see. */
function ending(seen: Progress, since: number): RecordedEntry | undefined {
  const ended = [...seen.ended.values()];
  // Of several alerts of one fault, one run repairs it, and the others find nothing left to do.
  const decisive = ended.find((entry) => outcomeOf(entry) !== 'Refused');
  if (decisive) return seen.resolved || outcomeOf(decisive) !== 'Succeeded' ? decisive : undefined;
  const allRefused = seen.created.size > 0 && ended.length === seen.created.size;
  return allRefused && since - seen.lastEnd >= refusedFor ? ended.at(-1) : undefined;
}

async function conclude(
  end: RecordedEntry,
  fault: FaultName,
  seen: Progress,
  took: number,
  { sandbox, db }: DrillStage,
): Promise<DrillResult> {
  const outcome = outcomeOf(end);
  const healthy = sandbox.isHealthy(fault);
  const chain = await verifyChain(db);
  const world = healthy ? 'The world is whole again' : 'The world is still broken';
  const record = chain.intact ? `and the record of ${chain.entries} entries is intact.` : 'and the record is broken!';
  return {
    passed: outcome === 'Succeeded' && healthy && chain.intact,
    ...(outcome === 'Refused' ? { refusedBy: reasonOf(end) } : {}),
    sentence: `The run ended as ${outcome}: ${end.sentence} ${world}, ${record}`,
    took,
    measured: { ...seen.measured, runs: `${seen.created.size}`, outcome: String(outcome) },
  };
}

/** Neighbours that say the same are one line. */
function together(entries: readonly RecordedEntry[]): { entry: RecordedEntry; times: number }[] {
  const lines: { entry: RecordedEntry; times: number }[] = [];
  for (const entry of entries) {
    const before = lines.at(-1);
    if (before && before.entry.sentence === entry.sentence && before.entry.kind === entry.kind) before.times += 1;
    else lines.push({ entry, times: 1 });
  }
  return lines;
}

/** What the run read before it decided. */
async function factsOf(db: Database, runId: string): Promise<string[]> {
  const entries = await readEntries(db, runId);
  const prepared = entries.find((entry) => entry.kind === 'Prepared');
  if (prepared?.kind !== 'Prepared') return [];
  return prepared.data.preconditions.flatMap(({ readings }) => readings).map(sayReading);
}

function sayReading({ fact, value, error, took }: FactReading): string {
  return `${fact} = ${error === undefined ? JSON.stringify(value) : `unknown: ${error}`} (read in ${took} ms)`;
}

/** What runs wait for, when that has changed since the last look. */
async function whatRunsSay(db: Database, seen: Progress): Promise<string[]> {
  const open = [...seen.created].filter((id) => !seen.ended.has(id));
  if (open.length === 0) return [];
  const rows = await db
    .selectFrom('run')
    .select(['id', 'sentence'])
    .where('id', 'in', open)
    .where('state', '=', 'Running')
    .execute();
  const fresh = rows.filter(({ id, sentence }) => seen.said.get(id) !== sentence);
  for (const { id, sentence } of fresh) seen.said.set(id, sentence);
  // What a run says first is its newest entry, and has been told.
  return fresh.filter(({ sentence }) => /does not hold|holds\.$/.test(sentence)).map(({ sentence }) => sentence);
}

const dataOf = ({ data }: RecordedEntry) => data as { outcome?: string; reason?: string; kind?: string };
const outcomeOf = (entry: RecordedEntry) => dataOf(entry).outcome;
const reasonOf = (entry: RecordedEntry) => dataOf(entry).reason ?? 'Refused';
const isPlan = (entry: RecordedEntry) => dataOf(entry).kind === 'Prepared';

function eventKind(record: RecordedEntry): DrillEvent['kind'] {
  const [noun = ''] = record.kind.split('.');
  if (noun === 'alert' || noun === 'incident' || noun === 'decision' || noun === 'page') return noun;
  const entry = dataOf(record).kind ?? '';
  if (entry === 'StepStarted') return 'action';
  if (entry.startsWith('Verify')) return 'verification';
  if (entry === 'StepFailed' || entry === 'RollbackStarted') return 'problem';
  return 'note';
}
