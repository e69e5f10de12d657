import { setImmediate as endOfTurn } from 'node:timers/promises';

export interface Batch<Item> {
  /** Resolves when the item is written. Rejects with what kept this item, and no other, from being written. */
  add(item: Item): Promise<void>;
}

/**
 * Writes what comes in one turn of the event loop, and while a write is under way, in one write. When several cannot be
 * written together, each is tried alone: one that cannot be written takes nobody with it.
 * @param write writes all of them or, when it rejects, none
 */
export function createBatch<Item>(write: (items: readonly Item[]) => Promise<void>): Batch<Item> {
  type Failures = Map<Item, { error: unknown }>;
  let next: { items: Item[]; written: Promise<Failures> } | undefined;
  let last: Promise<unknown> = Promise.resolve();

  async function writeAll(items: readonly Item[]): Promise<Failures> {
    try {
      await write(items);
      return new Map();
    } catch (error) {
      if (items.length === 1) return new Map(items.map((item) => [item, { error }]));
      const failures = await Promise.all(items.map((item) => writeAll([item])));
      return new Map(failures.flatMap((one) => [...one]));
    }
  }

  function gather() {
    const items: Item[] = [];
    const written = last
      .then(() => endOfTurn())
      .then(() => {
        next = undefined;
        return writeAll(items);
      });
    last = written;
    return { items, written };
  }

  return {
    async add(item) {
      next ??= gather();
      next.items.push(item);
      const failure = (await next.written).get(item);
      if (failure) throw failure.error;
    },
  };
}
