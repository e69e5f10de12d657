/** The Kubernetes API over HTTP: who may, which verb, which answer. */
import { load } from 'js-yaml';
import type { Clock } from '../../src/clock.ts';
import { type Answer, type Call, credentials, type Listening, listen, sendJson, sendText } from '../http.ts';
import { discover, SERVER_VERSION } from './discovery.ts';
import { listBody } from './list.ts';
import { copyJson, isTree, type KubeObject, type Workload } from './object.ts';
import { jsonPatch, mergePatch, strategicMergePatch } from './patch.ts';
import { parseTarget, type Target } from './request.ts';
import { apiVersionOf, type ResourceType, storageKey } from './resources.ts';
import { scaleOf, withReplicas } from './scale.ts';
import { selection } from './selectors.ts';
import * as status from './status.ts';
import type { Author, DeleteOptions, Store } from './store.ts';
import { serveWatch } from './watch.ts';

export interface KubernetesOptions {
  store: Store;
  clock: Clock;
  host: string;
  port: number;
  /** Bearer token of an administrator, and of somebody who may only read. */
  token: string;
  readOnlyToken: string;
  /** Objects of kinds that are computed on each read. */
  virtual: (type: ResourceType, namespace: string | undefined) => KubeObject[];
  /** The log of a pod's container. */
  podLog: (pod: KubeObject) => string;
}

interface Caller {
  name: string;
  mayWrite: boolean;
}

const PATCH_TYPES = [
  'application/json-patch+json',
  'application/merge-patch+json',
  'application/strategic-merge-patch+json',
  'application/apply-patch+yaml',
];
const VERBS: Record<string, string> = { GET: 'get', POST: 'create', PUT: 'update', PATCH: 'patch', DELETE: 'delete' };

/** Starts the API server. */
export async function startKubernetes(options: KubernetesOptions): Promise<Listening> {
  const stopping = new AbortController();
  const api = new KubernetesApi(options, stopping.signal);
  const listening = await listen({
    host: options.host,
    port: options.port,
    handle: async (call) => {
      try {
        return await api.handle(call);
      } catch (error) {
        if (!(error instanceof status.ApiError)) throw error;
        return sendJson(call, error.code, error.toStatus());
      }
    },
    fail: (call, code, message) => {
      const reason = code === 413 ? 'RequestEntityTooLarge' : code === 400 ? 'BadRequest' : 'InternalError';
      return sendJson(call, code, new status.ApiError(code, reason, message).toStatus());
    },
  });
  const close = () => {
    stopping.abort();
    return listening.close();
  };
  return { url: listening.url, close };
}

class KubernetesApi {
  readonly #options: KubernetesOptions;
  readonly #stopping: AbortSignal;

  constructor(options: KubernetesOptions, stopping: AbortSignal) {
    this.#options = options;
    this.#stopping = stopping;
  }

  async handle(call: Call): Promise<Answer> {
    // Health and version are open to everybody, as on a default cluster.
    if (['/readyz', '/livez', '/healthz'].includes(call.path)) return sendText(call, 200, 'ok');
    if (call.path === '/version') return sendJson(call, 200, SERVER_VERSION);
    const caller = this.#caller(call);
    const { store } = this.#options;
    if (call.method === 'GET') {
      const found = discover(store.types, call.parts);
      if (found) return sendJson(call, 200, found);
      if (call.path === '/openapi/v2') {
        const info = { title: 'Kubernetes', version: SERVER_VERSION.gitVersion };
        return sendJson(call, 200, { swagger: '2.0', info, paths: {}, definitions: {} });
      }
    }
    if (call.path === '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews' && call.method === 'POST') {
      return this.#reviewAccess(call, caller);
    }
    const target = parseTarget(store.types, call.parts);
    this.#authorize(call, caller, target);
    if (target.name === undefined) return this.#collection(call, target);
    return this.#single(call, target, target.name);
  }

  #caller(call: Call): Caller {
    const token = credentials(call, 'Bearer');
    if (token === this.#options.token) return { name: 'sovereign-admin', mayWrite: true };
    if (token === this.#options.readOnlyToken) return { name: 'viewer', mayWrite: false };
    throw status.unauthorized();
  }

  #authorize(call: Call, caller: Caller, { type, namespace, name }: Target): void {
    const verb = VERBS[call.method];
    if (verb === undefined) throw status.methodNotAllowed();
    const reads = verb === 'get' && storageKey(type) !== '/secrets';
    if (!caller.mayWrite && !reads) throw status.forbidden(caller.name, verb, type, namespace, name);
  }

  #reviewAccess(call: Call, caller: Caller): Answer {
    const review = readBody(call);
    const attributes = (review.spec as { resourceAttributes?: { verb?: string; resource?: string } } | undefined) ?? {};
    const { verb = '', resource = '' } = attributes.resourceAttributes ?? {};
    const reads = ['get', 'list', 'watch'].includes(verb) && resource !== 'secrets';
    return sendJson(call, 201, { ...review, status: { allowed: caller.mayWrite || reads } });
  }

  async #collection(call: Call, target: Target): Promise<Answer> {
    const { store, clock, virtual } = this.#options;
    const { type, namespace } = target;
    const { query } = call;
    if (call.method === 'GET') {
      if (type.virtual) {
        const selected = selection(type, query.get('labelSelector'), query.get('fieldSelector'));
        const items = virtual(type, namespace).filter(selected);
        return sendJson(call, 200, {
          kind: `${type.kind}List`,
          apiVersion: apiVersionOf(type),
          metadata: {},
          items: items.map(({ apiVersion: _, kind: __, ...item }) => item),
        });
      }
      if (['true', '1'].includes(query.get('watch') ?? '')) {
        return serveWatch({ store, clock, stopping: this.#stopping }, type, namespace, query, call.response);
      }
      return sendJson(call, 200, listBody(store, type, namespace, query));
    }
    if (type.virtual) throw status.methodNotAllowed();
    if (call.method === 'POST') {
      if (type.namespaced && namespace === undefined) throw status.methodNotAllowed();
      const object = this.#object(target, readBody(call));
      return sendJson(call, 201, store.create(type, object, author(call), isDryRun(query)));
    }
    if (call.method === 'DELETE') {
      const selected = selection(type, query.get('labelSelector'), query.get('fieldSelector'));
      const objects = store.list(type, namespace).filter(selected);
      for (const { metadata } of objects) {
        store.delete(type, metadata.namespace, metadata.name, deleteOptions(call), isDryRun(query));
      }
      const metadata = { resourceVersion: String(store.version) };
      return sendJson(call, 200, {
        kind: `${type.kind}List`,
        apiVersion: apiVersionOf(type),
        metadata,
        items: objects,
      });
    }
    throw status.methodNotAllowed();
  }

  #single(call: Call, target: Target, name: string): Answer {
    const { store, virtual, podLog } = this.#options;
    const { type, namespace, subresource } = target;
    if (type.virtual) {
      const object = virtual(type, namespace).find((candidate) => candidate.metadata.name === name);
      if (call.method !== 'GET') throw status.methodNotAllowed();
      if (!object) throw status.notFound(type, name);
      return sendJson(call, 200, object);
    }
    if (storageKey(type) === '/pods' && subresource === 'log' && call.method === 'GET') {
      return sendText(call, 200, podLog(store.get(type, namespace, name)));
    }
    if (storageKey(type) === '/pods' && subresource === 'eviction' && call.method === 'POST') {
      store.delete(type, namespace, name);
      return sendJson(call, 201, success());
    }
    if (subresource === 'scale' && type.subresources.includes('scale')) return this.#scale(call, target, name);
    if (subresource !== undefined && !(subresource === 'status' && type.subresources.includes('status'))) {
      throw status.noSuchPath();
    }
    switch (call.method) {
      case 'GET':
        return sendJson(call, 200, store.get(type, namespace, name));
      case 'PUT':
        return this.#replace(call, target, name);
      case 'PATCH':
        return this.#patch(call, target, name);
      case 'DELETE':
        return this.#delete(call, target, name);
      default:
        throw status.methodNotAllowed();
    }
  }

  #replace(call: Call, target: Target, name: string): Answer {
    const { type } = target;
    const object = this.#object(target, readBody(call));
    if (object.metadata.name !== name) {
      throw status.badRequest(
        `the name of the object (${object.metadata.name}) does not match the name on the URL (${name})`,
      );
    }
    if (type.definition !== undefined && !object.metadata.resourceVersion) {
      const message = 'Invalid value: 0x0: must be specified for an update';
      const cause = { reason: 'FieldValueInvalid', message, field: 'metadata.resourceVersion' };
      throw status.invalid(type.kind, type.group, name, [cause]);
    }
    const updated = this.#options.store.update(type, object, author(call, target), isDryRun(call.query));
    return sendJson(call, 200, updated);
  }

  #patch(call: Call, target: Target, name: string): Answer {
    const { store } = this.#options;
    const { type, namespace } = target;
    const contentType = mediaType(call);
    const force = call.query.get('force');
    const dryRun = isDryRun(call.query);
    if (contentType === 'application/apply-patch+yaml') {
      this.#requireManager(call);
      const declared = this.#object(target, readBody(call));
      if (declared.metadata.managedFields !== undefined) throw status.badRequest('metadata.managedFields must be nil');
      declared.metadata.name ??= name;
      const by = author(call, target);
      const { object, created } = store.apply(type, declared, by, force === 'true' || force === '1', dryRun);
      return sendJson(call, created ? 201 : 200, object);
    }
    if (force !== null) {
      const message = 'Forbidden: may not be specified for non-apply patch';
      throw status.invalid('PatchOptions', 'meta.k8s.io', '', [
        { reason: 'FieldValueForbidden', message, field: 'force' },
      ]);
    }
    const current = store.get(type, namespace, name);
    const patched = patchWith(contentType, type, current, parseBody(call)) as KubeObject;
    if (patched.metadata?.name !== name || patched.metadata.namespace !== current.metadata.namespace) {
      throw status.badRequest('the name and the namespace of an object cannot be changed');
    }
    return sendJson(call, 200, store.update(type, patched, author(call, target), dryRun));
  }

  #requireManager(call: Call): void {
    if (call.query.get('fieldManager')) return;
    const message = 'Required value: is required for apply patch';
    const cause = { reason: 'FieldValueRequired', message, field: 'fieldManager' };
    throw status.invalid('PatchOptions', 'meta.k8s.io', '', [cause]);
  }

  #delete(call: Call, { type, namespace }: Target, name: string): Answer {
    const { store } = this.#options;
    const { object, gone } = store.delete(type, namespace, name, deleteOptions(call), isDryRun(call.query));
    // Pods answer with themselves, as do objects that something still keeps; the others with a Status.
    if (storageKey(type) === '/pods' || !gone) return sendJson(call, 200, object);
    const { group, plural } = type;
    const details = { name, ...(group === '' ? {} : { group }), kind: plural, uid: object.metadata.uid };
    return sendJson(call, 200, { ...success(), details });
  }

  #scale(call: Call, { type, namespace }: Target, name: string): Answer {
    const { store } = this.#options;
    const current = store.get(type, namespace, name) as Workload;
    if (call.method === 'GET') return sendJson(call, 200, scaleOf(current));
    if (call.method !== 'PUT' && call.method !== 'PATCH') throw status.methodNotAllowed();
    const before = scaleOf(current);
    // Only two patches make sense on a Scale: it has no lists, so the strategic one is a merge patch.
    const wanted = call.method === 'PUT' ? readBody(call) : patchWith(mediaType(call), type, before, parseBody(call));
    const by: Author = { ...author(call), subresource: 'scale' };
    const updated = store.update(type, withReplicas(current, wanted), by, isDryRun(call.query)) as Workload;
    return sendJson(call, 200, scaleOf(updated));
  }

  /** The body as an object of the target's kind, in the target's namespace. */
  #object({ type, namespace }: Target, body: Record<string, unknown>): KubeObject {
    const { apiVersion, kind } = body;
    if ((kind !== undefined && kind !== type.kind) || (apiVersion !== undefined && apiVersion !== apiVersionOf(type))) {
      throw status.badRequest(
        `the object provided is ${String(apiVersion)} ${String(kind)}, expected ${apiVersionOf(type)} ${type.kind}`,
      );
    }
    const metadata = isTree(body.metadata) ? body.metadata : {};
    if (namespace !== undefined && metadata.namespace !== undefined && metadata.namespace !== namespace) {
      throw status.badRequest('the namespace of the provided object does not match the namespace sent on the request');
    }
    const { namespace: _, ...rest } = metadata;
    const placed = namespace === undefined ? rest : { ...rest, namespace };
    // What a client may leave out of the metadata, the store fills in or refuses.
    const object: unknown = { ...body, apiVersion: apiVersionOf(type), kind: type.kind, metadata: placed };
    return object as KubeObject;
  }
}

function patchWith(contentType: string, type: ResourceType, current: unknown, patch: unknown): unknown {
  switch (contentType) {
    case 'application/json-patch+json':
      return jsonPatch(current, patch);
    case 'application/merge-patch+json':
      return mergePatch(copyJson(current), patch);
    case 'application/strategic-merge-patch+json':
      // Custom resources have no merge strategies; the API server says so.
      if (type.definition !== undefined) throw status.unsupportedMediaType(contentType, PATCH_TYPES.toSpliced(2, 1));
      return strategicMergePatch(copyJson(current), patch);
    default:
      throw status.unsupportedMediaType(contentType, PATCH_TYPES);
  }
}

function mediaType(call: Call): string {
  return (call.headers['content-type'] ?? '').split(';')[0]?.trim() ?? '';
}

function parseBody(call: Call): unknown {
  try {
    return mediaType(call).endsWith('yaml') ? load(call.body) : JSON.parse(call.body === '' ? '{}' : call.body);
  } catch (error) {
    throw status.badRequest(`the body cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function readBody(call: Call): Record<string, unknown> {
  const body = parseBody(call);
  if (!isTree(body)) throw status.badRequest('the body must be an object');
  return body;
}

/** The field manager a request names, or else the program that sends it. */
function author(call: Call, target?: Target): Author {
  const program = (call.headers['user-agent'] ?? 'unknown').split('/')[0] ?? 'unknown';
  const manager = call.query.get('fieldManager') || program;
  return target?.subresource === 'status' ? { manager, subresource: 'status' } : { manager };
}

function isDryRun(query: URLSearchParams): boolean {
  const values = query.getAll('dryRun');
  if (values.some((value) => value !== 'All')) {
    throw status.badRequest(`dryRun: Unsupported value: "${values.join(',')}": supported values: "All"`);
  }
  return values.length > 0;
}

function deleteOptions(call: Call): DeleteOptions {
  const body = readBody(call) as {
    preconditions?: { uid?: string; resourceVersion?: string };
    gracePeriodSeconds?: number;
    propagationPolicy?: DeleteOptions['propagationPolicy'];
  };
  const policy = (call.query.get('propagationPolicy') ?? undefined) as DeleteOptions['propagationPolicy'];
  const grace = call.query.get('gracePeriodSeconds');
  return {
    uid: body.preconditions?.uid,
    resourceVersion: body.preconditions?.resourceVersion,
    gracePeriodSeconds: grace === null ? body.gracePeriodSeconds : Number(grace),
    propagationPolicy: policy ?? body.propagationPolicy,
  };
}

function success() {
  return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success' };
}
