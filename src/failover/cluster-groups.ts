/**
 * FailoverGroups that are objects of this region's cluster: read, watched, and told what became of them. The API server is
 * asked for declarations only. Its status is written and never read, so nothing that is stored there opens a gate.
 */
import { loadObject } from '../catalog/document.ts';
import type { FailoverGroupSpec } from '../catalog/kinds/failover-group.ts';
import { apiVersion } from '../catalog/resource.ts';
import type { Clock } from '../clock.ts';
import { messageOf } from '../errors.ts';
import type { CallContext, Json } from '../integrations/contract.ts';
import type { KubernetesApi } from '../integrations/kubernetes/client.ts';
import type { KubernetesObject } from '../integrations/kubernetes/objects.ts';
import { superviseWatch, type WatchEvent } from '../integrations/kubernetes/watch.ts';
import type { Adopted } from './group-set.ts';
import type { GroupDeclaration } from './group-settings.ts';
import { type Adoption, isNews, type ObjectStatus, objectStatus } from './group-status-decision.ts';
import type { GroupStatus } from './status.ts';

const kind = 'FailoverGroup';
const place = { apiVersion, kind, plural: 'failovergroups', namespaced: true };

export interface ClusterGroupsPorts {
  api: KubernetesApi;
  /** The one namespace that is read: a lease is named by its group alone. */
  namespace: string;
  /** Names of groups that files declare: those win. */
  inFiles: ReadonlySet<string>;
  /** What is wrong with a group for this region. */
  problems: (declaration: GroupDeclaration) => readonly string[];
  adopt: (declaration: GroupDeclaration) => Promise<Adopted>;
  remove: (name: string) => Promise<boolean>;
  status: (name: string) => GroupStatus | undefined;
  clock: Clock;
  /** `failed` for what somebody should look at. */
  onNote: (sentence: string, failed: boolean) => void;
}

export interface ClusterGroups {
  stop(): Promise<void>;
}

/** How often what waits is tried again and news are written, ms. */
const roundMs = 1_000;
/** A status without news is written again so often, ms: its sentences hold counters. */
const repeatMs = 30_000;
/** A write of a status that takes longer is given up until the next round, ms. */
const writeLimitMs = 5_000;

interface Known {
  object: KubernetesObject;
  adoption: Adoption;
  runningGeneration: number | undefined;
  told: ObjectStatus | undefined;
  toldAt: number;
  deleted: boolean;
}

export function watchClusterGroups(ports: ClusterGroupsPorts): ClusterGroups {
  const { api, namespace, clock, onNote } = ports;
  const stopping = new AbortController();
  const known = new Map<string, Known>();
  const context = (limitMs?: number): CallContext => ({
    clock,
    signal: limitMs === undefined ? stopping.signal : AbortSignal.any([stopping.signal, AbortSignal.timeout(limitMs)]),
  });

  const seen = async (object: KubernetesObject): Promise<void> => {
    const { name } = object.metadata;
    const before = known.get(name);
    const again = before?.object.metadata;
    // Our own writes of the status come back as changes that change nothing.
    if (!before?.deleted && again?.uid === object.metadata.uid && again.generation === object.metadata.generation)
      return;
    const one: Known = before ?? {
      ...{ object, adoption: { kind: 'inUse' }, runningGeneration: undefined },
      ...{ told: undefined, toldAt: Number.NEGATIVE_INFINITY, deleted: false },
    };
    known.set(name, one);
    one.object = object;
    one.deleted = false;
    await takeIn(one);
  };

  const takeIn = async (one: Known): Promise<void> => {
    const { object } = one;
    const { declaration, problems } = read(object, ports);
    if (!declaration) {
      one.adoption = { kind: 'refused', problems };
      onNote(`FailoverGroup ${object.metadata.name} is refused: ${problems.join(' ')}`, true);
      return;
    }
    try {
      const adopted = await ports.adopt(declaration);
      one.adoption = { kind: adopted === 'waiting' ? 'waiting' : 'inUse' };
      if (adopted !== 'waiting') one.runningGeneration = object.metadata.generation ?? 0;
      if (adopted === 'started' || adopted === 'changed')
        onNote(`FailoverGroup ${declaration.name} is ${adopted}.`, false);
    } catch (error) {
      one.adoption = { kind: 'refused', problems: [messageOf(error)] };
      onNote(`FailoverGroup ${declaration.name} cannot be set up: ${messageOf(error)}`, true);
    }
  };

  const gone = async (name: string, one: Known): Promise<void> => {
    if (one.runningGeneration === undefined || (await ports.remove(name))) known.delete(name);
    else if (!one.deleted)
      onNote(`FailoverGroup ${name} was deleted while it is active here: it goes on until it is not.`, true);
    one.deleted = true;
  };

  const onEvent = async (event: WatchEvent): Promise<void> => {
    if (event.type === 'Deleted') {
      const one = known.get(event.object.metadata.name);
      if (one) await gone(event.object.metadata.name, one);
    } else if (event.type === 'Replaced') {
      const names = new Set(event.items.map(({ metadata }) => metadata.name));
      for (const [name, one] of known) if (!names.has(name)) await gone(name, one);
      for (const object of event.items) await seen(object);
    } else await seen(event.object);
  };

  const tell = async (name: string, one: Known): Promise<void> => {
    if (one.deleted) return;
    const generation = one.object.metadata.generation ?? 0;
    const { adoption, runningGeneration, told: before } = one;
    // A group of the same name that a file declares is another one.
    const group = runningGeneration === undefined ? undefined : ports.status(name);
    const now = new Date(clock.now());
    const next = objectStatus({ generation, adoption, runningGeneration, group, before, now });
    if (!isNews(before, next) && clock.monotonic() - one.toldAt < repeatMs) return;
    const reference = { apiVersion, kind, namespace, name };
    const object = { apiVersion, kind, metadata: { name, namespace }, status: next as unknown as Json };
    await api.apply(context(writeLimitMs), reference, object, 'status');
    one.told = next;
    one.toldAt = clock.monotonic();
  };

  const watching = superviseWatch(context(), {
    ...{ api, place, namespace, onEvent },
    onInterruption: (sentence) => onNote(`FailoverGroups cannot be watched: ${sentence}`, true),
  });
  const telling = (async () => {
    const failed = new Map<string, string>();
    while (!stopping.signal.aborted) {
      for (const [name, one] of known) {
        if (one.deleted) await gone(name, one);
        else if (one.adoption.kind === 'waiting') await takeIn(one);
        await tell(name, one).then(
          () => failed.delete(name),
          (error: unknown) => {
            const sentence = messageOf(error);
            if (failed.get(name) !== sentence && !stopping.signal.aborted)
              onNote(`The status of FailoverGroup ${name} cannot be written: ${sentence}`, true);
            failed.set(name, sentence);
          },
        );
      }
      await clock.sleep(roundMs, stopping.signal).catch(() => {});
    }
  })();
  return {
    stop: async () => {
      stopping.abort();
      await Promise.all([watching, telling]);
    },
  };
}

/** The declaration in an object, its status left unread; or every rule it breaks. */
function read(
  object: KubernetesObject,
  { inFiles, problems }: ClusterGroupsPorts,
): { declaration?: GroupDeclaration; problems: readonly string[] } {
  const { name, resourceVersion } = object.metadata;
  if (inFiles.has(name)) return { problems: [`A file of the controller declares the group ${name} already.`] };
  // The API server leaves both out of the items of a list.
  const whole = { ...object, apiVersion, kind };
  const loaded = loadObject(whole, { source: 'cluster', file: `${kind}/${name}`, revision: resourceVersion });
  if (!loaded.resource) return { problems: loaded.problems.map(({ sentence }) => sentence) };
  const declaration = { name, spec: loaded.resource.spec as FailoverGroupSpec };
  const wrong = problems(declaration);
  return wrong.length > 0 ? { problems: wrong } : { declaration, problems: [] };
}
