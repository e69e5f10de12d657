/**
 * A watch that does not give up: it lists, watches from there, and begins again after whatever ends it. The official
 * library's own informer stops for good on any error but 410, and notices a half-open connection only by luck.
 */
import { CatalystError, messageOf } from '../../errors.ts';
import type { CallContext } from '../contract.ts';
import { isObject } from '../define.ts';
import type { KubernetesApi } from './client.ts';
import { groupPath, type KindPlace } from './kinds.ts';
import type { KubernetesObject } from './objects.ts';

export type WatchEvent =
  /** The whole list, after a new start: what is not in it is gone. */
  | { type: 'Replaced'; items: KubernetesObject[] }
  | { type: 'Added' | 'Modified' | 'Deleted'; object: KubernetesObject };

export interface WatchOptions {
  api: KubernetesApi;
  place: KindPlace;
  /** Without one, all namespaces. */
  namespace?: string;
  onEvent: (event: WatchEvent) => void | Promise<void>;
  /** Told of each interruption, for log and metric. */
  onInterruption?: (sentence: string) => void;
}

/** The server ends each watch after this time, and the next one begins: a filter that went stale lives no longer. */
const watchSeconds = 120;
/** Silence allowed beyond that before the connection counts as half-open. */
const idleMs = (watchSeconds + 15) * 1000;
/** Wait after the first interruption; doubled up to a minute, back to the start after an event. */
const firstBackoffMs = 500;
const maxBackoffMs = 60_000;

/** Watches until the signal is aborted, from a resourceVersion or, without one, from a list. Never throws. */
export async function superviseWatch(context: CallContext, options: WatchOptions, from?: string): Promise<void> {
  let resourceVersion = from;
  let backoff = firstBackoffMs;
  while (!context.signal.aborted) {
    try {
      resourceVersion ??= await replace(context, options);
      resourceVersion = await watchOnce(context, options, resourceVersion, () => {
        backoff = firstBackoffMs;
      });
      // Without the pause a server that ends each watch at once would be asked in a tight loop.
      await pause(context, firstBackoffMs);
    } catch (error) {
      if (context.signal.aborted) return;
      options.onInterruption?.(messageOf(error));
      if (error instanceof WatchBroken) resourceVersion = error.resourceVersion;
      await pause(context, backoff);
      backoff = Math.min(backoff * 2, maxBackoffMs);
    }
  }
}

/** A watch that broke off, and how far it had come. */
class WatchBroken extends Error {
  readonly resourceVersion: string;
  constructor(cause: unknown, resourceVersion: string) {
    super(messageOf(cause), { cause });
    this.resourceVersion = resourceVersion;
  }
}

async function replace(context: CallContext, { api, place, namespace, onEvent }: WatchOptions): Promise<string> {
  const { items, resourceVersion } = await api.list<KubernetesObject>(context, place, namespace);
  await onEvent({ type: 'Replaced', items });
  return resourceVersion;
}

/** One connection. Returns where it had come to, or undefined when the list must be read again. Throws WatchBroken. */
async function watchOnce(
  context: CallContext,
  { api, place, namespace, onEvent }: WatchOptions,
  from: string,
  progress: () => void,
): Promise<string | undefined> {
  let position = from;
  const base = groupPath(place.apiVersion);
  const path = namespace === undefined ? `${base}/${place.plural}` : `${base}/namespaces/${namespace}/${place.plural}`;
  const query = { resourceVersion: from, timeoutSeconds: String(watchSeconds), allowWatchBookmarks: 'true' };
  try {
    for await (const line of api.watch(context, path, query, idleMs)) {
      const { type, object } = parseLine(line);
      if (type === 'ERROR') {
        if (object.code === 410) return undefined;
        throw new Error(`the watch was ended with an error: ${String(object.message ?? object.code)}`);
      }
      const seen = object as unknown as KubernetesObject;
      if (type === 'ADDED') await onEvent({ type: 'Added', object: seen });
      if (type === 'MODIFIED') await onEvent({ type: 'Modified', object: seen });
      if (type === 'DELETED') await onEvent({ type: 'Deleted', object: seen });
      position = seen.metadata.resourceVersion;
      progress();
    }
  } catch (error) {
    if (error instanceof CatalystError && error.details.status === 410) return undefined;
    throw new WatchBroken(error, position);
  }
  return position;
}

function parseLine(line: string): { type: string; object: Record<string, unknown> } {
  const event: unknown = JSON.parse(line);
  if (isObject(event) && typeof event.type === 'string' && isObject(event.object))
    return { type: event.type, object: event.object };
  throw new Error('the watch sent a line that is no event');
}

async function pause(context: CallContext, ms: number): Promise<void> {
  await context.clock.sleep(ms, context.signal).catch(() => {});
}
