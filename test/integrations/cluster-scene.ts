/** What the checks of the Kubernetes integration ask of a cluster, laid through its API: the same for all clusters. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { load } from 'js-yaml';
import type { Sandbox } from '../../sandbox/start.ts';
import { handbookDirectory } from '../../src/app/document-files.ts';
import { clusterKinds, renderCrds } from '../../src/catalog/crd.ts';
import { apiVersion } from '../../src/catalog/resource.ts';
import type { KubernetesApi } from '../../testbed/kubernetes-api.ts';

const definitions = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';

/** A namespace with the Deployment `web`, the definitions as they are generated, and an object `sample` of each. */
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
  for (const { kind, plural } of clusterKinds) {
    const body = samples[kind];
    if (body === undefined) throw new Error(`say what a sample of the kind ${kind} is`);
    await request(`/apis/${apiVersion}/namespaces/${namespace}/${plural}`, { body });
  }
}

/** Installs every definition of `render crds`, to the byte; those that are there already stay. */
export async function installDefinitions({ request }: KubernetesApi): Promise<void> {
  for (const { content } of renderCrds()) {
    const body = load(content) as { metadata: { name: string } };
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
  apiVersion,
  kind: 'Runbook',
  metadata: { name },
  spec: { triggers: [{ alertName: 'NoSuchAlert' }], steps: [{ verify: 'true' }], ...spec },
});

/** A document of the handbook as an object of another name. */
const fromHandbook = (file: string, name: string): object => ({
  ...(load(readFileSync(join(handbookDirectory, file), 'utf8')) as object),
  metadata: { name },
});

/** An objective, as the handbook has it. */
export const objective = (name: string) => fromHandbook('slos/console-availability.yaml', name);

/** By kind: a document that loads. */
const samples: Readonly<Record<string, object>> = {
  Runbook: runbook('sample'),
  ServiceLevelObjective: objective('sample'),
  AlertRule: fromHandbook('alerts/catalyst-sre-catalog-problems.yaml', 'sample'),
};

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
