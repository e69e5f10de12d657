/**
 * A lean HTTP/1.1 client: requests are made before the clock starts, and of an answer only the status and the length are
 * read. The client shares the machine with what it measures, so that each microsecond of its own would be counted twice.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

export interface Target {
  url: string;
  token?: string;
}

/** The bytes of a POST with this body. */
export function postRequest({ url, token }: Target, body: string): Buffer {
  const { host, pathname } = new URL(url);
  const head = [
    `POST ${pathname} HTTP/1.1`,
    `Host: ${host}`,
    'Content-Type: application/json',
    ...(token === undefined ? [] : [`Authorization: Bearer ${token}`]),
    `Content-Length: ${Buffer.byteLength(body)}`,
  ];
  return Buffer.from(`${head.join('\r\n')}\r\n\r\n${body}`);
}

/** The bytes of a GET of this path. */
export function getRequest({ url, token }: Target, path: string): Buffer {
  const { host } = new URL(url);
  const authorization = token === undefined ? [] : [`Authorization: Bearer ${token}`];
  return Buffer.from(`${[`GET ${path} HTTP/1.1`, `Host: ${host}`, ...authorization].join('\r\n')}\r\n\r\n`);
}

/** One connection, kept alive and opened again when the other side closed it idle; one request at a time. */
export class Connection {
  readonly #target: Target;
  #socket: Socket;
  #text = '';
  #done: ((status: number) => void) | undefined;

  private constructor(target: Target) {
    this.#target = target;
    this.#socket = this.#connect();
  }

  static async open(target: Target): Promise<Connection> {
    const connection = new Connection(target);
    await once(connection.#socket, 'connect');
    return connection;
  }

  /** Calls `done` with the status of the answer; with 0 when the connection was lost meanwhile. */
  send(request: Buffer, done: (status: number) => void): void {
    if (this.#socket.destroyed) this.#socket = this.#connect();
    this.#done = done;
    this.#socket.write(request);
  }

  close(): void {
    this.#socket.destroy();
  }

  #connect(): Socket {
    this.#text = '';
    const { hostname, port } = new URL(this.#target.url);
    const socket = connect({ host: hostname, port: Number(port), noDelay: true });
    socket.on('data', (chunk) => this.#read(chunk));
    // What became of it is told by `close`, which follows.
    socket.on('error', () => {});
    socket.on('close', () => this.#finish(0));
    return socket;
  }

  #read(chunk: Buffer): void {
    this.#text += chunk.toString('latin1');
    const headEnd = this.#text.indexOf('\r\n\r\n');
    if (headEnd < 0) return;
    const length = /\r\ncontent-length: (\d+)/i.exec(this.#text.slice(0, headEnd))?.[1];
    if (this.#text.length < headEnd + 4 + Number(length ?? 0)) return;
    const status = Number(this.#text.slice(9, 12));
    this.#text = '';
    this.#finish(status);
  }

  #finish(status: number): void {
    const done = this.#done;
    this.#done = undefined;
    done?.(status);
  }
}

export interface LoadResult {
  /** Requests answered 200. */
  answered: number;
  /** Requests answered otherwise, or not at all. */
  failed: number;
  seconds: number;
  /** From when a request was due to its answer, ms. */
  latencies: number[];
  /** Share of one processor the client itself used. */
  clientLoad: number;
}

/** So many connections, each sending its next request when the one before is answered, until `count` are answered. */
export async function closedLoop(
  target: Target,
  requests: readonly Buffer[],
  { connections, count }: { connections: number; count: number },
): Promise<LoadResult> {
  return measured(target, connections, (open, answer) => {
    let sent = 0;
    return Promise.all(
      open.map(
        (connection) =>
          new Promise<void>((resolve) => {
            const next = () => {
              if (sent >= count) return resolve();
              const request = requests[sent++ % requests.length] as Buffer;
              const due = performance.now();
              connection.send(request, (status) => {
                answer(status, due);
                next();
              });
            };
            next();
          }),
      ),
    );
  });
}

/**
 * Requests that are due at a steady rate whether or not earlier ones were answered. The latency counts from when a request
 * was due, so that a server that stops for a moment is charged for everyone who would have come meanwhile.
 */
export async function openLoop(
  target: Target,
  requests: readonly Buffer[],
  {
    connections,
    rate,
    seconds,
    onSend,
  }: { connections: number; rate: number; seconds: number; onSend?: (index: number, due: number) => void },
): Promise<LoadResult> {
  return measured(target, connections, (open, answer) => {
    const free = [...open];
    const late: { index: number; due: number }[] = [];
    const total = Math.round(rate * seconds);
    const { promise, resolve } = Promise.withResolvers<void>();
    const started = performance.now();
    let due = 0;
    let finished = 0;
    const send = (connection: Connection, request: { index: number; due: number }) => {
      connection.send(requests[request.index % requests.length] as Buffer, (status) => {
        answer(status, request.due);
        finished += 1;
        const next = late.shift();
        if (next) send(connection, next);
        else free.push(connection);
        if (finished === total) resolve();
      });
    };
    const tick = () => {
      const now = performance.now();
      for (; due < total && started + (due * 1000) / rate <= now; due++) {
        const request = { index: due, due: started + (due * 1000) / rate };
        onSend?.(request.index, request.due);
        const connection = free.pop();
        if (connection) send(connection, request);
        else late.push(request);
      }
      if (due < total) setTimeout(tick, 1);
    };
    tick();
    return promise;
  });
}

async function measured(
  target: Target,
  connections: number,
  work: (open: readonly Connection[], answer: (status: number, due: number) => void) => Promise<unknown>,
): Promise<LoadResult> {
  const open = await Promise.all(Array.from({ length: connections }, () => Connection.open(target)));
  const result: LoadResult = { answered: 0, failed: 0, seconds: 0, latencies: [], clientLoad: 0 };
  const cpu = process.cpuUsage();
  const started = performance.now();
  await work(open, (status, due) => {
    if (status === 200) result.answered += 1;
    else result.failed += 1;
    result.latencies.push(performance.now() - due);
  });
  result.seconds = (performance.now() - started) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  result.clientLoad = (user + system) / 1e6 / result.seconds;
  for (const connection of open) connection.close();
  return result;
}
