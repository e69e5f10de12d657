/** A witness and the controllers of two regions as processes of the command line, wherever a test puts them. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { dump } from 'js-yaml';
import { apiVersion } from '../../src/catalog/resource.ts';
import type { Clock } from '../../src/clock.ts';
import type { Served } from '../../src/failover/drill/observer.ts';
import { mainProgram } from '../../src/failover/drill/processes.ts';
import { generateKey, type SigningKey, signingKey } from '../../src/failover/keys.ts';
import { createHttpWitness } from '../../src/failover/witness/http.ts';
import type { Witness } from '../../src/failover/witness/witness.ts';
import { type Server, startServer, waitUntil } from '../../testbed/process.ts';

export const regionNames = ['hz-fsn-rtz-prod', 'hz-hel-rtz-prod'] as const;
export const group = 'orders';
/** As `alice` commands, by the token of that name. */
const token = 'token-of-alice';

/** A program of ours and where it said that it listens. */
export interface Program extends Server {
  url: string;
}

/** Two shared cores under load; an idle machine needs a second. */
const startLimitMs = 90_000;
/** What is waited for takes some leases of a few seconds, and a busy machine a multiple of that. */
const stateLimitMs = 90_000;

/** Waits for a state of the world, and fails with the last lines of `servers` when it does not come. */
export function until(what: string, look: () => Promise<boolean> | boolean, servers: readonly Server[] = []) {
  return waitUntil(what, stateLimitMs, look, servers);
}

async function start(name: string, enter: readonly string[], args: readonly string[], says: RegExp): Promise<Program> {
  const server = startServer({ name, enter, program: process.execPath, args: [mainProgram, ...args] });
  const listens = () => says.exec(server.logs())?.[1];
  await waitUntil(name, startLimitMs, () => listens() !== undefined, [server]);
  return { ...server, url: listens() ?? '' };
}

export interface Keys {
  privateKeyPem: string;
  publicKey: string;
  key: SigningKey;
}

export function regionKeys(): readonly [Keys, Keys] {
  const make = () => {
    const made = generateKey();
    return { ...made, key: signingKey(made.privateKeyPem) };
  };
  return [make(), make()];
}

export interface WitnessPlace {
  enter?: readonly string[];
  /** `host:port`, with a port that is free there. */
  listen: string;
  data: string;
  /** Plain HTTP without; a witness that is not on loopback is believed over TLS only. */
  tls?: { certFile: string; keyFile: string };
  /** Its configuration is written there. */
  folder: string;
}

export function startWitness(keys: readonly [Keys, Keys], place: WitnessPlace): Promise<Program> {
  const { enter = [], listen, data, tls, folder } = place;
  const regions = regionNames.map((name, i) => ({ name, publicKey: keys[i]?.publicKey }));
  const config = join(folder, 'witness.yaml');
  writeFileSync(config, dump({ regions, ...(tls === undefined ? {} : { tls }) }));
  const args = ['witness', '--listen', listen, '--data', data, '--config', config];
  return start('witness', enter, args, /listens at (https?:\S+) and keeps/);
}

/** The witness as a region sees it from here. */
export function witnessClient([one]: readonly [Keys, Keys], url: string, clock: Clock): Witness {
  return createHttpWitness({ name: 'third-site', url, region: regionNames[0], key: async () => one.key, clock });
}

export interface RegionPlace {
  enter?: readonly string[];
  /** Its configuration is written there. */
  folder: string;
  /** Default `data` in the folder. */
  dataDir?: string;
  listen: string;
  witness: { url: string; caFile?: string };
  /** Where the other controller's door for messages is seen, and where this one's is opened. */
  peerUrl: string;
  peerListen: string;
  /** Of the FailoverGroup, beside its regions and witness. */
  spec: object;
  /** More of the configuration. */
  config?: object;
}

export function startRegion(i: 0 | 1, keys: readonly [Keys, Keys], place: RegionPlace): Promise<Program> {
  const { folder, dataDir = join(folder, 'data'), listen, witness, peerUrl, peerListen } = place;
  const [name, peer] = [regionNames[i], regionNames[1 - i]];
  mkdirSync(folder, { recursive: true });
  const file = (path: string, text: string) => {
    writeFileSync(join(folder, path), text, { mode: 0o600 });
    return join(folder, path);
  };
  const spec = { regions: regionNames, witnesses: ['third-site'], ...place.spec };
  const config = {
    region: name,
    listen,
    dataDir,
    groups: [file('groups.yaml', dump({ apiVersion, kind: 'FailoverGroup', metadata: { name: group }, spec }))],
    privateKeyFile: file('region.pem', keys[i].privateKeyPem),
    witnesses: [{ name: 'third-site', http: witness }],
    peer: { region: peer, url: peerUrl, listen: peerListen, publicKey: keys[i === 0 ? 1 : 0].publicKey },
    tokens: [{ name: 'alice', tokenFile: file('token', token) }],
    ...place.config,
  };
  const args = ['failover', '--config', file('failover.yaml', dump(config))];
  return start(name, place.enter ?? [], args, /listens at (http:\S+?)\.$/m);
}

export interface Status {
  active: boolean;
  epoch: number;
  reason: string;
  proposal: { id: string } | null;
  witnesses: { reachable: boolean }[];
  failedChecks: { check: string; sentence: string; advice?: boolean }[];
  components: { verdict: string; sentence: string }[];
}

/** What a controller says about the group. */
export async function statusOf(url: string): Promise<Status> {
  const { groups } = (await call(url, 'status')) as { groups: Status[] };
  const [found] = groups;
  if (found === undefined) throw new Error(`${url} keeps no group`);
  return found;
}

/** Whether no pre-flight check stands in the way and every component may be moved, as far as this region knows. */
export async function isReady(url: string): Promise<boolean> {
  const { failedChecks, components } = await statusOf(url);
  return failedChecks.every(({ advice }) => advice) && components.every(({ verdict }) => verdict === 'ok');
}

/** Gives a command as `alice`. */
export async function command(url: string, verb: string, body: object): Promise<void> {
  await call(url, `groups/${group}/${verb}`, body);
}

async function call(url: string, path: string, body?: object): Promise<unknown> {
  const response = await fetch(`${url}/api/v1/failover/${path}`, {
    headers: { authorization: `Bearer ${token}`, connection: 'close' },
    signal: AbortSignal.timeout(10_000),
    ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }),
  });
  const answer: unknown = await response.json();
  if (!response.ok) throw new Error(`${path}: ${response.status} ${JSON.stringify(answer)}`);
  return answer;
}

/** Which regions answered, in order, each once in a row, with the epochs they answered under. */
export function reigns(answers: readonly Served[]): string[] {
  const inOrder = [...answers].sort((a, b) => a.answeredAt - b.answeredAt);
  const reigns: string[] = [];
  for (const { region, epoch } of inOrder) {
    const reign = `${region} ${epoch}`;
    if (reigns.at(-1) !== reign) reigns.push(reign);
  }
  return reigns;
}
