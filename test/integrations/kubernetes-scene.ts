/** What the tests of the Kubernetes integration begin with. */
import { createKubernetes } from '../../src/integrations/kubernetes/index.ts';
import { createSecrets } from '../../src/integrations/secrets.ts';
import { FakeKubernetes } from './fakes/fake-kubernetes.ts';

export const secrets = createSecrets({ TOKEN: 'token-of-the-test' });
export const template = (image: string) => ({
  metadata: { labels: { app: 'web' } },
  spec: { containers: [{ name: 'web', image }] },
});

/** A cluster with a Deployment `web` of two revisions, and the integration that looks at it. */
export async function cluster() {
  const fake = await FakeKubernetes.start();
  const web = fake.put(
    'apps/v1',
    'Deployment',
    { name: 'web', namespace: 'acme', annotations: { 'deployment.kubernetes.io/revision': '2' } },
    {
      spec: { replicas: 2, selector: { matchLabels: { app: 'web' } }, template: template('web:2') },
      status: { observedGeneration: 1, readyReplicas: 2, availableReplicas: 2, updatedReplicas: 2 },
    },
  );
  for (const revision of [1, 2]) {
    const set = template(`web:${revision}`);
    fake.put(
      'apps/v1',
      'ReplicaSet',
      {
        name: `web-${revision}`,
        namespace: 'acme',
        labels: { app: 'web' },
        annotations: { 'deployment.kubernetes.io/revision': String(revision) },
        ownerReferences: [{ kind: 'Deployment', name: 'web', uid: web.metadata.uid, controller: true }],
      },
      { spec: { template: { ...set, metadata: { labels: { app: 'web', 'pod-template-hash': `h${revision}` } } } } },
    );
  }
  const kubernetes = createKubernetes({ server: fake.url, tokenEnv: 'TOKEN' }, { secrets });
  return { fake, kubernetes, web };
}

/** A pod of `web`, or one that nobody owns. */
export const pod = (fake: FakeKubernetes, name: string, owned = true, rest = {}) =>
  fake.put(
    'v1',
    'Pod',
    {
      name,
      namespace: 'acme',
      labels: { app: 'web' },
      ...(owned ? { ownerReferences: [{ kind: 'ReplicaSet', name: 'web-2', uid: 'rs', controller: true }] } : {}),
    },
    rest,
  );
