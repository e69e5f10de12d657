/**
 * What kube-state-metrics tells Prometheus of the containers of a cluster, read from its API at each scrape, under the
 * names and labels of that exporter, which Debian does not package.
 */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Kubernetes } from './kubernetes.ts';

export interface KubeStateMetrics {
  /** For `scrape_configs`; the labels of the cluster stay as they are. */
  readonly scrapeConfig: object;
  stop(): Promise<void>;
}

interface PodList {
  items: {
    metadata: { namespace: string; name: string; uid: string };
    status: {
      containerStatuses?: { name: string; restartCount: number; state: { waiting?: { reason?: string } } }[];
    };
  }[];
}

/** Serves `/metrics` on a free loopback port. */
export async function startKubeStateMetrics(kubernetes: Pick<Kubernetes, 'request'>): Promise<KubeStateMetrics> {
  const server = createServer(async (_request, response) => {
    try {
      const text = metricsOf(await kubernetes.request<PodList>('/api/v1/pods'));
      response.setHeader('content-type', 'text/plain; version=0.0.4').end(text);
    } catch (error) {
      // A failed scrape, which Prometheus knows how to tell from a cluster without pods.
      response.writeHead(500).end(String(error));
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const target = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    scrapeConfig: { job_name: 'kube-state-metrics', honor_labels: true, static_configs: [{ targets: [target] }] },
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function metricsOf({ items }: PodList): string {
  const restarts = ['# TYPE kube_pod_container_status_restarts_total counter'];
  const waiting = ['# TYPE kube_pod_container_status_waiting_reason gauge'];
  for (const { metadata, status } of items) {
    const { namespace, name: pod, uid } = metadata;
    for (const { name: container, restartCount, state } of status.containerStatuses ?? []) {
      const labels = { namespace, pod, uid, container };
      restarts.push(`kube_pod_container_status_restarts_total${labelled(labels)} ${restartCount}`);
      const reason = state.waiting?.reason;
      if (reason !== undefined)
        waiting.push(`kube_pod_container_status_waiting_reason${labelled({ ...labels, reason })} 1`);
    }
  }
  return `${[...restarts, ...waiting].join('\n')}\n`;
}

/** None of these values can hold what would have to be escaped: they are names of Kubernetes. */
function labelled(labels: Record<string, string>): string {
  return `{${Object.entries(labels)
    .map(([name, value]) => `${name}="${value}"`)
    .join(',')}}`;
}
