/**
 * Writes to the Kubernetes API that carry the epoch: an object that a newer epoch has written is left alone, and a change
 * between the look and the write is a Conflict, so that the API server itself is the judge.
 */
import { CatalystError } from '../../errors.ts';
import type { CallContext, Json } from '../../integrations/contract.ts';
import { type KubernetesApi, label, type ObjectReference } from '../../integrations/kubernetes/client.ts';
import type { KubernetesObject } from '../../integrations/kubernetes/objects.ts';
import type { Authority } from './layer.ts';

/** The fencing token, as an annotation of every object the controller writes. */
export const epochAnnotation = 'failover.catalyst.openova.io/epoch';

/** The name these writes carry in `managedFields`, apart from the engine's. */
export const failoverFieldManager = 'catalyst-sre-failover';

/** The epoch an object was last written under; 0 when it never was. */
export function epochOf(object: KubernetesObject | undefined): number {
  const text = object?.metadata.annotations?.[epochAnnotation];
  return text !== undefined && /^[0-9]{1,15}$/.test(text) ? Number(text) : 0;
}

/** Throws RefusedByGuard when the object belongs to a newer epoch. */
function refuseOlder(authority: Authority, reference: ObjectReference, object: KubernetesObject | undefined): void {
  const theirs = epochOf(object);
  if (authority.epoch === undefined || theirs <= authority.epoch) return;
  throw new CatalystError(
    'RefusedByGuard',
    `${label(reference)} was written under epoch ${theirs}; epoch ${authority.epoch} is over.`,
    { details: { reason: 'StaleEpoch' } },
  );
}

/** Annotations that carry the epoch; at boot there is none yet, and the object keeps what it has. */
function stamp(authority: Authority, object: KubernetesObject | undefined): Record<string, string> {
  const epoch = authority.epoch ?? epochOf(object);
  return { [epochAnnotation]: String(epoch) };
}

interface Fields {
  metadata?: { annotations?: Record<string, string | null>; labels?: Record<string, string> };
  [field: string]: Json | undefined;
}

/** Server-side apply of fields that are ours. `fields` is all we own of the object: what is left out is given up. */
export async function applyUnderEpoch(
  api: KubernetesApi,
  context: CallContext,
  authority: Authority,
  reference: Required<ObjectReference>,
  fields: Fields | ((object: KubernetesObject | undefined) => Fields),
  options: { create: boolean } = { create: false },
): Promise<KubernetesObject> {
  const object = await api.find(context, reference);
  if (object === undefined && !options.create)
    throw new CatalystError('NotFound', `${label(reference)} does not exist`, { certain: true });
  refuseOlder(authority, reference, object);
  const { metadata, ...rest } = typeof fields === 'function' ? fields(object) : fields;
  authority.demand();
  return api.apply(context, reference, {
    apiVersion: reference.apiVersion,
    kind: reference.kind,
    metadata: {
      ...metadata,
      name: reference.name,
      namespace: reference.namespace,
      ...(object === undefined ? {} : { resourceVersion: object.metadata.resourceVersion }),
      annotations: { ...metadata?.annotations, ...stamp(authority, object) },
    },
    ...(rest as { [field: string]: Json }),
  });
}

/**
 * Merge patch, for what apply cannot say: a field that somebody else set is to go. `patch` gets the object as it is;
 * undefined leaves it alone.
 */
export async function patchUnderEpoch(
  api: KubernetesApi,
  context: CallContext,
  authority: Authority,
  reference: ObjectReference,
  patch: (object: KubernetesObject) => Fields | undefined,
): Promise<KubernetesObject> {
  const object = await api.get(context, reference);
  refuseOlder(authority, reference, object);
  const wanted = patch(object);
  if (wanted === undefined) return object;
  const { metadata, ...rest } = wanted;
  authority.demand();
  return api.mergePatch(context, reference, {
    ...(rest as { [field: string]: Json }),
    metadata: {
      ...metadata,
      resourceVersion: object.metadata.resourceVersion,
      annotations: { ...metadata?.annotations, ...stamp(authority, object) },
    },
  });
}
