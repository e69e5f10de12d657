/** A pod in a crash loop that only its deletion ends, in a real Kubernetes, and the alert that tells it. */
import type { Kubernetes } from '../../testbed/kubernetes.ts';
import { waitUntil } from '../../testbed/process.ts';

/** Generous for two shared cores: an idle machine needs half a minute for each of the states. */
const limitMs = 180_000;

interface Pod {
  metadata: { uid: string };
  status: { containerStatuses?: { ready: boolean; state: { waiting?: { reason?: string } } }[] };
}
/**
 * The rule of kubernetes-mixin, with times for a test: between two starts the container runs for a moment, so that the
 * worst of the last seconds counts.
 */
export const crashLoopRule = {
  alert: 'PodCrashLoopBackOff',
  expr: 'max by (namespace, pod) (max_over_time(kube_pod_container_status_waiting_reason{reason="CrashLoopBackOff"}[5s])) >= 1',
  for: '2s',
  labels: { severity: 'critical' },
};

const api = (namespace: string) => `/apis/apps/v1/namespaces/${namespace}/statefulsets`;

/** Leaves the pod of a StatefulSet in a crash loop that only its deletion ends. Returns its UID. */
export async function breakCart(kubernetes: Kubernetes, namespace: string): Promise<string> {
  const { request } = kubernetes;
  const labels = { app: 'cart' };
  const release = (command: string[] | null) => ({
    spec: { template: { spec: { containers: [{ name: 'cart', image: 'example/cart:1', command }] } } },
  });
  const patch = (body: object) =>
    request(`${api(namespace)}/cart`, { method: 'PATCH', contentType: 'application/strategic-merge-patch+json', body });
  await request('/api/v1/namespaces', { body: { metadata: { name: namespace } } });
  await request(api(namespace), {
    body: {
      metadata: { name: 'cart' },
      spec: {
        serviceName: 'cart',
        replicas: 1,
        selector: { matchLabels: labels },
        template: { metadata: { labels }, spec: { containers: [{ name: 'cart', image: 'example/cart:1' }] } },
      },
    },
  });
  await waitUntil(`cart of ${namespace} to run`, limitMs, async () => {
    return (await cart(kubernetes, namespace))?.status.containerStatuses?.[0]?.ready === true;
  });
  await patch(release(['exit', '1']));
  await waitUntil(`cart of ${namespace} to crash`, limitMs, async () => {
    return (await cart(kubernetes, namespace))?.status.containerStatuses?.[0]?.state.waiting !== undefined;
  });
  await patch(release(null));
  return (await cart(kubernetes, namespace))?.metadata.uid ?? '';
}

export async function cart({ request }: Kubernetes, namespace: string): Promise<Pod | undefined> {
  const { items } = await request<{ items: Pod[] }>(`/api/v1/namespaces/${namespace}/pods`);
  return items[0];
}
