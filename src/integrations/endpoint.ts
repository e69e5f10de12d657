/** The part of a configuration that every system behind one URL has: address, credentials, certificate authority. */
import { readFile } from 'node:fs/promises';
import Type from 'typebox';
import { CatalystError, messageOf } from '../errors.ts';
import type { HttpClientOptions } from './http-client.ts';
import { type Secrets, secretProperties, secretReference } from './secrets.ts';

/** Schema properties of an endpoint; spread into a configuration schema. */
export const endpointProperties = (example: string) => ({
  url: Type.String({ description: 'Base URL.', pattern: '^https?://', maxLength: 2048, examples: [example] }),
  ...secretProperties('token', 'the bearer token'),
  username: Type.Optional(Type.String({ description: 'User for basic authentication.', minLength: 1, maxLength: 256 })),
  ...secretProperties('password', 'the password for basic authentication'),
  caFile: Type.Optional(
    Type.String({
      description: 'File with the certificate authority of the server (PEM).',
      minLength: 1,
      maxLength: 4096,
    }),
  ),
});

export interface EndpointConfig {
  url: string;
  username?: string;
  caFile?: string;
}

/** Client options of an endpoint: `system` is its key in the configuration as well as the name in messages. */
export function endpointOptions(
  system: string,
  config: EndpointConfig,
  secrets: Secrets,
): Pick<HttpClientOptions, 'baseUrl' | 'headers' | 'tls' | 'redact'> {
  const { caFile } = config;
  return {
    baseUrl: config.url,
    headers: () => authorization(config, secrets),
    redact: secrets.redact,
    ...(caFile === undefined ? {} : { tls: async () => ({ ca: await readAuthority(system, caFile) }) }),
  };
}

async function authorization(config: EndpointConfig, secrets: Secrets): Promise<Record<string, string>> {
  const settings = { ...config };
  const token = secretReference(settings, 'token');
  if (token !== undefined) return { authorization: `Bearer ${await secrets.read(token)}` };
  const password = secretReference(settings, 'password');
  if (config.username === undefined || password === undefined) return {};
  const basic = Buffer.from(`${config.username}:${await secrets.read(password)}`).toString('base64');
  secrets.remember(basic);
  return { authorization: `Basic ${basic}` };
}

/** Reads a certificate authority. Throws NotConfigured. */
export async function readAuthority(system: string, file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new CatalystError('NotConfigured', `certificate authority ${file} cannot be read: ${messageOf(error)}`, {
      hint: `Check integrations.${system}.caFile.`,
    });
  }
}
