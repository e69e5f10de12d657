/** What a view shows, kept as the server has it: read once, and again whenever the stream says that it may have changed. */
import type { RecordEntry } from './api-types.ts';
import { get, type List, type ServerError, withQuery } from './client.ts';
import { watch } from './stream.svelte.ts';

/** As many as one answer may hold. */
const pageSize = 200;

export interface Live<T> {
  readonly value: T | undefined;
  readonly error: ServerError | undefined;
  refresh(): Promise<void>;
}

/**
 * One answer of the API, for as long as the component lives.
 * @param path undefined: nothing is asked. Read again when it changes.
 */
export function live<T>(path: () => string | undefined, wants: (entry: RecordEntry) => boolean): Live<T> {
  const state = $state<{ value: T | undefined; error: ServerError | undefined }>({
    value: undefined,
    error: undefined,
  });
  let turn = 0;
  const refresh = async () => {
    const asked = path();
    const mine = ++turn;
    if (asked === undefined) return;
    try {
      const value = await get<T>(asked);
      // A slow answer never overwrites a newer one.
      if (mine === turn) Object.assign(state, { value, error: undefined });
    } catch (error) {
      if (mine === turn) state.error = error as ServerError;
    }
  };
  $effect(() => {
    path();
    Object.assign(state, { value: undefined, error: undefined });
    void refresh();
    return watch(wants, () => void refresh());
  });
  return {
    get value() {
      return state.value;
    },
    get error() {
      return state.error;
    },
    refresh,
  };
}

export interface LiveList<T> {
  readonly items: T[];
  /** False until the first page is there. */
  readonly loaded: boolean;
  readonly more: boolean;
  readonly error: ServerError | undefined;
  /** Reads the next page; several calls at a time are one. */
  loadMore(): Promise<void>;
}

/**
 * A list, newest first, read page by page. When something changed, the first page and the changed items are read, and
 * not the thousands below.
 * @param idOf the item an entry is about, if any
 */
export function liveList<T extends { id: string }>(
  path: string,
  query: () => Record<string, string | undefined>,
  idOf: (entry: RecordEntry) => string | undefined,
): LiveList<T> {
  const state = $state<{ items: T[]; next: string | undefined; loaded: boolean; error: ServerError | undefined }>({
    items: [],
    next: undefined,
    loaded: false,
    error: undefined,
  });
  let turn = 0;
  let loading: Promise<void> | undefined;
  let changed = new Set<string>();
  const page = (after?: string) => get<List<T>>(withQuery(path, { ...query(), limit: pageSize, after }));
  const guarded = async (work: (current: () => boolean) => Promise<void>) => {
    const mine = turn;
    const current = () => mine === turn;
    try {
      await work(current);
      if (current()) state.error = undefined;
    } catch (error) {
      if (current()) state.error = error as ServerError;
    }
  };
  const refresh = () =>
    guarded(async (current) => {
      const ids = changed;
      changed = new Set();
      const first = await page();
      if (!current()) return;
      const fresh = new Set(first.items.map((item) => item.id));
      const below = state.items.filter((item) => !fresh.has(item.id));
      const deeper = below.filter((item) => ids.has(item.id));
      // With a filter, an item that changed may not belong here any more; without one it is read again.
      const filtered = Object.values(query()).some((value) => value !== undefined && value !== '');
      const again = filtered ? [] : await Promise.all(deeper.map((item) => get<T>(`${path}/${item.id}`)));
      if (!current()) return;
      const updated = new Map(again.map((item) => [item.id, item]));
      const complete = first.next === undefined;
      const rest = complete
        ? []
        : below.filter((item) => !(filtered && ids.has(item.id))).map((item) => updated.get(item.id) ?? item);
      state.next = rest.length === 0 ? first.next : state.next;
      state.items = [...first.items, ...rest];
      state.loaded = true;
    });
  $effect(() => {
    query();
    turn++;
    loading = undefined;
    Object.assign(state, { items: [], next: undefined, loaded: false, error: undefined });
    void refresh();
    return watch(
      (entry) => {
        const id = idOf(entry);
        if (id !== undefined) changed.add(id);
        return id !== undefined;
      },
      () => void refresh(),
    );
  });
  return {
    get items() {
      return state.items;
    },
    get loaded() {
      return state.loaded;
    },
    get more() {
      return state.next !== undefined;
    },
    get error() {
      return state.error;
    },
    loadMore: () => {
      if (state.next === undefined) return Promise.resolve();
      loading ??= guarded(async (current) => {
        const following = await page(state.next);
        if (!current()) return;
        const known = new Set(state.items.map((item) => item.id));
        state.items = [...state.items, ...following.items.filter((item) => !known.has(item.id))];
        state.next = following.next;
      }).finally(() => {
        loading = undefined;
      });
      return loading;
    },
  };
}
