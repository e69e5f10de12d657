/** PowerDNS 4.7 from Debian's packages with its SQLite backend and LUA records, on loopback. */
import { execFileSync } from 'node:child_process';
import { Resolver } from 'node:dns/promises';
import { writeFileSync } from 'node:fs';
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

export interface PowerDns extends Running {
  /** Addresses of a name, none when there are none. */
  resolve(name: string): Promise<string[]>;
}

const SCHEMA = '/usr/share/doc/pdns-backend-sqlite3/schema.sqlite3.sql';
/** An idle machine needs a second. */
const START_LIMIT_MS = 30_000;

/** Whether PowerDNS can be started here. */
export function findPowerDns(): Programs<'pdns_server' | 'pdnsutil' | 'sqlite3'> {
  return findPrograms(['pdns_server', 'pdnsutil', 'sqlite3'], ['/usr/sbin', '/usr/bin']);
}

/** Starts a server with one zone and one LUA record in it; `content` is what stands after `LUA`. */
export async function startPowerDns(zone: string, host: string, content: string): Promise<PowerDns> {
  const programs = demand(findPowerDns());
  const directory = temporaryDirectory('powerdns');
  const port = await freePort();
  const database = join(directory.path, 'pdns.sqlite3');
  execFileSync(programs.sqlite3, [database, `.read ${SCHEMA}`]);
  const settings = [
    ...['launch=gsqlite3', `gsqlite3-database=${database}`, `socket-dir=${directory.path}`],
    ...['local-address=127.0.0.1', `local-port=${port}`, 'enable-lua-records=yes', 'lua-health-checks-interval=1'],
    ...['cache-ttl=0', 'query-cache-ttl=0', 'negquery-cache-ttl=0', 'guardian=no', 'daemon=no'],
  ];
  writeFileSync(join(directory.path, 'pdns.conf'), `${settings.join('\n')}\n`);
  const config = `--config-dir=${directory.path}`;
  execFileSync(programs.pdnsutil, [config, 'create-zone', zone, `ns.${zone}`], { stdio: 'ignore' });
  execFileSync(programs.pdnsutil, [config, 'add-record', zone, host, 'LUA', '5', content], { stdio: 'ignore' });
  const server = startServer({ name: 'powerdns', program: programs.pdns_server, args: [config] });
  const resolver = new Resolver({ timeout: 3_000, tries: 1 });
  resolver.setServers([`127.0.0.1:${port}`]);
  const stop = async (): Promise<void> => {
    await server.stop();
    directory.remove();
  };
  await orStop(
    () =>
      waitUntil(`powerdns at ${port}`, START_LIMIT_MS, async () => (await resolver.resolveNs(zone)).length > 0, [
        server,
      ]),
    stop,
  );
  return {
    resolve: (name) =>
      resolver.resolve4(name).catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'ENODATA') return [];
        throw error;
      }),
    stop,
    logs: server.logs,
  };
}
