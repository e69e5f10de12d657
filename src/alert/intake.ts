/**
 * Takes deliveries in. `accept` resolves when the delivery is committed and not before, so that whoever answers 200
 * afterwards never loses an alert. What is in the body is nobody's business here: it is read after the commit.
 *
 * Deliveries that arrive while commits are under way are written together by the next one. Nothing waits for company:
 * an idle intake commits a lone delivery at once.
 */
import { setImmediate } from 'node:timers/promises';
import { type Clock, noLongerWaited } from '../clock.ts';
import { unavailable } from '../database/open.ts';
import type { Database } from '../database/tables.ts';
import { CatalystError } from '../errors.ts';
import { insertDeliveries, type NewDelivery } from './delivery-store.ts';
import { cleanText } from './payload.ts';

export interface IntakeLimits {
  /** Bytes of one body. 32 MiB hold the 20,000 alerts a delivery may have. */
  bodyBytes: number;
  /** Deliveries that may wait for a commit. At 8,000 a second they wait a second and a bit, well inside Alertmanager's 10 s. */
  queued: number;
  /** Bytes of bodies that may wait. */
  queuedBytes: number;
  /** Deliveries of one commit: more make the statement longer, and no longer faster. */
  batch: number;
  /** Bytes of one commit, except that one delivery is always taken. */
  batchBytes: number;
  /** Commits under way at a time: while the database waits for its disk, the next one is made ready. */
  commits: number;
  /**
   * Limit of one commit, ms, and of the wait for one's turn: together they stay below the 10 s after which Alertmanager
   * listens no more, so that it hears 503 and not silence.
   */
  commitMs: number;
}

export const defaultIntakeLimits: IntakeLimits = {
  bodyBytes: 32 * 1024 * 1024,
  queued: 10_000,
  queuedBytes: 128 * 1024 * 1024,
  batch: 512,
  batchBytes: 8 * 1024 * 1024,
  commits: 1,
  commitMs: 4_500,
};

export interface Intake {
  /**
   * Settles within twice the limit of a commit.
   *
   * @throws CatalystError TooLarge for a body over the limit; Unavailable when too many wait, when stopping, and when the
   * database is away or does not answer in time. The sender tries again; a delivery that was committed all the same is
   * then seen twice, which changes nothing.
   */
  accept(delivery: {
    source: string;
    organization?: string | undefined;
    body: Uint8Array;
    traceparent?: string | undefined;
  }): Promise<{ deliveryId: number }>;
  /**
   * Does work that can give way when no delivery has come in for a moment, and after `limit` ms at the latest. In a storm
   * without a pause, work then goes on as long as it has waited before it gives way again: it falls behind, but never stops.
   */
  whenQuiet<T>(limit: number, work: () => Promise<T>): Promise<T>;
  /** For metrics. */
  stats(): { queued: number; queuedBytes: number; accepted: number; refused: number; commits: number };
  /** Refuses what comes from now on and resolves when everything accepted is committed or refused. */
  stop(): Promise<void>;
}

interface Waiting {
  delivery: NewDelivery;
  /** On the monotonic clock, ms. */
  since: number;
  resolve(value: { deliveryId: number }): void;
  reject(error: unknown): void;
}

export function createIntake(options: { db: Database; clock: Clock; limits?: Partial<IntakeLimits> }): Intake {
  return new GroupCommit(options.db, options.clock, { ...defaultIntakeLimits, ...options.limits });
}

/** So long after an answer without a new delivery is a pause: a sender that waits for its answer sends the next at once. */
const calmMs = 5;

class GroupCommit implements Intake {
  readonly #db: Database;
  readonly #clock: Clock;
  readonly #limits: IntakeLimits;
  #queue: Waiting[] = [];
  #queuedBytes = 0;
  #accepted = 0;
  #refused = 0;
  #commits = 0;
  #stopping = false;
  readonly #flushing = new Set<Promise<void>>();
  #lastAnswered = Number.NEGATIVE_INFINITY;
  /** How much longer work goes on before it gives way again, ms. */
  #workOwed = 0;

  constructor(db: Database, clock: Clock, limits: IntakeLimits) {
    this.#db = db;
    this.#clock = clock;
    this.#limits = limits;
  }

  accept(given: Parameters<Intake['accept']>[0]): Promise<{ deliveryId: number }> {
    const refusal = this.#refusal(given.body.length);
    if (refusal) {
      this.#refused++;
      return Promise.reject(refusal);
    }
    const delivery: NewDelivery = {
      receivedAt: this.#clock.now(),
      source: cleanText(given.source),
      organization: given.organization === undefined ? undefined : cleanText(given.organization),
      body: given.body,
      // It comes from a stranger's header; anything else than a trace context of version 00 is dropped.
      traceparent: /^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/.test(given.traceparent ?? '')
        ? given.traceparent
        : undefined,
    };
    return new Promise((resolve, reject) => {
      this.#queue.push({ delivery, since: this.#clock.monotonic(), resolve, reject });
      this.#queuedBytes += delivery.body.length;
      if (this.#flushing.size < this.#limits.commits) this.#startFlushing();
    });
  }

  async whenQuiet<T>(limit: number, work: () => Promise<T>): Promise<T> {
    if (this.#workOwed <= 0) this.#workOwed = await this.#waitForQuiet(limit);
    const began = this.#clock.monotonic();
    try {
      return await work();
    } finally {
      this.#workOwed -= this.#clock.monotonic() - began;
    }
  }

  /** @returns how long it has waited in vain, ms. */
  async #waitForQuiet(limit: number): Promise<number> {
    const end = this.#clock.monotonic() + limit;
    for (;;) {
      const now = this.#clock.monotonic();
      const calmAt = (this.#flushing.size > 0 ? now : this.#lastAnswered) + calmMs;
      if (calmAt <= now) return 0;
      if (end <= now) return limit;
      await this.#clock.sleep(Math.min(calmAt, end) - now);
    }
  }

  stats() {
    return {
      queued: this.#queue.length,
      queuedBytes: this.#queuedBytes,
      accepted: this.#accepted,
      refused: this.#refused,
      commits: this.#commits,
    };
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    await Promise.all(this.#flushing);
  }

  #refusal(bytes: number): CatalystError | undefined {
    const { bodyBytes, queued, queuedBytes } = this.#limits;
    if (bytes > bodyBytes) {
      return new CatalystError('TooLarge', `The body has ${bytes} bytes; the limit is ${bodyBytes}.`, {
        hint: 'Set max_alerts in the webhook configuration, or group by more labels.',
      });
    }
    if (this.#stopping) return new CatalystError('Unavailable', 'Catalyst SRE is stopping.');
    if (this.#queue.length >= queued || this.#queuedBytes + bytes > queuedBytes) {
      return new CatalystError(
        'Unavailable',
        `${this.#queue.length} deliveries wait to be written; no more are taken.`,
        {
          hint: 'Alertmanager tries again by itself.',
        },
      );
    }
    return undefined;
  }

  #startFlushing(): void {
    const flushing = this.#flushAll(() => this.#flushing.delete(flushing));
    this.#flushing.add(flushing);
  }

  async #flushAll(done: () => void): Promise<void> {
    while (this.#queue.length > 0) {
      // What has arrived at other connections by now is read first, and shares the commit.
      await setImmediate();
      this.#refuseLate();
      if (this.#queue.length > 0) await this.#flush(this.#take());
    }
    // No await between the last look at the queue and this: nothing can have joined it.
    done();
  }

  /** Those whose turn comes too late: the database is slow, and they would not hear of a commit any more. */
  #refuseLate(): void {
    const latest = this.#clock.monotonic() - this.#limits.commitMs;
    const late = this.#queue.findIndex((waiting) => waiting.since >= latest);
    const refused = this.#queue.splice(0, late === -1 ? this.#queue.length : late);
    if (refused.length === 0) return;
    for (const { delivery } of refused) this.#queuedBytes -= delivery.body.length;
    this.#refuse(refused, new CatalystError('Unavailable', 'The database is too slow to take this delivery in time.'));
  }

  #take(): Waiting[] {
    let bytes = 0;
    let count = 0;
    for (const { delivery } of this.#queue) {
      if (count > 0 && (count >= this.#limits.batch || bytes + delivery.body.length > this.#limits.batchBytes)) break;
      bytes += delivery.body.length;
      count++;
    }
    this.#queuedBytes -= bytes;
    return this.#queue.splice(0, count);
  }

  async #flush(batch: readonly Waiting[]): Promise<void> {
    try {
      const ids = await this.#insert(batch);
      this.#commits++;
      this.#accepted += batch.length;
      this.#lastAnswered = this.#clock.monotonic();
      for (const [index, waiting] of batch.entries()) waiting.resolve({ deliveryId: ids[index] as number });
    } catch (error) {
      this.#refuse(batch, unavailable(error));
      // Whoever queued up meanwhile would wait as long for the same answer; the next delivery tries afresh.
      this.#refuse(this.#queue.splice(0), unavailable(error));
      this.#queuedBytes = 0;
    }
  }

  /** One commit, or Unavailable within the limit of time; the statement may then still take effect. */
  async #insert(batch: readonly Waiting[]): Promise<number[]> {
    const limit = new AbortController();
    const late = this.#clock.sleep(this.#limits.commitMs, limit.signal).then(
      () => Promise.reject(new CatalystError('TimedOut', `The commit took longer than ${this.#limits.commitMs} ms.`)),
      () => [],
    );
    const inserted = insertDeliveries(
      this.#db,
      batch.map((waiting) => waiting.delivery),
    );
    try {
      return await Promise.race([inserted, late]);
    } finally {
      limit.abort(noLongerWaited);
      inserted.catch(() => {});
    }
  }

  #refuse(batch: readonly Waiting[], error: CatalystError): void {
    this.#refused += batch.length;
    for (const waiting of batch) waiting.reject(error);
  }
}
