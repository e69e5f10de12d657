/** From a witness's configuration to the witness. Nothing is connected before the first question. */
import { readFile } from 'node:fs/promises';
import type { Clock } from '../../clock.ts';
import { CatalystError, messageOf } from '../../errors.ts';
import type { TlsMaterial } from '../../integrations/http-transport.ts';
import { type Secrets, secretReference } from '../../integrations/secrets.ts';
import { type SigningKey, signingKey } from '../keys.ts';
import type { WitnessConfig } from './config.ts';
import type { Witness } from './witness.ts';

export interface WitnessPorts {
  region: string;
  /** Signs for the region; only our own witness asks for it. */
  key: () => Promise<SigningKey>;
  secrets: Secrets;
  clock: Clock;
  /** Told the `Date` of each answer of a witness that speaks HTTP of ours, to a question that left at `sentAt`. */
  onDate?: (sentAt: number, header: string | undefined) => void;
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

/**
 * A function that opens a client of its own each time. Only the store that is named is loaded: a controller is to be small.
 * @throws CatalystError NotConfigured when it names no store. Check with `witnessProblems` first.
 */
export async function witnessOpener(config: WitnessConfig, ports: WitnessPorts): Promise<() => Witness> {
  const { name, http, s3, etcd, kubernetes, postgres, dns } = config;
  const { clock, secrets, region, key, onDate } = ports;
  const secret = (from: Readonly<Record<string, unknown>>, which: string): Promise<string> => {
    const reference = secretReference(from, which);
    if (reference === undefined)
      throw new CatalystError('NotConfigured', `Witness ${name} needs ${which}File or ${which}Env.`);
    return secrets.read(reference);
  };
  if (http) {
    const { createHttpWitness } = await import('./http.ts');
    return () =>
      createHttpWitness({ name, url: http.url, region, key, clock, ...tlsOf(name, http), ...(onDate && { onDate }) });
  }
  if (s3) {
    const { createS3Witness } = await import('./s3.ts');
    return () =>
      createS3Witness({
        ...{ name, url: s3.url, bucket: s3.bucket, region: s3.region, prefix: s3.prefix, clock },
        credentials: async () => ({
          accessKeyId: await secret(s3, 'accessKeyId'),
          secretAccessKey: await secret(s3, 'secretAccessKey'),
        }),
        ...tlsOf(name, s3),
      });
  }
  if (etcd) {
    const { createEtcdWitness } = await import('./etcd.ts');
    const { username } = etcd;
    return () =>
      createEtcdWitness({
        ...{ name, prefix: etcd.prefix, clock },
        endpoint: { baseUrl: etcd.url, redact: secrets.redact, ...tlsOf(name, etcd) },
        ...(username === undefined
          ? {}
          : { login: async () => ({ name: username, password: await secret(etcd, 'password') }) }),
      });
  }
  if (kubernetes) {
    const [{ createKubernetesWitness }, { connect }] = await Promise.all([
      import('./kubernetes.ts'),
      import('../../integrations/kubernetes/connection.ts'),
    ]);
    const { namespace, cluster } = kubernetes;
    return () => createKubernetesWitness({ name, namespace, clock, connect: () => connect(cluster, secrets) });
  }
  if (postgres) {
    const { createPostgresWitness } = await import('./postgres.ts');
    const { caFile } = postgres;
    return () =>
      createPostgresWitness({
        name,
        url: () => secret(postgres, 'url'),
        ...(caFile === undefined ? {} : { tls: async () => ({ ca: await readPem(name, caFile) }) }),
      });
  }
  if (dns) {
    const [{ createDnsWitness }, { parseDnsServer }] = await Promise.all([
      import('./dns.ts'),
      import('../dns-wire.ts'),
    ]);
    return () =>
      createDnsWitness({
        ...{ name, zone: dns.zone, server: parseDnsServer(dns.server), clock },
        key: async () => ({ name: dns.keyName, secret: Buffer.from(await secret(dns, 'keySecret'), 'base64') }),
      });
  }
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
