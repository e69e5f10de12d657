/** StatefulSet → Pods with ordinals: created in order, replaced from the last when the template changes. */
import { createHash } from 'node:crypto';
import type { Pod, Workload } from '../kubernetes/object.ts';
import { sameJson } from '../kubernetes/object.ts';
import { CONTROLLER_STATUS, type Context, createPod, isReady } from './context.ts';

const REVISION_HASH = 'controller-revision-hash';

interface StatefulSetSpec {
  podManagementPolicy?: 'OrderedReady' | 'Parallel';
  updateStrategy?: { type?: 'RollingUpdate' | 'OnDelete' };
}

export function reconcileStatefulSets(context: Context): void {
  const { store } = context;
  for (const object of store.list(store.types.ofKind('apps/v1', 'StatefulSet'))) {
    if (object.metadata.deletionTimestamp === undefined) reconcile(context, object as Workload);
  }
}

function reconcile(context: Context, set: Workload): void {
  const { store } = context;
  const type = store.types.ofKind('v1', 'Pod');
  const { name, namespace, uid } = set.metadata;
  const spec = set.spec as Workload['spec'] & StatefulSetSpec;
  const hash = createHash('sha256').update(JSON.stringify(spec.template)).digest('hex').slice(0, 10);
  const revision = `${name}-${hash}`;
  const pods: Pod[] = [];
  for (let ordinal = 0; ordinal < spec.replicas; ordinal++) {
    const podName = `${name}-${ordinal}`;
    const pod = store.find(type, namespace, podName) as Pod | undefined;
    const inOrder = spec.podManagementPolicy === 'Parallel' || pods.every(isReady);
    if (!pod && !inOrder) break;
    // A name is free only once the pod before is gone.
    if (!pod) {
      const labels = { 'statefulset.kubernetes.io/pod-name': podName, [REVISION_HASH]: revision };
      createPod(context, set, spec.template, podName, labels);
    } else pods.push(pod);
  }
  const isOurs = (pod: Pod) => pod.metadata.ownerReferences?.some((reference) => reference.uid === uid) ?? false;
  const ordinalOf = (pod: Pod) => Number(pod.metadata.name.slice(name.length + 1));
  const surplus = (store.list(type, namespace) as Pod[]).filter((p) => isOurs(p) && ordinalOf(p) >= spec.replicas);
  for (const pod of surplus) store.delete(type, namespace, pod.metadata.name);
  const outdated = pods.findLast((pod) => pod.metadata.labels?.[REVISION_HASH] !== revision);
  const allWell = pods.length === spec.replicas && pods.every(isReady);
  if (outdated && allWell && spec.updateStrategy?.type !== 'OnDelete') {
    store.delete(type, namespace, outdated.metadata.name);
  }
  writeStatus(context, set, pods, revision);
}

function writeStatus({ store }: Context, set: Workload, pods: Pod[], revision: string): void {
  const ready = pods.filter(isReady).length;
  const updated = pods.filter((pod) => pod.metadata.labels?.[REVISION_HASH] === revision).length;
  const status = {
    observedGeneration: set.metadata.generation ?? 1,
    replicas: pods.length,
    readyReplicas: ready,
    availableReplicas: ready,
    currentReplicas: updated,
    updatedReplicas: updated,
    updateRevision: revision,
  };
  if (sameJson(status, set.status)) return;
  store.edit<Workload>(store.types.ofKind('apps/v1', 'StatefulSet'), set, CONTROLLER_STATUS, (draft) => {
    draft.status = status;
  });
}
