/** Watches: one JSON event per line for as long as the client stays. */
import type { ServerResponse } from 'node:http';
import type { Clock } from '../../src/clock.ts';
import type { KubeObject } from './object.ts';
import { apiVersionOf, type ResourceType, storageKey } from './resources.ts';
import { type Predicate, selection } from './selectors.ts';
import { badRequest, expired } from './status.ts';
import type { Change, Store } from './store.ts';

/** Real servers end a watch after 30 to 60 minutes; clients start again. */
const DEFAULT_TIMEOUT_SECONDS = 1_800;
/** How often a watch without events says where it is, as real servers do about once a minute. */
const BOOKMARK_MS = 60_000;

export interface WatchContext {
  store: Store;
  clock: Clock;
  /** Aborted when the server stops. */
  stopping: AbortSignal;
}

/** An event of the watch for this change, or undefined when it does not concern it. */
export function eventFor(change: Change, selected: Predicate): { type: string; object: KubeObject } | undefined {
  const is = change.type !== 'DELETED' && selected(change.object);
  const was = change.previous !== undefined && selected(change.previous);
  if (is) return { type: was ? 'MODIFIED' : 'ADDED', object: change.object };
  // The last state, at the version of the change that took it away.
  if (!was || !change.previous) return undefined;
  const { metadata } = change.previous;
  const object = { ...change.previous, metadata: { ...metadata, resourceVersion: String(change.version) } };
  return { type: 'DELETED', object };
}

/** Serves one watch until the client leaves, its time is over or the server stops. */
export async function serveWatch(
  { store, clock, stopping }: WatchContext,
  type: ResourceType,
  namespace: string | undefined,
  query: URLSearchParams,
  response: ServerResponse,
): Promise<ServerResponse> {
  const inSelection = selection(type, query.get('labelSelector'), query.get('fieldSelector'));
  const selected: Predicate = (object) =>
    (namespace === undefined || object.metadata.namespace === namespace) && inSelection(object);
  const since = query.get('resourceVersion') ?? '';
  if (!/^\d*$/.test(since)) throw badRequest(`resourceVersion: Invalid value: "${since}"`);
  const timeoutSeconds = Number(query.get('timeoutSeconds') ?? 0) || DEFAULT_TIMEOUT_SECONDS;

  response.writeHead(200, { 'content-type': 'application/json' });
  // The client waits for these before it counts as connected, events or not.
  response.flushHeaders();
  const send = (event: { type: string; object: unknown }) => response.write(`${JSON.stringify(event)}\n`);
  const deliver = (change: Change) => {
    const event = change.key === storageKey(type) ? eventFor(change, selected) : undefined;
    if (event) send({ ...event, object: { ...event.object, apiVersion: apiVersionOf(type) } });
  };

  const fromStart = since === '' || since === '0';
  const missed = fromStart ? [] : store.changesSince(Number(since));
  if (!missed) {
    const message = `too old resource version: ${since} (${store.version})`;
    send({ type: 'ERROR', object: expired(message).toStatus() });
    return response.end();
  }
  if (fromStart) {
    for (const object of store.list(type, namespace)) if (selected(object)) send({ type: 'ADDED', object });
  }
  for (const change of missed) deliver(change);

  const unsubscribe = store.subscribe(deliver);
  const gone = new AbortController();
  response.once('close', () => gone.abort());
  const signal = AbortSignal.any([gone.signal, stopping]);
  const bookmark = () => {
    const object = {
      kind: type.kind,
      apiVersion: apiVersionOf(type),
      metadata: { resourceVersion: String(store.version), creationTimestamp: null },
    };
    if (query.get('allowWatchBookmarks') === 'true') send({ type: 'BOOKMARK', object });
  };
  try {
    const end = clock.monotonic() + timeoutSeconds * 1000;
    for (let left = timeoutSeconds * 1000; left > 0; left = end - clock.monotonic()) {
      await clock.sleep(Math.min(BOOKMARK_MS, left), signal);
      bookmark();
    }
  } catch {
    // The client left or the server stops: either way this watch is over.
  } finally {
    unsubscribe();
  }
  return response.end();
}
