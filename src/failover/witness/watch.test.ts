import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '../../clock.ts';
import { createMemoryWitness } from './memory.ts';
import { selfCheck } from './self-check.ts';
import { watchWitnesses } from './watch.ts';
import type { Witness } from './witness.ts';

/** What `open` shows when it is checked, once it has been. */
async function watched(open: () => Witness) {
  let runs = 0;
  const once = Promise.withResolvers<void>();
  const check = async (name: string, signal: AbortSignal) => {
    runs += 1;
    const { problems } = await selfCheck(name, open, { region: 'fsn', clock: systemClock, signal });
    setImmediate(once.resolve);
    return problems;
  };
  const watch = watchWitnesses(['w'], check, systemClock);
  assert.deepEqual(watch.results(['w']), [], 'nothing is claimed before it was looked at');
  await once.promise;
  const results = watch.results(['w', 'another']);
  await watch.stop();
  assert.equal(runs, 1);
  return results;
}

test('a witness that conforms passes, one that forgets writes fails, and one that is away is not judged', async () => {
  const good = createMemoryWitness('w', new Map(), systemClock);
  const share = (more: Partial<Witness>): Witness => ({ ...good, close: async () => {}, ...more });
  assert.deepEqual(
    (await watched(() => share({}))).map(({ check, verdict }) => [check, verdict]),
    [['witness-conforms', 'passed']],
  );
  const forgetful = share({
    read: async () => ({ lease: undefined, expired: undefined }),
    compareAndSet: async () => ({ result: 'applied' }),
  });
  const [failed] = await watched(() => forgetful);
  assert.equal(failed?.verdict, 'failed');
  assert.match(failed?.sentence ?? '', /Witness w cannot keep a lease: one of many .*: 16 of 16 were told/);
  const away = share({ read: () => Promise.reject(new Error('unreachable')) });
  assert.deepEqual(await watched(() => away), []);
});
