/** Knot DNS 3 from Debian's packages: the primary of one empty zone, which a TSIG key may read and update. */
import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
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

export interface Knot extends Running {
  /** `tcp://127.0.0.1:<port>`; UDP on the same port. */
  readonly url: string;
  readonly port: number;
  readonly zone: string;
  /** hmac-sha256; the secret in base64. */
  readonly key: { name: string; secret: string };
}

/** An idle machine needs a tenth of a second. */
const START_LIMIT_MS = 30_000;

/** Whether Knot DNS can be started here. */
export function findKnot(): Programs<'knotd'> {
  return findPrograms(['knotd'], ['/usr/sbin']);
}

/** Starts Knot DNS on a free loopback port, with the zone `witness.example`. */
export async function startKnot(): Promise<Knot> {
  const { knotd } = demand(findKnot());
  const directory = temporaryDirectory('knot');
  const port = await freePort();
  const zone = 'witness.example';
  const key = { name: 'region', secret: randomBytes(32).toString('base64') };
  for (const part of ['run', 'db', 'zones']) mkdirSync(join(directory.path, part));
  writeFileSync(
    join(directory.path, 'zones', `${zone}.zone`),
    `${zone}. 3600 SOA ns.${zone}. hostmaster.${zone}. 1 3600 600 86400 0\n${zone}. 3600 NS ns.${zone}.\nns.${zone}. 3600 A 127.0.0.1\n`,
  );
  const configuration = join(directory.path, 'knot.conf');
  writeFileSync(configuration, configurationText(directory.path, port, zone, key), { mode: 0o600 });
  const server = startServer({ name: 'knotd', program: knotd, args: ['--config', configuration] });
  const stop = async (): Promise<void> => {
    await server.stop();
    directory.remove();
  };
  await orStop(() => waitUntil(`knotd on port ${port}`, START_LIMIT_MS, () => accepts(port), [server]), stop);
  return { url: `tcp://127.0.0.1:${port}`, port, zone, key, stop, logs: server.logs };
}

function configurationText(directory: string, port: number, zone: string, key: Knot['key']): string {
  return `
server:
  rundir: "${directory}/run"
  listen: 127.0.0.1@${port}
  udp-workers: 1
  tcp-workers: 2
  background-workers: 1
log:
  - target: stderr
    any: info
database:
  storage: "${directory}/db"
key:
  - id: ${key.name}
    algorithm: hmac-sha256
    secret: ${key.secret}
acl:
  - id: regions
    key: ${key.name}
    action: update
zone:
  - domain: ${zone}
    storage: "${directory}/zones"
    acl: regions
    zonefile-sync: -1
    journal-content: all
`;
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', reject);
  });
}
