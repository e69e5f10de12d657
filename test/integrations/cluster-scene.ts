/** What the checks of the Kubernetes integration ask of a cluster, laid through its API: the same for all clusters. */
import { parse } from 'yaml';
import type { Sandbox } from '../../sandbox/start.ts';
import { renderCrds } from '../../src/catalog/crd.ts';
import type { KubernetesApi } from '../../testbed/kubernetes-api.ts';

const definitions = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';

/** A namespace with the Deployment `web`, the Runbook definition as it is generated, and the Runbook `sample`. */
export async function layScene({ request }: KubernetesApi, namespace: string): Promise<void> {
  await request('/api/v1/namespaces', { body: { metadata: { name: namespace } } });
  await installDefinitions({ request });
  const labels = { app: 'web' };
  await request(`/apis/apps/v1/namespaces/${namespace}/deployments`, {
    body: {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'web', namespace, labels },
      spec: {
        replicas: 2,
        selector: { matchLabels: labels },
        template: {
          metadata: { labels },
          spec: {
            // The default of thirty seconds is for programs that have something to finish.
            terminationGracePeriodSeconds: 1,
            containers: [{ name: 'web', image: 'registry.example/web:1' }],
          },
        },
      },
    },
  });
  await request(`/apis/catalyst.openova.io/v1alpha1/namespaces/${namespace}/runbooks`, { body: runbook('sample') });
}

/** Installs every definition of `render crds`, to the byte; those that are there already stay. */
export async function installDefinitions({ request }: KubernetesApi): Promise<void> {
  for (const { content } of renderCrds()) {
    const body = parse(content) as { metadata: { name: string } };
    await request(definitions, { body }).catch(async (error: unknown) => {
      // Another scene of this cluster was first.
      await request(`${definitions}/${body.metadata.name}`).catch(() => Promise.reject(error));
    });
    for (;;) {
      const { status } = await request<{ status?: { conditions?: { type: string; status: string }[] } }>(
        `${definitions}/${body.metadata.name}`,
      );
      if (status?.conditions?.some(({ type, status }) => type === 'Established' && status === 'True')) break;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

/** A Runbook that loads and does nothing. */
export const runbook = (name: string, spec: object = {}) => ({
  apiVersion: 'catalyst.openova.io/v1alpha1',
  kind: 'Runbook',
  metadata: { name },
  spec: { triggers: [{ alertName: 'NoSuchAlert' }], steps: [{ verify: 'true' }], ...spec },
});

/** The sandbox's API server, as its administrator. */
export function apiOf({ kubernetes }: Sandbox): KubernetesApi {
  return {
    request: async <Body>(path: string, call: Parameters<KubernetesApi['request']>[1] = {}) => {
      const { body, method = body === undefined ? 'GET' : 'POST', contentType = 'application/json' } = call;
      const answer = await fetch(`${kubernetes.url}${path}`, {
        method,
        headers: { authorization: `Bearer ${kubernetes.token}`, 'content-type': contentType },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
      return (await answer.json()) as Body;
    },
  };
}
