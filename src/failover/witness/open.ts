/** From a witness's configuration to the witness. Nothing is connected before the first question. */
import { readFile } from 'node:fs/promises';
import type { Clock } from '../../clock.ts';
import { CatalystError, messageOf } from '../../errors.ts';
import type { TlsMaterial } from '../../integrations/http-transport.ts';
import { connect } from '../../integrations/kubernetes/connection.ts';
import { type Secrets, secretReference } from '../../integrations/secrets.ts';
import { parseDnsServer } from '../dns-wire.ts';
import { type SigningKey, signingKey } from '../keys.ts';
import type { WitnessConfig } from './config.ts';
import { createDnsWitness } from './dns.ts';
import { createEtcdWitness } from './etcd.ts';
import { createHttpWitness } from './http.ts';
import { createKubernetesWitness } from './kubernetes.ts';
import { createPostgresWitness } from './postgres.ts';
import { createS3Witness } from './s3.ts';
import type { Witness } from './witness.ts';

export interface WitnessPorts {
  region: string;
  /** Signs for the region; only our own witness asks for it. */
  key: () => Promise<SigningKey>;
  secrets: Secrets;
  clock: Clock;
}

/** The key under `privateKeyFile` or `privateKeyEnv`, read once. Throws NotConfigured when it is asked for and not there. */
export function regionKey(config: Readonly<Record<string, unknown>>, secrets: Secrets): () => Promise<SigningKey> {
  let key: Promise<SigningKey> | undefined;
  const reference = secretReference(config, 'privateKey');
  return () => {
    if (reference === undefined)
      throw new CatalystError('NotConfigured', 'This region has no private key, and signs nothing without one.', {
        hint: 'Make one with "catalyst-sre witness key --out FILE" and name the file in privateKeyFile.',
      });
    key ??= secrets.read(reference).then(signingKey);
    return key;
  };
}

/** @throws CatalystError NotConfigured when it names no store. Check with `witnessProblems` first. */
export function openWitness(config: WitnessConfig, ports: WitnessPorts): Witness {
  const { name } = config;
  const { clock, secrets } = ports;
  const secret = (from: Readonly<Record<string, unknown>>, key: string): Promise<string> => {
    const reference = secretReference(from, key);
    if (reference === undefined)
      throw new CatalystError('NotConfigured', `Witness ${name} needs ${key}File or ${key}Env.`);
    return secrets.read(reference);
  };
  const { http, s3, etcd, kubernetes, postgres, dns } = config;
  if (http)
    return createHttpWitness({
      name,
      url: http.url,
      region: ports.region,
      key: ports.key,
      clock,
      ...tlsOf(name, http),
    });
  if (s3)
    return createS3Witness({
      ...{ name, url: s3.url, bucket: s3.bucket, region: s3.region, prefix: s3.prefix, clock },
      credentials: async () => ({
        accessKeyId: await secret(s3, 'accessKeyId'),
        secretAccessKey: await secret(s3, 'secretAccessKey'),
      }),
      ...tlsOf(name, s3),
    });
  if (etcd) {
    const { username } = etcd;
    return createEtcdWitness({
      ...{ name, prefix: etcd.prefix, clock },
      endpoint: { baseUrl: etcd.url, redact: secrets.redact, ...tlsOf(name, etcd) },
      ...(username === undefined
        ? {}
        : { login: async () => ({ name: username, password: await secret(etcd, 'password') }) }),
    });
  }
  if (kubernetes)
    return createKubernetesWitness({
      name,
      namespace: kubernetes.namespace,
      clock,
      connect: () => connect(kubernetes.cluster, secrets),
    });
  if (postgres) {
    const { caFile } = postgres;
    return createPostgresWitness({
      name,
      url: () => secret(postgres, 'url'),
      ...(caFile === undefined ? {} : { tls: async () => ({ ca: await readPem(name, caFile) }) }),
    });
  }
  if (dns)
    return createDnsWitness({
      ...{ name, zone: dns.zone, server: parseDnsServer(dns.server), clock },
      key: async () => ({ name: dns.keyName, secret: Buffer.from(await secret(dns, 'keySecret'), 'base64') }),
    });
  throw new CatalystError('NotConfigured', `Witness ${name} names no store.`);
}

/** The TLS part of a store's options; files are read for each connection, so that a renewed certificate counts at once. */
function tlsOf(name: string, { caFile, certFile, keyFile }: { caFile?: string; certFile?: string; keyFile?: string }) {
  if (caFile === undefined && certFile === undefined) return {};
  const tls = async (): Promise<TlsMaterial> => ({
    ...(caFile === undefined ? {} : { ca: await readPem(name, caFile) }),
    ...(certFile === undefined ? {} : { cert: await readPem(name, certFile) }),
    ...(keyFile === undefined ? {} : { key: await readPem(name, keyFile) }),
  });
  return { tls };
}

async function readPem(name: string, file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new CatalystError('NotConfigured', `Witness ${name}: ${file} cannot be read: ${messageOf(error)}.`, {
      cause: error,
    });
  }
}
