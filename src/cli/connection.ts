/** Which server, and with which token: flags, then environment, then the user's file, then the sandbox of this folder. */
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { parseYaml } from '../catalog/yaml-text.ts';
import { CatalystError, messageOf } from '../errors.ts';
import type { CliIo } from './io.ts';

export interface ConnectionFlags {
  server?: string | undefined;
  tokenFile?: string | undefined;
  dataDir?: string | undefined;
}

export interface Connection {
  /** Without a slash at the end. */
  server: string;
  token?: string | undefined;
  /** Where the server came from, for messages. */
  from: string;
}

interface Candidate {
  server?: string | undefined;
  token?: string | undefined;
  from: string;
}

/** @throws CatalystError NotConfigured when nothing names a server. */
export async function resolveConnection(flags: ConnectionFlags, io: CliIo): Promise<Connection> {
  const { environment: env } = io;
  const given: Candidate = {
    server: flags.server ?? env.CATALYST_SRE_SERVER,
    token: await explicitToken(flags, io),
    from: flags.server === undefined ? 'CATALYST_SRE_SERVER' : '--server',
  };
  const userFile = join(env.XDG_CONFIG_HOME || join(io.home, '.config'), 'catalyst-sre', 'config.yaml');
  const dataDir = resolve(io.directory, flags.dataDir ?? '.catalyst-sre');
  for (const candidate of [given, await fromFile(userFile), await fromFile(join(dataDir, 'cli.json'))]) {
    if (candidate?.server === undefined) continue;
    const server = checkedUrl(candidate.server, candidate.from);
    // A token belongs to the server it stands beside: none is ever sent to another.
    const token =
      given.token ??
      (candidate === given ? await tokenFor(server, [userFile, join(dataDir, 'cli.json')]) : candidate.token);
    return { server, token, from: candidate.from };
  }
  throw new CatalystError('NotConfigured', 'No server is named.', {
    hint: `Give --server URL, set CATALYST_SRE_SERVER, write it into ${userFile}, or start one here with: catalyst-sre serve --sandbox`,
  });
}

async function explicitToken(
  flags: ConnectionFlags,
  { environment: env, directory }: CliIo,
): Promise<string | undefined> {
  const file = flags.tokenFile ?? (env.CATALYST_SRE_TOKEN ? undefined : env.CATALYST_SRE_TOKEN_FILE);
  if (file === undefined) return env.CATALYST_SRE_TOKEN || undefined;
  try {
    return (await readFile(resolve(directory, file), 'utf8')).trim();
  } catch (error) {
    throw new CatalystError('InvalidResource', `The token file ${file} cannot be read: ${messageOf(error)}.`);
  }
}

async function tokenFor(server: string, files: readonly string[]): Promise<string | undefined> {
  for (const file of files) {
    const candidate = await fromFile(file);
    if (candidate?.server !== undefined && checkedUrl(candidate.server, file) === server) return candidate.token;
  }
  return undefined;
}

async function fromFile(path: string): Promise<Candidate | undefined> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch {
    return undefined;
  }
  try {
    // JSON is YAML.
    const { value, problems } = parseYaml(text);
    const [problem] = problems;
    if (problem) throw new Error(`line ${problem.line}: ${problem.sentence.replace(/\.$/, '')}`);
    const { server, token, tokenFile } = (value ?? {}) as Record<string, unknown>;
    return {
      from: path,
      server: typeof server === 'string' ? server : undefined,
      token:
        typeof token === 'string'
          ? token
          : typeof tokenFile === 'string'
            ? (await readFile(tokenFile, 'utf8')).trim()
            : undefined,
    };
  } catch (error) {
    throw new CatalystError('InvalidResource', `${path} cannot be read: ${messageOf(error)}.`, {
      hint: 'It holds two lines: server: URL, and token: … or tokenFile: PATH.',
    });
  }
}

function checkedUrl(text: string, from: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !/^https?:$/.test(url.protocol))
    throw new CatalystError('BadRequest', `The server address from ${from} is not a URL.`, {
      hint: 'Write it like https://sre.example or http://127.0.0.1:8080.',
    });
  return `${url.origin}${url.pathname}`.replace(/\/+$/, '');
}
