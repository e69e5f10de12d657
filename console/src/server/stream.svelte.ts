/**
 * The record as it is written: one stream per tab. The browser resumes it with the id of the last entry, so nothing is
 * missed; where that is not possible it is opened again behind the last entry, and everything on the page is read anew.
 */
import type { RecordEntry } from './api-types.ts';

export type StreamState = 'connecting' | 'live' | 'reconnecting' | 'restarting';

type Listener = { wants(entry: RecordEntry): boolean; refresh(): void };

/** Entries come in bursts, several a step; one look per burst is enough, and a tenth of a second is not seen. */
const gatherMs = 100;
/** Between two tries to open a stream that the browser has given up: as the server's own `retry`. */
const retryMs = 2_000;

const listeners = new Set<Listener>();
const due = new Set<Listener>();
let gathering: ReturnType<typeof setTimeout> | undefined;
let source: EventSource | undefined;
let retrying: ReturnType<typeof setTimeout> | undefined;
let last = '';

export const stream = $state<{ state: StreamState; latest: RecordEntry[] }>({ state: 'connecting', latest: [] });

/** Entries the overview shows as they come. */
const kept = 30;

/** Calls `refresh` soon after an entry it wants, and when the stream is back after a pause. Returns how to stop it. */
export function watch(wants: (entry: RecordEntry) => boolean, refresh: () => void): () => void {
  const listener = { wants, refresh };
  listeners.add(listener);
  return () => {
    listeners.delete(listener);
    due.delete(listener);
  };
}

/** @param ended called when the server says that the session is over, or answers no more for other reasons than a restart */
export function openStream(ended: () => void): void {
  closeStream();
  const opened = new EventSource(last === '' ? '/api/v1/stream' : `/api/v1/stream?after=${last}`);
  source = opened;
  opened.onopen = () => {
    stream.state = 'live';
    // What happened before the stream stood is not in it.
    for (const listener of listeners) due.add(listener);
    soon();
  };
  opened.addEventListener('record', (event) => {
    last = event.lastEventId;
    const entry = JSON.parse(event.data) as RecordEntry;
    stream.latest = [entry, ...stream.latest].slice(0, kept);
    for (const listener of listeners) if (listener.wants(entry)) due.add(listener);
    if (due.size > 0) soon();
  });
  opened.addEventListener('stopping', () => {
    stream.state = 'restarting';
  });
  opened.addEventListener('ended', () => {
    closeStream();
    ended();
  });
  opened.onerror = () => {
    if (stream.state !== 'restarting') stream.state = 'reconnecting';
    if (opened.readyState !== EventSource.CLOSED) return;
    // The browser gives up at any answer but 200: a server that starts says 503, one that knows us no more 401.
    retrying = setTimeout(async () => {
      const answer = await fetch('/api/v1/session').catch(() => undefined);
      if (answer?.status === 401) ended();
      else openStream(ended);
    }, retryMs);
  };
}

export function closeStream(): void {
  clearTimeout(retrying);
  source?.close();
  source = undefined;
}

function soon(): void {
  if (gathering !== undefined) return;
  gathering = setTimeout(() => {
    gathering = undefined;
    const now = [...due];
    due.clear();
    for (const listener of now) listener.refresh();
  }, gatherMs);
}
