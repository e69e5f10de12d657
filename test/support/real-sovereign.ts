/**
 * A small Sovereign of real servers: Kubernetes, Prometheus, Alertmanager configured as handbook §12 prints it,
 * PostgreSQL, and Catalyst SRE between them with no more rights in the cluster than its generated roles give.
 */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../../src/clock.ts';
import { startAlertmanager } from '../../testbed/alertmanager.ts';
import { startKubeStateMetrics } from '../../testbed/kube-state-metrics.ts';
import type { Kubernetes } from '../../testbed/kubernetes.ts';
import { freePort, temporaryDirectory } from '../../testbed/process.ts';
import { startPrometheus } from '../../testbed/prometheus.ts';
import { sharedKubernetes, sharedPostgres } from '../../testbed/real.ts';
import { privateFile, type Served, startServed } from './served.ts';
import { serverRoles, serviceAccount } from './service-account.ts';

const section12 = join(import.meta.dirname, '..', 'fixtures', 'alertmanager', 'handbook-section-12.yaml');
const section12Host = 'https://gitea.<location-code>.<sovereign-domain>';
/** Owner of the Sovereign's own repositories: whose an alert is, its namespace says. */
const section12Organization = 'system';
const section12TokenFile = '/etc/alertmanager/gitea-token';
const account = 'catalyst-sre';

export interface RealSovereign extends Served {
  kubernetes: Kubernetes;
  stop(): Promise<void>;
}

export interface RealSovereignOptions {
  clock: Clock;
  /** A Prometheus rule file's groups. */
  rules: object;
  /** Configuration of Catalyst SRE beside what the servers are. */
  config: object;
}

export async function startRealSovereign({ clock, rules, config }: RealSovereignOptions): Promise<RealSovereign> {
  const directory = temporaryDirectory('sovereign');
  const stops: (() => void | Promise<void>)[] = [directory.remove];
  const stop = async () => {
    for (const one of stops.splice(0).reverse()) await one();
  };
  const file = (name: string, text: string) => privateFile(directory.path, name, text);
  try {
    const kubernetes = await sharedKubernetes();
    const metrics = await startKubeStateMetrics(kubernetes);
    stops.push(metrics.stop);
    const listen = `127.0.0.1:${await freePort()}`;
    const intake = randomBytes(24).toString('hex');
    const intakeFile = file('alertmanager-token', intake);
    const alertmanager = await startAlertmanager({ config: handbookConfiguration(`http://${listen}`, intakeFile) });
    stops.push(alertmanager.stop);
    const prometheus = await startPrometheus({
      ruleFiles: [file('rules.yml', JSON.stringify(rules))],
      alertmanagerUrl: alertmanager.url,
      scrapeConfigs: [metrics.scrapeConfig],
    });
    stops.push(prometheus.stop);
    const database = await (await sharedPostgres()).createDatabase();
    const roles = serverRoles();
    const served = await startServed(directory.path, clock, {
      listen,
      database: { urlFile: file('database-url', database) },
      tokens: [{ name: 'alertmanager', role: 'intake', tokenFile: intakeFile }],
      integrations: {
        kubernetes: {
          server: kubernetes.url,
          caFile: file('ca.crt', kubernetes.ca),
          tokenFile: file('kubernetes-token', await serviceAccount(kubernetes, account, roles)),
        },
        prometheus: { url: prometheus.url },
        alertmanager: { url: alertmanager.url },
      },
      ...config,
    });
    stops.push(served.app.stop);
    return { kubernetes, ...served, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Handbook §12 as printed, with the host, the Organization and the place of the token filled in. */
function handbookConfiguration(host: string, tokenFile: string): string {
  return readFileSync(section12, 'utf8')
    .replaceAll(section12Host, host)
    .replaceAll('<org>', section12Organization)
    .replaceAll(section12TokenFile, tokenFile);
}
