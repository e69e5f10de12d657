/**
 * Documents of one kind that live in the cluster as objects. Each object becomes a document like any other, and is told in
 * its status whether it was accepted.
 */
import { type DumpOptions, dump, visit } from 'js-yaml';
import type { Clock } from '../../clock.ts';
import { messageOf } from '../../errors.ts';
import type { Json } from '../../integrations/contract.ts';
import { runbookKind } from '../kinds/runbook.ts';
import { apiVersion, type Kind, type Problem } from '../resource.ts';
import {
  type CatalogSource,
  precedences,
  type SourceDocument,
  type SourceSnapshot,
  sameSnapshot,
  sourceProblem,
  type Verdicts,
} from '../source.ts';
import { type Condition, createStatusWriter, type StatusTarget } from './cluster-status.ts';
import { maxFileBytes, tooLarge } from './file-rules.ts';

/** An object as the API server sends it, before it was looked at. */
type ClusterEvent =
  | { type: 'Replaced'; items: unknown[] }
  | { type: 'Added' | 'Modified' | 'Deleted'; object: unknown };

/** What is needed of the API server; the Kubernetes integration has it. */
export interface ClusterObjects {
  list(signal: AbortSignal): Promise<{ items: unknown[]; resourceVersion: string }>;
  /** Tells of changes after `from` until the signal is aborted; `Replaced` where it lost the thread. */
  watch(from: string, onEvent: (event: ClusterEvent) => void | Promise<void>, signal: AbortSignal): Promise<void>;
  /** Throws CatalystError NotFound when the object is gone. */
  patchStatus(namespace: string, name: string, status: Json, signal: AbortSignal): Promise<void>;
}

export interface ClusterSourceOptions {
  /** Of which kind they are. */
  kind: Kind;
  objects: ClusterObjects;
  clock: Clock;
  /**
   * The Organization a namespace belongs to; undefined for the Sovereign's own. It decides for whom a document counts, so
   * that who may write objects in one namespace cannot make runbooks for everybody.
   */
  organizationOf: (namespace: string) => string | undefined;
  /** Namespaces to read; empty for all. */
  namespaces?: readonly string[];
  /** Told when a status could not be written. */
  onError: (error: unknown) => void;
}

interface Held {
  document: SourceDocument | undefined;
  problem: Problem | undefined;
  target: StatusTarget;
}

/** Limit of one list, ms. */
const listLimitMs = 30_000;
/** Wait after the first list that failed; doubled up to a minute, ms. */
const firstBackoffMs = 1_000;
const longestBackoffMs = 60_000;

/** What provenance calls the source of a kind: `cluster` for runbooks, `cluster:alertrules` for another. */
const nameOf = ({ kind, plural }: Kind) => (kind === runbookKind.kind ? 'cluster' : `cluster:${plural}`);

/** Makes a source of the objects of one kind in a cluster; nothing is read before `start`. */
export function createClusterSource(options: ClusterSourceOptions): CatalogSource {
  const { kind, objects, clock, onError } = options;
  const name = nameOf(kind);
  const namespaces = new Set(options.namespaces);
  const stopping = new AbortController();
  const status = createStatusWriter({ objects, clock, onError, signal: stopping.signal });
  /** By `namespace/name`. */
  let held = new Map<string, Held>();
  let last: SourceSnapshot | undefined;
  let verdicts: Verdicts = new Map();
  let tell: (snapshot: SourceSnapshot) => void = () => {};
  let running: Promise<void> | undefined;
  /** Ends the watch under way, so that the list is read again. */
  let restart = new AbortController();
  let listed = Promise.withResolvers<void>();

  function take(object: unknown, into: Map<string, Held>): void {
    const next = readObject(object);
    if (next === undefined || (namespaces.size > 0 && !namespaces.has(next.namespace))) return;
    const file = fileOf(next);
    const text = textOf(kind, next);
    const target = { ...next, conditions: conditionsOf(next.status) };
    const bytes = Buffer.byteLength(text);
    if (bytes > maxFileBytes) {
      into.set(file, { document: undefined, problem: tooLarge(name, file, bytes), target });
      return;
    }
    const organization = options.organizationOf(next.namespace);
    const owner = organization === undefined ? {} : { organization };
    const before = held.get(file)?.document;
    // A status that was written changes the resourceVersion, too; what was declared is still the same.
    const same = before?.text === text && before.organization === organization;
    const document = same ? before : { file, text, revision: next.resourceVersion, ...owner };
    into.set(file, { document, problem: undefined, target });
  }

  function publish(failure?: Problem): void {
    const all = [...held.values()];
    const snapshot = {
      documents: all.flatMap(({ document }) => document ?? []),
      problems: [...all.map(({ problem }) => problem), failure].filter((problem) => problem !== undefined),
    };
    const same = sameSnapshot(last, snapshot);
    last = snapshot;
    // The catalog answers with its verdicts.
    if (!same) tell(snapshot);
    else writeBack();
  }

  function writeBack(): void {
    for (const [file, { target, problem }] of held) {
      const verdict = problem === undefined ? verdicts.get(file) : [problem];
      if (verdict !== undefined) status.want(target, verdict);
    }
    status.keepOnly(new Set([...held.values()].map(({ target }) => target.uid)));
  }

  function replace(items: readonly unknown[]): void {
    const next = new Map<string, Held>();
    for (const item of items) take(item, next);
    held = next;
    publish();
  }

  function onEvent(event: ClusterEvent): void {
    if (stopping.signal.aborted) return;
    if (event.type === 'Replaced') replace(event.items);
    else {
      const gone = event.type === 'Deleted' ? readObject(event.object) : undefined;
      if (gone !== undefined) held.delete(fileOf(gone));
      else if (event.type !== 'Deleted') take(event.object, held);
      publish();
    }
  }

  async function run(): Promise<void> {
    let failures = 0;
    while (!stopping.signal.aborted) {
      const current = listed;
      listed = Promise.withResolvers();
      restart = new AbortController();
      const ended = AbortSignal.any([stopping.signal, restart.signal]);
      try {
        const { items, resourceVersion } = await within(clock, listLimitMs, stopping.signal, (signal) =>
          objects.list(signal),
        );
        if (!stopping.signal.aborted) replace(items);
        failures = 0;
        current.resolve();
        await objects.watch(resourceVersion, onEvent, ended);
      } catch (error) {
        failures += 1;
        if (!stopping.signal.aborted && !restart.signal.aborted) publish(unreachable(name, kind, error, held.size));
        current.resolve();
      }
      // A watch that ends by itself is begun again, but not in a tight loop.
      const wait = Math.min(longestBackoffMs, firstBackoffMs * 2 ** Math.min(Math.max(failures - 1, 0), 10));
      if (!ended.aborted) await clock.sleep(wait, ended).catch(() => {});
    }
    listed.resolve();
  }

  return {
    name,
    precedence: precedences.cluster,
    start(onChange) {
      tell = onChange;
      const first = listed.promise;
      running ??= run();
      return first;
    },
    async refresh() {
      if (running === undefined || stopping.signal.aborted) return;
      const { promise } = listed;
      restart.abort();
      await promise;
    },
    async stop() {
      stopping.abort();
      await running;
      await status.settled();
    },
    report(said) {
      verdicts = said;
      writeBack();
    },
  };
}

/** Gives up after the limit of time. */
async function within<T>(
  clock: Clock,
  ms: number,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const over = new AbortController();
  const late = clock.sleep(ms, AbortSignal.any([signal, over.signal])).then(() => {
    throw new Error(`no answer within ${ms / 1000} s`);
  });
  const limit = new AbortController();
  late.catch((error: unknown) => limit.abort(error));
  try {
    return await Promise.race([work(AbortSignal.any([signal, limit.signal])), late]);
  } finally {
    over.abort();
  }
}

function unreachable(source: string, { kind }: Kind, error: unknown, serving: number): Problem {
  const sentence = `The ${kind} objects of the cluster cannot be read: ${messageOf(error)}. The ${serving} that were read last go on serving.`;
  return sourceProblem(source, 'source-unreachable', sentence);
}

interface DeclaredObject {
  namespace: string;
  name: string;
  uid: string;
  resourceVersion: string;
  generation: number;
  metadata: Record<string, unknown>;
  spec: unknown;
  status: unknown;
}

/** Undefined for what is no object of ours. */
function readObject(object: unknown): DeclaredObject | undefined {
  if (!isRecord(object) || !isRecord(object.metadata)) return undefined;
  const { namespace, name, uid, resourceVersion, generation } = object.metadata;
  if (typeof namespace !== 'string' || typeof name !== 'string' || typeof resourceVersion !== 'string')
    return undefined;
  return {
    namespace,
    name,
    uid: typeof uid === 'string' ? uid : `${namespace}/${name}`,
    resourceVersion,
    generation: typeof generation === 'number' ? generation : 0,
    metadata: object.metadata,
    spec: object.spec,
    status: object.status,
  };
}

function fileOf({ namespace, name }: { namespace: string; name: string }): string {
  return `${namespace}/${name}`;
}

/**
 * What was declared, without what the API server keeps beside it: the same text, and so the same digest, for as long as
 * nobody changes the object. Keys are sorted, since their order means nothing to the API server.
 */
function textOf({ kind }: Kind, { namespace, name, metadata, spec }: DeclaredObject): string {
  const { 'kubectl.kubernetes.io/last-applied-configuration': _copy, ...annotations } = isRecord(metadata.annotations)
    ? metadata.annotations
    : {};
  const labels = isRecord(metadata.labels) ? metadata.labels : {};
  const declared = {
    apiVersion,
    kind,
    metadata: {
      name,
      namespace,
      ...(Object.keys(labels).length > 0 ? { labels } : {}),
      ...(Object.keys(annotations).length > 0 ? { annotations } : {}),
    },
    spec,
  };
  return dump(declared, { transform: byKey, noRefs: true, lineWidth: -1 });
}

/** The server hands maps out in any order: the same object is to be the same text. */
const byKey: NonNullable<DumpOptions['transform']> = (documents) =>
  visit(documents, (node) => {
    // No two keys of a map are the same.
    if (node.kind === 'mapping') node.items.sort((a, b) => (keyOf(a.key) < keyOf(b.key) ? -1 : 1));
  });

const keyOf = (node: { kind: string; value?: string }) => node.value ?? '';

function conditionsOf(status: unknown): Condition[] {
  const conditions = isRecord(status) && Array.isArray(status.conditions) ? status.conditions : [];
  return conditions.filter((one): one is Condition => isRecord(one) && typeof one.type === 'string');
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
