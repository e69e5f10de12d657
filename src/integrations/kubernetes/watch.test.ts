import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FakeKubernetes } from '../../../test/integrations/fakes/fake-kubernetes.ts';
import { fastClock } from '../../../test/integrations/support.ts';
import { VirtualClock } from '../../clock.ts';
import { createSecrets } from '../secrets.ts';
import { createKubernetes } from './index.ts';
import type { WatchEvent } from './watch.ts';

/** A source over the fake, what it was told, and a wait for a state of that. */
async function scene(clock = fastClock() as ReturnType<typeof fastClock> | VirtualClock) {
  const fake = await FakeKubernetes.start();
  const kubernetes = createKubernetes({ server: fake.url }, { secrets: createSecrets({}) });
  const interruptions: string[] = [];
  const source = kubernetes.clusterSource(clock, { kind: 'Runbook', plural: 'runbooks' }, (sentence) =>
    interruptions.push(sentence),
  );
  const events: WatchEvent[] = [];
  const stop = new AbortController();
  let watching: Promise<void> | undefined;
  return {
    fake,
    source,
    events,
    interruptions,
    put: (name: string) =>
      fake.put('catalyst.openova.io/v1alpha1', 'Runbook', { name, namespace: 'ops' }, { spec: { steps: [] } }),
    watch: (from: string) => {
      watching = source.watch(from, (event) => void events.push(event), stop.signal);
    },
    seen: () =>
      events.map((event) =>
        event.type === 'Replaced'
          ? `Replaced ${event.items.map(({ metadata }) => metadata.name).join(' ')}`
          : `${event.type} ${event.object.metadata.name}`,
      ),
    async [Symbol.asyncDispose]() {
      stop.abort();
      await watching;
      await fake[Symbol.asyncDispose]();
      await kubernetes.stop?.();
    },
  };
}

async function until(state: () => boolean): Promise<void> {
  const limit = AbortSignal.timeout(5_000);
  while (!state()) {
    limit.throwIfAborted();
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describe('cluster source', () => {
  it('lists page by page, and tells of what comes after', async () => {
    await using s = await scene();
    for (const name of ['a', 'b', 'c']) s.put(name);
    const { items, resourceVersion } = await s.source.list(AbortSignal.timeout(5_000));
    assert.equal(items.length, 3);
    s.put('d');
    s.watch(resourceVersion);
    await until(() => s.events.length === 1);
    s.fake.change(s.fake.get('Runbook', 'ops', 'a'), 'kubectl', { mode: 'Suggest' });
    s.fake.remove(s.fake.get('Runbook', 'ops', 'b'));
    await until(() => s.events.length === 3);
    assert.deepEqual(s.seen(), ['Added d', 'Modified a', 'Deleted b']);
  });

  it('goes on where it was after the connection broke', async () => {
    await using s = await scene();
    const { resourceVersion } = await s.source.list(AbortSignal.timeout(5_000));
    s.watch(resourceVersion);
    await until(() => s.fake.watchers.length === 1);
    s.put('a');
    await until(() => s.events.length === 1);
    s.fake.watchers.pop()?.response.destroy();
    s.put('b');
    await until(() => s.events.length === 2);
    assert.deepEqual(s.seen(), ['Added a', 'Added b']);
    assert.equal(s.interruptions.length, 1);
  });

  it('lists anew when the server has forgotten, said by status or by event', async () => {
    await using s = await scene();
    s.put('a');
    s.fake.compact();
    s.watch('1');
    await until(() => s.events.length === 1);
    assert.deepEqual(s.seen(), ['Replaced a']);
    await until(() => s.fake.watchers.length === 1);
    const watcher = s.fake.watchers.pop();
    watcher?.response.end(
      `${JSON.stringify({ type: 'ERROR', object: { kind: 'Status', code: 410, message: 'too old' } })}\n`,
    );
    await until(() => s.events.length === 2);
    assert.deepEqual(s.seen(), ['Replaced a', 'Replaced a']);
  });

  it('survives errors of the server, with growing pauses', async () => {
    const clock = new VirtualClock();
    await using s = await scene(clock);
    for (let count = 0; count < 4; count++) s.fake.faults.push(() => [403, { message: 'forbidden: no watch' }]);
    s.watch('1');
    const pauses: number[] = [];
    for (let count = 1; count <= 4; count++) {
      await until(() => s.interruptions.length === count && clock.nextDue() !== undefined);
      const due = clock.nextDue() ?? 0;
      pauses.push(due - clock.now());
      await clock.advance(due - clock.now());
    }
    assert.deepEqual(pauses, [500, 1000, 2000, 4000]);
    assert.match(s.interruptions[0] ?? '', /forbidden: no watch/);
    await until(() => s.fake.watchers.length === 1);
    s.put('a');
    await until(() => s.events.length === 1);
  });

  it('notices a connection that is half-open', async () => {
    const clock = new VirtualClock();
    await using s = await scene(clock);
    s.watch('1');
    await until(() => s.fake.watchers.length === 1);
    s.fake.watchers.pop();
    await clock.advance(135_000);
    await until(() => s.interruptions.length === 1);
    assert.match(s.interruptions[0] ?? '', /within/);
    await clock.advance(500);
    await until(() => s.fake.watchers.length === 1);
  });

  it('writes the status as ours, and nothing else', async () => {
    await using s = await scene();
    s.put('a');
    await s.source.patchStatus(
      'ops',
      'a',
      { conditions: [{ type: 'Ready', status: 'True' }] },
      AbortSignal.timeout(5_000),
    );
    const stored = s.fake.get('Runbook', 'ops', 'a');
    assert.deepEqual(stored.status, { conditions: [{ type: 'Ready', status: 'True' }] });
    const request = s.fake.server.requests.find(({ method }) => method === 'PATCH');
    assert.match(request?.path ?? '', /\/runbooks\/a\/status\?fieldManager=catalyst-sre&force=true/);
    assert.equal(request?.headers['content-type'], 'application/apply-patch+yaml');
    await assert.rejects(s.source.patchStatus('ops', 'none', {}, AbortSignal.timeout(5_000)), { code: 'NotFound' });
  });
});
