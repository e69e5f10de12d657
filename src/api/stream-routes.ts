/** `GET /api/v1/stream`: the record as server-sent events, resumed without a gap by `Last-Event-ID`. */
import type { ServerResponse } from 'node:http';
import Type from 'typebox';
import type { RecordedEntry } from '../audit/record.ts';
import type { Clock } from '../clock.ts';
import { CatalystError } from '../errors.ts';
import type { Metrics } from '../telemetry/meter.ts';
import { type Api, actorOf } from './fastify.ts';
import type { Feed } from './feed.ts';
import type { Session } from './session/session.ts';
import type { Sessions } from './session/sessions.ts';
import { withTimes } from './views.ts';

/** Proxies cut connections that are silent for 30 to 60 s; half of the smallest. */
const heartbeatMs = 15_000;
/** A client that takes nothing for so long is dropped: it can resume, and meanwhile it holds no memory. */
const patienceMs = 10_000;
/** Streams at a time: each holds a connection and some buffers. A console uses one per tab. */
const maxClients = 500;

export interface StreamOptions {
  feed: Feed;
  clock: Clock;
  metrics?: Metrics | undefined;
  /** Of browsers: a stream ends with the session that opened it. */
  sessions?: Pick<Sessions, 'areOpen'> | undefined;
}

/** Why a stream ends that its client did not leave. */
type End = 'stopping' | 'ended';

export function streamRoutes(app: Api, { feed, clock, metrics, sessions }: StreamOptions): void {
  /** The streams that are open, each with the session it was opened with. */
  const open = new Map<AbortController, Session | undefined>();
  const stopping = new AbortController();
  let beating = false;
  metrics?.observe('streamClients', async () => [{ labels: {}, value: open.size }]);
  app.addHook('preClose', async () => {
    stopping.abort();
    for (const client of open.keys()) client.abort('stopping' satisfies End);
    feed.stop();
  });

  /** One heartbeat, and one look at the sessions, for all streams. */
  async function beat(): Promise<void> {
    beating = true;
    while (open.size > 0) {
      await clock.sleep(heartbeatMs, stopping.signal).catch(() => {});
      if (stopping.signal.aborted) break;
      // While the database is away nobody can tell, and nothing is sent either.
      await endSessions().catch(() => {});
      feed.nudge();
    }
    beating = false;
  }

  async function endSessions(): Promise<void> {
    const asked = [...open].flatMap(([client, session]) => (session ? [{ client, session }] : []));
    if (!sessions || asked.length === 0) return;
    const areOpen = await sessions.areOpen(asked.map(({ session }) => session));
    for (const [index, { client }] of asked.entries()) if (!areOpen[index]) client.abort('ended' satisfies End);
  }

  app.get(
    '/api/v1/stream',
    {
      config: { access: 'read' },
      schema: {
        operationId: 'stream',
        summary: 'Follows the record as server-sent events',
        description:
          'Each event has the number of its entry as id, `record` as event, and the entry as data. `Last-Event-ID`, or `after`, goes on behind that entry; without either only what comes is sent. A heartbeat comes every 15 s. A client that is too slow gets the event `dropped` and is cut off; it can resume.',
        tags: ['record'],
        querystring: Type.Object(
          { after: Type.Optional(Type.Integer({ description: 'Go on behind this entry; 0 for all.', minimum: 0 })) },
          { additionalProperties: false },
        ),
      },
    },
    async (request, reply) => {
      if (open.size >= maxClients)
        throw new CatalystError('Unavailable', `${maxClients} clients follow the stream already.`);
      const { organization } = actorOf(request);
      const start = startOf(request.headers['last-event-id'], request.query.after) ?? (await feed.head());
      reply.hijack();
      const client = new AbortController();
      open.set(client, request.session);
      if (!beating) void beat();
      const { raw } = reply;
      raw.on('close', () => client.abort('gone'));
      raw.writeHead(200, { ...(reply.getHeaders() as Record<string, string>), ...streamHeaders });
      try {
        await serve({ raw, feed, clock, organization, start, client });
      } finally {
        open.delete(client);
        raw.end();
      }
    },
  );
}

const streamHeaders = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-store',
  // nginx and Envoy-style buffering would hold events back.
  'x-accel-buffering': 'no',
};

function startOf(lastEventId: unknown, after: number | undefined): number | undefined {
  if (typeof lastEventId === 'string' && lastEventId !== '') {
    if (!/^[0-9]{1,15}$/.test(lastEventId))
      throw new CatalystError('BadRequest', 'Last-Event-ID is not the id of an event.', {
        hint: 'Send the id of the last event you got, or leave the header out.',
      });
    return Number(lastEventId);
  }
  return after;
}

interface Client {
  raw: ServerResponse;
  feed: Feed;
  clock: Clock;
  organization: string | undefined;
  start: number;
  client: AbortController;
}

async function serve({ raw, feed, clock, organization, start, client: { signal } }: Client): Promise<void> {
  const follower = feed.follow(start);
  signal.addEventListener('abort', follower.stop);
  raw.write(`retry: 2000\nid: ${start}\n\n`);
  for (;;) {
    const entries = await follower.next();
    if (!entries || signal.aborted) break;
    const visible = entries.filter((entry) => organization === undefined || entry.organization === organization);
    // An event without data is not shown to the client, but its id is kept: resuming skips what it may not see.
    const { position } = follower;
    const beat = visible.at(-1)?.seq === position ? '' : `: heartbeat\nid: ${position}\n\n`;
    if (!raw.write(visible.map(eventOf).join('') + beat) && !(await drained(raw, clock, signal))) {
      if (!signal.aborted) raw.write(lastEvent('dropped', 'You read too slowly; resume with Last-Event-ID.'));
      follower.stop();
      return;
    }
  }
  switch (signal.reason as End | 'gone' | undefined) {
    case 'stopping':
      raw.write(lastEvent('stopping', 'The server is stopping; resume with Last-Event-ID.'));
      return;
    case 'ended':
      raw.write(lastEvent('ended', 'The session has ended; log in again.'));
      return;
    case 'gone':
    case undefined:
  }
}

async function drained(raw: ServerResponse, clock: Clock, signal: AbortSignal): Promise<boolean> {
  const done = new AbortController();
  const drain = new Promise<boolean>((resolve) => raw.once('drain', () => resolve(true)));
  const limit = clock.sleep(patienceMs, AbortSignal.any([signal, done.signal])).then(
    () => false,
    () => false,
  );
  const result = await Promise.race([drain, limit]);
  done.abort();
  return result;
}

/** Written once for all who follow, for as long as the entry is in memory. */
const events = new WeakMap<RecordedEntry, string>();

/** JSON writes CR and LF as escapes, so no data can end an event or begin another; kinds are a closed list of words. */
function eventOf(entry: RecordedEntry): string {
  const known = events.get(entry);
  if (known !== undefined) return known;
  const event = `id: ${entry.seq}\nevent: record\ndata: ${JSON.stringify(withTimes(entry, ['at']))}\n\n`;
  events.set(entry, event);
  return event;
}

function lastEvent(event: 'dropped' | 'stopping' | 'ended', sentence: string): string {
  return `event: ${event}\ndata: ${JSON.stringify({ sentence })}\n\n`;
}
