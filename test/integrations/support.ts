/** What the tests of integrations share: a small server, a clock that flies, contexts, and calling actions as the engine does. */
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Clock } from '../../src/clock.ts';
import type {
  ActionDefinition,
  ActionInput,
  ActionOutcome,
  EffectContext,
  Integration,
  Json,
} from '../../src/integrations/contract.ts';

export interface TestServer {
  url: string;
  /** Requests so far, oldest first. */
  requests: { method: string; path: string; headers: http.IncomingHttpHeaders; body: string }[];
  [Symbol.asyncDispose](): Promise<void>;
}

export interface TestRequest {
  method: string;
  url: URL;
  headers: http.IncomingHttpHeaders;
  body: string;
}

/** Answers each request with what the handler returns: `[status, body, headers]`; undefined when it answered by itself. */
export type Handler = (
  request: TestRequest,
  response: http.ServerResponse,
) =>
  | [number, unknown, Record<string, string>?]
  | undefined
  | Promise<[number, unknown, Record<string, string>?] | undefined>;

export async function serve(handler: Handler): Promise<TestServer> {
  const requests: TestServer['requests'] = [];
  const server = http.createServer(async (incoming, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks).toString();
    const method = incoming.method ?? '';
    const url = new URL(incoming.url ?? '/', 'http://test');
    requests.push({ method, path: url.pathname + url.search, headers: incoming.headers, body });
    const answer = await handler({ method, url, headers: incoming.headers, body }, response);
    if (answer === undefined) return;
    const [status, value, headers = {}] = answer;
    response.writeHead(status, { 'content-type': 'application/json', ...headers });
    response.end(value === undefined ? undefined : typeof value === 'string' ? value : JSON.stringify(value));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Real time, twenty times as fast: waits between polls and retries take milliseconds, limits of ten seconds half of one. */
export function fastClock(factor = 20, start = Date.UTC(2026, 0, 5, 12)): Clock {
  const origin = performance.now();
  const monotonic = () => (performance.now() - origin) * factor;
  return {
    monotonic,
    now: () => Math.floor(start + monotonic()),
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason);
        const stop = () => {
          clearTimeout(timer);
          reject(signal?.reason);
        };
        const timer = setTimeout(() => {
          signal?.removeEventListener('abort', stop);
          resolve();
        }, ms / factor);
        signal?.addEventListener('abort', stop, { once: true });
      }),
  };
}

/** The limit of one request, which sleeps for at least so long. */
const requestLimitMs = 10_000;

/** As `fastClock`, but limits of requests take real time: a busy machine is no server that does not answer. */
export function patientClock(factor: number): Clock {
  const clock = fastClock(factor);
  return { ...clock, sleep: (ms, signal) => clock.sleep(ms < requestLimitMs ? ms : ms * factor, signal) };
}

/** A context for one call; its limit is real time, far beyond what a test takes. */
export function contextFor(
  idempotencyKey = 'run-1/steps/0',
  clock: Clock = fastClock(),
  signal = AbortSignal.timeout(20_000),
): EffectContext {
  return { clock, signal, idempotencyKey };
}

export function actionOf(integration: Integration, name: string): ActionDefinition {
  const action = integration.actions.find((one) => one.name === name);
  if (action === undefined) throw new Error(`${integration.name} has no action ${name}`);
  return action;
}

/** Captures and executes, as the engine does. */
export async function act(
  integration: Integration,
  name: string,
  input: ActionInput,
  context = contextFor(),
): Promise<{ action: ActionDefinition; before: Json; outcome: ActionOutcome }> {
  const action = actionOf(integration, name);
  const before = throughJournal(await action.capture(context, input));
  return { action, before, outcome: await action.execute(context, input, before) };
}

/** What comes back of a value after the journal: JSON, and nothing else. */
export function throughJournal(value: Json): Json {
  return JSON.parse(JSON.stringify(value)) as Json;
}

export async function readFact(
  integration: Integration,
  name: string,
  args: Json[] = [],
  context = contextFor(),
): Promise<Json> {
  const fact = integration.facts.find((one) => one.name === name);
  if (fact === undefined) throw new Error(`${integration.name} has no fact ${name}`);
  return fact.read(context, args);
}
