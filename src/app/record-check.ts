/** Looks through the whole record now and then, so that a change of it does not wait for somebody to ask. */
import { verifyChain } from '../audit/record-store.ts';
import type { Database } from '../database/tables.ts';
import type { Log } from '../telemetry/log.ts';

/** A million entries take a minute or two. */
const limitMs = 30 * 60_000;

export interface RecordCheck {
  /** One look; nothing more to do at once. */
  round(): Promise<false>;
  /** Whether the newest look found that the record was changed or cut off. */
  isBroken(): boolean;
  /** Breaks off a look under way. */
  stop(): void;
}

export function createRecordCheck(db: Database, log: Pick<Log, 'error'>): RecordCheck {
  const stopping = new AbortController();
  let broken = false;
  return {
    isBroken: () => broken,
    stop: () => stopping.abort(),
    round: async () => {
      try {
        const verdict = await verifyChain(db, AbortSignal.any([stopping.signal, AbortSignal.timeout(limitMs)]));
        broken = !verdict.intact;
        if (!verdict.intact) log.error({ brokenAt: verdict.brokenAt }, `the record is broken: ${verdict.sentence}`);
      } catch (error) {
        if (!stopping.signal.aborted) throw error;
      }
      return false;
    },
  };
}
