/** Reads a URL of the Kubernetes API: which resource, which object, which part of it. */
import type { ResourceType, ResourceTypes } from './resources.ts';
import { noSuchPath } from './status.ts';

export interface Target {
  type: ResourceType;
  namespace: string | undefined;
  /** Absent on lists. */
  name: string | undefined;
  subresource: string | undefined;
}

/** The resource a path given in its parts names; throws `NotFound` when nothing is served there. */
export function parseTarget(types: ResourceTypes, parts: string[]): Target {
  const isCore = parts[0] === 'api';
  const [group, version] = isCore ? ['', parts[1]] : [parts[1], parts[2]];
  const rest = parts.slice(isCore ? 2 : 3);
  if ((parts[0] !== 'api' && parts[0] !== 'apis') || group === undefined || version === undefined) throw noSuchPath();
  // `namespaces/x/pods` is a list within; `namespaces/x` and `namespaces/x/status` are the namespace itself.
  const isWithin = rest[0] === 'namespaces' && rest.length > 2 && !(rest.length === 3 && rest[2] === 'status');
  const namespace = isWithin ? rest[1] : undefined;
  const [plural = '', name, subresource, ...more] = isWithin ? rest.slice(2) : rest;
  const type = types.find(group, version, plural);
  if (!type || more.length > 0) throw noSuchPath();
  if (type.namespaced !== isWithin && (isWithin || name !== undefined)) throw noSuchPath();
  return { type, namespace, name, subresource };
}
