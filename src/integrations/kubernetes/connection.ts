/** From configuration to an HTTP client that speaks to one API server. */
import type { KubeConfig } from '@kubernetes/client-node';
import { CatalystError, messageOf } from '../../errors.ts';
import { isObject } from '../define.ts';
import { readAuthority } from '../endpoint.ts';
import { createHttpClient, type HttpClient } from '../http-client.ts';
import type { TlsMaterial } from '../http-transport.ts';
import { type Secrets, secretReference } from '../secrets.ts';
import type { KubernetesConfig } from './schema.ts';

/** Where every pod finds its service account; the kubelet renews the token there. */
const serviceAccount = '/var/run/secrets/kubernetes.io/serviceaccount';

interface Credentials {
  server: string;
  headers(): Promise<Record<string, string>>;
  tls(): Promise<TlsMaterial>;
}

/** A client for the API server; kubeconfig files are loaded with the first call, and only then is the official library. */
export async function connect(config: KubernetesConfig, secrets: Secrets): Promise<HttpClient> {
  const credentials = await credentialsOf(config, secrets);
  refusePlainHttp(credentials.server);
  return createHttpClient({
    system: 'Kubernetes',
    baseUrl: credentials.server,
    headers: credentials.headers,
    tls: credentials.tls,
    explain: (body) => (isObject(body) && typeof body.message === 'string' ? body.message : undefined),
    redact: secrets.redact,
  });
}

async function credentialsOf(config: KubernetesConfig, secrets: Secrets): Promise<Credentials> {
  if ('kubeconfig' in config) return fromKubeconfig(config.kubeconfig, config.context, secrets);
  if ('inCluster' in config) {
    return fromServer(
      'https://kubernetes.default.svc',
      { file: `${serviceAccount}/token` },
      `${serviceAccount}/ca.crt`,
      secrets,
    );
  }
  return fromServer(config.server, secretReference(config, 'token'), config.caFile, secrets);
}

function fromServer(
  server: string,
  token: ReturnType<typeof secretReference>,
  caFile: string | undefined,
  secrets: Secrets,
): Credentials {
  return {
    server,
    headers: async () => (token === undefined ? {} : { authorization: `Bearer ${await secrets.read(token)}` }),
    tls: async () => (caFile === undefined ? {} : { ca: await readAuthority('kubernetes', caFile) }),
  };
}

async function fromKubeconfig(file: string, context: string | undefined, secrets: Secrets): Promise<Credentials> {
  const library = await import('@kubernetes/client-node');
  const kubeconfig: KubeConfig = new library.KubeConfig();
  try {
    kubeconfig.loadFromFile(file);
    if (context !== undefined) kubeconfig.setCurrentContext(context);
  } catch (error) {
    throw new CatalystError('NotConfigured', `kubeconfig ${file} cannot be loaded: ${messageOf(error)}`, {
      hint: 'Check integrations.kubernetes.kubeconfig.',
    });
  }
  const server = kubeconfig.getCurrentCluster()?.server;
  if (server === undefined) {
    throw new CatalystError(
      'NotConfigured',
      `kubeconfig ${file} has no cluster for context ${kubeconfig.currentContext}`,
      {
        hint: 'Set integrations.kubernetes.context to one of the contexts of the file.',
      },
    );
  }
  const apply = async () => {
    const options: Record<string, unknown> & { headers?: Record<string, string> } = {};
    await kubeconfig.applyToHTTPSOptions(options);
    return options;
  };
  return {
    server,
    headers: async () => {
      const options = await apply();
      const headers = { ...options.headers };
      if (typeof options.auth === 'string')
        headers.authorization = `Basic ${Buffer.from(options.auth).toString('base64')}`;
      for (const value of Object.values(headers)) secrets.remember(value.replace(/^(Bearer|Basic) /, ''));
      return headers;
    },
    tls: async () => tlsOf(await apply()),
  };
}

/** The TLS part of the options the official library made. */
function tlsOf(options: Record<string, unknown>): TlsMaterial {
  const tls: TlsMaterial = {};
  const material = (value: unknown) => (typeof value === 'string' || Buffer.isBuffer(value) ? value : undefined);
  const ca = material(options.ca);
  const cert = material(options.cert);
  const key = material(options.key);
  if (ca !== undefined) tls.ca = ca;
  if (cert !== undefined) tls.cert = cert;
  if (key !== undefined) tls.key = key;
  if (typeof options.servername === 'string') tls.servername = options.servername;
  if (typeof options.rejectUnauthorized === 'boolean') tls.rejectUnauthorized = options.rejectUnauthorized;
  return tls;
}

/** A bearer token over plain http would be readable on the way; loopback has no way. */
function refusePlainHttp(server: string): void {
  const url = new URL(server);
  const loopback = ['127.0.0.1', '[::1]', 'localhost'].includes(url.hostname);
  if (url.protocol === 'https:' || loopback) return;
  throw new CatalystError('NotConfigured', `the Kubernetes API at ${url.host} may not be used over plain http`, {
    hint: 'Use https; plain http is for loopback addresses only.',
  });
}
