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
  return { url, stop, logs: server.logs };
}
