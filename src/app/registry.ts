/** What the command line can do, wired lazily: a command loads its part of the house when it runs. */
import type { Registry } from '../cli/registry.ts';
import { systemClock } from '../clock.ts';
import type { ProcessOptions } from './options.ts';

export function createRegistry(options: ProcessOptions): Registry {
  const { version, environment } = options;
  return {
    version,
    serve: async (flags, io) => (await import('./serve.ts')).serve(flags, version, io),
    probe: async (flags, io) => (await import('./probe.ts')).runProber(flags, io),
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
    lintSlos: async (paths) => (await import('./slo-offline.ts')).lintSlos(paths),
    explainSlos: async (paths) => (await import('./slo-offline.ts')).explainSlos(paths),
    testSlos: async (paths, signal) => (await import('./slo-offline.ts')).testSlos(paths, signal),
    runDrill: async (name, onEvent, signal) =>
      (await import('./drill.ts')).runDrill(name, onEvent, signal, { environment, version, clock: systemClock }),
    renderers: {
      crds: {
        description: 'custom resource definitions of the kinds a cluster may hold',
        render: async () => ({ files: (await import('./offline.ts')).renderCrdFiles(), problems: [] }),
      },
      rbac: {
        description: 'ClusterRoles with what the actions, the facts and a catalog in the cluster need, and no more',
        render: async () => ({ files: (await import('./offline.ts')).renderRbacFiles(), problems: [] }),
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
