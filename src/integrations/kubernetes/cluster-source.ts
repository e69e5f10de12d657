/** Documents that live in the cluster as objects: the port through which the catalog reads one kind and writes its status. */
import type { Clock } from '../../clock.ts';
import type { CallContext, Json } from '../contract.ts';
import type { KubernetesApi } from './client.ts';
import type { KubernetesObject } from './objects.ts';
import { type NamedResource, type PolicyRule, rule } from './rbac.ts';
import { superviseWatch, type WatchEvent } from './watch.ts';

/** Which objects of ours: `{ kind: 'Runbook', plural: 'runbooks' }`. */
export interface DocumentKind {
  kind: string;
  plural: string;
}

/** What the cluster source of a kind needs of the API server. */
export const clusterSourceRules = ({ apiGroup, resource }: NamedResource): readonly PolicyRule[] => [
  rule(apiGroup, resource, 'list', 'watch'),
  rule(apiGroup, `${resource}/status`, 'patch'),
];

export interface ClusterSource {
  list(signal: AbortSignal): Promise<{ items: unknown[]; resourceVersion: string }>;
  /** Tells of changes after `from` until the signal is aborted; reconnects by itself, and sends `Replaced` where it lost the thread. */
  watch(from: string, onEvent: (event: WatchEvent) => void | Promise<void>, signal: AbortSignal): Promise<void>;
  /** Writes `status` by server-side apply: it is ours alone. Throws NotFound when the object is gone. */
  patchStatus(namespace: string, name: string, status: Json, signal: AbortSignal): Promise<void>;
}

/** `onInterruption` is told of each watch that broke off. */
export function createClusterSource(
  api: KubernetesApi,
  clock: Clock,
  { kind, plural }: DocumentKind,
  onInterruption?: (sentence: string) => void,
): ClusterSource {
  const apiVersion = 'catalyst.openova.io/v1alpha1';
  const place = { apiVersion, kind, plural, namespaced: true };
  const context = (signal: AbortSignal): CallContext => ({ clock, signal });
  return {
    list: (signal) => api.list<KubernetesObject>(context(signal), place, undefined),
    watch: (from, onEvent, signal) =>
      superviseWatch(
        context(signal),
        { api, place, onEvent, ...(onInterruption === undefined ? {} : { onInterruption }) },
        from,
      ),
    async patchStatus(namespace, name, status, signal) {
      const reference = { apiVersion, kind, namespace, name };
      const object = { apiVersion, kind, metadata: { name, namespace }, status };
      await api.apply(context(signal), reference, object, 'status');
    },
  };
}
