/**
 * The Kubernetes API is away, slow, busy, or in the hands of somebody else while a run acts: the run waits or stops by
 * its own limits, says so, and never does anything twice. (Watches: `src/integrations/kubernetes/watch.test.ts`.)
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { worldOf } from '../../src/app/world.ts';
import type { CompiledRunStep, CompiledStep } from '../../src/catalog/compiled-runbook.ts';
import { createKubernetes } from '../../src/integrations/kubernetes/index.ts';
import type { Entry, EntryOf } from '../../src/run/journal.ts';
import { simulate } from '../../src/run/simulation.ts';
import { layCable } from '../cable.ts';
import type { Fault } from '../integrations/fakes/fake-kubernetes.ts';
import { cluster, secrets } from '../integrations/kubernetes-scene.ts';
import { actionOf, fastClock } from '../integrations/support.ts';
import { runbookOf } from '../support/pocket-world.ts';

const reference = { kind: 'Deployment', namespace: 'acme', name: 'web' };

/** A Deployment of two replicas that a runbook scales to three, over a line that can be held. */
async function scene(attempts = 1) {
  const { fake, web } = await cluster();
  const cable = await layCable(fake.url);
  const kubernetes = createKubernetes({ server: cable.url.replace(/\/$/, ''), tokenEnv: 'TOKEN' }, { secrets });
  const world = worldOf([kubernetes]);
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
  const clock = fastClock();
  const go = (options: { steps?: CompiledStep[]; on?: (entry: Entry) => void } = {}) =>
    simulate({
      runbook: runbookOf(options.steps ?? [scale], { target }),
      world,
      clock: { ...clock, advance: (ms) => clock.sleep(ms) },
      mode: 'Automatic',
      crash: (entry, moment) => {
        if (moment === 'after') options.on?.(entry);
        return false;
      },
    });
  return {
    fake,
    web,
    cable,
    scale,
    go,
    replicas: () => fake.get('Deployment', 'acme', 'web').spec?.replicas,
    patches: () => fake.server.requests.filter(({ method }) => method === 'PATCH').length,
    /** Answers so many requests for which `when` holds with this instead. */
    answer(times: number, answer: ReturnType<Fault>, when: (method: string) => boolean = () => true) {
      for (let i = 0; i < times; i++) fake.faults.push(({ method }) => (when(method) ? answer : undefined));
    },
    [Symbol.asyncDispose]: async () => {
      await kubernetes.stop?.();
      await cable.close();
      await fake[Symbol.asyncDispose]();
    },
  };
}

const unavailable: [number, unknown] = [503, { kind: 'Status', message: 'etcd has no leader' }];
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

test('away when it is first looked at: nothing is done, the refusal says why, and somebody is paged', async () => {
  await using s = await scene();
  s.answer(3, unavailable);
  const { entries, pages } = await s.go();
  assert.deepEqual([end(entries).data.outcome, end(entries).data.reason], ['Refused', 'FactUnavailable']);
  assert.match(end(entries).sentence, /etcd has no leader/);
  assert.deepEqual([s.patches(), pages.length], [0, 1]);
});

test('away when it acts, and back in time: the step is tried again after its pause, and done once', async () => {
  await using s = await scene(3);
  const { entries, pages } = await s.go({ on: once('StepStarted', () => s.answer(3, unavailable)) });
  assert.equal(end(entries).data.outcome, 'Succeeded');
  assert.ok(failures(entries).length >= 1);
  assert.ok(failures(entries).every(({ at, data }) => data.certain && (data.retryAt ?? 0) > at));
  assert.deepEqual([s.replicas(), s.patches(), pages.length], [3, 1, 0]);
});

test('away for longer than the step is tried: the run fails, says what the API said, and pages', async () => {
  await using s = await scene(2);
  const { entries, pages } = await s.go({ on: once('Prepared', () => s.answer(100, unavailable)) });
  assert.deepEqual([end(entries).data.outcome, end(entries).data.reason], ['Failed', 'ActionFailed']);
  assert.match(end(entries).sentence, /503.*etcd has no leader/);
  assert.deepEqual([failures(entries).length, s.patches(), pages.length], [2, 0, 1]);
});

test('429 with Retry-After: the next try is not before', async () => {
  await using s = await scene(2);
  s.answer(1, [429, { kind: 'Status', message: 'too many requests' }, { 'retry-after': '7' }], (m) => m === 'PATCH');
  const { entries } = await s.go();
  assert.equal(end(entries).data.outcome, 'Succeeded');
  const [failure] = failures(entries);
  // The usual pause is two seconds; time flies here, so that the moment of writing is a little later than that of deciding.
  assert.ok(failure && (failure.data.retryAt ?? 0) > failure.at + 5_000, JSON.stringify(failure));
  assert.equal(s.replicas(), 3);
});

test('the answer to a write never comes: the object is asked, and the write is not repeated', async () => {
  await using s = await scene();
  let held = false;
  s.fake.faults.push(({ method }) => {
    if (method === 'PATCH' && !held) {
      held = true;
      s.cable.hold();
    }
    return undefined;
  });
  const { entries } = await s.go({ on: once('StepFailed', () => s.cable.cut()) });
  assert.equal(failures(entries)[0]?.data.certain, false);
  assert.match(failures(entries)[0]?.sentence ?? '', /did not answer/);
  assert.equal(end(entries).data.outcome, 'Succeeded');
  assert.deepEqual([s.replicas(), s.patches()], [3, 1]);
});

test('409, because somebody changes the target between reading and writing: the run leaves it to them', async () => {
  await using s = await scene(3);
  s.fake.faults.push(({ method }) => {
    if (method === 'PATCH' && s.replicas() === 2) s.fake.change(s.web, 'kubectl-edit', { replicas: 5 });
    return undefined;
  });
  const { entries, pages } = await s.go();
  assert.deepEqual([end(entries).data.outcome, end(entries).data.reason], ['Cancelled', 'ChangedByOthers']);
  assert.match(end(entries).sentence, /kubectl-edit changed Deployment web/);
  assert.deepEqual([s.replicas(), pages.length], [5, 1]);
});

test('a person changes the target while the run waits: the run stops, and undoes nothing over their head', async () => {
  await using s = await scene();
  const { entries, pages } = await s.go({
    steps: [s.scale, { kind: 'wait', name: 'wait', line: 2, wait: 5_000 }, s.scale],
    on: once('WaitStarted', () =>
      s.fake.change(s.fake.get('Deployment', 'acme', 'web'), 'kubectl-edit', { replicas: 7 }),
    ),
  });
  assert.deepEqual([end(entries).data.outcome, end(entries).data.reason], ['Cancelled', 'ChangedByOthers']);
  assert.deepEqual([s.replicas(), s.patches(), pages.length], [7, 1, 1]);
});

test('another object of the same name has taken the place of the target: it is not touched', async () => {
  await using s = await scene();
  const { entries, pages } = await s.go({
    on: once('Prepared', () => {
      s.fake.remove(s.web);
      s.fake.put('apps/v1', 'Deployment', { name: 'web', namespace: 'acme' }, { spec: { replicas: 1 } });
    }),
  });
  assert.deepEqual([end(entries).data.outcome, end(entries).data.reason], ['Refused', 'TargetReplaced']);
  assert.deepEqual([s.replicas(), s.patches(), pages.length], [1, 0, 1]);
});
