/** `catalyst-sre witness`: the service wired up, and the commands that look at configured witnesses. */
import { readFile, writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Problem } from '../catalog/resource.ts';
import type { CliIo } from '../cli/io.ts';
import type { WitnessAnswerView, WitnessCheckReport, WitnessServeOptions } from '../cli/registry.ts';
import { CatalystError, messageOf } from '../errors.ts';
import { generateKey } from '../failover/keys.ts';
import { WitnessCheckConfig, WitnessServiceConfig, witnessProblems } from '../failover/witness/config.ts';
import { openLeaseFile } from '../failover/witness/lease-file.ts';
import { askEach } from '../failover/witness/majority.ts';
import { regionKey, witnessOpener } from '../failover/witness/open.ts';
import { selfCheck } from '../failover/witness/self-check.ts';
import { createWitnessService } from '../failover/witness/service.ts';
import { createSecrets } from '../integrations/secrets.ts';
import { createLog } from '../telemetry/log.ts';
import { createMetrics } from '../telemetry/meter.ts';
import { checkDocument, readText } from './check-document.ts';
import { createLifecycle } from './lifecycle.ts';
import { parseListen } from './listen.ts';

/** As long as a renewal may take before it is tried again, twice: a person can wait. */
const readLimitMs = 4_000;

/** Resolves when the service has stopped. */
export async function serveWitness(options: WitnessServeOptions, version: string, io: CliIo): Promise<void> {
  const { clock } = io;
  const config = await serviceConfig(options, io);
  const listen = parseListen(options.listen);
  const log = createLog({ level: 'info' });
  const lifecycle = createLifecycle((name, error) => log.error({ err: error }, `${name} did not stop in order`));
  try {
    const metrics = createMetrics({ version });
    lifecycle.onStop('metrics', () => metrics.stop());
    const file = openLeaseFile({
      directory: resolve(io.directory, options.data),
      clock,
      onCommit: (writes, seconds) => {
        metrics.measure('witnessCommit', {}, seconds);
        metrics.count('witnessWrites', {}, writes);
      },
    });
    lifecycle.onStop('leases', () => file.close());
    metrics.observe('witnessGroups', async () => [{ labels: {}, value: file.groups() }]);
    const { certFile, keyFile } = config.tls ?? {};
    const tls = certFile && keyFile ? { tls: { cert: await readPem(certFile), key: await readPem(keyFile) } } : {};
    const service = createWitnessService({
      file,
      regions: config.regions,
      maxAgeMs: config.maxClockSkewSeconds * 1000,
      ...tls,
      clock,
      log,
      metrics,
    });
    lifecycle.onStop('service', () => service.close());
    const url = await service.listen(listen);
    io.err(
      `The witness listens at ${url} and keeps ${file.groups()} leases. Regions: ${config.regions.map(({ name }) => name).join(', ')}.`,
    );
    await new Promise<void>((done) => {
      if (io.signal.aborted) return done();
      io.signal.addEventListener('abort', () => done(), { once: true });
    });
  } finally {
    await lifecycle.stop();
  }
}

async function serviceConfig(options: WitnessServeOptions, io: CliIo): Promise<WitnessServiceConfig> {
  if ((options.config === undefined) === (options.region.length === 0))
    throw new CatalystError(
      'BadRequest',
      'A witness needs to know its regions, by exactly one of --config and --region.',
      {
        hint: 'Make a key with "catalyst-sre witness key --out FILE", and give --region NAME=ed25519:…',
      },
    );
  const path = options.config === undefined ? '--region' : resolve(io.directory, options.config);
  const document =
    options.config === undefined ? JSON.stringify({ regions: options.region.map(regionOf) }) : await readText(path);
  const checked = checkDocument<WitnessServiceConfig>(document, path, WitnessServiceConfig, ({ regions }) => {
    const names = regions.map(({ name }) => name);
    return names.flatMap((name, i) =>
      names.indexOf(name) === i
        ? []
        : [{ path: ['regions', i, 'name'], atKey: false, sentence: `The region "${name}" is given twice.` }],
    );
  });
  if (!('config' in checked)) throw wrongConfiguration(checked.problems, 'docs/witnesses.md has an example.');
  return checked.config;
}

function wrongConfiguration(problems: readonly Problem[], hint: string): CatalystError {
  const lines = problems.map((p) => `${p.file}:${p.line}:${p.column} ${p.sentence}`);
  return new CatalystError('InvalidResource', `The configuration is wrong: ${lines.join(' ')}`, {
    hint,
    details: { problems },
  });
}

function regionOf(text: string): { name: string; publicKey: string } {
  const mark = text.indexOf('=');
  return { name: text.slice(0, Math.max(mark, 0)), publicKey: text.slice(mark + 1) };
}

async function readPem(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new CatalystError('InvalidResource', `${file} cannot be read: ${messageOf(error)}.`, { cause: error });
  }
}

/** Ways to open each witness of a configuration. */
async function readWitnesses(path: string, io: CliIo) {
  const file = resolve(io.directory, path);
  const checked = checkDocument<WitnessCheckConfig>(await readText(file), file, WitnessCheckConfig, ({ witnesses }) =>
    witnessProblems(witnesses).map((sentence) => ({ path: ['witnesses'], atKey: true, sentence })),
  );
  if (!('config' in checked))
    throw wrongConfiguration(checked.problems, 'docs/witnesses.md has an example for each store.');
  const { region, witnesses } = checked.config;
  const secrets = createSecrets(io.environment);
  const ports = { region, key: regionKey(checked.config, secrets), secrets, clock: io.clock };
  return {
    region,
    witnesses: await Promise.all(
      witnesses.map(async (config) => ({ name: config.name, open: await witnessOpener(config, ports) })),
    ),
  };
}

export async function checkWitnesses(
  path: string,
  only: string | undefined,
  io: CliIo,
): Promise<readonly WitnessCheckReport[]> {
  const { region, witnesses } = await readWitnesses(path, io);
  const chosen = witnesses.filter(({ name }) => only === undefined || name === only);
  if (chosen.length === 0)
    throw new CatalystError(
      'NotFound',
      `There is no witness "${only}" in ${path}; there are: ${witnesses.map(({ name }) => name).join(', ')}.`,
    );
  const reports: WitnessCheckReport[] = [];
  for (const { name, open } of chosen) {
    if (io.terminal) io.err(`Checking ${name} …`);
    reports.push(await selfCheck(name, open, { region, clock: io.clock, signal: io.signal }));
  }
  return reports;
}

export async function readLeases(path: string, group: string, io: CliIo): Promise<readonly WitnessAnswerView[]> {
  const { witnesses } = await readWitnesses(path, io);
  const open = witnesses.map((witness) => witness.open());
  const asking = { clock: io.clock, timeoutMs: readLimitMs, signal: io.signal };
  const answers = await askEach(open, (witness, context) => witness.read(group, context), asking);
  await Promise.all(open.map((witness) => witness.close()));
  return answers.map(({ witness, tookMs, outcome }) =>
    'error' in outcome
      ? { witness, tookMs, error: outcome.error.message }
      : {
          witness,
          tookMs,
          lease: outcome.answer.lease ? { ...outcome.answer.lease } : null,
          expired: outcome.answer.expired ?? null,
        },
  );
}

export async function writeKey(file: string): Promise<string> {
  const { privateKeyPem, publicKey } = generateKey();
  try {
    await writeFile(file, privateKeyPem, { mode: 0o600, flag: 'wx' });
  } catch (error) {
    throw new CatalystError('BadRequest', `${file} cannot be written: ${messageOf(error)}.`, {
      cause: error,
      hint: 'A key that is there is never replaced: give another file, or take the old one away.',
    });
  }
  return publicKey;
}
