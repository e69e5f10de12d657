/** A pager that remembers: whoever is on call, played by a list. */
import { randomUUID } from 'node:crypto';
import type { Clock } from '../src/clock.ts';
import { type Listening, listen, sendJson } from './http.ts';

export interface Page {
  id: string;
  receivedAt: string;
  path: string;
  /** The Idempotency-Key it came with. */
  key?: string;
  body: unknown;
  /** How often the same page came. */
  deliveries: number;
}

export interface Pager extends Listening {
  received(): Page[];
  /** How many of the next deliveries to answer with 503, for tests of retries. */
  failNext(count: number): void;
}

/** How many pages are remembered; the oldest go first. */
const PAGE_LIMIT = 1_000;

/** Takes a page by POST on any path; the same Idempotency-Key twice is one page. `GET /pages` lists them. */
export async function startPager(clock: Clock, host: string, port: number): Promise<Pager> {
  const pages: Page[] = [];
  let failures = 0;
  const listening = await listen({
    host,
    port,
    handle: (call) => {
      if (call.method === 'GET' && call.path === '/pages') return sendJson(call, 200, pages);
      if (call.method !== 'POST')
        return sendJson(call, 405, { error: 'pages are sent by POST and listed at GET /pages' });
      if (failures > 0) {
        failures -= 1;
        return sendJson(call, 503, { error: 'the pager is out of order for the moment' });
      }
      let body: unknown;
      try {
        body = JSON.parse(call.body);
      } catch {
        return sendJson(call, 400, { error: 'a page is a JSON document' });
      }
      const header = call.headers['idempotency-key'];
      const key = typeof header === 'string' && header !== '' ? header : undefined;
      const known = key === undefined ? undefined : pages.find((page) => page.key === key);
      if (known && JSON.stringify(known.body) !== JSON.stringify(body)) {
        return sendJson(call, 422, { error: 'this Idempotency-Key was used for another page' });
      }
      if (known) {
        known.deliveries += 1;
        return sendJson(call, 200, { id: known.id, duplicate: true });
      }
      const receivedAt = new Date(clock.now()).toISOString();
      const page: Page = {
        id: randomUUID(),
        receivedAt,
        path: call.path,
        ...(key ? { key } : {}),
        body,
        deliveries: 1,
      };
      pages.push(page);
      if (pages.length > PAGE_LIMIT) pages.shift();
      return sendJson(call, 201, { id: page.id, duplicate: false });
    },
    fail: (call, status, message) => sendJson(call, status, { error: message }),
  });
  return {
    ...listening,
    received: () => structuredClone(pages),
    failNext: (count) => {
      failures = count;
    },
  };
}
