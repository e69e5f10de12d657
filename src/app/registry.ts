/** What the command line can do, wired lazily: a command loads its part of the house when it runs. */
import type { Registry } from '../cli/registry.ts';
import { systemClock } from '../clock.ts';
import type { ProcessOptions } from './options.ts';
import { keepHeapSmall } from './small-heap.ts';

export function createRegistry(options: ProcessOptions): Registry {
  const { version, environment } = options;
  return {
    version,
    serve: async (flags, io) => (await import('./serve.ts')).serve(flags, version, io),
    failover: async (flags, io) => {
      keepHeapSmall();
      await (await import('./failover.ts')).runFailover(flags, version, io);
    },
    gate: async (flags, io) => {
      keepHeapSmall();
      await (await import('./gate.ts')).runGate(flags, io);
    },
    failoverDns: async (path, addresses) => (await import('./failover-dns.ts')).renderDns(path, addresses),
    verifyFailoverRecord: async (path) => (await import('../failover/record-file.ts')).verifyRecordFile(path),
    checkConfig: async (path) => {
      const [{ checkConfig }, { readText }, { IntegrationsConfig }] = await Promise.all([
        import('./config.ts'),
        import('./check-document.ts'),
        import('../integrations/all.ts'),
      ]);
      return checkConfig(await readText(path), path, IntegrationsConfig).problems;
    },
    lintRunbooks: async (paths) => (await import('./offline.ts')).lintRunbooks(paths),
    explainRunbooks: async (paths) => (await import('./offline.ts')).explainRunbooks(paths),
    testRunbooks: async (paths, signal) => (await import('./offline.ts')).testRunbooks(paths, signal),
    listDrills: async () => [
      ...(await import('./drill.ts')).drills(),
      ...(await import('../failover/drill/drill.ts')).failoverDrills(),
    ],
    runDrill: async (name, onEvent, signal, drillOptions) => {
      const { isFailoverDrill, runFailoverDrill } = await import('../failover/drill/drill.ts');
      if (isFailoverDrill(name))
        return runFailoverDrill(name, onEvent, signal, { clock: systemClock, speed: drillOptions?.speed ?? 1 });
      return (await import('./drill.ts')).runDrill(name, onEvent, signal, { environment, version, clock: systemClock });
    },
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
        description: 'a ClusterRole with what the built-in actions and facts need, and no more',
        render: async () => (await import('./offline.ts')).renderRbacFiles(),
      },
    },
  };
}
