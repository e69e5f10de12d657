/** Server-side apply: merge what is declared, refuse what somebody else owns, drop what is declared no longer. */
import {
  type FieldPath,
  leavesOf,
  ownAfterApply,
  ownership,
  printPath,
  removeLeaf,
  type Writer,
} from './field-ownership.ts';
import type { KubeObject, ManagedFieldsEntry, Tree } from './object.ts';
import { copyJson, isTree, sameJson } from './object.ts';
import { strategicMergePatch } from './patch.ts';
import { ApiError } from './status.ts';

export interface Applied {
  object: KubeObject;
  managedFields: ManagedFieldsEntry[];
}

/** Applies `declared` on `current`; throws the conflict unless `force`. */
export function applyDeclared(current: KubeObject, declared: KubeObject, writer: Writer, force: boolean): Applied {
  const entries = current.metadata.managedFields ?? [];
  const currentLeaves = leavesOf(current);
  const declaredLeaves = leavesOf(declared);
  const { mine, others } = ownership(entries, writer);

  const changed = [...declaredLeaves]
    .filter(([path, value]) => !sameJson(currentLeaves.get(path), value))
    .map(([path]) => path);
  const conflicts = others
    .map(({ entry, paths }) => ({ entry, paths: changed.filter((path) => paths.has(path)) }))
    .filter(({ paths }) => paths.length > 0);
  if (conflicts.length > 0 && !force) throw conflictError(conflicts);

  const object = strategicMergePatch(copyJson(current), withoutSystemFields(declared)) as KubeObject;
  const abandoned = [...mine].filter(
    (path) => !declaredLeaves.has(path) && !others.some(({ paths }) => paths.has(path)),
  );
  for (const path of abandoned) removeLeaf(object, path);
  return { object, managedFields: ownAfterApply(entries, writer, declaredLeaves.keys(), new Set(changed)) };
}

function withoutSystemFields(declared: KubeObject): Tree {
  const { metadata, ...rest } = declared;
  const { managedFields: _, resourceVersion: __, uid: ___, creationTimestamp: ____, ...kept } = metadata;
  return isTree(kept) ? { ...rest, metadata: kept } : rest;
}

function conflictError(conflicts: { entry: ManagedFieldsEntry; paths: FieldPath[] }[]): ApiError {
  const causes = conflicts.flatMap(({ entry, paths }) => {
    const subresource = entry.subresource === undefined ? '' : ` with subresource "${entry.subresource}"`;
    const who = `"${entry.manager}"${subresource} using ${entry.apiVersion}`;
    return paths.map((path) => ({ who, field: printPath(path) }));
  });
  const byManager = Map.groupBy(causes, (cause) => cause.who);
  const texts = [...byManager].map(([who, list]) =>
    list.length === 1 && byManager.size === 1
      ? `conflict with ${who}: ${list[0]?.field}`
      : `conflicts with ${who}:\n${list.map((cause) => `- ${cause.field}`).join('\n')}`,
  );
  const count = `${causes.length} conflict${causes.length === 1 ? '' : 's'}`;
  return new ApiError(409, 'Conflict', `Apply failed with ${count}: ${texts.join('\n')}`, {
    causes: causes.map(({ who, field }) => ({
      reason: 'FieldManagerConflict',
      message: `conflict with ${who}`,
      field,
    })),
  });
}
