/** Where `build-kubernetes.sh` keeps what it built; the same rule as there. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

/** Directory of the programs built by the recipe as it stands now; absent until it was run. */
export function programDirectory(): string {
  const recipe = readFileSync(join(import.meta.dirname, 'build-kubernetes.sh'));
  const version = /^version=(.+)$/m.exec(recipe.toString())?.[1];
  const hash = createHash('sha256').update(recipe).digest('hex').slice(0, 12);
  const cache = process.env.CATALYST_TESTBED_CACHE || join(homedir(), '.cache', 'catalyst-sre-testbed');
  return join(cache, `kubernetes-${version}-${hash}`);
}
