/**
 * The storage behind the API: objects, their versions and the log of their changes. It keeps the promises clients rely
 * on (optimistic concurrency, generations, field ownership, finalizers) and knows nothing of HTTP.
 *
 * Stored objects are never changed in place: every write stores a new object, so that what was read stays as it was.
 */
import { randomInt, randomUUID } from 'node:crypto';
import { setDefaults, validate } from './admission.ts';
import { applyDeclared } from './apply.ts';
import { CustomSchema } from './custom-schema.ts';
import { definedTypes, establish } from './definition.ts';
import { compareLeaves, leavesOf, ownAfterUpdate, type Writer } from './field-ownership.ts';
import { copyJson, type KubeObject, kubeTime, type ManagedFieldsEntry, sameJson } from './object.ts';
import { apiVersionOf, type ResourceType, ResourceTypes, storageKey } from './resources.ts';
import { alreadyExists, conflict, invalid, modified, notFound } from './status.ts';

export interface Change {
  version: number;
  type: 'ADDED' | 'MODIFIED' | 'DELETED';
  key: string;
  object: KubeObject;
  previous?: KubeObject;
}

/** Who writes (`fieldManager`), and through which subresource. */
export interface Author {
  manager: string;
  subresource?: 'status' | 'scale';
}

export interface DeleteOptions {
  uid?: string | undefined;
  resourceVersion?: string | undefined;
  gracePeriodSeconds?: number | undefined;
  propagationPolicy?: 'Orphan' | 'Background' | 'Foreground' | undefined;
}

/** How many changes a watch may lie behind before it is told to list again. */
const LOG_LIMIT = 5_000;
/** Versions do not start at zero on a cluster that has lived. */
const FIRST_VERSION = 1_000;
/** Without vowels and look-alikes, as Kubernetes draws the ends of generated names. */
const NAME_LETTERS = 'bcdfghjklmnpqrstvwxz2456789';
const NAMESPACE_KEY = '/namespaces';
const DEFINITION_KEY = 'apiextensions.k8s.io/customresourcedefinitions';

/** Five letters that make a generated name its own. */
export function nameSuffix(): string {
  return Array.from({ length: 5 }, () => NAME_LETTERS[randomInt(NAME_LETTERS.length)]).join('');
}

export class Store {
  readonly types = new ResourceTypes();
  readonly #now: () => number;
  readonly #objects = new Map<string, Map<string, KubeObject>>();
  /** The same in the order of a list, until the next change. */
  readonly #sorted = new Map<string, KubeObject[]>();
  readonly #schemas = new Map<string, CustomSchema>();
  readonly #listeners = new Set<(change: Change) => void>();
  #log: Change[] = [];
  #version = FIRST_VERSION;
  /** Changes up to this version are forgotten. */
  #forgotten = FIRST_VERSION;

  /** `now` is wall-clock time in milliseconds. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** The version of the newest change. */
  get version(): number {
    return this.#version;
  }

  find(type: ResourceType, namespace: string | undefined, name: string): KubeObject | undefined {
    const object = this.#bucket(type).get(`${namespace ?? ''}/${name}`);
    return object && this.#present(type, object);
  }

  get(type: ResourceType, namespace: string | undefined, name: string): KubeObject {
    const object = this.find(type, namespace, name);
    if (!object) throw notFound(type, name);
    return object;
  }

  /** All objects of a kind, of one namespace or of all, in the order the API lists them. */
  list(type: ResourceType, namespace?: string): KubeObject[] {
    const key = storageKey(type);
    const objects = this.#sorted.get(key) ?? sorted(this.#bucket(type).values());
    this.#sorted.set(key, objects);
    return objects
      .filter((object) => namespace === undefined || object.metadata.namespace === namespace)
      .map((object) => this.#present(type, object));
  }

  /** The same, as it was at `version`; undefined when that is forgotten. */
  listAt(type: ResourceType, namespace: string | undefined, version: number): KubeObject[] | undefined {
    if (version < this.#forgotten) return undefined;
    const objects = new Map(this.#bucket(type));
    for (const change of this.#log.toReversed()) {
      if (change.version <= version) break;
      if (change.key !== storageKey(type)) continue;
      const id = idOf(change.object);
      if (change.previous) objects.set(id, change.previous);
      else objects.delete(id);
    }
    return sorted(objects.values())
      .filter((object) => namespace === undefined || object.metadata.namespace === namespace)
      .map((object) => this.#present(type, object));
  }

  /** Every change after `version`; undefined when some of them are forgotten. */
  changesSince(version: number): Change[] | undefined {
    return version < this.#forgotten ? undefined : this.#log.filter((change) => change.version > version);
  }

  /** Forgets the log, as compaction does: watches and continued lists from before must start again. */
  compact(): void {
    this.#log = [];
    this.#forgotten = this.#version;
  }

  /** Calls back at each change until the returned function is called. */
  subscribe(listener: (change: Change) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Stores a new object; `dryRun` does everything but that. */
  create(type: ResourceType, draft: KubeObject, author: Author, dryRun = false): KubeObject {
    const object = this.#newObject(type, draft);
    const writer = this.#writer(type, author);
    object.metadata.managedFields = ownAfterUpdate([], writer, compareLeaves(new Map(), leavesOf(object)));
    return this.#insert(type, object, dryRun);
  }

  /**
   * Stores a changed object. Through the main resource the status stays as it was; through a subresource only its part
   * changes. The version and uid it carries must be the current ones, when it carries any.
   */
  update(type: ResourceType, object: KubeObject, author: Author, dryRun = false): KubeObject {
    const before = this.get(type, object.metadata.namespace, object.metadata.name);
    this.#checkVersion(type, before, object);
    const draft = this.#draft(type, before, object, author.subresource);
    this.#admit(type, draft, before);
    const change = compareLeaves(leavesOf(before), leavesOf(draft));
    const owners = ownAfterUpdate(before.metadata.managedFields ?? [], this.#writer(type, author), change);
    return this.#put(type, before, draft, owners, dryRun);
  }

  /** Server-side apply; creates what does not exist. */
  apply(type: ResourceType, declared: KubeObject, author: Author, force: boolean, dryRun = false) {
    const { namespace, name } = declared.metadata;
    const writer: Writer = { ...this.#writer(type, author), operation: 'Apply' };
    const before = this.find(type, namespace, name);
    if (!before) {
      if (author.subresource) throw notFound(type, name);
      const object = this.#newObject(type, declared);
      object.metadata.managedFields = applyDeclared(object, declared, writer, force).managedFields;
      return { object: this.#insert(type, object, dryRun), created: true };
    }
    this.#checkVersion(type, before, declared);
    const applied = applyDeclared(before, declared, writer, force);
    const draft = this.#draft(type, before, applied.object, author.subresource);
    this.#admit(type, draft, before);
    return { object: this.#put(type, before, draft, applied.managedFields, dryRun), created: false };
  }

  /** Changes an object with a function; the world's own writes. Nothing happens when it is gone or nothing differs. */
  edit<T extends KubeObject>(type: ResourceType, target: KubeObject, author: Author, change: (draft: T) => void): void {
    const current = this.find(type, target.metadata.namespace, target.metadata.name);
    if (!current || current.metadata.uid !== target.metadata.uid) return;
    const draft = copyJson(current) as T;
    change(draft);
    this.update(type, draft, author);
  }

  /** Deletes an object, or marks it when a finalizer or a grace period keeps it. Returns it, and whether it is gone. */
  delete(type: ResourceType, namespace: string | undefined, name: string, options: DeleteOptions = {}, dryRun = false) {
    const object = this.get(type, namespace, name);
    const { uid, resourceVersion } = object.metadata;
    const precondition = (field: string, wanted: string, have: string) =>
      conflict(
        type,
        name,
        `Precondition failed: ${field} in precondition: ${wanted}, ${field} in object meta: ${have}`,
      );
    if (options.uid !== undefined && options.uid !== uid) throw precondition('UID', options.uid, uid);
    if (options.resourceVersion !== undefined && options.resourceVersion !== resourceVersion) {
      throw precondition('ResourceVersion', options.resourceVersion, resourceVersion);
    }
    if (dryRun) return { object, gone: false };
    if (options.propagationPolicy === 'Orphan') this.#orphan(uid);
    const finalizers = [...(object.metadata.finalizers ?? [])];
    if (options.propagationPolicy === 'Foreground') finalizers.push('foregroundDeletion');
    const grace = options.gracePeriodSeconds ?? (storageKey(type) === '/pods' ? 30 : 0);
    if (finalizers.length === 0 && grace === 0) return { object: this.#remove(type, object), gone: true };
    if (object.metadata.deletionTimestamp !== undefined) return { object, gone: false };
    const draft = copyJson(object);
    draft.metadata.deletionTimestamp = kubeTime(this.#now());
    draft.metadata.deletionGracePeriodSeconds = grace;
    if (finalizers.length > 0) draft.metadata.finalizers = [...new Set(finalizers)];
    return { object: this.#put(type, object, draft, object.metadata.managedFields ?? []), gone: false };
  }

  #bucket(type: ResourceType): Map<string, KubeObject> {
    const key = storageKey(type);
    let bucket = this.#objects.get(key);
    if (!bucket) {
      bucket = new Map();
      this.#objects.set(key, bucket);
    }
    return bucket;
  }

  #present(type: ResourceType, object: KubeObject): KubeObject {
    const apiVersion = apiVersionOf(type);
    return object.apiVersion === apiVersion ? object : { ...object, apiVersion };
  }

  #writer(type: ResourceType, author: Author): Writer {
    return { ...author, operation: 'Update', apiVersion: apiVersionOf(type), time: kubeTime(this.#now()) };
  }

  #newObject(type: ResourceType, draft: KubeObject): KubeObject {
    const object = copyJson(draft);
    const { metadata } = object;
    if (!metadata.name) {
      if (!metadata.generateName) {
        const message = 'Required value: name or generateName is required';
        throw invalid(type.kind, type.group, '', [{ reason: 'FieldValueRequired', message, field: 'metadata.name' }]);
      }
      metadata.name = metadata.generateName + nameSuffix();
    }
    if (metadata.namespace !== undefined && !this.#namespaceExists(metadata.namespace)) {
      throw notFound(this.types.ofKind('v1', 'Namespace'), metadata.namespace);
    }
    if (this.find(type, metadata.namespace, metadata.name)) throw alreadyExists(type, metadata.name);
    object.apiVersion = apiVersionOf(type);
    object.kind = type.kind;
    if (type.subresources.includes('status')) delete object.status;
    metadata.uid = randomUUID();
    metadata.creationTimestamp = kubeTime(this.#now());
    delete metadata.deletionTimestamp;
    if (type.counted) metadata.generation = 1;
    else delete metadata.generation;
    this.#admit(type, object);
    return object;
  }

  #namespaceExists(name: string): boolean {
    return this.#objects.get(NAMESPACE_KEY)?.has(`/${name}`) ?? false;
  }

  #admit(type: ResourceType, object: KubeObject, before?: KubeObject): void {
    setDefaults(type, object);
    if (type.definition !== undefined) this.#schemas.get(type.definition)?.admit(type, object);
    validate(type, object, before);
  }

  #checkVersion(type: ResourceType, before: KubeObject, object: KubeObject): void {
    const { uid, resourceVersion, name } = object.metadata;
    if (uid !== undefined && uid !== before.metadata.uid) {
      const why = `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${before.metadata.uid}`;
      throw conflict(type, name, why);
    }
    if (resourceVersion !== undefined && resourceVersion !== before.metadata.resourceVersion)
      throw modified(type, name);
  }

  /** `before` with the part of `object` that this way of writing may change. */
  #draft(type: ResourceType, before: KubeObject, object: KubeObject, subresource: Author['subresource']): KubeObject {
    if (subresource === 'status') return copyJson({ ...before, status: object.status });
    if (subresource === 'scale') return copyJson({ ...before, spec: object.spec });
    const draft = copyJson({ ...object, apiVersion: before.apiVersion, kind: before.kind });
    const { uid, creationTimestamp, generation, deletionTimestamp, deletionGracePeriodSeconds } = before.metadata;
    const fixed = { uid, creationTimestamp, generation, deletionTimestamp, deletionGracePeriodSeconds };
    draft.metadata = { ...draft.metadata, ...JSON.parse(JSON.stringify(fixed)) };
    if (type.subresources.includes('status')) {
      if (before.status === undefined) delete draft.status;
      else draft.status = copyJson(before.status);
    }
    return draft;
  }

  #insert(type: ResourceType, object: KubeObject, dryRun: boolean): KubeObject {
    if (storageKey(type) === DEFINITION_KEY) establish(object, kubeTime(this.#now()));
    if (dryRun) return object;
    const stored = this.#record(type, 'ADDED', object);
    if (storageKey(type) === DEFINITION_KEY) this.#define(stored);
    return stored;
  }

  #put(
    type: ResourceType,
    before: KubeObject,
    draft: KubeObject,
    managedFields: ManagedFieldsEntry[],
    dryRun = false,
  ): KubeObject {
    const { managedFields: _, ...metadata } = draft.metadata;
    const { managedFields: oldOwners = [], ...oldMetadata } = before.metadata;
    const content = ({ metadata: __, status: ___, ...rest }: KubeObject) => rest;
    const sameContent = sameJson(content(draft), content(before));
    const unchanged =
      sameContent &&
      sameJson({ ...metadata, resourceVersion: '' }, { ...oldMetadata, resourceVersion: '' }) &&
      sameJson(draft.status, before.status) &&
      sameJson(managedFields.map(withoutTime), oldOwners.map(withoutTime));
    if (unchanged) return before;
    draft.metadata.managedFields = managedFields;
    if (type.counted && !sameContent) draft.metadata.generation = (before.metadata.generation ?? 0) + 1;
    if (dryRun) return draft;
    const finished = draft.metadata.deletionTimestamp !== undefined && (draft.metadata.finalizers ?? []).length === 0;
    if (finished && draft.metadata.deletionGracePeriodSeconds === 0) return this.#remove(type, before);
    const stored = this.#record(type, 'MODIFIED', draft, before);
    if (storageKey(type) === DEFINITION_KEY) this.#define(stored);
    return stored;
  }

  #remove(type: ResourceType, object: KubeObject): KubeObject {
    const removed = this.#record(type, 'DELETED', copyJson(object), object);
    if (storageKey(type) === DEFINITION_KEY) {
      const served = this.types.all().find((t) => t.definition === object.metadata.name);
      if (served) for (const custom of this.list(served)) this.#remove(served, custom);
      this.types.define(object.metadata.name, []);
    }
    if (storageKey(type) === NAMESPACE_KEY) this.#emptyNamespace(object.metadata.name);
    return removed;
  }

  #emptyNamespace(namespace: string): void {
    for (const type of this.types.all()) {
      if (type.namespaced && !type.virtual) for (const object of this.list(type, namespace)) this.#remove(type, object);
    }
  }

  #orphan(owner: string): void {
    for (const type of this.types.all()) {
      for (const object of type.virtual ? [] : this.list(type)) {
        if (!object.metadata.ownerReferences?.some((reference) => reference.uid === owner)) continue;
        this.edit(type, object, { manager: 'kube-controller-manager' }, (draft) => {
          draft.metadata.ownerReferences = draft.metadata.ownerReferences?.filter((r) => r.uid !== owner) ?? [];
        });
      }
    }
  }

  #define(definition: KubeObject): void {
    this.#schemas.set(definition.metadata.name, new CustomSchema(definition));
    this.types.define(definition.metadata.name, definedTypes(definition));
  }

  #record(type: ResourceType, change: Change['type'], object: KubeObject, previous?: KubeObject): KubeObject {
    this.#version += 1;
    object.metadata.resourceVersion = String(this.#version);
    const key = storageKey(type);
    this.#sorted.delete(key);
    if (change === 'DELETED') this.#bucket(type).delete(idOf(object));
    else this.#bucket(type).set(idOf(object), object);
    const entry: Change = { version: this.#version, type: change, key, object, ...(previous ? { previous } : {}) };
    this.#log.push(entry);
    if (this.#log.length > LOG_LIMIT) {
      this.#log = this.#log.slice(LOG_LIMIT / 2);
      this.#forgotten = (this.#log[0]?.version ?? this.#version) - 1;
    }
    for (const listener of this.#listeners) listener(entry);
    return object;
  }
}

function idOf(object: KubeObject): string {
  return `${object.metadata.namespace ?? ''}/${object.metadata.name}`;
}

function sorted(objects: Iterable<KubeObject>): KubeObject[] {
  return [...objects].sort((a, b) => (idOf(a) < idOf(b) ? -1 : 1));
}

function withoutTime({ time: _, ...entry }: ManagedFieldsEntry) {
  return entry;
}
