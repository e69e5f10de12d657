import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { jsonPatch, mergePatch, strategicMergePatch } from './patch.ts';

describe('merge patch', () => {
  it('merges objects, removes at null, replaces everything else', () => {
    const target = { a: 1, b: { c: 2, d: 3 }, list: [1, 2] };
    assert.deepEqual(mergePatch(target, { a: null, b: { c: 9 }, list: [3] }), { b: { c: 9, d: 3 }, list: [3] });
  });

  it('is the same applied twice', () => {
    fc.assert(
      fc.property(fc.object({ maxDepth: 3 }), fc.object({ maxDepth: 3 }), (target, patch) => {
        const once = mergePatch(target, patch);
        assert.deepEqual(mergePatch(once, patch), once);
      }),
    );
  });
});

describe('strategic merge patch', () => {
  const target = {
    containers: [
      { name: 'a', image: '1', env: [{ name: 'X', value: '1' }] },
      { name: 'b', image: '1' },
    ],
  };

  it('merges lists by the key of their items', () => {
    const patch = { containers: [{ name: 'a', env: [{ name: 'Y', value: '2' }] }] };
    assert.deepEqual(strategicMergePatch(target, patch), {
      containers: [
        {
          name: 'a',
          image: '1',
          env: [
            { name: 'X', value: '1' },
            { name: 'Y', value: '2' },
          ],
        },
        { name: 'b', image: '1' },
      ],
    });
  });

  it('deletes and replaces on directives', () => {
    assert.deepEqual(strategicMergePatch(target, { containers: [{ name: 'a', $patch: 'delete' }] }), {
      containers: [{ name: 'b', image: '1' }],
    });
    assert.deepEqual(strategicMergePatch(target, { containers: [{ $patch: 'replace' }, { name: 'c' }] }), {
      containers: [{ name: 'c' }],
    });
    assert.deepEqual(
      strategicMergePatch({ finalizers: ['a', 'b'] }, { '$deleteFromPrimitiveList/finalizers': ['a'] }),
      {
        finalizers: ['b'],
      },
    );
    assert.deepEqual(strategicMergePatch({ finalizers: ['a'] }, { finalizers: ['b'] }), { finalizers: ['a', 'b'] });
  });

  it('replaces lists whose items have no key', () => {
    assert.deepEqual(strategicMergePatch({ args: ['a', 'b'] }, { args: ['c'] }), { args: ['c'] });
  });
});

describe('JSON patch', () => {
  it('does what its operations say, in order', () => {
    const patched = jsonPatch({ a: { 'x/y': 1 }, list: [1, 3] }, [
      { op: 'add', path: '/list/1', value: 2 },
      { op: 'add', path: '/list/-', value: 4 },
      { op: 'replace', path: '/a/x~1y', value: 5 },
      { op: 'copy', from: '/a', path: '/b' },
      { op: 'move', from: '/list/0', path: '/first' },
      { op: 'remove', path: '/a' },
      { op: 'test', path: '/b', value: { 'x/y': 5 } },
    ]);
    assert.deepEqual(patched, { list: [2, 3, 4], b: { 'x/y': 5 }, first: 1 });
  });

  it('changes nothing when an operation fails', () => {
    const target = { a: 1 };
    const operations = [
      { op: 'replace', path: '/a', value: 2 },
      { op: 'test', path: '/a', value: 1 },
    ];
    assert.throws(() => jsonPatch(target, operations), /testing value \/a failed/);
    assert.deepEqual(target, { a: 1 });
    assert.throws(() => jsonPatch(target, [{ op: 'remove', path: '/b' }]), /does not exist/);
    assert.throws(() => jsonPatch(target, { op: 'remove' }), /list of operations/);
  });
});
