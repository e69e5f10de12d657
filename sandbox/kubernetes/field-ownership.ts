/**
 * Who owns which field: the sets behind `metadata.managedFields`. Ownership is kept per leaf; lists count as one leaf
 * unless their items carry a key. Real API servers also own the nodes in between and read list keys from the schema.
 */
import type { KubeObject, ManagedFieldsEntry, Tree } from './object.ts';
import { isTree, sameJson } from './object.ts';
import { listKey } from './patch.ts';

/** One leaf: elements such as `f:spec` and `k:{"name":"web"}`, one per line. */
export type FieldPath = string;
export type Leaves = Map<FieldPath, unknown>;

const join = (parent: FieldPath, element: string): FieldPath => (parent === '' ? element : `${parent}\n${element}`);

const SYSTEM_METADATA = new Set([
  'name',
  'namespace',
  'generateName',
  'uid',
  'resourceVersion',
  'generation',
  'creationTimestamp',
  'deletionTimestamp',
  'deletionGracePeriodSeconds',
  'managedFields',
  'selfLink',
]);

/** The leaves of an object that somebody can own. */
export function leavesOf(object: Partial<KubeObject>): Leaves {
  const { apiVersion: _, kind: __, metadata, ...rest } = object;
  const owned = Object.entries(metadata ?? {}).filter(([key]) => !SYSTEM_METADATA.has(key));
  const leaves: Leaves = new Map();
  collect({ ...rest, ...(owned.length > 0 ? { metadata: Object.fromEntries(owned) } : {}) }, '', '', leaves);
  return leaves;
}

function collect(value: unknown, name: string, path: FieldPath, leaves: Leaves): void {
  if (value === undefined) return;
  const key = Array.isArray(value) && value.length > 0 ? listKey(name, value) : undefined;
  if (key !== undefined) {
    for (const item of value as Tree[]) {
      collect(item, '', join(path, `k:${JSON.stringify({ [key]: item[key] })}`), leaves);
    }
  } else if (isTree(value) && Object.keys(value).length > 0) {
    for (const [field, child] of Object.entries(value)) collect(child, field, join(path, `f:${field}`), leaves);
  } else if (path !== '') leaves.set(path, value);
}

/** Leaves that appeared or changed, and leaves that are gone. */
export function compareLeaves(before: Leaves, after: Leaves): { set: FieldPath[]; removed: FieldPath[] } {
  const set = [...after].filter(([path, value]) => !before.has(path) || !sameJson(before.get(path), value));
  return { set: set.map(([path]) => path), removed: [...before.keys()].filter((path) => !after.has(path)) };
}

/** Removes one leaf, and the containers it leaves empty. */
export function removeLeaf(object: Tree, path: FieldPath): void {
  removeAt(object, path.split('\n'));
}

function removeAt(container: unknown, [element = '', ...rest]: string[]): void {
  if (element.startsWith('k:')) {
    const [[key, value] = ['', undefined]] = Object.entries(JSON.parse(element.slice(2)) as Tree);
    const list = Array.isArray(container) ? (container as Tree[]) : [];
    const at = list.findIndex((item) => item[key] === value);
    if (at < 0) return;
    const [field] = rest;
    // Losing its key is losing the item.
    if (rest.length === 1 && field === `f:${key}`) list.splice(at, 1);
    else removeAt(list[at], rest);
    return;
  }
  const field = element.slice(2);
  if (!isTree(container) || !(field in container)) return;
  if (rest.length === 0) {
    delete container[field];
    return;
  }
  removeAt(container[field], rest);
  const child = container[field];
  if ((Array.isArray(child) && child.length === 0) || (isTree(child) && Object.keys(child).length === 0)) {
    delete container[field];
  }
}

/** `.spec.template.spec.containers[name="web"].image`, as conflicts name it. */
export function printPath(path: FieldPath): string {
  return path
    .split('\n')
    .map((element) => {
      if (!element.startsWith('k:')) return `.${element.slice(2)}`;
      const [[key, value] = ['', '']] = Object.entries(JSON.parse(element.slice(2)) as Tree);
      return `[${key}=${JSON.stringify(value)}]`;
    })
    .join('');
}

export function toFieldsV1(paths: Iterable<FieldPath>): Tree {
  const root: Tree = {};
  for (const path of paths) {
    let node = root;
    for (const element of path.split('\n')) {
      const next = (node[element] ?? {}) as Tree;
      node[element] = next;
      node = next;
    }
  }
  return root;
}

export function fromFieldsV1(fields: Tree, path: FieldPath = ''): Set<FieldPath> {
  const paths = new Set<FieldPath>();
  for (const [element, child] of Object.entries(fields)) {
    const here = join(path, element);
    if (!isTree(child) || Object.keys(child).length === 0) paths.add(here);
    else for (const leaf of fromFieldsV1(child, here)) paths.add(leaf);
  }
  return paths;
}

/** Who writes, and how. */
export interface Writer {
  manager: string;
  operation: 'Apply' | 'Update';
  apiVersion: string;
  subresource?: string | undefined;
  /** kubeTime of the write. */
  time: string;
}

function isSameWriter(entry: ManagedFieldsEntry, writer: Writer): boolean {
  return (
    entry.manager === writer.manager &&
    entry.operation === writer.operation &&
    entry.apiVersion === writer.apiVersion &&
    (entry.subresource ?? '') === (writer.subresource ?? '')
  );
}

function rewrite(entry: ManagedFieldsEntry, paths: Set<FieldPath>): ManagedFieldsEntry[] {
  return paths.size === 0 ? [] : [{ ...entry, fieldsV1: toFieldsV1(paths) }];
}

/** After a plain write: what it changed belongs to the writer alone, what it removed to nobody. */
export function ownAfterUpdate(
  entries: readonly ManagedFieldsEntry[],
  writer: Writer,
  change: { set: FieldPath[]; removed: FieldPath[] },
): ManagedFieldsEntry[] {
  if (change.set.length + change.removed.length === 0) return [...entries];
  const touched = new Set([...change.set, ...change.removed]);
  const mine = entries.find((entry) => isSameWriter(entry, writer));
  const others = entries
    .filter((entry) => entry !== mine)
    .flatMap((entry) => {
      const paths = fromFieldsV1(entry.fieldsV1);
      return rewrite(entry, new Set([...paths].filter((path) => !touched.has(path))));
    });
  const kept = mine ? [...fromFieldsV1(mine.fieldsV1)].filter((path) => !change.removed.includes(path)) : [];
  return [...others, ...rewrite(newEntry(writer), new Set([...kept, ...change.set]))];
}

/** After an apply: the writer owns exactly what it applied; `taken` leaves are no longer anybody else's. */
export function ownAfterApply(
  entries: readonly ManagedFieldsEntry[],
  writer: Writer,
  applied: Iterable<FieldPath>,
  taken: Set<FieldPath>,
): ManagedFieldsEntry[] {
  const others = entries
    .filter((entry) => !isSameWriter(entry, writer))
    .flatMap((entry) => rewrite(entry, new Set([...fromFieldsV1(entry.fieldsV1)].filter((p) => !taken.has(p)))));
  return [...others, ...rewrite(newEntry(writer), new Set(applied))];
}

/** What the writer owned before, and what each of the others owns. */
export function ownership(entries: readonly ManagedFieldsEntry[], writer: Writer) {
  const mine = entries.find((entry) => isSameWriter(entry, writer));
  return {
    mine: mine ? fromFieldsV1(mine.fieldsV1) : new Set<FieldPath>(),
    others: entries.filter((entry) => entry !== mine).map((entry) => ({ entry, paths: fromFieldsV1(entry.fieldsV1) })),
  };
}

function newEntry(writer: Writer): ManagedFieldsEntry {
  const { manager, operation, apiVersion, time, subresource } = writer;
  const entry: ManagedFieldsEntry = { manager, operation, apiVersion, time, fieldsType: 'FieldsV1', fieldsV1: {} };
  return subresource === undefined ? entry : { ...entry, subresource };
}
