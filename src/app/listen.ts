/** Where the server listens, and how a command line in the same folder finds it. */
import { chmod, mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CatalystError } from '../errors.ts';

/** `127.0.0.1:8080`, `[::1]:0`, `localhost:80` */
export function parseListen(text: string): { host: string; port: number } {
  const [, host = '', port = ''] = /^(\[[0-9a-fA-F:]+\]|[^:\s]+):([0-9]{1,5})$/.exec(text) ?? [];
  if (host === '' || Number(port) > 65_535)
    throw new CatalystError('BadRequest', `${text} is not an address to listen on.`, {
      hint: 'Write HOST:PORT, such as 127.0.0.1:8080; port 0 takes any.',
    });
  return { host: host.replace(/^\[|\]$/g, ''), port: Number(port) };
}

/** Writes `<data-dir>/cli.json`, readable by its owner only, in one step. Returns its path. */
export async function writeCliFile(dataDir: string, connection: { server: string; token: string }): Promise<string> {
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const path = join(dataDir, 'cli.json');
  const fresh = `${path}.${process.pid}`;
  await writeFile(fresh, `${JSON.stringify(connection, null, 2)}\n`, { mode: 0o600 });
  // The mode above counts only for a new file.
  await chmod(fresh, 0o600);
  await rename(fresh, path);
  return path;
}
