/** Deletes what nobody owns any more, and finishes deletions that wait for their dependents. */
import type { KubeObject } from '../kubernetes/object.ts';
import type { ResourceType } from '../kubernetes/resources.ts';
import { storageKey } from '../kubernetes/resources.ts';
import { CONTROLLER, type Context } from './context.ts';

const FOREGROUND = 'foregroundDeletion';

export function collectGarbage({ store }: Context): void {
  const seen = new Set<string>();
  const all: { type: ResourceType; object: KubeObject }[] = [];
  for (const type of store.types.all()) {
    // All versions of a kind share their objects.
    if (type.virtual || seen.has(storageKey(type))) continue;
    seen.add(storageKey(type));
    for (const object of store.list(type)) all.push({ type, object });
  }
  const byUid = new Map(all.map(({ object }) => [object.metadata.uid, object]));
  for (const { type, object } of all) {
    const owners = object.metadata.ownerReferences ?? [];
    const leaving = (uid: string) => {
      const owner = byUid.get(uid);
      return !owner || (owner.metadata.finalizers?.includes(FOREGROUND) ?? false);
    };
    const isGoing = object.metadata.deletionTimestamp !== undefined;
    if (owners.length > 0 && owners.every(({ uid }) => leaving(uid)) && !isGoing) {
      const { namespace, name } = object.metadata;
      // An earlier deletion of this round may have taken it along.
      if (store.find(type, namespace, name)) store.delete(type, namespace, name);
    }
    if (!isGoing || !object.metadata.finalizers?.includes(FOREGROUND)) continue;
    const { uid } = object.metadata;
    if (all.some((other) => other.object.metadata.ownerReferences?.some((reference) => reference.uid === uid)))
      continue;
    store.edit(type, object, CONTROLLER, (draft) => {
      draft.metadata.finalizers = (draft.metadata.finalizers ?? []).filter((finalizer) => finalizer !== FOREGROUND);
    });
  }
}
