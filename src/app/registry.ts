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
    probe: async (flags, io) => (await import('./probe.ts')).runProber(flags, io),
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
    explainAlert: async (paths, question, signal) =>
      (await import('./explain.ts')).explainAlert(paths, question, signal, options.environment),
    testRunbooks: async (paths, signal) => (await import('./offline.ts')).testRunbooks(paths, signal),
    backtestRunbooks: async (paths, question, signal) =>
      (await import('./backtest.ts')).backtestRunbooks(paths, question, signal, options),
    listDrills: async () => [
      ...(await import('./drills.ts')).drills(),
      ...(await import('../failover/drill/drill.ts')).failoverDrills(),
    ],
    isFailoverDrill: async (name) => (await import('../failover/drill/drill.ts')).isFailoverDrill(name),
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
    lintSlos: async (paths) => (await import('./slo-offline.ts')).lintSlos(paths),
    explainSlos: async (paths) => (await import('./slo-offline.ts')).explainSlos(paths),
    testSlos: async (paths, signal) => (await import('./slo-offline.ts')).testSlos(paths, signal),
    renderers: {
      crds: {
        description: 'custom resource definitions of the kinds a cluster may hold',
        render: async () => ({ files: (await import('./render-cluster.ts')).renderCrdFiles(), problems: [] }),
      },
      rbac: {
        description: 'ClusterRoles with what the actions, the facts and a catalog in the cluster need, and no more',
        render: async () => ({ files: (await import('./render-cluster.ts')).renderRbacFiles(), problems: [] }),
      },
      prometheus: {
        description: 'rules for Prometheus, the Prometheus Operator and Mimir, with unit tests for promtool',
        render: async (options) => (await import('./slo-offline.ts')).renderPrometheus(options),
      },
      alertmanager: {
        description: 'routes, inhibitions and receivers for Alertmanager and Mimir',
        render: async (options) => (await import('./slo-offline.ts')).renderAlertmanager(options),
      },
      grafana: {
        description: 'dashboards of the Sovereign and of an Organization, with provisioning',
        render: async () => (await import('./slo-offline.ts')).renderGrafana(),
      },
    },
  };
}
