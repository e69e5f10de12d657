/**
 * Reads what the intake committed and turns it into changes of episodes. The first of three steps that share one
 * transaction, given by the caller:
 *
 *     db.transaction().execute(async (tx) => {
 *       const processed = await processDeliveries(tx, { limit: 100, now });
 *       const correlated = await correlate(tx, processed.changes, { types, now });   // incident/
 *       const entries = …                                                          // run/: matching, decisions
 *       await appendRecord(tx, [...processed.entries, ...correlated.entries, ...entries]);   // last: it locks the record
 *     });
 *
 * Either all of it happened to a delivery or none: after a crash the delivery is still pending and is read again.
 */
import { sql } from 'kysely';
import type { RecordEntry, RecordKind } from '../audit/record.ts';
import { isConnectionError } from '../database/open.ts';
import type { Tx } from '../database/tables.ts';
import { messageOf } from '../errors.ts';
import { newId } from '../ids.ts';
import { type Alert, type ChangeKind, type Episode, type EpisodeChange, factSource } from './alert.ts';
import { decideReport } from './alert-decision.ts';
import { findEpisodes, insertAlerts, updateEpisodes } from './alert-store.ts';
import { type DeliveryOutcome, markDeliveries, type PendingDelivery, readPending } from './delivery-store.ts';
import { type AlertReport, defaultPayloadLimits, type PayloadLimits, parsePayload } from './payload.ts';

/** Names our place among advisory locks: the letters "CSRE", and 1 for the processing of deliveries. */
const lockSpace = 0x43535245;
const processingLock = 1;

const defaultBytes = 1024 * 1024;

/**
 * Waits until no deliveries are processed, and keeps it so until the transaction ends. For whoever changes alerts
 * otherwise: processing locks alerts first and incidents after, and the two would wait for each other.
 */
export async function holdProcessing(tx: Tx): Promise<void> {
  await sql`SELECT pg_advisory_xact_lock(${lockSpace}::int, ${processingLock}::int)`.execute(tx);
}

export interface Processed {
  /** Deliveries that left the state Pending. 0: there were none, or another replica is at it. */
  deliveries: number;
  /** Others are pending still, as far as was seen; those that come in later are told of by whoever takes them in. */
  more: boolean;
  /** How many of them became dead letters. */
  deadLetters: number;
  /** Alerts the sources left out of their deliveries (`max_alerts`); asking the source tells which. */
  truncatedAlerts: number;
  /** Groups of which Alertmanager left alerts out: whoever can, asks it for them. */
  leftOut: LeftOut[];
  /** In the order of the deliveries and of the alerts in them. */
  changes: EpisodeChange[];
  /** For the record; the caller appends them last. */
  entries: RecordEntry[];
}

/** A group that was delivered in part (`max_alerts`). */
export interface LeftOut {
  /** Whose delivery it was: what is asked for afterwards counts as delivered by the same. */
  source: string;
  organization: string | undefined;
  /** Name of the receiver in Alertmanager. */
  receiver: string;
  externalUrl: string;
}

export interface ProcessOptions {
  /** Deliveries at most. */
  limit: number;
  /** Bytes of bodies at most; default 1 MiB, some 2,000 alerts. What is read at once holds up others until it is done. */
  bytes?: number | undefined;
  /** Milliseconds since the epoch. */
  now: number;
  payload?: PayloadLimits;
  /** Whose an alert is, by its labels, where the delivery is the whole Sovereign's; undefined for the Sovereign's own. */
  organizationOf?: (labels: AlertReport['labels']) => string | undefined;
}

/**
 * Processes pending deliveries, oldest first. A delivery that cannot be read, or whose processing fails, becomes a dead
 * letter by itself; those around it go on. It throws when the database fails; the deliveries then stay pending.
 */
export async function processDeliveries(tx: Tx, options: ProcessOptions): Promise<Processed> {
  const lock = await sql<{ held: boolean }>`
    SELECT pg_try_advisory_xact_lock(${lockSpace}::int, ${processingLock}::int) AS held`.execute(tx);
  if (!lock.rows[0]?.held) return nothing();
  const { pending, more } = await readPending(tx, { count: options.limit, bytes: options.bytes ?? defaultBytes });
  if (pending.length === 0) return nothing();
  try {
    return { ...(await inSavepoint(tx, () => processBatch(tx, pending, options))), more };
  } catch (error) {
    if (!isPoison(error)) throw error;
  }
  // Something in the batch is poison; one by one it harms nobody else.
  const total = { ...nothing(), more };
  for (const delivery of pending) add(total, await processAlone(tx, delivery, options));
  return total;
}

async function processAlone(tx: Tx, delivery: PendingDelivery, options: ProcessOptions): Promise<Processed> {
  try {
    return await inSavepoint(tx, () => processBatch(tx, [delivery], options));
  } catch (error) {
    if (!isPoison(error)) throw error;
    const problem = `Its alerts could not be stored: ${messageOf(error).slice(0, 500).toWellFormed()}`;
    await markDeliveries(tx, [{ id: delivery.id, state: 'DeadLetter', problem }], options.now);
    return { ...nothing(), deliveries: 1, deadLetters: 1, entries: [deadLetterEntry(delivery, problem, options.now)] };
  }
}

/** One alert in one delivery. */
interface Told {
  delivery: PendingDelivery;
  externalUrl: string;
  report: AlertReport;
}

async function processBatch(tx: Tx, pending: readonly PendingDelivery[], options: ProcessOptions): Promise<Processed> {
  const result = { ...nothing(), deliveries: pending.length };
  const outcomes: DeliveryOutcome[] = [];
  const told: Told[] = [];
  for (const delivery of pending) {
    const parsed = parsePayload(delivery.body, options.payload ?? defaultPayloadLimits);
    const problems = parsed.ok ? parsed.payload.problems : [parsed.problem];
    if (parsed.ok) {
      const { externalUrl, alerts, truncatedAlerts } = parsed.payload;
      for (const report of alerts) told.push({ delivery: ownedBy(delivery, report, options), externalUrl, report });
      result.truncatedAlerts += truncatedAlerts;
      if (truncatedAlerts > 0) {
        const { source, organization } = delivery;
        result.leftOut.push({ source, organization, receiver: parsed.payload.receiver, externalUrl });
      }
    }
    outcomes.push(outcomeOf(delivery.id, problems, parsed.ok ? parsed.payload : undefined));
    if (problems.length === 0) continue;
    result.deadLetters++;
    result.entries.push(deadLetterEntry(delivery, outcomes.at(-1)?.problem ?? '', options.now));
  }
  const ledger = new Ledger(await findEpisodes(tx, told.map(keyOf)), options.now);
  for (const one of told) ledger.apply(one);
  const { changes, opened, changed } = ledger.close();
  await updateEpisodes(tx, changed);
  await insertAlerts(tx, opened);
  await markDeliveries(tx, outcomes, options.now);
  result.changes = changes;
  for (const change of changes) result.entries.push(...changeEntry(change, options.now));
  return result;
}

/** A delivery that belongs to an Organization says whose its alerts are; of the Sovereign's, the labels say it. */
function ownedBy(delivery: PendingDelivery, report: AlertReport, { organizationOf }: ProcessOptions): PendingDelivery {
  const organization = delivery.organization ?? organizationOf?.(report.labels);
  return organization === delivery.organization ? delivery : { ...delivery, organization };
}

/** The alerts that can be read are acted on even where others in the same delivery cannot; the delivery is still shown as a dead letter. */
function outcomeOf(
  id: number,
  problems: readonly string[],
  payload: { alerts: readonly unknown[]; truncatedAlerts: number } | undefined,
): DeliveryOutcome {
  if (problems.length > 0) {
    const partly = payload
      ? `${problems.length} of ${problems.length + payload.alerts.length} alerts cannot be read, the others were processed. `
      : '';
    // The first few tell what is wrong; the body is kept.
    return { id, state: 'DeadLetter', problem: partly + problems.slice(0, 5).join(' ') };
  }
  const left = payload?.truncatedAlerts ?? 0;
  const problem =
    left > 0
      ? `Alertmanager left out ${left} alerts (max_alerts), so the group's status was not relied on. Raise max_alerts or group by more labels.`
      : undefined;
  return { id, state: 'Processed', problem };
}

/** All episodes a batch touches, as they stand while it is read. */
class Ledger {
  readonly #now: number;
  readonly #known: ReadonlySet<string>;
  readonly #series = new Map<string, Map<string, Episode>>();
  /** What was last told about each episode that was told about. */
  readonly #lastTold = new Map<string, Told>();
  readonly #firstTold = new Map<string, Told>();
  readonly #touched = new Map<string, Episode>();
  readonly #steps: { kind: ChangeKind; sentence: string; episodeId: string; told: Told }[] = [];

  constructor(known: readonly Episode[], now: number) {
    this.#now = now;
    this.#known = new Set(known.map((episode) => episode.id));
    for (const episode of known) this.#seriesOf(episode).set(episode.id, episode);
  }

  apply(told: Told): void {
    const { delivery, report } = told;
    const { source, organization } = delivery;
    const series = this.#seriesOf({ source, organization, fingerprint: report.fingerprint });
    const identity = { id: () => newId(this.#now), source, organization, fingerprint: report.fingerprint };
    const transitions = decideReport([...series.values()], report, identity, delivery.receivedAt);
    for (const [index, { kind, next, sentence }] of transitions.entries()) {
      series.set(next.id, next);
      this.#touched.set(next.id, next);
      if (index === transitions.length - 1) {
        this.#lastTold.set(next.id, told);
        if (!this.#firstTold.has(next.id)) this.#firstTold.set(next.id, told);
      }
      if (kind !== 'Corrected') this.#steps.push({ kind, sentence, episodeId: next.id, told });
    }
  }

  /** The changes, with each alert as it stands now, and what there is to save. */
  close(): { changes: EpisodeChange[]; opened: Alert[]; changed: (Episode | Alert)[] } {
    const made = new Map<string, Alert>();
    const alertOf = (episodeId: string, told: Told): Alert => {
      const known = made.get(episodeId);
      if (known) return known;
      const episode = this.#touched.get(episodeId) as Episode;
      const { report, externalUrl } = this.#lastTold.get(episodeId) ?? told;
      const alert: Alert = {
        ...episode,
        name: report.name,
        labels: report.labels,
        annotations: report.annotations,
        generatorUrl: report.generatorUrl,
        externalUrl,
        traceparent: this.#firstTold.get(episodeId)?.delivery.traceparent,
      };
      made.set(episodeId, alert);
      return alert;
    };
    const changes = this.#steps.map(({ kind, sentence, episodeId, told }) => ({
      kind,
      sentence,
      alert: alertOf(episodeId, told),
      deliveryId: told.delivery.id,
    }));
    const told = [...this.#lastTold].map(([id, last]) => alertOf(id, last));
    const untold = [...this.#touched.values()].filter((episode) => !this.#lastTold.has(episode.id));
    return {
      changes,
      opened: told.filter((alert) => !this.#known.has(alert.id)),
      changed: [...untold, ...told.filter((alert) => this.#known.has(alert.id))],
    };
  }

  #seriesOf(key: { source: string; organization: string | undefined; fingerprint: string }): Map<string, Episode> {
    const name = JSON.stringify([key.source, key.organization ?? '', key.fingerprint]);
    let series = this.#series.get(name);
    if (!series) {
      series = new Map();
      this.#series.set(name, series);
    }
    return series;
  }
}

function keyOf({ delivery, report }: Told) {
  return {
    source: delivery.source,
    organization: delivery.organization,
    fingerprint: report.fingerprint,
    startsAt: report.startsAt,
  };
}

/** Repeats and late copies change nothing worth keeping for ever; the decisions tell of them. */
const recordKindOf: Partial<Record<ChangeKind, RecordKind>> = {
  Fired: 'alert.fired',
  Reopened: 'alert.reopened',
  ResolvedReported: 'alert.resolvedReported',
  ResolvedUnknown: 'alert.resolvedReported',
  Superseded: 'alert.superseded',
};

function changeEntry(change: EpisodeChange, now: number): RecordEntry[] {
  const kind = recordKindOf[change.kind];
  if (!kind) return [];
  const { alert } = change;
  return [
    {
      at: now,
      kind,
      actor: alert.source === factSource ? 'engine' : 'alertmanager',
      organization: alert.organization,
      alertId: alert.id,
      incidentId: alert.incidentId,
      sentence: `${alert.name}: ${change.sentence}`,
      data: {
        change: change.kind,
        deliveryId: change.deliveryId,
        source: alert.source,
        fingerprint: alert.fingerprint,
        startsAt: new Date(alert.startsAt).toISOString(),
        // Labels of a usual size; a record of megabytes would serve nobody.
        ...(JSON.stringify(alert.labels).length <= 4096 ? { labels: { ...alert.labels } } : {}),
      },
    },
  ];
}

function deadLetterEntry(delivery: PendingDelivery, problem: string, now: number): RecordEntry {
  return {
    at: now,
    kind: 'delivery.deadLettered',
    actor: 'engine',
    organization: delivery.organization,
    sentence: `Delivery ${delivery.id} from ${delivery.source} became a dead letter: ${problem}`,
    data: { deliveryId: delivery.id, source: delivery.source, size: delivery.body.length },
  };
}

/** SQLSTATE classes that speak of the values given: 22 data exception, 23 constraint violation, 54 limit exceeded. */
const dataStates = /^(22|23|54)[0-9A-Z]{3}$/;

/**
 * True for what the same delivery would fail with again: its values, or our reading of them. A database that is away, a
 * deadlock, a time limit or a missing table is not the delivery's fault: it stays pending.
 */
function isPoison(error: unknown): boolean {
  if (isConnectionError(error)) return false;
  const state = error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
  return state === undefined || !/^[0-9A-Z]{5}$/.test(state) || dataStates.test(state);
}

async function inSavepoint<T>(tx: Tx, work: () => Promise<T>): Promise<T> {
  await sql`SAVEPOINT deliveries`.execute(tx);
  try {
    const result = await work();
    await sql`RELEASE SAVEPOINT deliveries`.execute(tx);
    return result;
  } catch (error) {
    if (isPoison(error)) await sql`ROLLBACK TO SAVEPOINT deliveries`.execute(tx);
    throw error;
  }
}

function nothing(): Processed {
  return { deliveries: 0, more: false, deadLetters: 0, truncatedAlerts: 0, leftOut: [], changes: [], entries: [] };
}

function add(total: Processed, part: Processed): void {
  total.deliveries += part.deliveries;
  total.deadLetters += part.deadLetters;
  total.truncatedAlerts += part.truncatedAlerts;
  for (const one of part.leftOut) total.leftOut.push(one);
  for (const change of part.changes) total.changes.push(change);
  for (const entry of part.entries) total.entries.push(entry);
}
