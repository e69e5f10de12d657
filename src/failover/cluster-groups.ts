/**
 * FailoverGroups that are objects of this region's cluster: read, watched, and told what became of them. The API server is
 * asked for declarations only. Its status is written and never read, so nothing that is stored there opens a gate. What was
 * accepted is kept on disk: where an object is refused, or the API server silent, after a start, the last good one counts.
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
import type { AcceptedGroup, GroupMemory } from './group-memory.ts';
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
  memory: GroupMemory;
  clock: Clock;
  /** `failed` for what somebody should look at. */
  onNote: (sentence: string, failed: boolean) => void;
}

export interface ClusterGroups {
  /** Why what runs is not what the object says, for who asks the controller; undefined where it is. */
  remark(name: string): string | undefined;
  stop(): Promise<void>;
}

/** How often what waits is tried again and news are written, ms. */
const roundMs = 1_000;
/** A status without news is written again so often, ms: its sentences hold counters. */
const repeatMs = 30_000;
/** A write of a status that takes longer is given up until the next round, ms. */
const writeLimitMs = 5_000;
/** An API server that has not listed the groups by then counts as away, ms: under the TTL of a lease, which a start costs anyway. */
const silenceMs = 10_000;

interface Known {
  object: KubernetesObject;
  /** The object is the one on disk: the API server has told of none yet. */
  unseen: boolean;
  adoption: Adoption;
  runningGeneration: number | undefined;
  /** When what runs was accepted, if that was in an earlier life of this controller. */
  acceptedBefore: string | undefined;
  /** What runs, while it is not on disk. */
  unkept: KubernetesObject | undefined;
  told: ObjectStatus | undefined;
  toldAt: number;
  deleted: boolean;
}

export function watchClusterGroups(ports: ClusterGroupsPorts): ClusterGroups {
  const { api, namespace, memory, clock, onNote } = ports;
  const stopping = new AbortController();
  const known = new Map<string, Known>();
  const failed = new Map<string, string>();
  const startedAt = clock.monotonic();
  let listed = false;
  let interrupted = false;
  let queue: Promise<unknown> = Promise.resolve();
  /** One thing after another: a group is not gone while it is taken in. */
  const inTurn = (work: () => Promise<void>): Promise<void> => {
    const done = queue.then(work);
    queue = done.catch(() => {});
    return done;
  };
  const context = (limitMs?: number): CallContext => ({
    clock,
    signal: limitMs === undefined ? stopping.signal : AbortSignal.any([stopping.signal, AbortSignal.timeout(limitMs)]),
  });

  const seen = async (object: KubernetesObject): Promise<void> => {
    const { name } = object.metadata;
    const before = known.get(name);
    const again = before?.object.metadata;
    // Our own writes of the status come back as changes that change nothing.
    const same = again?.uid === object.metadata.uid && again.generation === object.metadata.generation;
    if (before && !before.deleted && !before.unseen && same) return;
    const one = before ?? unknown(object);
    known.set(name, one);
    one.object = object;
    one.unseen = false;
    one.deleted = false;
    await takeIn(one);
  };

  /** A failure is told once, until it is another one or over. */
  const attempt = async (what: string, work: () => Promise<void>): Promise<void> => {
    try {
      await work();
      failed.delete(what);
    } catch (error) {
      const sentence = messageOf(error);
      if (failed.get(what) !== sentence && !stopping.signal.aborted) onNote(`${what}: ${sentence}`, true);
      failed.set(what, sentence);
    }
  };

  const takeIn = async (one: Known): Promise<void> => {
    const { object } = one;
    const { declaration, problems } = read(object, ports);
    if (!declaration) {
      one.adoption = { kind: 'refused', problems };
      onNote(`FailoverGroup ${object.metadata.name} is refused: ${problems.join(' ')}`, true);
      await recall(one);
      return;
    }
    try {
      const adopted = await ports.adopt(declaration);
      one.adoption = { kind: adopted === 'waiting' ? 'waiting' : 'inUse' };
      if (adopted === 'waiting') return;
      one.runningGeneration = object.metadata.generation ?? 0;
      if (adopted !== 'unchanged') onNote(`FailoverGroup ${declaration.name} is ${adopted}.`, false);
      if (one.unseen) return;
      one.acceptedBefore = undefined;
      one.unkept = object;
      await keep(one);
    } catch (error) {
      one.adoption = { kind: 'refused', problems: [messageOf(error)] };
      onNote(`FailoverGroup ${declaration.name} cannot be set up: ${messageOf(error)}`, true);
      await recall(one);
    }
  };

  const keep = async (one: Known): Promise<void> => {
    const { unkept } = one;
    if (!unkept) return;
    await attempt(`FailoverGroup ${unkept.metadata.name} cannot be kept for a later start`, async () => {
      await memory.keep(unkept);
      if (one.unkept === unkept) one.unkept = undefined;
    });
  };

  /** Nothing of this object runs: what was accepted of it in an earlier life does, unless it breaks a rule of today. */
  const recall = async (one: Known): Promise<void> => {
    const { name, uid, generation } = one.object.metadata;
    const kept = memory.get(name);
    if (one.runningGeneration !== undefined || !kept || !isOurs(kept)) return;
    // Another object of this name was never accepted; and the same generation has just been refused.
    if (kept.object.metadata.uid !== uid || kept.object.metadata.generation === generation) return;
    const { declaration, problems } = read(kept.object, ports);
    const before = `FailoverGroup ${name}: generation ${kept.object.metadata.generation}, accepted at ${kept.acceptedAt},`;
    if (!declaration) {
      onNote(`${before} cannot be used any more either: ${problems.join(' ')}`, true);
      return;
    }
    await attempt(`${before} cannot be set up`, async () => {
      await ports.adopt(declaration);
      one.runningGeneration = kept.object.metadata.generation ?? 0;
      one.acceptedBefore = kept.acceptedAt;
      onNote(`${before} is in use from the disk.`, true);
    });
  };

  /** A folder may have been used for another namespace before. */
  const isOurs = ({ object }: AcceptedGroup) => object.metadata.namespace === namespace;

  /** The API server is away: what it last declared counts until it says otherwise. */
  const recallAll = async (): Promise<void> => {
    for (const { object, acceptedAt } of memory.all().filter(isOurs)) {
      if (known.has(object.metadata.name)) continue;
      const one: Known = { ...unknown(object), unseen: true, acceptedBefore: acceptedAt };
      known.set(object.metadata.name, one);
      onNote(
        `The API server has not told of FailoverGroups: ${object.metadata.name} starts as generation ${object.metadata.generation}, accepted at ${acceptedAt}.`,
        true,
      );
      await takeIn(one);
    }
  };

  const forget = (name: string): Promise<void> =>
    attempt(`FailoverGroup ${name} is gone, and cannot be taken from the disk`, () => memory.forget(name));

  const gone = async (name: string, one: Known): Promise<void> => {
    if (!one.deleted) await forget(name);
    one.unkept = undefined;
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
      listed = true;
      for (const [name, one] of known) if (!names.has(name)) await gone(name, one);
      for (const kept of memory.all())
        if (isOurs(kept) && !names.has(kept.object.metadata.name)) await forget(kept.object.metadata.name);
      for (const object of event.items) await seen(object);
    } else await seen(event.object);
  };

  /** What has to be tried again. */
  const round = async (): Promise<void> => {
    if (!listed && (interrupted || clock.monotonic() - startedAt >= silenceMs)) await recallAll();
    for (const [name, one] of known) {
      if (one.deleted) await gone(name, one);
      else if (one.adoption.kind === 'waiting') await takeIn(one);
      await keep(one);
    }
  };

  const tell = async (name: string, one: Known): Promise<void> => {
    if (one.deleted || one.unseen) return;
    const generation = one.object.metadata.generation ?? 0;
    const { adoption, runningGeneration, acceptedBefore, told: before } = one;
    // A group of the same name that a file declares is another one.
    const group = runningGeneration === undefined ? undefined : ports.status(name);
    const now = new Date(clock.now());
    const next = objectStatus({ generation, adoption, runningGeneration, acceptedBefore, group, before, now });
    if (!isNews(before, next) && clock.monotonic() - one.toldAt < repeatMs) return;
    const reference = { apiVersion, kind, namespace, name };
    const object = { apiVersion, kind, metadata: { name, namespace }, status: next as unknown as Json };
    await api.apply(context(writeLimitMs), reference, object, 'status');
    one.told = next;
    one.toldAt = clock.monotonic();
  };

  const watching = superviseWatch(context(), {
    ...{ api, place, namespace, onEvent: (event) => inTurn(() => onEvent(event)) },
    onInterruption: (sentence) => {
      interrupted = true;
      onNote(`FailoverGroups cannot be watched: ${sentence}`, true);
    },
  });
  const telling = (async () => {
    while (!stopping.signal.aborted) {
      await inTurn(round);
      for (const [name, one] of known)
        await attempt(`The status of FailoverGroup ${name} cannot be written`, () => tell(name, one));
      await clock.sleep(roundMs, stopping.signal).catch(() => {});
    }
  })();
  return {
    remark: (name) => {
      const one = known.get(name);
      return one && remarkOn(one);
    },
    stop: async () => {
      stopping.abort();
      await Promise.all([watching, telling]);
    },
  };
}

function unknown(object: KubernetesObject): Known {
  return {
    ...{ object, unseen: false, adoption: { kind: 'inUse' }, runningGeneration: undefined },
    ...{ acceptedBefore: undefined, unkept: undefined },
    ...{ told: undefined, toldAt: Number.NEGATIVE_INFINITY, deleted: false },
  };
}

function remarkOn({ object, unseen, adoption, runningGeneration, acceptedBefore }: Known): string | undefined {
  if (runningGeneration === undefined) return undefined;
  const since = acceptedBefore === undefined ? '' : `, accepted at ${acceptedBefore} and kept on disk,`;
  const runs = `Generation ${runningGeneration}${since} is in use.`;
  if (unseen) return `The API server has not told of this FailoverGroup since the start. ${runs}`;
  if (adoption.kind !== 'refused') return undefined;
  return `Generation ${object.metadata.generation} of this FailoverGroup is refused: ${adoption.problems.join(' ')} ${runs}`;
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
