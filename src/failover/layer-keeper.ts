/**
 * Brings a traffic layer to where its gate is, and tries again until it is there. The gate itself is already open or shut:
 * this is what other systems are told about it, and it may take its time.
 */
import type { Clock } from '../clock.ts';
import { messageOf } from '../errors.ts';
import type { Authority, TrafficLayer } from './layers/layer.ts';

/** Between tries of a write that failed, ms. */
const retryMs = 5_000;
/** Limit for one try, ms: some dozens of small writes. */
const tryLimitMs = 20_000;

interface Wanted {
  open: boolean;
  authority: Authority;
}

export interface LayerKeeper {
  /** The newest word; one under way is finished first. The same word again does nothing. */
  want(open: boolean, authority: Authority): void;
  /** Undefined when the layer is where it should be. */
  problem(): string | undefined;
  stop(): Promise<void>;
}

export function keepLayer(
  layer: TrafficLayer,
  clock: Clock,
  onOutcome: (sentence: string, failed: boolean) => void,
): LayerKeeper {
  const stopping = new AbortController();
  let wanted: Wanted | undefined;
  let reached: Wanted | undefined;
  let problem: string | undefined;
  let work: Promise<void> | undefined;
  let changed = Promise.withResolvers<void>();

  const same = (a: Wanted | undefined, b: Wanted | undefined) =>
    a?.open === b?.open && a?.authority.epoch === b?.authority.epoch;

  const reconcile = async (): Promise<void> => {
    while (wanted && !same(wanted, reached) && !stopping.signal.aborted) {
      const { open, authority } = wanted;
      const context = { clock, signal: AbortSignal.any([stopping.signal, AbortSignal.timeout(tryLimitMs)]) };
      changed = Promise.withResolvers();
      try {
        const { sentence } = await (open ? layer.open(context, authority) : layer.close(context, authority));
        reached = { open, authority };
        problem = undefined;
        onOutcome(sentence, false);
      } catch (error) {
        const said = `${layer.name}: ${messageOf(error)}`;
        if (said !== problem) onOutcome(said, true);
        problem = said;
        // A new word does not wait for the next try of an old one.
        await Promise.race([clock.sleep(retryMs, stopping.signal).catch(() => {}), changed.promise]);
      }
    }
  };

  return {
    want: (open, authority) => {
      const next = { open, authority };
      const news = !same(next, wanted);
      wanted = next;
      if (news) changed.resolve();
      work ??= reconcile().finally(() => {
        work = undefined;
      });
    },
    problem: () => problem,
    stop: async () => {
      stopping.abort();
      await work;
    },
  };
}
