import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import type { KubernetesObject } from '../integrations/kubernetes/objects.ts';
import { openGroupMemory } from './group-memory.ts';

const root = await mkdtemp(join(tmpdir(), 'failover-memory-'));
after(() => rm(root, { recursive: true, force: true }));
let folders = 0;

function group(name: string, generation: number, mode: string): KubernetesObject {
  const metadata = { name, namespace: 'failover', uid: `uid-${name}`, generation, resourceVersion: '7' };
  return { metadata, spec: { mode }, status: { phase: 'Active' } };
}

async function life(folder: string) {
  const notes: string[] = [];
  const memory = await openGroupMemory(
    folder,
    () => Date.UTC(2026, 0, 5),
    (sentence) => notes.push(sentence),
  );
  return { memory, notes };
}

describe('what is kept of accepted groups', () => {
  const fresh = () => join(root, `${folders++}/accepted`);

  it('is there in the next life: the newest of each, when it was accepted, and no status', async () => {
    const folder = fresh();
    const { memory } = await life(folder);
    await Promise.all([
      memory.keep(group('orders', 1, 'Manual')),
      memory.keep(group('orders', 2, 'Automatic')),
      memory.keep(group('shop', 4, 'Manual')),
    ]);
    const { memory: next, notes } = await life(folder);
    assert.deepEqual(notes, []);
    assert.deepEqual(next.get('orders'), {
      object: {
        metadata: { name: 'orders', namespace: 'failover', uid: 'uid-orders', generation: 2, resourceVersion: '7' },
        spec: { mode: 'Automatic' },
      },
      acceptedAt: '2026-01-05T00:00:00.000Z',
    });
    assert.deepEqual(next.all(), memory.all());
    assert.deepEqual((await readdir(folder)).sort(), ['orders', 'shop']);
  });

  it('is gone when it is to be forgotten', async () => {
    const folder = fresh();
    const { memory } = await life(folder);
    await memory.keep(group('orders', 1, 'Manual'));
    await memory.forget('orders');
    await memory.forget('never-there');
    assert.equal(memory.get('orders'), undefined);
    assert.deepEqual((await life(folder)).memory.all(), []);
  });

  it('counts for nothing when it was changed, cut off or renamed, and says so', async () => {
    for (const spoil of [
      (text: string) => text.replace('Manual', 'Automatic'),
      (text: string) => text.slice(0, 40),
      () => '',
      () => '{}',
    ]) {
      const folder = fresh();
      await (await life(folder)).memory.keep(group('orders', 1, 'Manual'));
      const file = join(folder, 'orders');
      await writeFile(file, spoil(await readFile(file, 'utf8')));
      const { memory, notes } = await life(folder);
      assert.deepEqual(memory.all(), []);
      assert.match(notes.join(), /orders is not what was written there/);
    }
    const folder = fresh();
    await (await life(folder)).memory.keep(group('orders', 1, 'Manual'));
    await writeFile(join(folder, 'shop'), await readFile(join(folder, 'orders')));
    const { memory, notes } = await life(folder);
    assert.deepEqual([memory.get('shop'), notes.length], [undefined, 1]);
  });

  it('stays as it was when a crash cut a write off, and when the disk refuses one', async () => {
    const folder = fresh();
    await (await life(folder)).memory.keep(group('orders', 1, 'Manual'));
    await writeFile(join(folder, 'orders.new'), 'half a li');
    const { memory, notes } = await life(folder);
    assert.deepEqual([memory.get('orders')?.object.metadata.generation, notes], [1, []]);
    // Nothing can be written where a folder stands.
    await rm(join(folder, 'orders.new'));
    await mkdir(join(folder, 'orders.new'));
    await assert.rejects(memory.keep(group('orders', 2, 'Automatic')));
    assert.equal(memory.get('orders')?.object.metadata.generation, 1);
    assert.equal((await life(folder)).memory.get('orders')?.object.metadata.generation, 1);
  });
});
