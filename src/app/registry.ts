/** What the command line can do, wired lazily: a command loads its part of the house when it runs. */
import type { Registry } from '../cli/registry.ts';
import { systemClock } from '../clock.ts';
import type { ProcessOptions } from './options.ts';

export function createRegistry(options: ProcessOptions): Registry {
  const { version, environment } = options;
  return {
    version,
    serve: async (flags, io) => (await import('./serve.ts')).serve(flags, version, io),
    checkConfig: async (path) => {
      const [{ checkConfig, readText }, { IntegrationsConfig }] = await Promise.all([
        import('./config.ts'),
        import('../integrations/all.ts'),
      ]);
      return checkConfig(await readText(path), path, IntegrationsConfig).problems;
    },
    lintRunbooks: async (paths) => (await import('./offline.ts')).lintRunbooks(paths),
    explainRunbooks: async (paths) => (await import('./offline.ts')).explainRunbooks(paths),
    explainAlert: async (paths, question, signal) =>
      (await import('./explain.ts')).explainAlert(paths, question, signal, options.environment),
    testRunbooks: async (paths, signal) => (await import('./offline.ts')).testRunbooks(paths, signal),
    backtestRunbooks: async (paths, question, signal) =>
      (await import('./backtest.ts')).backtestRunbooks(paths, question, signal, options),
    listDrills: async () => (await import('./drills.ts')).drills(),
    runDrill: async (name, onEvent, signal) =>
      (await import('./drill.ts')).runDrill(name, onEvent, signal, { environment, version, clock: systemClock }),
    witness: {
      serve: async (flags, io) => (await import('./witness.ts')).serveWitness(flags, version, io),
      check: async (path, witness, io) => (await import('./witness.ts')).checkWitnesses(path, witness, io),
      get: async (path, group, io) => (await import('./witness.ts')).readLeases(path, group, io),
      newKey: async (file) => (await import('./witness.ts')).writeKey(file),
    },
    renderers: {
      crds: {
        description: 'custom resource definitions of the kinds a cluster may hold',
        render: async () => (await import('./offline.ts')).renderCrdFiles(),
      },
      rbac: {
        description: 'ClusterRoles with what the actions, the facts and a catalog in the cluster need, and no more',
        render: async () => (await import('./offline.ts')).renderRbacFiles(),
      },
    },
  };
}
