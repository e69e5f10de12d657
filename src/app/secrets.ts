/** Secrets by reference: from a file or an environment variable, never from the configuration itself. */
import { readFile } from 'node:fs/promises';
import { type AccessToken, hashToken } from '../api/access.ts';
import type { PushSecret } from '../api/hook-routes.ts';
import type { DatabaseLocation } from '../database/open.ts';
import { CatalystError, messageOf } from '../errors.ts';
import type { Config } from './config-schema.ts';
import type { Environment } from './options.ts';

export interface SecretSource {
  file?: string | undefined;
  env?: string | undefined;
}

/** Shorter ones can be guessed; `openssl rand -hex 16` gives twice as much. */
const shortestToken = 16;

/** @throws CatalystError InvalidResource, naming the file or variable and never its content. */
export async function readSecret(what: string, source: SecretSource, environment: Environment): Promise<string> {
  const where = source.file === undefined ? `the environment variable ${source.env}` : source.file;
  const wrong = (sentence: string, cause?: unknown) =>
    new CatalystError('InvalidResource', `${what}: ${sentence}`, {
      hint: `Put the secret, and nothing else, into ${where}.`,
      ...(cause === undefined ? {} : { cause }),
    });
  let text: string;
  try {
    text = source.file === undefined ? (environment[source.env ?? ''] ?? '') : await readFile(source.file, 'utf8');
  } catch (error) {
    throw wrong(`${where} cannot be read (${messageOf(error)}).`, error);
  }
  const secret = text.trim();
  if (secret === '') throw wrong(`${where} is empty.`);
  if (/\s/.test(secret)) throw wrong(`${where} holds more than one word.`);
  return secret;
}

export async function readTokens(config: Pick<Config, 'tokens'>, environment: Environment): Promise<AccessToken[]> {
  const tokens: AccessToken[] = [];
  for (const { name, role, organization, tokenFile, tokenEnv } of config.tokens) {
    const secret = await readSecret(`Token ${name}`, { file: tokenFile, env: tokenEnv }, environment);
    if (secret.length < shortestToken)
      throw new CatalystError('InvalidResource', `Token ${name} is shorter than ${shortestToken} characters.`, {
        hint: 'Make one with: openssl rand -hex 24',
      });
    const hash = hashToken(secret);
    const twin = tokens.find((token) => token.hash.equals(hash));
    if (twin) throw new CatalystError('InvalidResource', `Tokens ${twin.name} and ${name} are the same secret.`);
    tokens.push({ name, role, organization, hash });
  }
  return tokens;
}

/** Secrets of push webhooks by `owner/name`, as Gitea names repositories. */
export async function readPushSecrets(
  config: Pick<Config, 'catalog'>,
  environment: Environment,
): Promise<PushSecret[]> {
  const secrets: PushSecret[] = [];
  for (const { git } of config.catalog.sources) {
    if (git?.webhookSecretFile === undefined) continue;
    const secret = await readSecret(`Webhook of ${git.repository}`, { file: git.webhookSecretFile }, environment);
    secrets.push({ repository: repositoryName(git.repository), secret });
  }
  return secrets;
}

/** `https://gitea.example/acme/runbooks.git` and `git@gitea.example:acme/runbooks.git` are both `acme/runbooks`. */
export function repositoryName(url: string): string {
  return /([^/:]+\/[^/:]+?)(?:\.git)?\/?$/.exec(url)?.[1] ?? url;
}

export async function databaseLocation(
  config: Pick<Config, 'database' | 'dataDir'>,
  environment: Environment,
): Promise<DatabaseLocation> {
  const { database } = config;
  if (!database) return { kind: 'embedded', directory: config.dataDir };
  const { url, urlFile, urlEnv, poolSize } = database;
  const address = url ?? (await readSecret('Database', { file: urlFile, env: urlEnv }, environment));
  if (!/^postgres(ql)?:\/\//.test(address))
    throw new CatalystError('InvalidResource', 'The database URL does not begin with postgres://.');
  return { kind: 'postgres', url: address, poolSize };
}
