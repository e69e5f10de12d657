import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createBatch } from './batch.ts';

/** A write that waits until it is let go, and remembers what it was given. */
function heldWrites(refused: (item: string) => boolean = () => false) {
  const writes: string[][] = [];
  let letGo = () => {};
  const gate = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  const batch = createBatch<string>(async (items) => {
    writes.push([...items]);
    await gate;
    const bad = items.find(refused);
    if (bad !== undefined) throw new Error(`${bad} cannot be written`);
  });
  return { writes, batch, letGo };
}

test('what comes in one turn, or while a write is under way, is written together', async () => {
  const { writes, batch, letGo } = heldWrites();
  const first = [batch.add('a'), Promise.resolve().then(() => batch.add('b'))];
  while (writes.length === 0) await new Promise(setImmediate);
  const rest = [batch.add('c'), batch.add('d'), batch.add('e')];
  letGo();
  await Promise.all([...first, ...rest]);
  assert.deepEqual(writes, [
    ['a', 'b'],
    ['c', 'd', 'e'],
  ]);
  await batch.add('f');
  assert.deepEqual(writes.at(-1), ['f']);
});

test('one that cannot be written takes nobody with it, and its own caller hears why', async () => {
  const { writes, batch, letGo } = heldWrites((item) => item === 'bad');
  letGo();
  const outcomes = await Promise.allSettled(['a', 'bad', 'c'].map((item) => batch.add(item)));
  assert.deepEqual(
    outcomes.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled'],
  );
  assert.match(String((outcomes[1] as PromiseRejectedResult).reason), /bad cannot be written/);
  assert.deepEqual(writes, [['a', 'bad', 'c'], ['a'], ['bad'], ['c']]);
  await assert.rejects(batch.add('bad'), /bad cannot be written/);
  assert.deepEqual(writes.at(-1), ['bad'], 'one alone is not tried twice');
});
