/**
 * The Kubernetes API is away, slow, busy, or in the hands of somebody else while a run acts or a watch looks on: the run
 * waits or stops by its own limits, says so, and never does anything twice; the watch misses nothing. The same stories on
 * the sandbox's API server and on a real one.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type Sandbox, startSandbox } from '../../sandbox/start.ts';
import { worldOf } from '../../src/app/world.ts';
import type { CompiledRunStep, CompiledStep } from '../../src/catalog/compiled-runbook.ts';
import { runbookKind } from '../../src/catalog/kinds/runbook.ts';
import { VirtualClock } from '../../src/clock.ts';
import { createKubernetes } from '../../src/integrations/kubernetes/index.ts';
import type { WatchEvent } from '../../src/integrations/kubernetes/watch.ts';
import { createSecrets } from '../../src/integrations/secrets.ts';
import type { Entry, EntryOf } from '../../src/run/journal.ts';
import { simulate } from '../../src/run/simulation.ts';
import { findKubernetes, type Kubernetes, startKubernetes } from '../../testbed/kubernetes.ts';
import { waitUntil } from '../../testbed/process.ts';
import { describeReal } from '../../testbed/real.ts';
import { layCable } from '../cable.ts';
import { apiOf, installDefinitions, runbook } from '../integrations/cluster-scene.ts';
import { actionOf, patientClock } from '../integrations/support.ts';
import { startCrowd } from '../support/api-crowd.ts';
import { type Cluster, type Fault, startRelay } from '../support/kubernetes-relay.ts';
import { runbookOf } from '../support/pocket-world.ts';

/** Generous for two shared cores; a watch tells within milliseconds. */
const limitMs = 60_000;
const otherWriter = 'kubectl-edit';
const crowded = 'crowded';
let namespaces = 0;

describe('kubernetes away, in the sandbox', () => {
  let sandbox: Sandbox;
  before(async () => {
    sandbox = await startSandbox();
    await installDefinitions(apiOf(sandbox));
  });
  after(() => sandbox?.stop());
  stories(() => ({ url: sandbox.kubernetes.url, token: sandbox.kubernetes.token, api: apiOf(sandbox) }));
});

describeReal('kubernetes away, for real', findKubernetes, () => {
  let kubernetes: Kubernetes;
  before(async () => {
    // Nobody runs pods here; and what etcd has forgotten, no cache in front of it still knows.
    kubernetes = await startKubernetes({ node: false, watchCache: false, users: [{ name: crowded }] });
    await installDefinitions(kubernetes);
  });
  after(() => kubernetes?.stop());
  const cluster = (): Cluster => ({
    ...{ url: kubernetes.url, ca: kubernetes.ca, token: kubernetes.adminToken, api: kubernetes },
    forget: () => kubernetes.compact(),
  });
  stories(cluster);

  test('429 by the API server’s own priority and fairness: certainly not done, and not tried before it says', async () => {
    const token = kubernetes.tokenFor(crowded);
    await using crowd = await startCrowd({ ...cluster(), token }, crowded);
    await using s = await scene({ ...cluster(), token }, 10);
    s.meanwhile(crowd.fill, isPatch);
    const { entries } = await s.go({ steps: [{ ...s.scale, backoff: 10 }], on: once('StepFailed', crowd.leave) });
    assert.equal(end(entries).data.outcome, 'Succeeded', end(entries).sentence);
    const [failure] = failures(entries);
    assert.ok(failure?.data.certain, JSON.stringify(failure));
    assert.match(failure.sentence, /429/);
    // Its Retry-After is one second; the step’s own pause is a hundredth of that.
    assert.ok((failure.data.retryAt ?? 0) > failure.at + 500, JSON.stringify(failure));
    assert.deepEqual([await s.replicas(), s.patches()], [3, 1]);
  });
});

/** A namespace of its own, and the integration that looks at it over a line that can be held and a relay that can lie. */
async function line(cluster: Cluster) {
  const namespace = `away-${++namespaces}`;
  await cluster.api.request('/api/v1/namespaces', { body: { metadata: { name: namespace } } });
  const relay = await startRelay(cluster);
  const cable = await layCable(relay.url);
  const kubernetes = createKubernetes(
    { server: cable.url.replace(/\/$/, ''), tokenEnv: 'TOKEN' },
    { secrets: createSecrets({ TOKEN: cluster.token }) },
  );
  return {
    namespace,
    relay,
    cable,
    kubernetes,
    async [Symbol.asyncDispose]() {
      await kubernetes.stop?.();
      await cable.close();
      await relay[Symbol.asyncDispose]();
    },
  };
}

/** A Deployment of two replicas that a runbook scales to three. */
async function scene(cluster: Cluster, attempts = 1) {
  const { api } = cluster;
  const { namespace, relay, cable, kubernetes, ...rest } = await line(cluster);
  const deployments = `/apis/apps/v1/namespaces/${namespace}/deployments`;
  const lay = async (replicas: number) => {
    const labels = { app: 'web' };
    const containers = [{ name: 'web', image: 'registry.example/web:1' }];
    const spec = {
      replicas,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers } },
    };
    const metadata = { name: 'web', namespace };
    // Times in managedFields have no fractions: within a second, the first writer may be taken for the last.
    await api.request(`${deployments}?fieldManager=${otherWriter}`, {
      body: { apiVersion: 'apps/v1', kind: 'Deployment', metadata, spec },
    });
  };
  await lay(2);
  const reference = { kind: 'Deployment', namespace, name: 'web' };
  const scale: CompiledRunStep = {
    kind: 'run',
    name: 'scale',
    line: 1,
    timeout: 60_000,
    attempts,
    backoff: 2_000,
    call: {
      action: actionOf(kubernetes, 'kubernetes scale'),
      source: 'kubernetes scale',
      facts: [],
      variables: [],
      resolve: async () => ({ ok: true, input: { ...reference, replicas: '3' }, readings: [] }),
    },
  };
  const target = {
    facts: [],
    variables: [],
    type: 'dyn',
    constant: true,
    evaluate: async () => ({ ok: true as const, value: { apiVersion: 'apps/v1', ...reference }, readings: [] }),
  };
  const clock = patientClock(20);
  const go = (options: { steps?: CompiledStep[]; on?: (entry: Entry) => void } = {}) =>
    simulate({
      runbook: runbookOf(options.steps ?? [scale], { target }),
      world: worldOf([kubernetes]),
      clock: { ...clock, advance: (ms) => clock.sleep(ms) },
      mode: 'Automatic',
      crash: (entry, moment) => {
        if (moment === 'after') options.on?.(entry);
        return false;
      },
    });
  return {
    ...rest,
    cable,
    scale,
    go,
    replicas: async () => (await api.request<{ spec: { replicas: number } }>(`${deployments}/web`)).spec.replicas,
    /** Patches that were taken: one is refused, and made anew, when a controller writes a status in between. */
    patches: () => relay.patches,
    /** Answers so many requests for which `when` holds with this instead. */
    answer(times: number, answer: Exclude<ReturnType<Fault>, Promise<'pass'>>, when = (_method: string) => true) {
      for (let i = 0; i < times; i++) relay.faults.push(({ method }) => (when(method) ? answer : undefined));
    },
    /** Does something before the next request for which `when` holds goes on. */
    meanwhile(what: () => void | Promise<void>, when = (_method: string) => true) {
      const done = async () => {
        await what();
        return 'pass' as const;
      };
      relay.faults.push(({ method }) => (when(method) ? done() : undefined));
    },
    /** Somebody else scales it. */
    scaleTo: async (replicas: number) => {
      await api.request(`${deployments}/web?fieldManager=${otherWriter}`, {
        method: 'PATCH',
        contentType: 'application/merge-patch+json',
        body: { spec: { replicas } },
      });
    },
    /** Somebody else deletes it, and makes another of the same name. */
    replace: async () => {
      await api.request(`${deployments}/web`, { method: 'DELETE' });
      await lay(1);
    },
  };
}

const unavailable: [number, unknown] = [503, { kind: 'Status', message: 'etcd has no leader' }];
const isPatch = (method: string) => method === 'PATCH';
/** Does something after the first entry of a kind. */
const once = (kind: Entry['kind'], then: () => void) => {
  let done = false;
  return (entry: Entry) => {
    if (done || entry.kind !== kind) return;
    done = true;
    then();
  };
};
const failures = (entries: readonly Entry[]) =>
  entries.filter((e): e is EntryOf<'StepFailed'> => e.kind === 'StepFailed');
const end = (entries: readonly Entry[]) => {
  const last = entries.at(-1);
  assert.equal(last?.kind, 'Ended');
  return last as EntryOf<'Ended'>;
};

function stories(cluster: () => Cluster): void {
  test('away when it is first looked at: nothing is done, the refusal says why, and somebody is paged', async () => {
    await using s = await scene(cluster());
    s.answer(3, unavailable);
    const { entries, pages } = await s.go();
    assert.deepEqual([end(entries).data.outcome, end(entries).data.reason], ['Refused', 'FactUnavailable']);
    assert.match(end(entries).sentence, /etcd has no leader/);
    assert.deepEqual([s.patches(), pages.length], [0, 1]);
  });

  test('nobody listens when it acts, and somebody does in time: the step is tried again, and done once', async () => {
    await using s = await scene(cluster(), 3);
    const { entries, pages } = await s.go({
      on: (entry) => {
        if (entry.kind === 'StepStarted' && entry.data.attempt === 1) s.cable.refuse();
        if (entry.kind === 'StepFailed') s.cable.cut();
      },
    });
    assert.equal(end(entries).data.outcome, 'Succeeded');
    assert.equal(failures(entries).length, 1);
    assert.ok(failures(entries).every(({ at, data }) => data.certain && (data.retryAt ?? 0) > at));
    assert.deepEqual([await s.replicas(), s.patches(), pages.length], [3, 1, 0]);
  });

  test('away for longer than the step is tried: the run fails, says what the API said, and pages', async () => {
    await using s = await scene(cluster(), 2);
    const { entries, pages } = await s.go({ on: once('Prepared', () => s.answer(100, unavailable)) });
    assert.deepEqual([end(entries).data.outcome, end(entries).data.reason], ['Failed', 'ActionFailed']);
    assert.match(end(entries).sentence, /503.*etcd has no leader/);
    assert.deepEqual([failures(entries).length, s.patches(), pages.length], [2, 0, 1]);
  });

  test('429 with Retry-After: the next try is not before', async () => {
    await using s = await scene(cluster(), 2);
    s.answer(1, [429, { kind: 'Status', message: 'too many requests' }, { 'retry-after': '7' }], isPatch);
    const { entries } = await s.go();
    assert.equal(end(entries).data.outcome, 'Succeeded');
    const [failure] = failures(entries);
    // The usual pause is two seconds; time flies here, so that the moment of writing is a little later than that of deciding.
    assert.ok(failure && (failure.data.retryAt ?? 0) > failure.at + 5_000, JSON.stringify(failure));
    assert.equal(await s.replicas(), 3);
  });

  test('the answer to a write never comes: the object is asked, and the write is not repeated', async () => {
    await using s = await scene(cluster());
    s.meanwhile(s.cable.hold, isPatch);
    const { entries } = await s.go({ on: once('StepFailed', s.cable.cut) });
    assert.equal(failures(entries)[0]?.data.certain, false);
    assert.match(failures(entries)[0]?.sentence ?? '', /did not answer/);
    assert.equal(end(entries).data.outcome, 'Succeeded');
    assert.deepEqual([await s.replicas(), s.patches()], [3, 1]);
  });

  test('409, because somebody changes the target between reading and writing: the run leaves it to them', async () => {
    await using s = await scene(cluster(), 3);
    s.meanwhile(() => s.scaleTo(5), isPatch);
    const { entries, pages } = await s.go();
    assert.deepEqual([end(entries).data.outcome, end(entries).data.reason], ['Cancelled', 'ChangedByOthers']);
    assert.match(end(entries).sentence, /kubectl-edit changed Deployment web/);
    assert.deepEqual([await s.replicas(), pages.length], [5, 1]);
  });

  test('a person changes the target while the run waits: the run stops, and undoes nothing over their head', async () => {
    await using s = await scene(cluster());
    const { entries, pages } = await s.go({
      steps: [s.scale, { kind: 'wait', name: 'wait', line: 2, wait: 5_000 }, s.scale],
      on: once('WaitStarted', () => s.meanwhile(() => s.scaleTo(7))),
    });
    assert.deepEqual([end(entries).data.outcome, end(entries).data.reason], ['Cancelled', 'ChangedByOthers']);
    assert.deepEqual([await s.replicas(), s.patches(), pages.length], [7, 1, 1]);
  });

  test('another object of the same name has taken the place of the target: it is not touched', async () => {
    await using s = await scene(cluster());
    const { entries, pages } = await s.go({ on: once('Prepared', () => s.meanwhile(s.replace)) });
    assert.deepEqual([end(entries).data.outcome, end(entries).data.reason], ['Refused', 'TargetReplaced']);
    assert.deepEqual([await s.replicas(), s.patches(), pages.length], [1, 0, 1]);
  });

  test('410: a watch from before what the server remembers begins with a list', async () => {
    await using w = await watching(cluster());
    await w.put('a');
    await cluster().forget?.();
    w.watch('1');
    await w.advanceUntil('the list', 500, () => w.seen().includes('Replaced a'));
    await w.put('b');
    await w.advanceUntil('the change after it', 500, () => w.seen().includes('Added b'));
    assert.deepEqual(w.interruptions, []);
  });

  test('a watch whose connection breaks goes on where it was', async () => {
    await using w = await watching(cluster());
    w.watch(await w.list());
    await w.put('a');
    await w.until('the first change', () => w.seen().includes('Added a'));
    w.cable.refuse();
    await w.until('the interruption', () => w.interruptions.length > 0);
    await w.put('b');
    w.cable.cut();
    await w.advanceUntil('what happened meanwhile', 500, () => w.seen().includes('Added b'));
    assert.deepEqual(w.seen(), ['Added a', 'Added b']);
  });

  test('a watch that is half-open is noticed, and what was missed is told', async () => {
    await using w = await watching(cluster());
    w.watch(await w.list());
    await w.put('a');
    await w.until('the first change', () => w.seen().includes('Added a'));
    w.cable.hold();
    await w.put('b');
    // The server ends a watch after two minutes: this one has said nothing for longer.
    await w.clock.advance(135_000);
    await w.until('the interruption', () => w.interruptions.length > 0);
    assert.match(w.interruptions[0] ?? '', /within/);
    assert.deepEqual(w.seen(), ['Added a']);
    w.cable.cut();
    await w.advanceUntil('what was missed', 500, () => w.seen().includes('Added b'));
  });
}

/** The source of a cluster's runbooks, watching one namespace of it. */
async function watching(cluster: Cluster) {
  const { namespace, cable, kubernetes, ...rest } = await line(cluster);
  const clock = new VirtualClock();
  const interruptions: string[] = [];
  const source = kubernetes.clusterSource(clock, runbookKind, (sentence) => interruptions.push(sentence));
  const events: WatchEvent[] = [];
  const stop = new AbortController();
  let ended: Promise<void> | undefined;
  const until = (what: string, state: () => boolean) => waitUntil(what, limitMs, state);
  return {
    cable,
    clock,
    interruptions,
    until,
    /** The clock goes on by so many ms whenever somebody waits for it. */
    advanceUntil: (what: string, ms: number, state: () => boolean) =>
      waitUntil(what, limitMs, async () => {
        if (state()) return true;
        if (clock.nextDue() !== undefined) await clock.advance(ms);
        return false;
      }),
    list: async () => (await source.list(AbortSignal.timeout(limitMs))).resourceVersion,
    put: (name: string) =>
      cluster.api.request(`/apis/catalyst.openova.io/v1alpha1/namespaces/${namespace}/runbooks`, {
        body: runbook(name),
      }),
    watch(from: string) {
      ended = source.watch(from, (event) => void events.push(event), stop.signal);
    },
    /** What it was told of this namespace. */
    seen: () => {
      const ours = (object: { metadata: { namespace?: string } }) => object.metadata.namespace === namespace;
      return events.flatMap((event) => {
        if (event.type !== 'Replaced') return ours(event.object) ? [`${event.type} ${event.object.metadata.name}`] : [];
        return [
          `Replaced ${event.items
            .filter(ours)
            .map(({ metadata }) => metadata.name)
            .join(' ')}`,
        ];
      });
    },
    async [Symbol.asyncDispose]() {
      stop.abort();
      await ended;
      await rest[Symbol.asyncDispose]();
    },
  };
}
