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

export interface NewestEntries {
  /** Newest first. */
  readonly items: readonly RecordEntry[];
  readonly loaded: boolean;
  /** Whether there are older ones that were not read yet. */
  readonly more: boolean;
  readonly error: ServerError | undefined;
  /** Reads the next page of older ones; several calls at a time are one. */
  loadMore(): Promise<void>;
}

/** Looks of a search that find nothing, one after the other, before a person is asked whether to go on. */
const emptyLooks = 10;

/**
 * Entries of the record, the newest first and older ones page by page: a record of years is not read to show its last hour.
 * @param asked undefined: nothing is asked. Read anew when it changes. With a `text` the server looks for it, a part of the
 * record at a time.
 */
export function newestEntries(
  asked: () => { path: string; text: string | undefined } | undefined,
  wants: (entry: RecordEntry) => boolean,
): NewestEntries {
  let items = $state.raw<readonly RecordEntry[]>([]);
  const state = $state<{ loaded: boolean; more: boolean; error: ServerError | undefined }>({
    loaded: false,
    more: false,
    error: undefined,
  });
  let older: () => Promise<void> = async () => {};
  $effect(() => {
    const { path: from, text } = asked() ?? {};
    let over = false;
    /** Behind which older ones are. */
    let reached: string | undefined;
    // One after the other: two at a time would bring the same entries twice.
    let reading: Promise<void> = Promise.resolve();
    const inTurn = (work: () => Promise<void>) => {
      reading = reading.then(async () => {
        if (over) return;
        try {
          await work();
          if (!over) state.error = undefined;
        } catch (error) {
          if (!over) state.error = error as ServerError;
        }
      });
      return reading;
    };
    items = [];
    Object.assign(state, { loaded: false, more: false, error: undefined });
    older = async () => {};
    if (from === undefined) return;
    const read = (query: Record<string, string | number | undefined>) =>
      get<List<RecordEntry>>(withQuery(from, { text, ...query, limit: pageSize }));
    const readOlder = async () => {
      for (let look = 0; look < emptyLooks; look++) {
        const page = await read({ order: 'desc', after: reached });
        if (over) return;
        reached = page.next;
        items = [...items, ...page.items];
        Object.assign(state, { loaded: true, more: reached !== undefined });
        if (page.items.length > 0 || reached === undefined) return;
      }
    };
    // The newest part is looked through again: what has been found so far does not say how far that look went.
    const findNewer = async () => {
      const page = await read({ order: 'desc' });
      if (over) return;
      const known = items[0]?.seq ?? 0;
      const fresh = page.items.filter(({ seq }) => seq > known);
      if (fresh.length < pageSize) {
        items = [...fresh, ...items];
        return;
      }
      items = fresh;
      reached = page.next;
      state.more = reached !== undefined;
    };
    const readNewer = async () => {
      for (;;) {
        const [newest] = items;
        if (newest === undefined) return readOlder();
        const page = await read({ order: 'asc', after: newest.seq });
        if (over) return;
        if (page.items.length > 0) items = [...page.items.toReversed(), ...items];
        if (page.next === undefined) return;
      }
    };
    let going: Promise<void> | undefined;
    older = () => {
      if (!state.more) return Promise.resolve();
      going ??= inTurn(readOlder).finally(() => {
        going = undefined;
      });
      return going;
    };
    void inTurn(readOlder);
    const stop = watch(wants, () => void inTurn(text === undefined ? readNewer : findNewer));
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
    get more() {
      return state.more;
    },
    get error() {
      return state.error;
    },
    loadMore: () => older(),
  };
}
