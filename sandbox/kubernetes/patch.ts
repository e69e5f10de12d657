/** The three patches that are not server-side apply: JSON merge patch, JSON patch, strategic merge patch. */
import { copyJson, isTree, sameJson, type Tree } from './object.ts';
import { ApiError, badRequest } from './status.ts';

/**
 * The field that tells the items of a list apart, by the list's name. Lists that are not named here are replaced as a
 * whole, in strategic merge patches and in server-side apply alike.
 */
const LIST_KEYS: Record<string, string> = {
  conditions: 'type',
  containers: 'name',
  env: 'name',
  ephemeralContainers: 'name',
  imagePullSecrets: 'name',
  initContainers: 'name',
  ownerReferences: 'uid',
  ports: 'containerPort',
  volumeMounts: 'mountPath',
  volumes: 'name',
};

/** The key of the items of a list, when each of them carries one. */
export function listKey(name: string, ...lists: unknown[]): string | undefined {
  const key =
    name === 'ports' && lists.flat().some((item) => isTree(item) && 'port' in item) ? 'port' : LIST_KEYS[name];
  if (key === undefined) return undefined;
  const items = lists.flatMap((list) => (Array.isArray(list) ? list : []));
  return items.every((item) => isTree(item) && item[key] !== undefined) ? key : undefined;
}

/** RFC 7386: null removes, objects merge, everything else replaces. */
export function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isTree(patch)) return patch;
  const result: Tree = isTree(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else result[key] = mergePatch(result[key], value);
  }
  return result;
}

/**
 * Kubernetes' own merge: as above, but lists whose items have a key merge item by item; `$patch: delete|replace`,
 * `$deleteFromPrimitiveList/…` and `$retainKeys` work, `$setElementOrder/…` is taken and ignored.
 */
export function strategicMergePatch(target: unknown, patch: unknown, name = ''): unknown {
  if (Array.isArray(patch)) return mergeLists(Array.isArray(target) ? target : [], patch, name);
  if (!isTree(patch)) return patch;
  if (patch.$patch === 'replace') return without(patch, '$patch');
  const retain = Array.isArray(patch.$retainKeys) ? patch.$retainKeys : undefined;
  const result: Tree = {};
  for (const [key, value] of Object.entries(isTree(target) ? target : {})) {
    if (!retain || retain.includes(key)) result[key] = value;
  }
  for (const [key, value] of Object.entries(patch)) {
    const removed = /^\$deleteFromPrimitiveList\/(.+)$/.exec(key)?.[1];
    if (removed !== undefined) {
      const list = result[removed];
      if (Array.isArray(list)) result[removed] = list.filter((item) => !(Array.isArray(value) && value.includes(item)));
    } else if (key.startsWith('$')) {
      if (key === '$patch' && value === 'delete') return undefined;
    } else if (value === null) delete result[key];
    else result[key] = strategicMergePatch(result[key], value, key);
  }
  return result;
}

function without(tree: Tree, field: string): Tree {
  return Object.fromEntries(Object.entries(tree).filter(([key]) => key !== field));
}

function mergeLists(target: unknown[], patch: unknown[], name: string): unknown[] {
  if (name === 'finalizers') return [...target, ...patch.filter((item) => !target.includes(item))];
  if (patch.some((item) => isTree(item) && item.$patch === 'replace')) {
    return patch.filter((item) => !(isTree(item) && '$patch' in item));
  }
  const key = listKey(name, target, patch);
  if (key === undefined) return patch;
  const result = [...target] as Tree[];
  for (const item of patch as Tree[]) {
    const at = result.findIndex((existing) => existing[key] === item[key]);
    if (item.$patch === 'delete') {
      if (at >= 0) result.splice(at, 1);
    } else if (at >= 0) result[at] = strategicMergePatch(result[at], item) as Tree;
    else result.push(strategicMergePatch({}, item) as Tree);
  }
  return result;
}

const refused = (message: string) => new ApiError(422, 'Invalid', `the server rejected our request: ${message}`, {});

/** RFC 6902. */
export function jsonPatch(target: unknown, operations: unknown): unknown {
  if (!Array.isArray(operations)) throw badRequest('a JSON patch is a list of operations');
  let result = copyJson(target);
  for (const operation of operations) {
    if (!isTree(operation) || typeof operation.path !== 'string') throw badRequest('each operation needs op and path');
    result = applyOperation(result, operation as Tree & { path: string });
  }
  return result;
}

function applyOperation(document: unknown, operation: Tree & { path: string }): unknown {
  const path = pointer(operation.path);
  switch (operation.op) {
    case 'add':
    case 'replace':
      return write(document, path, operation.value, operation.op);
    case 'remove':
      return remove(document, path);
    case 'move':
    case 'copy': {
      const from = pointer(String(operation.from));
      const value = copyJson(read(document, from));
      return write(operation.op === 'move' ? remove(document, from) : document, path, value, 'add');
    }
    case 'test':
      if (sameJson(read(document, path), operation.value)) return document;
      throw refused(`testing value ${operation.path} failed`);
    default:
      throw badRequest(`unknown operation "${String(operation.op)}" in a JSON patch`);
  }
}

function pointer(text: string): string[] {
  if (text === '') return [];
  if (!text.startsWith('/')) throw badRequest(`"${text}" is not a JSON pointer`);
  return text
    .slice(1)
    .split('/')
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
}

function read(document: unknown, path: string[]): unknown {
  let value = document;
  for (const part of path) {
    value = Array.isArray(value) ? value[Number(part)] : isTree(value) ? value[part] : undefined;
    if (value === undefined) throw refused(`the path /${path.join('/')} does not exist`);
  }
  return value;
}

function write(document: unknown, path: string[], value: unknown, op: 'add' | 'replace'): unknown {
  const last = path.at(-1);
  if (last === undefined) return value;
  const parent = read(document, path.slice(0, -1));
  if (op === 'replace') read(document, path);
  if (Array.isArray(parent)) {
    const index = last === '-' ? parent.length : Number(last);
    if (!Number.isInteger(index) || index < 0 || index > parent.length) throw refused(`no index ${last}`);
    parent.splice(index, op === 'add' ? 0 : 1, value);
  } else if (isTree(parent)) parent[last] = value;
  else throw refused(`the path /${path.join('/')} does not exist`);
  return document;
}

function remove(document: unknown, path: string[]): unknown {
  read(document, path);
  const parent = read(document, path.slice(0, -1));
  const last = path.at(-1) ?? '';
  if (Array.isArray(parent)) parent.splice(Number(last), 1);
  else if (isTree(parent)) delete parent[last];
  return document;
}
