/** Looks through the whole record now and then, so that a change of it does not wait for somebody to ask. */
import { verifyChain } from '../audit/record-store.ts';
import type { Clock } from '../clock.ts';
import type { Database } from '../database/tables.ts';
import type { Log } from '../telemetry/log.ts';

/** A million entries take some minutes. */
const limitMs = 30 * 60_000;
/** Rests for so many times as long as it works: nobody waits for it, and people read meanwhile. */
const restShare = 4;

export interface RecordCheck {
  /** One look; nothing more to do at once. */
  round(): Promise<false>;
  /** Whether the newest look found that the record was changed or cut off. */
  isBroken(): boolean;
  /** Breaks off a look under way. */
  stop(): void;
}

export function createRecordCheck(db: Database, clock: Clock, log: Pick<Log, 'error'>): RecordCheck {
  const stopping = new AbortController();
  let broken = false;
  return {
    isBroken: () => broken,
    stop: () => stopping.abort(),
    round: async () => {
      const signal = AbortSignal.any([stopping.signal, AbortSignal.timeout(limitMs)]);
      let rested = clock.monotonic();
      const rest = async () => {
        await clock.sleep(restShare * (clock.monotonic() - rested), signal);
        rested = clock.monotonic();
      };
      try {
        const verdict = await verifyChain(db, { signal, rest });
        broken = !verdict.intact;
        if (!verdict.intact) log.error({ brokenAt: verdict.brokenAt }, `the record is broken: ${verdict.sentence}`);
      } catch (error) {
        if (!stopping.signal.aborted) throw error;
      }
      return false;
    },
  };
}
