/** etcd 3.4 from Debian's packages, a single member on loopback. */
import {
  answers,
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

export interface Etcd extends Running {
  /** Client URL, `http://127.0.0.1:<port>`. */
  readonly url: string;
  /** Makes it forget everything older than now: whoever watches from before is told so. */
  compact(): Promise<void>;
}

/** An idle machine needs half a second. */
const START_LIMIT_MS = 30_000;

/** Whether etcd can be started here. */
export function findEtcd(): Programs<'etcd'> {
  return findPrograms(['etcd'], ['/usr/bin']);
}

/** Starts an empty etcd on free loopback ports. */
export async function startEtcd(): Promise<Etcd> {
  const { etcd } = demand(findEtcd());
  const directory = temporaryDirectory('etcd');
  const url = `http://127.0.0.1:${await freePort()}`;
  const peer = `http://127.0.0.1:${await freePort()}`;
  const server = startServer({
    name: 'etcd',
    program: etcd,
    args: [
      ...['--data-dir', directory.path, '--name', 'single'],
      ...['--listen-client-urls', url, '--advertise-client-urls', url],
      ...['--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer, '--initial-cluster', `single=${peer}`],
    ],
    // etcd refuses the arm64 build without it and ignores it elsewhere.
    env: { ETCD_UNSUPPORTED_ARCH: process.arch === 'arm64' ? 'arm64' : '' },
  });
  const stop = async (): Promise<void> => {
    await server.stop();
    directory.remove();
  };
  await orStop(() => waitUntil(`etcd at ${url}`, START_LIMIT_MS, () => answers(`${url}/health`), [server]), stop);
  return { url, stop, logs: server.logs, compact: () => compact(url) };
}

/** By etcd's JSON gateway; numbers are strings there, and keys are in base64. */
async function compact(url: string): Promise<void> {
  const call = async (path: string, body: object): Promise<{ header?: { revision?: string } }> => {
    const answer = await fetch(`${url}/v3/kv/${path}`, { method: 'POST', body: JSON.stringify(body) });
    if (!answer.ok) throw new Error(`etcd ${path}: ${answer.status} ${await answer.text()}`);
    return (await answer.json()) as { header?: { revision?: string } };
  };
  const key = Buffer.from('/').toString('base64');
  const { header } = await call('range', { key, limit: 1 });
  await call('compaction', { revision: header?.revision, physical: true });
}
