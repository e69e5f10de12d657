/** Where objects of a kind live in the API. */
import { CatalystError } from '../../errors.ts';

export interface KindPlace {
  apiVersion: string;
  kind: string;
  plural: string;
  namespaced: boolean;
}

const place = (apiVersion: string, kind: string, plural: string, namespaced = true): KindPlace => ({
  apiVersion,
  kind,
  plural,
  namespaced,
});

/** Kinds that may be named without an apiVersion, and are known without asking. */
export const knownKinds: readonly KindPlace[] = [
  place('apps/v1', 'Deployment', 'deployments'),
  place('apps/v1', 'StatefulSet', 'statefulsets'),
  place('apps/v1', 'DaemonSet', 'daemonsets'),
  place('apps/v1', 'ReplicaSet', 'replicasets'),
  place('batch/v1', 'Job', 'jobs'),
  place('v1', 'Pod', 'pods'),
  place('v1', 'Service', 'services'),
  place('v1', 'ConfigMap', 'configmaps'),
  place('v1', 'Event', 'events'),
  place('v1', 'PersistentVolumeClaim', 'persistentvolumeclaims'),
  place('v1', 'Node', 'nodes', false),
  place('v1', 'Namespace', 'namespaces', false),
];

/** The default apiVersion of a kind. Throws BadRequest for a kind that needs one. */
export function defaultApiVersion(kind: string): string {
  const known = knownKinds.find((candidate) => candidate.kind === kind);
  if (known !== undefined) return known.apiVersion;
  throw new CatalystError('BadRequest', `kind ${kind} needs an apiVersion`, {
    hint: `Without one only ${knownKinds.map((candidate) => candidate.kind).join(', ')} are known.`,
  });
}

/** `/api/v1` or `/apis/<group>/<version>`. */
export function groupPath(apiVersion: string): string {
  return apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
}

/** Path of an object, or of the collection where no name is given. */
export function pathOf(place: KindPlace, namespace: string | undefined, name?: string, subresource?: string): string {
  if (place.namespaced && (namespace === undefined || namespace === '')) {
    throw new CatalystError('BadRequest', `${place.kind} needs a namespace`);
  }
  const parts = [groupPath(place.apiVersion)];
  if (place.namespaced) parts.push('namespaces', segment(namespace ?? ''));
  parts.push(place.plural);
  if (name !== undefined) parts.push(segment(name));
  if (subresource !== undefined) parts.push(subresource);
  return parts.join('/');
}

/** A name as a path segment. A name Kubernetes could not hold is refused before it can point elsewhere. */
function segment(name: string): string {
  if (/^[a-z0-9]([-a-z0-9.:_]*[a-z0-9])?$/i.test(name) && !name.includes('..')) return name;
  throw new CatalystError('BadRequest', `"${name}" is not a Kubernetes name`);
}
