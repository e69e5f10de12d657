/** The calls this integration makes to the Kubernetes API, with paths, patch types and preconditions in one place. */
import { CatalystError } from '../../errors.ts';
import type { CallContext, Json } from '../contract.ts';
import { isObject } from '../define.ts';
import type { HttpClient } from '../http-client.ts';
import { defaultApiVersion, groupPath, type KindPlace, knownKinds, pathOf } from './kinds.ts';
import type { KubernetesObject } from './objects.ts';

/** The name our writes carry in `managedFields`. */
export const fieldManager = 'catalyst-sre';

/** Objects per page of a list: what kubectl asks for as well. */
const pageSize = 500;
/** Pages read at most: 50,000 objects are more than any fact here should look at. */
const maxPages = 100;

export interface ObjectReference {
  apiVersion?: string;
  kind: string;
  namespace?: string;
  name: string;
}

export interface ListOptions {
  labelSelector?: string;
  fieldSelector?: string;
}

export interface ObjectList<T> {
  items: T[];
  resourceVersion: string;
}

export class KubernetesApi {
  readonly #connect: () => Promise<HttpClient>;
  readonly #fieldManager: string;
  readonly #places = new Map<string, KindPlace>();

  /** `manager` is the name writes carry in `managedFields`: another process of the product has another one. */
  constructor(connect: () => Promise<HttpClient>, manager: string = fieldManager) {
    this.#connect = connect;
    this.#fieldManager = manager;
  }

  /** The server's version, e.g. `v1.20.2`. */
  async version(context: CallContext): Promise<string> {
    const answer = await this.#json(context, { path: '/version' });
    return isObject(answer) && typeof answer.gitVersion === 'string' ? answer.gitVersion : 'unknown';
  }

  /** Where a kind lives; asked of the API for kinds not known here, once. Throws NotFound. */
  async place(context: CallContext, kind: string, apiVersion = defaultApiVersion(kind)): Promise<KindPlace> {
    const key = `${apiVersion}/${kind}`;
    const known =
      this.#places.get(key) ?? knownKinds.find((place) => place.kind === kind && place.apiVersion === apiVersion);
    if (known !== undefined) return known;
    const answer = await this.#json(context, { path: groupPath(apiVersion) });
    const resources = isObject(answer) && Array.isArray(answer.resources) ? answer.resources.filter(isObject) : [];
    const found = resources.find((resource) => resource.kind === kind && !String(resource.name).includes('/'));
    if (found === undefined) {
      throw new CatalystError('NotFound', `the cluster has no kind ${kind} in ${apiVersion}`, {
        hint: 'Check the apiVersion, or install the definition.',
      });
    }
    const place = { apiVersion, kind, plural: String(found.name), namespaced: found.namespaced === true };
    this.#places.set(key, place);
    return place;
  }

  /** True when the API serves a group and version. */
  async serves(context: CallContext, apiVersion: string): Promise<boolean> {
    const http = await this.#connect();
    return (await http.request(context, { path: groupPath(apiVersion), accept: [404] })).status !== 404;
  }

  /** Throws NotFound. */
  async get<T extends KubernetesObject>(context: CallContext, reference: ObjectReference): Promise<T> {
    const place = await this.place(context, reference.kind, reference.apiVersion);
    try {
      return asObject<T>(await this.#json(context, { path: pathOf(place, reference.namespace, reference.name) }));
    } catch (error) {
      throw named(error, reference);
    }
  }

  /** The object, or undefined when it does not exist. */
  async find<T extends KubernetesObject>(context: CallContext, reference: ObjectReference): Promise<T | undefined> {
    try {
      return await this.get<T>(context, reference);
    } catch (error) {
      if (error instanceof CatalystError && error.code === 'NotFound') return undefined;
      throw error;
    }
  }

  /** All objects of a kind in a namespace, page by page. Throws when the list changes too fast to be read whole. */
  async list<T extends KubernetesObject>(
    context: CallContext,
    place: KindPlace,
    namespace: string | undefined,
    options: ListOptions = {},
  ): Promise<ObjectList<T>> {
    // A namespaced kind without a namespace is listed across all of them.
    const path = namespace === undefined ? `${groupPath(place.apiVersion)}/${place.plural}` : pathOf(place, namespace);
    const items: T[] = [];
    let token: string | undefined;
    for (let page = 0; page < maxPages; page++) {
      const query = { ...options, limit: String(pageSize), continue: token };
      const answer = await this.#json(context, { path, query }).catch((error: unknown) => {
        throw expired(error);
      });
      if (!isObject(answer) || !Array.isArray(answer.items) || !isObject(answer.metadata)) throw notAnObject();
      items.push(...answer.items.filter(isObject).map((item) => asObject<T>(item)));
      token =
        typeof answer.metadata.continue === 'string' && answer.metadata.continue !== ''
          ? answer.metadata.continue
          : undefined;
      if (token === undefined) return { items, resourceVersion: String(answer.metadata.resourceVersion ?? '') };
    }
    throw new CatalystError('TooLarge', `there are more than ${maxPages * pageSize} ${place.plural}`, {
      hint: 'Narrow the selector.',
    });
  }

  /** Merge patch, under our field manager. With `metadata.resourceVersion` in the patch a change by others is a Conflict. */
  async mergePatch<T extends KubernetesObject>(
    context: CallContext,
    reference: ObjectReference,
    patch: Json,
  ): Promise<T> {
    return this.#patch<T>(context, reference, 'application/merge-patch+json', patch);
  }

  /** JSON patch, under our field manager. */
  async jsonPatch<T extends KubernetesObject>(
    context: CallContext,
    reference: ObjectReference,
    patch: Json,
  ): Promise<T> {
    return this.#patch<T>(context, reference, 'application/json-patch+json', patch);
  }

  /** Server-side apply of fields that are ours alone, forced: nobody else has business in them. */
  async apply<T extends KubernetesObject>(
    context: CallContext,
    reference: ObjectReference,
    object: Json,
    subresource?: string,
  ): Promise<T> {
    // JSON is YAML, so the body needs no YAML writer.
    return this.#patch<T>(context, reference, 'application/apply-patch+yaml', object, subresource);
  }

  async create<T extends KubernetesObject>(context: CallContext, reference: ObjectReference, object: Json): Promise<T> {
    const place = await this.place(context, reference.kind, reference.apiVersion);
    const path = pathOf(place, reference.namespace);
    return asObject<T>(
      await this.#json(context, { method: 'POST', path, query: { fieldManager: this.#fieldManager }, json: object }),
    );
  }

  async createSubresource(
    context: CallContext,
    reference: ObjectReference,
    subresource: string,
    body: Json,
  ): Promise<unknown> {
    const place = await this.place(context, reference.kind, reference.apiVersion);
    const path = pathOf(place, reference.namespace, reference.name, subresource);
    return this.#json(context, { method: 'POST', path, json: body });
  }

  /** Deletes the object with this UID and no other. Throws Conflict when the name belongs to another object by now. */
  async delete(
    context: CallContext,
    reference: ObjectReference,
    uid: string,
    gracePeriodSeconds?: number,
  ): Promise<unknown> {
    const place = await this.place(context, reference.kind, reference.apiVersion);
    return this.#json(context, {
      method: 'DELETE',
      path: pathOf(place, reference.namespace, reference.name),
      json: {
        apiVersion: 'v1',
        kind: 'DeleteOptions',
        preconditions: { uid },
        propagationPolicy: 'Background',
        ...(gracePeriodSeconds === undefined ? {} : { gracePeriodSeconds }),
      },
    });
  }

  /** Lines of a watch. */
  async *watch(
    context: CallContext,
    path: string,
    query: Record<string, string>,
    idleMs: number,
  ): AsyncGenerator<string> {
    const http = await this.#connect();
    yield* http.lines(context, { path, query: { ...query, watch: 'true' } }, idleMs);
  }

  async #patch<T extends KubernetesObject>(
    context: CallContext,
    reference: ObjectReference,
    contentType: string,
    patch: Json,
    subresource?: string,
  ): Promise<T> {
    const place = await this.place(context, reference.kind, reference.apiVersion);
    const force = contentType === 'application/apply-patch+yaml' ? 'true' : undefined;
    try {
      const answer = await this.#json(context, {
        method: 'PATCH',
        path: pathOf(place, reference.namespace, reference.name, subresource),
        query: { fieldManager: this.#fieldManager, force },
        headers: { 'content-type': contentType },
        body: JSON.stringify(patch),
      });
      return asObject<T>(answer);
    } catch (error) {
      throw named(error, reference);
    }
  }

  async #json(context: CallContext, request: Parameters<HttpClient['json']>[1]): Promise<unknown> {
    return (await this.#connect()).json(context, request);
  }
}

/** `Deployment acme/web`. */
export function label(reference: ObjectReference): string {
  return `${reference.kind} ${reference.namespace === undefined ? '' : `${reference.namespace}/`}${reference.name}`;
}

/** A NotFound that says which object was not found; anything else as it is. */
function named(error: unknown, reference: ObjectReference): unknown {
  if (!(error instanceof CatalystError) || error.code !== 'NotFound') return error;
  return new CatalystError('NotFound', `${label(reference)} does not exist`, {
    cause: error,
    details: error.details,
    certain: true,
  });
}

/** The snapshot a list was reading from is gone (410): reading it again from the start helps. */
function expired(error: unknown): unknown {
  if (!(error instanceof CatalystError) || error.details.status !== 410) return error;
  return new CatalystError('UpstreamUnavailable', 'the list changed too fast to be read whole', {
    cause: error,
    certain: true,
  });
}

function asObject<T extends KubernetesObject>(value: unknown): T {
  if (isObject(value) && isObject(value.metadata)) return value as unknown as T;
  throw notAnObject();
}

function notAnObject(): CatalystError {
  return new CatalystError(
    'UpstreamRefused',
    'the Kubernetes API answered with something that is not an object of its own',
    {
      hint: 'Check that the address configured is the API server and not a page in front of it.',
      certain: false,
    },
  );
}
