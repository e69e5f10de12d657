import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { load } from 'js-yaml';
import { VirtualClock } from '../../clock.ts';
import { CatalystError } from '../../errors.ts';
import type { Json } from '../../integrations/contract.ts';
import type { ClusterSource } from '../../integrations/kubernetes/cluster-source.ts';
import { createCatalog } from '../catalog.ts';
import { runbookKind } from '../kinds/runbook.ts';
import { serviceLevelObjectiveKind } from '../kinds/service-level-objective.ts';
import type { Problem, Resource } from '../resource.ts';
import { precedences, type SourceSnapshot } from '../source.ts';
import { type ClusterObjects, createClusterSource } from './cluster.ts';
import { readyCondition, saysAlready } from './cluster-status.ts';
import { maxFileBytes } from './file-rules.ts';

/** The Kubernetes integration is what the catalog asks for: holds when this file type-checks. */
export const fits = (integration: ClusterSource): ClusterObjects => integration;

interface RunbookObject {
  metadata: Record<string, unknown> & { namespace: string; name: string; resourceVersion: string; generation: number };
  spec: unknown;
  status?: Record<string, Json>;
}

/** An API server with one kind of object. */
function apiServer() {
  type OnEvent = Parameters<ClusterObjects['watch']>[1];
  const stored = new Map<string, RunbookObject>();
  const patches: { name: string; condition: Record<string, Json> }[] = [];
  const state = {
    version: 100,
    lists: 0,
    failLists: 0,
    /** Thrown by the next writes of a status. */
    failPatches: [] as Error[],
    watcher: undefined as OnEvent | undefined,
  };
  let patched = Promise.withResolvers<void>();
  /** What happened, for a watch that begins later than the list it goes on from. */
  const log: { version: number; event: Parameters<OnEvent>[0] }[] = [];
  const tell = (type: 'Added' | 'Modified' | 'Deleted', object: RunbookObject) => {
    const event = { type, object: structuredClone(object) };
    log.push({ version: state.version, event });
    void state.watcher?.(event);
  };
  const objects: ClusterObjects = {
    async list() {
      state.lists += 1;
      if (state.failLists > 0) {
        state.failLists -= 1;
        throw new CatalystError('UpstreamUnavailable', 'the API server is away');
      }
      return { items: structuredClone([...stored.values()]), resourceVersion: String(state.version) };
    },
    watch: (from, onEvent, signal) =>
      new Promise((resolve) => {
        state.watcher = onEvent;
        for (const { version, event } of log) if (version > Number(from)) void onEvent(event);
        const end = () => {
          state.watcher = undefined;
          resolve();
        };
        if (signal.aborted) end();
        signal.addEventListener('abort', end);
      }),
    async patchStatus(namespace, name, status) {
      const { conditions } = status as { conditions: Record<string, Json>[] };
      patches.push({ name: `${namespace}/${name}`, condition: conditions[0] ?? {} });
      patched.resolve();
      patched = Promise.withResolvers();
      const failure = state.failPatches.shift();
      if (failure) throw failure;
      const object = stored.get(`${namespace}/${name}`);
      if (!object) throw new CatalystError('NotFound', 'gone');
      state.version += 1;
      object.metadata.resourceVersion = String(state.version);
      object.status = { conditions } as Record<string, Json>;
      tell('Modified', object);
    },
  };
  return {
    objects,
    patches,
    state,
    stored,
    put(namespace: string, name: string, spec: unknown, more: Record<string, unknown> = {}) {
      state.version += 1;
      const before = stored.get(`${namespace}/${name}`);
      const generation = (before?.metadata.generation ?? 0) + 1;
      const metadata = {
        namespace,
        name,
        uid: `uid-${namespace}-${name}`,
        resourceVersion: String(state.version),
        generation,
        ...more,
      };
      const object = { metadata, spec, ...(before?.status ? { status: before.status } : {}) };
      stored.set(`${namespace}/${name}`, object);
      tell(before ? 'Modified' : 'Added', object);
    },
    remove(key: string) {
      const object = stored.get(key);
      stored.delete(key);
      state.version += 1;
      if (object) tell('Deleted', object);
    },
    async patchedTo(count: number) {
      while (patches.length < count) await patched.promise;
      // Lets the writer see the answer.
      await new Promise((resolve) => setImmediate(resolve));
    },
  };
}

function sourceOf(
  t: TestContext,
  api: ReturnType<typeof apiServer>,
  more: Partial<Parameters<typeof createClusterSource>[0]> = {},
) {
  const clock = new VirtualClock(Date.UTC(2026, 0, 5, 12));
  const errors: unknown[] = [];
  const organizationOf = (namespace: string) => (namespace.startsWith('acme-') ? 'acme' : undefined);
  const source = createClusterSource({
    kind: runbookKind,
    objects: api.objects,
    clock,
    organizationOf,
    onError: (error) => errors.push(error),
    ...more,
  });
  t.after(() => source.stop());
  const seen: SourceSnapshot[] = [];
  return { source, clock, errors, seen, start: () => source.start((snapshot) => seen.push(snapshot)) };
}

const files = (snapshot: SourceSnapshot | undefined) =>
  snapshot?.documents.map(({ file, organization }) => `${file} ${organization}`);

const error = (sentence: string): Problem => ({
  severity: 'error',
  rule: 'r',
  sentence,
  source: 'cluster',
  file: 'f',
  line: 1,
  column: 1,
});

/** A catalog over the source, in which a spec `{ bad: true }` does not load. */
async function judged(t: TestContext, api: ReturnType<typeof apiServer>) {
  const { source, clock, errors } = sourceOf(t, api);
  const catalog = createCatalog({
    sources: [source],
    load: (text, { file, ...origin }) => {
      const resource = load(text) as Resource;
      const bad = (resource.spec as { bad?: boolean }).bad;
      if (bad)
        return { resources: [], problems: [{ ...error('It is bad.'), resource: `Runbook/${resource.metadata.name}` }] };
      return { resources: [{ ...resource, provenance: { ...origin, file, line: 1, digest: text } }], problems: [] };
    },
    compile: (resource) => ({ runbook: { resource } as never, problems: [] }),
    clock,
    onError: (_part, error) => errors.push(error),
  });
  t.after(() => catalog.stop());
  await catalog.start();
  return { catalog, source, clock, errors };
}

test('each object is a document with its namespace, name and version, without what the server keeps beside it', async (t) => {
  const api = apiServer();
  api.put(
    'ops',
    'a',
    { steps: [{ wait: '1s' }] },
    {
      labels: { team: 'sre' },
      annotations: { note: 'x', 'kubectl.kubernetes.io/last-applied-configuration': '{}' },
      managedFields: [{ manager: 'kubectl' }],
    },
  );
  api.put('acme-prod', 'b', { steps: [] });
  const { start, seen, source } = sourceOf(t, api);
  await start();
  assert.equal(source.precedence, precedences.cluster);
  assert.deepEqual(files(seen[0]), ['ops/a undefined', 'acme-prod/b acme']);
  const [document] = seen[0]?.documents ?? [];
  assert.equal(document?.revision, '101');
  assert.deepEqual(load(document?.text ?? ''), {
    apiVersion: 'catalyst.openova.io/v1alpha1',
    kind: 'Runbook',
    metadata: { name: 'a', namespace: 'ops', labels: { team: 'sre' }, annotations: { note: 'x' } },
    spec: { steps: [{ wait: '1s' }] },
  });
});

test('each kind is a source of its own, so that objects of one name do not get in each other’s way', async (t) => {
  const api = apiServer();
  api.put('ops', 'a', { service: 'console' });
  const { start, seen, source } = sourceOf(t, api, { kind: serviceLevelObjectiveKind });
  api.state.failLists = 1;
  await start();
  assert.equal(source.name, 'cluster:servicelevelobjectives');
  assert.match(
    seen[0]?.problems[0]?.sentence ?? '',
    /^The ServiceLevelObjective objects of the cluster cannot be read/,
  );
  await source.refresh();
  assert.equal((load(seen.at(-1)?.documents[0]?.text ?? '') as Resource).kind, 'ServiceLevelObjective');
});

test('follows what is added, changed and deleted, and a list that replaces all; the order of keys is no change', async (t) => {
  const api = apiServer();
  api.put('ops', 'a', { x: 1, y: 2 });
  const { start, seen } = sourceOf(t, api);
  await start();
  api.put('ops', 'a', { y: 2, x: 1 });
  assert.equal(seen.length, 1);
  api.put('ops', 'b', {});
  assert.deepEqual(files(seen.at(-1)), ['ops/a undefined', 'ops/b undefined']);
  assert.equal(seen.at(-1)?.documents[0]?.revision, '101', 'the version in which it was declared');
  api.put('ops', 'a', { x: 2 });
  assert.equal(seen.at(-1)?.documents[0]?.revision, '104');
  api.remove('ops/b');
  assert.deepEqual(files(seen.at(-1)), ['ops/a undefined']);
  void api.state.watcher?.({ type: 'Replaced', items: [...api.stored.values(), { metadata: 'nonsense' }, null] });
  assert.equal(seen.length, 4);
  void api.state.watcher?.({ type: 'Replaced', items: [] });
  assert.deepEqual(files(seen.at(-1)), []);
});

test('reads only the namespaces it was given, and refuses what is too large', async (t) => {
  const api = apiServer();
  api.put('ops', 'a', {});
  api.put('other', 'b', {});
  api.put('ops', 'c', { text: 'x'.repeat(maxFileBytes) });
  const { start, seen } = sourceOf(t, api, { namespaces: ['ops'] });
  await start();
  assert.deepEqual(files(seen[0]), ['ops/a undefined']);
  assert.deepEqual(
    seen[0]?.problems.map(({ file, rule }) => `${file} ${rule}`),
    ['ops/c file-too-large'],
  );
});

test('an API server that is away is a problem and asked again; what was read goes on serving', async (t) => {
  const api = apiServer();
  api.put('ops', 'a', {});
  api.state.failLists = 2;
  const { start, seen, clock, source } = sourceOf(t, api);
  await start();
  assert.deepEqual(
    seen[0]?.problems.map(({ rule }) => rule),
    ['source-unreachable'],
  );
  await clock.advance(1_000);
  assert.equal(api.state.lists, 2);
  await clock.advance(1_999);
  assert.equal(api.state.lists, 2);
  await clock.advance(1);
  assert.deepEqual([files(seen.at(-1)), seen.at(-1)?.problems], [['ops/a undefined'], []]);
  api.state.failLists = 1;
  await source.refresh();
  assert.deepEqual(files(seen.at(-1)), ['ops/a undefined']);
  assert.match(seen.at(-1)?.problems[0]?.sentence ?? '', /the API server is away/);
  await source.refresh();
  assert.deepEqual(seen.at(-1)?.problems, []);
});

test('a list that never answers costs the limit of time', async (t) => {
  const api = apiServer();
  const { start, seen, clock } = sourceOf(t, api, { objects: { ...api.objects, list: () => new Promise(() => {}) } });
  const starting = start();
  await clock.advance(30_000);
  await starting;
  assert.match(seen[0]?.problems[0]?.sentence ?? '', /no answer within 30 s/);
});

test('the status of each object says whether it was accepted, and is written only when that changes', async (t) => {
  const api = apiServer();
  api.put('ops', 'good', {});
  api.put('ops', 'bad', { bad: true });
  const { clock } = await judged(t, api);
  await api.patchedTo(2);
  assert.deepEqual(
    api.patches.toSorted((a, b) => (a.name < b.name ? -1 : 1)),
    [
      {
        name: 'ops/bad',
        condition: {
          type: 'Ready',
          status: 'False',
          reason: 'Invalid',
          message: 'It is bad.',
          lastTransitionTime: '2026-01-05T12:00:00Z',
          observedGeneration: 1,
        },
      },
      {
        name: 'ops/good',
        condition: {
          type: 'Ready',
          status: 'True',
          reason: 'Accepted',
          message: 'It is valid.',
          lastTransitionTime: '2026-01-05T12:00:00Z',
          observedGeneration: 1,
        },
      },
    ],
  );
  await clock.advance(60_000);
  api.put('ops', 'good', { x: 1 });
  await api.patchedTo(3);
  assert.deepEqual(api.patches[2]?.condition, {
    ...api.patches.find(({ name }) => name === 'ops/good')?.condition,
    observedGeneration: 2,
  });
  api.put('ops', 'bad', { bad: false });
  await api.patchedTo(4);
  assert.equal(api.patches[3]?.condition.status, 'True');
  assert.equal(api.patches[3]?.condition.lastTransitionTime, '2026-01-05T12:01:00Z');
  assert.equal(api.patches.length, 4);
});

test('the last good version serves on, and the status says that the new one is invalid', async (t) => {
  const api = apiServer();
  api.put('ops', 'a', { x: 1 });
  const { catalog } = await judged(t, api);
  await api.patchedTo(1);
  api.put('ops', 'a', { bad: true });
  await api.patchedTo(2);
  assert.deepEqual(
    catalog.all().map(({ resource }) => resource.spec),
    [{ x: 1 }],
  );
  assert.equal(
    api.patches[1]?.condition.message,
    'It is bad.',
    'nothing in it that another replica would say otherwise',
  );
});

test('a write that fails is tried again, later and later, and given up in the end', async (t) => {
  const api = apiServer();
  const failure = new CatalystError('UpstreamUnavailable', 'conflict');
  api.state.failPatches = Array.from({ length: 9 }, () => failure);
  api.put('ops', 'a', {});
  const { clock, errors } = await judged(t, api);
  for (const [wait, writes] of [
    [0, 1],
    [1_000, 2],
    [1_999, 2],
    [1, 3],
    [4_000, 4],
    [8_000, 5],
    [600_000, 5],
  ] as const) {
    await clock.advance(wait);
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(api.patches.length, writes);
  }
  assert.deepEqual(errors, [failure]);
  // A new version of the object is worth another try.
  api.state.failPatches = [];
  api.put('ops', 'a', { x: 1 });
  await api.patchedTo(6);
  assert.equal(api.patches[5]?.condition.observedGeneration, 2);
});

test('an object that is gone needs no status; one that another writer wipes gets it back, and not for ever', async (t) => {
  const api = apiServer();
  api.put('ops', 'a', {});
  const { errors } = await judged(t, api);
  await api.patchedTo(1);
  for (let wiped = 0; wiped < 8; wiped += 1) {
    const object = api.stored.get('ops/a');
    if (object) delete object.status;
    void api.state.watcher?.({ type: 'Modified', object: structuredClone(object) });
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.equal(api.patches.length, 5);
  api.state.failPatches = [new CatalystError('NotFound', 'gone')];
  api.put('ops', 'b', {});
  await api.patchedTo(6);
  assert.deepEqual(errors, []);
});

test('a condition keeps its time of change while its status stays, and its message stays short', () => {
  const target = { namespace: 'ops', name: 'a', uid: 'u', generation: 3, conditions: [] };
  const now = Date.UTC(2026, 0, 5);
  const first = readyCondition(target, [error('x'.repeat(5_000))], now);
  assert.equal(first.message.length, 1_024);
  const again = readyCondition({ ...target, conditions: [first] }, [error('Other.')], now + 5_000);
  assert.equal(again.lastTransitionTime, first.lastTransitionTime);
  assert.equal(saysAlready({ ...target, conditions: [first] }, again), false);
  assert.equal(saysAlready({ ...target, conditions: [again] }, { ...again, lastTransitionTime: 'later' }), true);
  const warned = readyCondition(target, [{ ...error('Slow.'), severity: 'warning' }], now);
  assert.deepEqual([warned.status, warned.reason, warned.message], ['True', 'Accepted', 'Slow.']);
});
