/** What every controller of the world works with. */
import type { KubeObject, OwnerReference, Pod, PodTemplate } from '../kubernetes/object.ts';
import { kubeTime } from '../kubernetes/object.ts';
import type { ResourceType } from '../kubernetes/resources.ts';
import { nameSuffix, type Store } from '../kubernetes/store.ts';
import type { Pace } from '../pace.ts';

export interface Context {
  store: Store;
  pace: Pace;
  /** Wall-clock milliseconds. */
  now: () => number;
}

export const CONTROLLER = { manager: 'kube-controller-manager' };
export const CONTROLLER_STATUS = { manager: 'kube-controller-manager', subresource: 'status' as const };

/** The objects of a kind that a controller owns, those being deleted left out. */
export function ownedBy<T extends KubeObject>(store: Store, type: ResourceType, owner: KubeObject): T[] {
  return store
    .list(type, owner.metadata.namespace)
    .filter((object) => object.metadata.deletionTimestamp === undefined)
    .filter((object) =>
      object.metadata.ownerReferences?.some((r) => r.controller && r.uid === owner.metadata.uid),
    ) as T[];
}

export function controllerReference(owner: KubeObject): OwnerReference {
  const { apiVersion, kind, metadata } = owner;
  return { apiVersion, kind, name: metadata.name, uid: metadata.uid, controller: true, blockOwnerDeletion: true };
}

/** Creates a pod from a template; without a name of its own it gets a generated one. */
export function createPod(
  { store }: Context,
  owner: KubeObject,
  template: PodTemplate,
  name = `${owner.metadata.name}-${nameSuffix()}`,
  extraLabels: Record<string, string> = {},
): void {
  const draft: unknown = {
    metadata: {
      name,
      generateName: `${owner.metadata.name}-`,
      namespace: owner.metadata.namespace,
      labels: { ...template.metadata?.labels, ...extraLabels },
      ...(template.metadata?.annotations ? { annotations: template.metadata.annotations } : {}),
      ownerReferences: [controllerReference(owner)],
    },
    spec: template.spec,
  };
  store.create(store.types.ofKind('v1', 'Pod'), draft as KubeObject, CONTROLLER);
}

export function isReady(pod: Pod): boolean {
  return pod.status.conditions?.some((c) => c.type === 'Ready' && c.status === 'True') ?? false;
}

export function hasEnded(pod: Pod): boolean {
  return pod.status.phase === 'Succeeded' || pod.status.phase === 'Failed';
}

/** How many events the world remembers; a real API server keeps them for an hour. */
const EVENT_LIMIT = 300;

/** Writes a Kubernetes Event, or counts it on the one that already says the same. */
export function recordEvent(
  { store, now }: Context,
  about: KubeObject,
  type: 'Normal' | 'Warning',
  reason: string,
  message: string,
  component: string,
): void {
  const events = store.types.ofKind('v1', 'Event');
  const { name, uid, resourceVersion } = about.metadata;
  const namespace = about.metadata.namespace ?? 'default';
  const time = kubeTime(now());
  const same = store.list(events, namespace).find((event) => {
    const involved = event.involvedObject as { uid?: string };
    return involved.uid === uid && event.reason === reason && event.message === message;
  });
  if (same) {
    store.edit(events, same, { manager: component }, (draft) => {
      draft.count = Number(draft.count) + 1;
      draft.lastTimestamp = time;
    });
    return;
  }
  const involvedObject = { kind: about.kind, namespace, name, uid, apiVersion: about.apiVersion, resourceVersion };
  const draft: unknown = {
    metadata: { name: `${name}.${nameSuffix()}${nameSuffix()}`, namespace },
    involvedObject,
    reason,
    message,
    type,
    count: 1,
    firstTimestamp: time,
    lastTimestamp: time,
    source: { component },
    reportingComponent: component,
    reportingInstance: '',
  };
  store.create(events, draft as KubeObject, { manager: component });
  const all = store.list(events);
  const oldest = all.toSorted((a, b) => Number(a.metadata.resourceVersion) - Number(b.metadata.resourceVersion))[0];
  if (all.length > EVENT_LIMIT && oldest) store.delete(events, oldest.metadata.namespace, oldest.metadata.name);
}
