/** `catalyst-sre failover`: reads the configuration and the groups, plugs the controller together, and stops it when asked. */
import { isAbsolute, join, resolve } from 'node:path';
import { loadDocuments } from '../catalog/document.ts';
import type { FailoverGroupSpec } from '../catalog/kinds/failover-group.ts';
import type { CliIo } from '../cli/io.ts';
import type { Clock } from '../clock.ts';
import { CatalystError } from '../errors.ts';
import type { ClusterGroups, ClusterGroupsPorts } from '../failover/cluster-groups.ts';
import { configurationProblems, FailoverConfiguration } from '../failover/configuration.ts';
import { type Controller, startController } from '../failover/controller.ts';
import { createElapsed } from '../failover/elapsed-clock.ts';
import { createState, step } from '../failover/failover-decision.ts';
import { type GroupDeclaration, groupProblems } from '../failover/group-settings.ts';
import type { LayerPorts } from '../failover/layers/create-components.ts';
import { failoverFieldManager } from '../failover/layers/epoch-write.ts';
import { gateKeysOf } from '../failover/layers/gate-answer.ts';
import { ClockWatch } from '../failover/preflight.ts';
import { openPromiseFile } from '../failover/promise-file.ts';
import { openRecordFile } from '../failover/record-file.ts';
import { regionKey, witnessOpener } from '../failover/witness/open.ts';
import type { Witness } from '../failover/witness/witness.ts';
import { createSecrets, type Secrets, secretReference } from '../integrations/secrets.ts';
import { createLog, type Log } from '../telemetry/log.ts';
import { checkDocument, readText } from './check-document.ts';
import { parseListen } from './listen.ts';

export interface FailoverOptions {
  config: string;
}

/** Resolves when the controller has stopped. */
export async function runFailover(options: FailoverOptions, version: string, io: CliIo): Promise<void> {
  const path = resolve(io.directory, options.config);
  const config = await readFailoverConfig(path);
  const { region, dataDir } = config;
  const secrets = createSecrets(io.environment);
  const groups = await readGroups(config, path);
  const tokens = await Promise.all(
    config.tokens.map(async (token) => {
      const reference = secretReference(token, 'token');
      if (reference === undefined) throw new CatalystError('InvalidResource', `Token ${token.name} names no secret.`);
      return { name: token.name, secret: await secrets.read(reference) };
    }),
  );
  const layers = await layerPorts(config, secrets);
  const { clock } = io;
  const key = regionKey(config, secrets);
  const log = createLog({ level: config.logLevel });
  const watchGroups = await clusterGroupsOf(
    config,
    join(resolve(io.directory, dataDir), 'accepted-groups'),
    clock,
    log,
  );
  // Witnesses that are asked over HTTP tell their time with each answer; the peer is asked for it.
  const clocks = new ClockWatch(
    [
      ...config.witnesses.flatMap(({ name, http }) => (http ? [name] : [])),
      ...(config.peer ? [config.peer.region] : []),
    ],
    clock,
    async (signal) => {
      const sentAt = clock.now();
      if (config.peer && transports) clocks.hear(config.peer.region, sentAt, await transports.peerDate(signal));
    },
  );
  const openers = await Promise.all(
    config.witnesses.map(async (one) => ({
      name: one.name,
      open: await witnessOpener(one, {
        ...{ region, key, secrets, clock },
        onDate: (sentAt, header) => clocks.hear(one.name, sentAt, header),
      }),
    })),
  );
  // Started first, as the controller is to have something to speak through; it hears from the moment it is there.
  let controller: Controller | undefined;
  let clusterGroups: ClusterGroups | undefined;
  const transports =
    config.peer &&
    (await (
      await import('../failover/transports.ts')
    ).startTransports({
      region,
      key: await key(),
      peer: config.peer,
      resolvers: config.resolvers,
      stateOf: (group) => controller?.probeState(group),
      delayOf: (group, epoch) => controller?.delayOf(group, epoch),
      receive: (group, message) => controller?.receive(group, message),
      clock,
      log,
    }));
  controller = await startController({
    region,
    version,
    listen: parseListen(config.listen),
    groups,
    tokens,
    protocol: { initial: createState, step },
    witnesses: openers.map(({ open }) => open()),
    checkWitness: (name, signal) => checkWitness(openers, name, { region, clock, signal }),
    remark: (group) => clusterGroups?.remark(group),
    resolvers: resolversOf(config),
    probe: transports?.resolvers.length ? transports.probe : undefined,
    send: transports && ((group, message) => transports.send(group, message, AbortSignal.timeout(messageLimitMs))),
    gateKeys: await gateKeysReader(config, secrets),
    checkers: [clocks],
    peerReadiness: transports?.peerReadiness,
    lookAtCaching: transports?.lookAtCaching,
    layers,
    record: await openRecordFile(join(resolve(io.directory, dataDir), 'record.jsonl'), () => clock.now()),
    promises: (group) => openPromiseFile(join(resolve(io.directory, dataDir), 'promises', group)),
    elapsed: createElapsed(),
    clock,
    log,
  }).catch(async (error: unknown) => {
    await transports?.close();
    throw error;
  });
  const running = controller;
  clusterGroups = watchGroups?.({
    api: layers.kubernetes(),
    inFiles: new Set(groups.map(({ name }) => name)),
    problems: (declaration) => groupProblems(declaration, region, knownTo(config)),
    adopt: (declaration) => running.adopt(declaration),
    remove: (name) => running.remove(name),
    status: (name) => running.status().groups.find(({ group }) => group === name),
  });
  io.err(`The failover controller of ${region} listens at ${controller.url}.`);
  await new Promise<void>((done) => {
    if (io.signal.aborted) return done();
    io.signal.addEventListener('abort', () => done(), { once: true });
  });
  io.err('Stopping: everything is closed and the lease is given back first.');
  await clusterGroups?.stop();
  await controller.stop('asked to stop');
  await transports?.close();
}

/** A message that takes longer than a retry of a renewal comes too late to be of use. */
const messageLimitMs = 2_000;

const resolversOf = (config: FailoverConfiguration): readonly string[] => config.resolvers?.addresses ?? [];

/** @throws CatalystError InvalidResource with every problem, each with its line. */
async function readFailoverConfig(path: string): Promise<FailoverConfiguration> {
  const text = await readText(path);
  const checked = checkDocument<FailoverConfiguration>(text, path, FailoverConfiguration, (config) =>
    configurationProblems(config).map((problem) => ({ ...problem, atKey: true })),
  );
  if ('config' in checked) return checked.config;
  const lines = checked.problems.map((p) => `${p.file}:${p.line}:${p.column} ${p.sentence}`);
  throw new CatalystError('InvalidResource', `The configuration is wrong: ${lines.join(' ')}`, {
    hint: 'docs/failover-operations.md shows one that is right.',
  });
}

/** Loaded only when it is due. */
async function checkWitness(
  openers: readonly { name: string; open: () => Witness }[],
  name: string,
  options: { region: string; clock: Clock; signal: AbortSignal },
): Promise<readonly string[] | undefined> {
  const opener = openers.find((one) => one.name === name);
  if (!opener) return undefined;
  const { selfCheck } = await import('../failover/witness/self-check.ts');
  return (await selfCheck(name, opener.open, options)).problems;
}

/** Reads the keys once, so that a wrong one is told at the start; then again for each answer, as a changed one counts at once. */
async function gateKeysReader(config: FailoverConfiguration, secrets: Secrets) {
  const read = async (group: string) => {
    const entry = config.gateKeys.find((one) => one.group === group);
    const reference = entry && secretReference(entry, 'key');
    return reference && gateKeysOf(await secrets.read(reference));
  };
  for (const { group } of config.gateKeys) await read(group);
  return read;
}

/** What a group of this controller may refer to. */
function knownTo(config: FailoverConfiguration) {
  return {
    witnesses: config.witnesses.map(({ name }) => name),
    resolvers: resolversOf(config),
    peer: config.peer?.region,
  };
}

/** Loaded only where it is configured; the folder is opened before anything is started. */
async function clusterGroupsOf(
  { clusterGroups, region }: FailoverConfiguration,
  folder: string,
  clock: Clock,
  log: Log,
): Promise<
  ((ports: Omit<ClusterGroupsPorts, 'namespace' | 'memory' | 'clock' | 'onNote'>) => ClusterGroups) | undefined
> {
  if (!clusterGroups) return undefined;
  const [{ watchClusterGroups }, { openGroupMemory }] = await Promise.all([
    import('../failover/cluster-groups.ts'),
    import('../failover/group-memory.ts'),
  ]);
  const onNote = (sentence: string, failed: boolean) => log[failed ? 'warn' : 'info']({ region }, sentence);
  const memory = await openGroupMemory(
    folder,
    () => clock.now(),
    (sentence) => onNote(sentence, true),
  );
  return (ports) => watchClusterGroups({ ...ports, namespace: clusterGroups.namespace, memory, clock, onNote });
}

/** The groups of all files. @throws CatalystError InvalidResource with every problem and the rule it breaks. */
async function readGroups(config: FailoverConfiguration, configPath: string): Promise<GroupDeclaration[]> {
  const found: GroupDeclaration[] = [];
  const problems: string[] = [];
  const known = knownTo(config);
  for (const file of config.groups) {
    const path = isAbsolute(file) ? file : join(configPath, '..', file);
    const { resources, problems: wrong } = loadDocuments(await readText(path), { source: 'configuration', file: path });
    problems.push(...wrong.map((p) => `${p.file}:${p.line}:${p.column} ${p.sentence}`));
    for (const { kind, metadata, spec, provenance } of resources) {
      if (kind !== 'FailoverGroup') continue;
      const group = { name: metadata.name, spec: spec as FailoverGroupSpec };
      if (found.some(({ name }) => name === group.name)) problems.push(`The group ${group.name} is there twice.`);
      for (const sentence of groupProblems(group, config.region, known))
        problems.push(`${provenance.file}:${provenance.line} ${sentence}`);
      found.push(group);
    }
  }
  if (found.length === 0 && problems.length === 0 && !config.clusterGroups)
    problems.push('The files hold no FailoverGroup.');
  if (problems.length === 0) return found;
  throw new CatalystError('InvalidResource', `The groups are wrong: ${problems.join(' ')}`, {
    hint: 'Nothing was started: a lease whose margins do not add up is worse than none.',
  });
}

/** What the layers need, loaded only where it is configured. */
async function layerPorts(config: FailoverConfiguration, secrets: Secrets): Promise<LayerPorts> {
  const { kubernetes, prometheus } = config;
  const api = kubernetes && (await kubernetesApi(kubernetes, secrets));
  const client = prometheus && (await import('../integrations/prometheus/client.ts')).PrometheusClient;
  return {
    kubernetes: () => {
      if (api) return api;
      throw new CatalystError('NotConfigured', 'A group names objects of the cluster, and no cluster is configured.', {
        hint: 'Set "kubernetes" in the configuration of the controller.',
      });
    },
    prometheus: client && prometheus ? new client(prometheus, secrets) : undefined,
    password: (component) => {
      const entry = config.passwords.find((one) => one.component === component);
      const reference = entry && secretReference(entry, 'password');
      return reference && (() => secrets.read(reference));
    },
  };
}

async function kubernetesApi(config: NonNullable<FailoverConfiguration['kubernetes']>, secrets: Secrets) {
  const [{ KubernetesApi }, { connect }] = await Promise.all([
    import('../integrations/kubernetes/client.ts'),
    import('../integrations/kubernetes/connection.ts'),
  ]);
  let connected: ReturnType<typeof connect> | undefined;
  return new KubernetesApi(() => {
    connected ??= connect(config, secrets).catch((error: unknown) => {
      connected = undefined;
      throw error;
    });
    return connected;
  }, failoverFieldManager);
}
