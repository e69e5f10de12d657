/** PostgreSQL 15 from Debian's packages: a fresh server with its own data directory for every start. */
import { randomBytes } from 'node:crypto';
import { chmodSync, chownSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { Client } from 'pg';
import {
  demand,
  findPrograms,
  freePort,
  orStop,
  type Programs,
  type Running,
  runProgram,
  type Server,
  startServer,
  temporaryDirectory,
  waitUntil,
} from './process.ts';

export interface PostgresOptions {
  /** Off is faster and survives a killed server all the same, but not a lost machine. Default on. */
  fsync?: boolean;
  /** Further settings, as in postgresql.conf: `{ max_connections: '20' }`. */
  settings?: Record<string, string>;
}

export interface Postgres extends Running {
  /** Connection string of the superuser to the database `postgres`; no password, loopback only. */
  readonly url: string;
  readonly port: number;
  /** Process id of the server as it runs now. */
  pid(): number;
  /** Creates an empty database and returns its connection string. */
  createDatabase(name?: string): Promise<string>;
  /** kill -9 of the server, as a power cut of its process: no checkpoint, no goodbye to clients. */
  crash(): Promise<void>;
  /** Starts the server again on the same data and port, after `crash`. Returns when it answers. */
  restart(): Promise<void>;
}

/** The server refuses to run as root; Debian's package brings this user. */
const USER = 'postgres';
/** Recovery after a crash included; an idle machine needs one second. */
const START_LIMIT_MS = 30_000;
/** After a kill -9 the server's children need a moment to notice; until then a new server refuses to start. */
const LINGERING = /shared memory block .* is still in use/;

/** Whether PostgreSQL can be started here. */
export function findPostgres(): Programs<'initdb' | 'postgres'> {
  return findPrograms(['initdb', 'postgres'], ['/usr/lib/postgresql/15/bin']);
}

/** Starts a fresh PostgreSQL on a free loopback port. */
export async function startPostgres(options: PostgresOptions = {}): Promise<Postgres> {
  const programs = demand(findPostgres());
  const directory = temporaryDirectory('postgres');
  const port = await freePort();
  const url = `postgres://${USER}@127.0.0.1:${port}`;
  let server: Server | undefined;
  const start = async (): Promise<void> => {
    const started = performance.now();
    for (;;) {
      server = launch(programs.postgres, join(directory.path, 'data'), port, options);
      try {
        return await waitUntil(`postgres on port ${port}`, START_LIMIT_MS, () => accepts(`${url}/postgres`), [server]);
      } catch (error) {
        if (!LINGERING.test(server.logs()) || performance.now() - started > START_LIMIT_MS) throw error;
      }
    }
  };
  const stop = async (): Promise<void> => {
    await server?.stop();
    directory.remove();
  };
  await orStop(async () => {
    initialise(programs.initdb, directory.path);
    await start();
  }, stop);
  return {
    url: `${url}/postgres`,
    port,
    pid: () => server?.pid ?? 0,
    stop,
    logs: () => server?.logs() ?? '',
    createDatabase: async (name = `test_${randomBytes(6).toString('hex')}`) => {
      await query(`${url}/postgres`, `CREATE DATABASE "${name.replaceAll('"', '""')}"`);
      return `${url}/${encodeURIComponent(name)}`;
    },
    crash: async () => server?.kill('SIGKILL'),
    restart: start,
  };
}

function initialise(initdb: string, directory: string): void {
  const data = join(directory, 'data');
  mkdirSync(data, { mode: 0o700 });
  if (process.getuid?.() === 0) {
    chmodSync(directory, 0o755);
    chownSync(data, Number(runProgram('id', ['-u', USER])), Number(runProgram('id', ['-g', USER])));
  }
  const setup = ['--username', USER, '--auth', 'trust', '--encoding', 'UTF8', '--locale', 'C.UTF-8', '--no-sync'];
  runProgram(initdb, ['--pgdata', data, ...setup], USER);
}

function launch(program: string, data: string, port: number, options: PostgresOptions): Server {
  const settings: Record<string, string> = {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    fsync: options.fsync === false ? 'off' : 'on',
    ...options.settings,
  };
  return startServer({
    name: 'postgres',
    program,
    args: [
      '-D',
      data,
      '-p',
      String(port),
      ...Object.entries(settings).flatMap(([key, value]) => ['-c', `${key}=${value}`]),
    ],
    user: USER,
    cwd: data,
    // "Fast": open connections are ended. SIGTERM would wait for the clients to leave.
    stopSignal: 'SIGINT',
    // "Immediate": on SIGKILL its children would linger for a moment.
    orphanSignal: 'SIGQUIT',
  });
}

async function accepts(url: string): Promise<boolean> {
  await query(url, 'SELECT 1');
  return true;
}

async function query(url: string, sql: string): Promise<void> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 2000 });
  // A connection that breaks when the server is killed says so here; the query has its own answer.
  client.on('error', () => {});
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}
