/** The `/scale` subresource: a workload seen as nothing but a number of replicas. */
import { copyJson, isTree, type Workload } from './object.ts';
import { selectorText } from './selectors.ts';
import { badRequest } from './status.ts';

export function scaleOf(workload: Workload) {
  const { name, namespace, uid, resourceVersion, creationTimestamp } = workload.metadata;
  return {
    kind: 'Scale',
    apiVersion: 'autoscaling/v1',
    metadata: { name, namespace, uid, resourceVersion, creationTimestamp },
    spec: { replicas: workload.spec.replicas },
    status: { replicas: workload.status.replicas ?? 0, selector: selectorText(workload.spec.selector) },
  };
}

/** The workload with the replicas, and at the version, that a Scale asks for. */
export function withReplicas(workload: Workload, scale: unknown): Workload {
  const spec = isTree(scale) && isTree(scale.spec) ? scale.spec : {};
  const metadata = isTree(scale) && isTree(scale.metadata) ? scale.metadata : {};
  const replicas = spec.replicas ?? 0;
  if (typeof replicas !== 'number') throw badRequest('spec.replicas must be a number');
  const draft = copyJson(workload);
  draft.spec.replicas = replicas;
  if (typeof metadata.resourceVersion === 'string') draft.metadata.resourceVersion = metadata.resourceVersion;
  if (typeof metadata.uid === 'string') draft.metadata.uid = metadata.uid;
  return draft;
}
