/** What a cluster needs to hold documents and to be acted on: definitions and roles. Loads no more of the house than that. */
import { clusterKinds, renderCrds } from '../catalog/crd.ts';
import { apiVersion } from '../catalog/resource.ts';
import type { RenderedFile } from '../cli/registry.ts';
import { failoverRules } from '../failover/rules.ts';
import { createKubernetes } from '../integrations/kubernetes/index.ts';
import { renderClusterRole } from '../integrations/kubernetes/rbac.ts';
import { createSecrets } from '../integrations/secrets.ts';

export function renderCrdFiles(): RenderedFile[] {
  return renderCrds().map(({ path, content }) => ({ path, text: content }));
}

export function renderRbacFiles(): RenderedFile[] {
  // Not configured: its definitions are complete, and nothing of it does I/O.
  const kubernetes = createKubernetes(undefined, { secrets: createSecrets({}) });
  const wanted = [...kubernetes.facts, ...kubernetes.actions]
    .map(({ name }) => name)
    .filter((name) => !needsNaming.has(name));
  return [
    { path: 'clusterrole.yaml', text: kubernetes.clusterRole('catalyst-sre', wanted) },
    // By itself, for those alone who keep documents in the cluster; who keeps fewer kinds there takes the others out.
    {
      path: 'clusterrole-catalog.yaml',
      text: kubernetes.clusterRole('catalyst-sre-catalog', [
        {
          name: 'cluster source',
          resources: clusterKinds.map(({ plural }) => ({ apiGroup: apiVersion.split('/')[0] ?? '', resource: plural })),
        },
      ]),
    },
    // Of another process, which runs under an account of its own.
    {
      path: 'clusterrole-failover.yaml',
      text: renderClusterRole(
        failoverRole,
        [{ definition: { name: failoverRole }, rules: failoverRules }],
        [failoverRole],
      ),
    },
  ];
}

const failoverRole = 'catalyst-sre-failover';

/** What reads or writes any kind of object: a role for it has to name the kinds, which only who runs the Sovereign knows. */
const needsNaming = new Set(['kubernetes patch', 'kubernetes.object', 'kubernetes.condition']);
