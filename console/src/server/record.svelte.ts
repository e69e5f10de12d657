/** Entries of the record, or of a journal, read once and then onwards: they only grow, so only what came behind the last is asked for. */
import type { RecordEntry } from './api-types.ts';
import { get, type List, type ServerError, withQuery } from './client.ts';
import { watch } from './stream.svelte.ts';

/** As many as one answer may hold. */
const pageSize = 200;

export interface Entries<T> {
  /** Oldest first. */
  readonly items: readonly T[];
  readonly loaded: boolean;
  readonly error: ServerError | undefined;
}

/** @param path undefined: nothing is asked. Read from the beginning when it changes. */
export function liveEntries<T extends { seq: number } = RecordEntry>(
  path: () => string | undefined,
  wants: (entry: RecordEntry) => boolean,
): Entries<T> {
  let items = $state.raw<readonly T[]>([]);
  const state = $state<{ loaded: boolean; error: ServerError | undefined }>({ loaded: false, error: undefined });
  $effect(() => {
    const from = path();
    let over = false;
    let last: number | undefined;
    let reading: Promise<void> = Promise.resolve();
    items = [];
    Object.assign(state, { loaded: false, error: undefined });
    if (from === undefined) return;
    const readOn = async () => {
      try {
        for (;;) {
          const page = await get<List<T>>(withQuery(from, { after: last, limit: pageSize }));
          if (over) return;
          last = page.items.at(-1)?.seq ?? last;
          if (page.items.length > 0) items = [...items, ...page.items];
          Object.assign(state, { loaded: true, error: undefined });
          if (page.next === undefined) return;
        }
      } catch (error) {
        if (!over) state.error = error as ServerError;
      }
    };
    // One after the other: two at a time would bring the same entries twice.
    const next = () => {
      reading = reading.then(readOn);
    };
    next();
    const stop = watch(wants, next);
    return () => {
      over = true;
      stop();
    };
  });
  return {
    get items() {
      return items;
    },
    get loaded() {
      return state.loaded;
    },
    get error() {
      return state.error;
    },
  };
}
