/**
 * Writing to an object that others write to as well. Every write carries a precondition and, in the same request, an
 * annotation with our idempotency key: afterwards the object itself says whether the write took place.
 *
 * Patches and not server-side apply: applying a configuration takes away every field we applied earlier and do not name
 * again, so that a scale after a restart would start another roll-out.
 */
import { CatalystError } from '../../errors.ts';
import type { CallContext, EffectContext, Happened, Json, TargetObservation } from '../contract.ts';
import { fieldManager, type KubernetesApi, label, type ObjectReference } from './client.ts';
import type { KubernetesObject } from './objects.ts';

/** Holds the key of our newest action on the object. */
export const markerAnnotation = 'catalyst.openova.io/last-action';

/** Tries against changes that are not of the spec (status, labels): each needs a fresh resourceVersion. */
const writeAttempts = 5;

/** What every `before` of a write holds: enough to refuse when the object is another, or was changed by others. */
export type Seen = { uid: string; generation: number; marker: string | null };

export function seen(object: KubernetesObject): Seen {
  return {
    uid: object.metadata.uid,
    generation: object.metadata.generation ?? 0,
    marker: object.metadata.annotations?.[markerAnnotation] ?? null,
  };
}

/** The object as a target. One that is being deleted counts as gone: nothing should be done to it any more. */
export function observation(object: KubernetesObject): TargetObservation {
  const changedBy = lastForeignWriter(object);
  return {
    state: object.metadata.deletionTimestamp === undefined ? 'Present' : 'Gone',
    uid: object.metadata.uid,
    generation: object.metadata.generation ?? 0,
    ...(changedBy === undefined ? {} : { changedBy }),
  };
}

/**
 * Manager of the newest change of the spec that is not ours. Entries that own nothing below `spec` are status updates:
 * before Kubernetes 1.22 they carry no subresource to tell them by.
 */
export function lastForeignWriter(object: KubernetesObject): string | undefined {
  const entries = (object.metadata.managedFields ?? []).filter(
    (entry) =>
      entry.manager !== undefined &&
      entry.manager !== fieldManager &&
      entry.subresource !== 'status' &&
      entry.fieldsV1 !== undefined &&
      'f:spec' in entry.fieldsV1,
  );
  const newest = entries.sort((a, b) => Date.parse(b.time ?? '') - Date.parse(a.time ?? ''))[0];
  return newest?.manager;
}

/** Refuses an object that is not the one the decision was made about, or whose spec was changed since. */
function refuseChanged(object: KubernetesObject, before: Seen, reference: ObjectReference): void {
  const now = observation(object);
  if (now.uid !== before.uid)
    throw conflict(`${label(reference)} was replaced by another object of the same name`, 'TargetReplaced');
  if (now.state === 'Gone') throw conflict(`${label(reference)} is being deleted`, 'TargetGone');
  if (now.generation === before.generation) return;
  const who = now.changedBy === undefined ? 'someone else' : now.changedBy;
  throw conflict(`${label(reference)} was changed by ${who} after it was looked at`, 'TargetChanged');
}

/** A change by others: certainly nothing was done. */
function conflict(sentence: string, reason: string): CatalystError {
  return new CatalystError('Conflict', sentence, {
    certain: true,
    details: { reason },
    hint: 'Look at the object; start the runbook again when what it would do is still wanted.',
  });
}

export interface GuardedWrite<T extends KubernetesObject> {
  api: KubernetesApi;
  reference: ObjectReference;
  before: Seen;
  /** Sends the change for the object as it is now, with its resourceVersion as precondition and the key as marker. */
  write(object: T): Promise<T>;
}

/** Carries a write out once. Done before with the same key, it is not done again. */
export async function guardedWrite<T extends KubernetesObject>(
  context: EffectContext,
  { api, reference, before, write }: GuardedWrite<T>,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    const object = await api.get<T>(context, reference);
    if (object.metadata.uid === before.uid && markerOf(object) === context.idempotencyKey) return object;
    refuseChanged(object, before, reference);
    try {
      return await write(object);
    } catch (error) {
      // Somebody wrote between our reading and our writing; what they wrote decides, so look again.
      if (!(error instanceof CatalystError) || error.code !== 'Conflict') throw error;
      if (attempt === writeAttempts) throw conflict(`${label(reference)} keeps changing`, 'TargetBusy');
    }
  }
}

/** A merge patch that carries precondition and marker beside the change. */
export function marked(object: KubernetesObject, context: EffectContext, change: { [key: string]: Json }): Json {
  const { resourceVersion, uid } = object.metadata;
  const metadata = (change.metadata ?? {}) as { [key: string]: Json };
  const annotations = { ...((metadata.annotations ?? {}) as object), [markerAnnotation]: context.idempotencyKey };
  return { ...change, metadata: { ...metadata, uid, resourceVersion, annotations } };
}

/** Asks the object whether the write with this key took place. */
export async function markedWrite(
  context: EffectContext,
  api: KubernetesApi,
  reference: ObjectReference,
  before: Seen,
): Promise<Happened & { object?: KubernetesObject }> {
  const object = await api.find<KubernetesObject>(context, reference);
  if (object === undefined || object.metadata.uid !== before.uid) {
    return {
      answer: 'unknown',
      sentence: `${label(reference)} is gone, so it cannot say whether it was changed before`,
    };
  }
  const marker = markerOf(object);
  if (marker === context.idempotencyKey) {
    return {
      answer: 'yes',
      sentence: `${label(reference)} carries the key of this step`,
      target: observation(object),
      object,
    };
  }
  if (marker !== before.marker) {
    return { answer: 'unknown', sentence: `${label(reference)} carries the key of another step by now`, object };
  }
  return { answer: 'no', sentence: `${label(reference)} does not carry the key of this step`, object };
}

/** Reads the object for `capture`. */
export async function captureObject<T extends KubernetesObject>(
  context: CallContext,
  api: KubernetesApi,
  reference: ObjectReference,
): Promise<T> {
  const object = await api.get<T>(context, reference);
  if (object.metadata.deletionTimestamp !== undefined)
    throw conflict(`${label(reference)} is being deleted`, 'TargetGone');
  return object;
}

function markerOf(object: KubernetesObject): string | undefined {
  return object.metadata.annotations?.[markerAnnotation];
}
