/** ReplicaSet → Pods: as many as asked for; of too many, those that work least and live shortest go first. */
import type { Pod, Workload } from '../kubernetes/object.ts';
import { sameJson } from '../kubernetes/object.ts';
import { CONTROLLER_STATUS, type Context, createPod, hasEnded, isReady, ownedBy } from './context.ts';

export function reconcileReplicaSets(context: Context): void {
  const { store } = context;
  for (const object of store.list(store.types.ofKind('apps/v1', 'ReplicaSet'))) {
    if (object.metadata.deletionTimestamp === undefined) reconcile(context, object as Workload);
  }
}

function reconcile(context: Context, set: Workload): void {
  const { store } = context;
  const type = store.types.ofKind('v1', 'Pod');
  const pods = ownedBy<Pod>(store, type, set).filter((pod) => !hasEnded(pod));
  for (let missing = set.spec.replicas - pods.length; missing > 0; missing--)
    createPod(context, set, set.spec.template);
  const surplus = Math.max(0, pods.length - set.spec.replicas);
  const newestFirst = pods.toSorted((a, b) => Number(b.metadata.resourceVersion) - Number(a.metadata.resourceVersion));
  const leastUseful = newestFirst.toSorted((a, b) => Number(isReady(a)) - Number(isReady(b)));
  for (const pod of leastUseful.slice(0, surplus)) store.delete(type, pod.metadata.namespace, pod.metadata.name);
  writeStatus(context, set);
}

function writeStatus({ store }: Context, set: Workload): void {
  const pods = ownedBy<Pod>(store, store.types.ofKind('v1', 'Pod'), set).filter((pod) => !hasEnded(pod));
  const ready = pods.filter(isReady).length;
  const status = {
    replicas: pods.length,
    ...(pods.length > 0 ? { fullyLabeledReplicas: pods.length } : {}),
    ...(ready > 0 ? { readyReplicas: ready, availableReplicas: ready } : {}),
    observedGeneration: set.metadata.generation ?? 1,
  };
  if (sameJson(status, set.status)) return;
  store.edit<Workload>(store.types.ofKind('apps/v1', 'ReplicaSet'), set, CONTROLLER_STATUS, (draft) => {
    draft.status = status;
  });
}
