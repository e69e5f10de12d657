/** Unbound from Debian's packages: a real recursive resolver on loopback that is told where some zones are served. */
import { writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import {
  demand,
  findPrograms,
  freePort,
  orStop,
  type Programs,
  type Running,
  startServer,
  temporaryDirectory,
  waitUntil,
} from './process.ts';

export interface UnboundOptions {
  /** Zones and the authoritative servers on loopback they are asked of. */
  stubs: readonly { zone: string; port: number }[];
  /** Records it knows by itself, as in a zone file. */
  localData?: readonly string[];
}

export interface Unbound extends Running {
  readonly port: number;
}

/** An idle machine needs a tenth of a second. */
const START_LIMIT_MS = 30_000;

/** Whether Unbound can be started here. */
export function findUnbound(): Programs<'unbound'> {
  return findPrograms(['unbound'], ['/usr/sbin']);
}

/** Starts Unbound on a free loopback port. It asks nobody outside this machine. */
export async function startUnbound({ stubs, localData = [] }: UnboundOptions): Promise<Unbound> {
  const { unbound } = demand(findUnbound());
  const directory = temporaryDirectory('unbound');
  const port = await freePort();
  const file = join(directory.path, 'unbound.conf');
  // No root servers but a closed port: what is not stubbed fails at once.
  writeFileSync(
    file,
    `server:
  interface: 127.0.0.1
  port: ${port}
  username: ""
  chroot: ""
  directory: "${directory.path}"
  pidfile: ""
  use-syslog: no
  verbosity: 1
  num-threads: 1
  do-daemonize: no
  do-not-query-localhost: no
  module-config: "iterator"
  do-ip6: no
  cache-max-negative-ttl: 300
${localData.map((record) => `  local-data: '${record}'\n`).join('')}
remote-control:
  control-enable: no
forward-zone:
  name: "."
  forward-addr: 127.0.0.1@${await freePort()}
${stubs.map(({ zone, port: at }) => `stub-zone:\n  name: "${zone}"\n  stub-addr: 127.0.0.1@${at}\n`).join('')}`,
  );
  const server = startServer({ name: 'unbound', program: unbound, args: ['-d', '-c', file] });
  const stop = async (): Promise<void> => {
    await server.stop();
    directory.remove();
  };
  await orStop(() => waitUntil(`unbound on port ${port}`, START_LIMIT_MS, () => accepts(port), [server]), stop);
  return { port, stop, logs: server.logs };
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', reject);
  });
}
