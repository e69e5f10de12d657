/**
 * The world of a chaos run, in a process nobody kills: a server whose effects cannot be repeated without harm, that is
 * slow, refuses, and loses answers before and after the effect, and that counts by Idempotency-Key what took place.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { drawn } from './chance.ts';

/** What the server does with one request. */
type Mood = 'works' | 'answersLate' | 'actsLate' | 'losesAnswer' | 'losesRequest' | 'unavailable' | 'busy';

const moods: readonly [Mood, share: number][] = [
  ['works', 0.45],
  ['answersLate', 0.15],
  ['actsLate', 0.12],
  ['losesAnswer', 0.1],
  ['losesRequest', 0.08],
  ['unavailable', 0.06],
  ['busy', 0.04],
];

/** Longest the server keeps an answer back, ms. */
const slowestAnswer = 900;
/**
 * Longest the server keeps a request before it acts, ms: longer than a restart of the product takes, so that it is asked
 * whether an effect took place while that is still to come. Runbooks give their steps more time than this.
 */
export const slowestEffect = 6_000;

export interface World {
  url: string;
  /** How often each effect took place, by Idempotency-Key. */
  effects: ReadonlyMap<string, number>;
  /** The same for effects that may be repeated (PUT). */
  repeatable: ReadonlyMap<string, number>;
  /** Pages by Idempotency-Key. */
  pages: ReadonlyMap<string, number>;
  /** How often each mood came up, for the report. */
  moods: ReadonlyMap<Mood, number>;
  close(): Promise<void>;
}

export async function openWorld(seed: number): Promise<World> {
  const effects = new Map<string, number>();
  const repeatable = new Map<string, number>();
  const pages = new Map<string, number>();
  const seen = new Map<Mood, number>();
  const tries = new Map<string, number>();
  const add = <K>(counts: Map<K, number>, key: K) => {
    const count = (counts.get(key) ?? 0) + 1;
    counts.set(key, count);
    return count;
  };

  async function act(key: string, into: Map<string, number>, response: ServerResponse): Promise<void> {
    const attempt = add(tries, key);
    const mood = moodOf(drawn(seed, 'mood', key, attempt));
    add(seen, mood);
    const pause = drawn(seed, 'pause', key, attempt);
    if (mood === 'unavailable') return answer(response, 503, { error: 'down' });
    if (mood === 'busy') return answer(response, 429, { error: 'busy' }, { 'retry-after': '1' });
    if (mood === 'losesRequest') return void response.destroy();
    // Goes on to its effect even when the one who asked is long dead: that is what makes it dangerous.
    if (mood === 'actsLate') await delay(pause * slowestEffect);
    add(into, key);
    if (mood === 'losesAnswer') return void response.destroy();
    if (mood === 'answersLate') await delay(pause * slowestAnswer);
    answer(response, 200, { done: true });
  }

  const server = createServer((request, response) => {
    // A connection whose other end was killed.
    response.on('error', () => {});
    void readAll(request).then(
      () => route(request, response),
      () => {},
    );
  });

  async function route(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const [, noun = '', ...rest] = (request.url ?? '/').split('?')[0]?.split('/') ?? [];
    const about = rest.join('/');
    const key = String(request.headers['idempotency-key'] ?? '');
    switch (`${request.method} ${noun}`) {
      case 'POST act':
        return act(key, effects, response);
      case 'PUT act':
        return act(key, repeatable, response);
      case 'POST refuse':
        return answer(response, 422, { error: 'never' });
      case 'GET confirm':
        // One question in twenty is not answered.
        if (drawn(seed, 'confirm', about, add(tries, `?${about}`)) < 0.05) return answer(response, 503, {});
        return answer(response, effects.has(about) ? 200 : 404, {});
      case 'GET state':
        return answer(response, 200, { done: effects.has(about) || repeatable.has(about) });
      case 'POST page':
        add(pages, key);
        return answer(response, 200, {});
      default:
        return answer(response, 404, {});
    }
  }

  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    effects,
    repeatable,
    pages,
    moods: seen,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function moodOf(draw: number): Mood {
  let left = draw;
  for (const [mood, share] of moods) {
    left -= share;
    if (left < 0) return mood;
  }
  return 'works';
}

function answer(response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
}

async function readAll(request: IncomingMessage): Promise<void> {
  for await (const _ of request);
}
