/** What the command line can do, wired lazily: a command loads its part of the house when it runs. */
import type { Registry } from '../cli/registry.ts';
import type { ProcessOptions } from './options.ts';

export function createRegistry(options: ProcessOptions): Registry {
  return {
    version: options.version,
    checkConfig: async (path) => {
      const [{ checkConfig, readText }, { integrationsSchema }] = await Promise.all([
        import('./config.ts'),
        import('./integrations-schema.ts'),
      ]);
      return checkConfig(await readText(path), path, integrationsSchema).problems;
    },
  };
}
