/** The Worker of `deploy/witness-cloudflare` in the real workerd that miniflare brings. */
import { readFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { dirname, join, relative, resolve } from 'node:path';
import { load } from 'js-yaml';
import { Miniflare } from 'miniflare';

const root = resolve(import.meta.dirname, '../..');
const entry = join(root, 'deploy/witness-cloudflare/worker.ts');

/** The entry and every module it imports, without their types: what a bundler would have done. */
function modulesOf(file: string, found = new Map<string, string>()): Map<string, string> {
  if (found.has(file)) return found;
  const code = stripTypeScriptTypes(readFileSync(file, 'utf8'), { mode: 'strip' });
  found.set(file, code);
  for (const [, specifier] of code.matchAll(/^(?:import|export)[^;]*? from '(\.[^']+)'/gm))
    modulesOf(join(dirname(file), specifier ?? ''), found);
  return found;
}

export interface RunningWorker {
  url: string;
  mirror(group: string): Promise<string | null>;
  stop(): Promise<void>;
}

/** @param directory where the objects are kept, so that a second start finds them; in memory without it */
export async function startWorker(
  regions: readonly { name: string; publicKey: string; groups?: string[] }[],
  directory?: string,
): Promise<RunningWorker> {
  const modules = [...modulesOf(entry)].map(([file, contents]) => ({
    type: 'ESModule' as const,
    path: relative(root, file),
    contents,
  }));
  const miniflare = new Miniflare({
    modules,
    compatibilityDate: compatibilityDate(),
    host: '127.0.0.1',
    port: 0,
    bindings: { REGIONS: JSON.stringify(regions), LOCATION_HINT: 'enam' },
    kvNamespaces: ['MIRROR'],
    durableObjects: { LEASES: { className: 'LeaseRegister', useSQLite: true } },
    ...(directory === undefined ? {} : { durableObjectsPersist: directory }),
  });
  const url = (await miniflare.ready).origin;
  return {
    url,
    mirror: async (group) => (await miniflare.getKVNamespace('MIRROR')).get(`lease/${group}`),
    stop: () => miniflare.dispose(),
  };
}

/** As deployed. */
function compatibilityDate(): string {
  const text = readFileSync(join(dirname(entry), 'wrangler.toml'), 'utf8');
  return load(/compatibility_date = (.*)/.exec(text)?.[1] ?? '') as string;
}
