/**
 * The part of a Kubernetes API server that the integration speaks to: objects with UID, resourceVersion and generation,
 * merge and JSON patches with preconditions, managedFields, list, watch, discovery, eviction. Controllers are the test.
 */
import { randomUUID } from 'node:crypto';
import type http from 'node:http';
import { type Handler, serve, type TestRequest, type TestServer } from '../support.ts';

type Tree = { [key: string]: unknown };

export interface Stored {
  apiVersion: string;
  kind: string;
  metadata: Tree & { name: string; namespace?: string; uid: string; resourceVersion: string; generation: number };
  spec?: Tree;
  status?: Tree;
  [key: string]: unknown;
}

interface Watcher {
  plural: string;
  response: http.ServerResponse;
}

const pluralsByKind: Record<string, string> = {
  Deployment: 'deployments',
  StatefulSet: 'statefulsets',
  DaemonSet: 'daemonsets',
  ReplicaSet: 'replicasets',
  Pod: 'pods',
  Job: 'jobs',
  Node: 'nodes',
  Event: 'events',
  ConfigMap: 'configmaps',
  Runbook: 'runbooks',
};

/** Called before a request is handled; what it returns is answered instead. */
export type Fault = (request: TestRequest, response: http.ServerResponse) => ReturnType<Handler>;

export class FakeKubernetes {
  readonly objects = new Map<string, Stored>();
  readonly faults: Fault[] = [];
  /** What `/apis/metrics.k8s.io` lists. */
  metrics: Tree[] = [];
  /** Pods whose disruption budget allows no eviction. */
  readonly protectedPods = new Set<string>();
  readonly watchers: Watcher[] = [];
  /** Log of changes since the start, for watches. */
  #log: { version: number; plural: string; line: string }[] = [];
  #compacted = 0;
  #version = 100;
  server!: TestServer;

  static async start(): Promise<FakeKubernetes> {
    const fake = new FakeKubernetes();
    fake.server = await serve((request, response) => fake.#handle(request, response));
    return fake;
  }

  get url(): string {
    return this.server.url;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { response } of this.watchers) response.destroy();
    await this.server[Symbol.asyncDispose]();
  }

  /** Puts an object as somebody else would. */
  put(
    apiVersion: string,
    kind: string,
    metadata: Tree & { name: string; namespace?: string },
    rest: Tree = {},
  ): Stored {
    const stored = {
      apiVersion,
      kind,
      ...rest,
      metadata: { uid: randomUUID(), generation: 1, resourceVersion: this.#next(), ...metadata },
    } as Stored;
    this.#store(stored, 'ADDED');
    return stored;
  }

  get(kind: string, namespace: string, name: string): Stored {
    const stored = this.objects.get(keyOf(pluralsByKind[kind] ?? '', namespace, name));
    if (stored === undefined) throw new Error(`${kind} ${namespace}/${name} is not in the fake`);
    return stored;
  }

  /** Changes an object as somebody else would. */
  change(stored: Stored, manager: string, spec: Tree): void {
    this.#commit(stored, { ...stored, spec: { ...stored.spec, ...spec } }, manager);
  }

  /** Changes a status as a controller would: no new generation. */
  changeStatus(stored: Stored, status: Tree): void {
    this.#commit(stored, { ...stored, status: { ...stored.status, ...status } }, 'kube-controller-manager');
  }

  remove(stored: Stored): void {
    this.objects.delete(keyOf(pluralsByKind[stored.kind] ?? '', stored.metadata.namespace, stored.metadata.name));
    this.#emit('DELETED', { ...stored, metadata: { ...stored.metadata, resourceVersion: this.#next() } });
  }

  /** Forgets the history, so that a watch from before answers 410. */
  compact(): void {
    this.#log = [];
    this.#compacted = this.#version;
  }

  #next(): string {
    this.#version++;
    return String(this.#version);
  }

  #store(stored: Stored, type: string): void {
    this.objects.set(keyOf(pluralsByKind[stored.kind] ?? '', stored.metadata.namespace, stored.metadata.name), stored);
    this.#emit(type, stored);
  }

  #emit(type: string, stored: Stored): void {
    const plural = pluralsByKind[stored.kind] ?? '';
    const line = `${JSON.stringify({ type, object: stored })}\n`;
    this.#log.push({ version: Number(stored.metadata.resourceVersion), plural, line });
    for (const watcher of this.watchers.filter((one) => one.plural === plural)) watcher.response.write(line);
  }

  #commit(old: Stored, next: Stored, manager: string): Stored {
    const changed = JSON.stringify(old.spec) !== JSON.stringify(next.spec);
    const fields = changed ? { 'f:spec': {} } : { 'f:metadata': {} };
    const entry = {
      manager,
      operation: 'Update',
      time: new Date(this.#version * 1000).toISOString(),
      fieldsV1: fields,
    };
    const others = ((old.metadata.managedFields as Tree[] | undefined) ?? []).filter(
      (one) => one.manager !== manager || !('f:spec' in (one.fieldsV1 as Tree)) !== !changed,
    );
    const stored: Stored = {
      ...next,
      metadata: {
        ...next.metadata,
        uid: old.metadata.uid,
        resourceVersion: this.#next(),
        generation: old.metadata.generation + (changed ? 1 : 0),
        managedFields: [...others, entry],
      },
    };
    this.#store(stored, 'MODIFIED');
    return stored;
  }

  #handle(request: TestRequest, response: http.ServerResponse): ReturnType<Handler> {
    for (const [index, fault] of this.faults.entries()) {
      const answer = fault(request, response);
      if (answer !== undefined || response.headersSent) {
        this.faults.splice(index, 1);
        return answer;
      }
    }
    const { pathname } = request.url;
    if (pathname === '/version') return [200, { gitVersion: 'v1.20.2' }];
    const discovery = /^\/apis?(?:\/([^/]+))?\/(v[^/]+)$/.exec(pathname);
    if (discovery) return discover(discovery[1] ?? '', discovery[2] ?? '');
    const match =
      /^\/apis?\/(?:([^/]+\.[^/]+|apps|batch)\/)?v[^/]+(?:\/namespaces\/([^/]+))?\/([a-z]+)(?:\/([^/]+))?(?:\/([a-z]+))?$/.exec(
        pathname,
      );
    if (!match) return status(404, `no path ${pathname}`);
    const [, group, namespace, plural = '', name, subresource] = match;
    if (group === 'metrics.k8s.io') return [200, { metadata: {}, items: this.metrics }];
    if (name === undefined)
      return request.method === 'POST'
        ? this.#create(request, plural)
        : this.#collection(request, response, plural, namespace);
    return this.#object(request, plural, namespace, name, subresource);
  }

  #collection(
    request: TestRequest,
    response: http.ServerResponse,
    plural: string,
    namespace: string | undefined,
  ): ReturnType<Handler> {
    const { searchParams } = request.url;
    if (searchParams.get('watch') === 'true') {
      const from = Number(searchParams.get('resourceVersion'));
      if (from < this.#compacted) return status(410, 'too old resource version');
      response.writeHead(200, { 'content-type': 'application/json' });
      response.flushHeaders();
      for (const entry of this.#log) if (entry.plural === plural && entry.version > from) response.write(entry.line);
      this.watchers.push({ plural, response });
      return undefined;
    }
    const selector = (searchParams.get('labelSelector') ?? '')
      .split(',')
      .filter(Boolean)
      .map((term) => term.split('='));
    const field = /involvedObject\.name=(.*)/.exec(searchParams.get('fieldSelector') ?? '')?.[1];
    const items = [...this.objects.entries()]
      .filter(([key]) => key.startsWith(`${plural}/${namespace === undefined ? '' : `${namespace}/`}`))
      .map(([, stored]) => stored)
      .filter(({ metadata }) =>
        selector.every(([label = '', value]) => (metadata.labels as Tree | undefined)?.[label] === value),
      )
      .filter((stored) => field === undefined || (stored.involvedObject as Tree).name === field);
    // Pages of two, so that reading on is exercised.
    const offset = Number(searchParams.get('continue') ?? 0);
    const token = offset + 2 < items.length ? String(offset + 2) : '';
    return [
      200,
      { metadata: { resourceVersion: String(this.#version), continue: token }, items: items.slice(offset, offset + 2) },
    ];
  }

  #create(request: TestRequest, plural: string): ReturnType<Handler> {
    const object = JSON.parse(request.body) as Stored;
    const key = keyOf(plural, object.metadata.namespace, object.metadata.name);
    if (this.objects.has(key))
      return status(409, `${plural} "${object.metadata.name}" already exists`, 'AlreadyExists');
    return [201, this.put(object.apiVersion, object.kind, object.metadata, { spec: object.spec ?? {} })];
  }

  #object(
    request: TestRequest,
    plural: string,
    namespace: string | undefined,
    name: string,
    subresource: string | undefined,
  ): ReturnType<Handler> {
    const stored = this.objects.get(keyOf(plural, namespace, name));
    if (stored === undefined) return status(404, `${plural} "${name}" not found`, 'NotFound');
    if (subresource === 'eviction') return this.#evict(request, stored);
    if (request.method === 'GET') return [200, stored];
    if (request.method === 'DELETE') return this.#delete(stored, JSON.parse(request.body || '{}') as Tree);
    if (request.method === 'PATCH') return this.#patch(request, stored, subresource);
    return status(405, 'not allowed');
  }

  #evict(request: TestRequest, stored: Stored): ReturnType<Handler> {
    const eviction = JSON.parse(request.body) as Tree;
    if (eviction.apiVersion !== 'policy/v1beta1')
      return status(400, 'no kind "Eviction" is registered for that version');
    if (this.protectedPods.has(stored.metadata.name))
      return status(429, 'Cannot evict pod as it would violate the disruption budget.');
    return this.#delete(stored, eviction.deleteOptions as Tree);
  }

  #delete(stored: Stored, options: Tree): ReturnType<Handler> {
    const uid = (options.preconditions as Tree | undefined)?.uid;
    if (uid !== undefined && uid !== stored.metadata.uid)
      return status(409, `the UID in the precondition (${String(uid)}) does not match`, 'Conflict');
    this.remove(stored);
    return [200, { kind: 'Status', status: 'Success', metadata: {} }];
  }

  #patch(request: TestRequest, stored: Stored, subresource: string | undefined): ReturnType<Handler> {
    const type = request.headers['content-type'];
    const body = JSON.parse(request.body) as Tree;
    let next: Stored;
    if (type === 'application/json-patch+json') next = jsonPatch(stored, body as unknown as Tree[]);
    else if (type === 'application/merge-patch+json' || type === 'application/apply-patch+yaml')
      next = merge(stored, body) as Stored;
    else return status(415, `unsupported ${type}`);
    if (next.metadata.uid !== stored.metadata.uid)
      return status(409, 'Precondition failed: UID in precondition does not match', 'Conflict');
    if (next.metadata.resourceVersion !== stored.metadata.resourceVersion)
      return status(409, 'the object has been modified', 'Conflict');
    if (subresource === 'status') next = { ...stored, status: next.status ?? {} };
    return [200, this.#commit(stored, next, request.url.searchParams.get('fieldManager') ?? 'unknown')];
  }
}

const keyOf = (plural: string, namespace: string | undefined, name: string) => `${plural}/${namespace ?? ''}/${name}`;

function status(code: number, message: string, reason = ''): [number, unknown] {
  return [code, { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message, reason, code }];
}

function discover(group: string, version: string): [number, unknown] {
  if (group === 'catalyst.openova.io')
    return [
      200,
      {
        resources: [
          { name: 'runbooks', kind: 'Runbook', namespaced: true },
          { name: 'runbooks/status', kind: 'Runbook', namespaced: true },
        ],
      },
    ];
  if (group === 'policy' && version === 'v1beta1')
    return [200, { resources: [{ name: 'poddisruptionbudgets', kind: 'PodDisruptionBudget', namespaced: true }] }];
  return status(404, `no group ${group}`);
}

/** RFC 7396. */
function merge(target: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch;
  const result: Tree =
    typeof target === 'object' && target !== null && !Array.isArray(target) ? { ...(target as Tree) } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else result[key] = merge(result[key], value);
  }
  return result;
}

/** RFC 6902, `add` and `replace` of object members. */
function jsonPatch(object: Stored, operations: Tree[]): Stored {
  const result = structuredClone(object) as unknown as Tree;
  for (const { path, value } of operations) {
    const parts = String(path)
      .split('/')
      .slice(1)
      .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
    const last = parts.pop() ?? '';
    const parent = parts.reduce<Tree>((tree, part) => tree[part] as Tree, result);
    parent[last] = value;
  }
  return result as unknown as Stored;
}
