/**
 * The world the runbooks of a benchmark act on: one HTTP server in this process that answers at once, is Prometheus as far
 * as the confirmation of alerts goes, and notes when each request arrived.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface World {
  url: string;
  /** For `integrations` of the configuration. */
  integrations: object;
  /** When the request for a path arrived first, ms of `performance.now()`. */
  arrivals: ReadonlyMap<string, number>;
  /** Resolves when so many different paths below /act/ were asked for. */
  acted(count: number, limitMs: number): Promise<void>;
  stop(): Promise<void>;
}

export async function startWorld(): Promise<World> {
  const arrivals = new Map<string, number>();
  let changed = () => {};
  const server = createServer((request, response) => {
    const path = request.url ?? '/';
    if (path.startsWith('/api/v1/query')) return void response.end(firing(path));
    if (!arrivals.has(path)) arrivals.set(path, performance.now());
    changed();
    response.end('{}');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const url = `http://${host}`;
  const acts = () => [...arrivals.keys()].filter((path) => path.startsWith('/act/')).length;
  return {
    url,
    integrations: { http: { hosts: { [host]: {} } }, prometheus: { url } },
    arrivals,
    acted: (count, limitMs) =>
      new Promise((resolve, reject) => {
        const late = setTimeout(
          () => reject(new Error(`${acts()} of ${count} actions arrived within ${limitMs} ms.`)),
          limitMs,
        );
        changed = () => {
          if (acts() < count) return;
          clearTimeout(late);
          resolve();
        };
        changed();
      }),
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Prometheus' answer to an alert's own expression, `bench{n="17"} == 1`: one sample with its labels, so that it fires. */
function firing(path: string): string {
  const expression = new URL(path, 'http://world').searchParams.get('query') ?? '';
  const n = /^bench\{n="(\d+)"\}/.exec(expression)?.[1];
  const result = n === undefined ? [] : [{ metric: { __name__: 'bench', n }, value: [Date.now() / 1000, '1'] }];
  return JSON.stringify({ status: 'success', data: { resultType: 'vector', result } });
}
