/** Redis 7.0 from Debian's packages, which speaks what Valkey speaks, on loopback. */

import { connect } from 'node:net';
import {
  demand,
  findPrograms,
  freePort,
  orStop,
  type Programs,
  type Running,
  type Server,
  startServer,
  temporaryDirectory,
  waitUntil,
} from './process.ts';

export interface Redis extends Running {
  /** `127.0.0.1:<port>` */
  readonly address: string;
  readonly server: Server;
}

export interface RedisOptions {
  /** Follows this server, `HOST:PORT`. */
  replicaOf?: string;
}

/** An idle machine needs a tenth of a second. */
const START_LIMIT_MS = 30_000;

/** Whether Redis can be started here. */
export function findRedis(): Programs<'redis-server'> {
  return findPrograms(['redis-server'], ['/usr/bin']);
}

/** Starts an empty Redis on a free loopback port. */
export async function startRedis(options: RedisOptions = {}): Promise<Redis> {
  const program = demand(findRedis())['redis-server'];
  const directory = temporaryDirectory('redis');
  const port = await freePort();
  const [host, of] = options.replicaOf?.split(':') ?? [];
  const server = startServer({
    name: `redis ${port}`,
    program,
    args: [
      ...['--port', String(port), '--bind', '127.0.0.1', '--dir', directory.path],
      ...['--save', '', '--appendonly', 'no'],
      // A replica attaches without the five seconds that wait for others to attach, too.
      ...['--repl-diskless-sync-delay', '0', '--repl-ping-replica-period', '1'],
      ...(options.replicaOf === undefined ? [] : ['--replicaof', `${host} ${of}`]),
    ],
  });
  const stop = async (): Promise<void> => {
    await server.stop();
    directory.remove();
  };
  await orStop(() => waitUntil(`redis at ${port}`, START_LIMIT_MS, () => ping(port), [server]), stop);
  return { address: `127.0.0.1:${port}`, server, stop, logs: server.logs };
}

/** Whether it answers PING with PONG. */
function ping(port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write('PING\r\n'));
    socket.setTimeout(2000, () => socket.destroy(new Error('no answer to PING')));
    socket.once('error', reject);
    socket.once('data', (data) => {
      socket.destroy();
      resolve(data.toString().startsWith('+PONG'));
    });
  });
}
