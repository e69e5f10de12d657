import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { restoringPatch } from './actions/patch.ts';
import { replicasWanted } from './actions/scale.ts';
import { lastForeignWriter } from './guarded-write.ts';
import type { ManagedFields } from './objects.ts';
import { quantity } from './observe.ts';

type Tree = { [key: string]: Tree | string | number | null | (string | number)[] };

/** RFC 7396, as the API server does it. */
function merge(target: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch;
  const result: Record<string, unknown> =
    typeof target === 'object' && target !== null && !Array.isArray(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else result[key] = merge(result[key], value);
  }
  return result;
}

const key = fc.constantFrom('a', 'b', 'constructor');
const leaf = fc.oneof(
  fc.integer({ min: 0, max: 3 }),
  fc.constantFrom('x', 'y'),
  fc.array(fc.integer({ min: 0, max: 2 }), { maxLength: 2 }),
);
const { object } = fc.letrec<{ object: Tree; value: Tree | string | number }>((tie) => ({
  object: fc.dictionary(key, tie('value'), { maxKeys: 3 }) as fc.Arbitrary<Tree>,
  value: fc.oneof({ maxDepth: 3 }, leaf, tie('object')) as fc.Arbitrary<Tree | string | number>,
}));
const { patch } = fc.letrec<{ patch: Tree; value: Tree | string | number | null }>((tie) => ({
  patch: fc.dictionary(key, tie('value'), { maxKeys: 3 }) as fc.Arbitrary<Tree>,
  value: fc.oneof({ maxDepth: 3 }, leaf, fc.constant(null), tie('patch')) as fc.Arbitrary<Tree | null>,
}));

describe('the patch that takes a patch back', () => {
  it('restores every object to what it was', () => {
    fc.assert(
      fc.property(object, patch, (before, change) => {
        const restored = merge(merge(before, change), restoringPatch(before, change));
        // Through JSON, as over the wire: objects without a prototype are the generator's alone.
        assert.deepEqual(JSON.parse(JSON.stringify(restored)), JSON.parse(JSON.stringify(before)));
      }),
      { numRuns: 500 },
    );
  });
});

describe('replicas wanted', () => {
  it('are what was asked for and within the limits, or an error', () => {
    const count = fc.integer({ min: 0, max: 30 });
    fc.assert(
      fc.property(count, count, count, fc.constantFrom('', '+', '-'), count, (current, min, max, sign, size) => {
        const asked = sign === '' ? size : current + Number(`${sign}${size}`);
        try {
          const wanted = replicasWanted({ replicas: `${sign}${size}`, min, max }, current);
          assert.equal(wanted, asked);
          assert.ok(wanted === current || (wanted >= min && wanted <= max));
        } catch (error) {
          assert.equal((error as { code?: string }).code, 'RefusedByGuard');
          assert.ok(asked !== current && (asked < min || asked > max));
        }
      }),
    );
  });
});

describe('the newest change by others', () => {
  const entry = (manager: string, time: string, fields: object, subresource?: string): ManagedFields => ({
    manager,
    time,
    fieldsV1: fields as Record<string, unknown>,
    ...(subresource === undefined ? {} : { subresource }),
  });
  const writer = (...managedFields: ManagedFields[]) =>
    lastForeignWriter({ metadata: { name: 'x', uid: 'u', resourceVersion: '1', managedFields } });

  it('is of the spec, and neither ours nor a status', () => {
    const spec = { 'f:spec': {} };
    assert.equal(
      writer(
        entry('kubectl', '2026-01-05T10:00:00Z', spec),
        entry('flux', '2026-01-05T11:00:00Z', spec),
        entry('catalyst-sre', '2026-01-05T12:00:00Z', spec),
        entry('kube-controller-manager', '2026-01-05T13:00:00Z', { 'f:status': {}, 'f:metadata': {} }),
        entry('operator', '2026-01-05T14:00:00Z', spec, 'status'),
      ),
      'flux',
    );
    assert.equal(writer(entry('catalyst-sre', '2026-01-05T12:00:00Z', spec)), undefined);
    assert.equal(writer(), undefined);
  });
});

describe('quantities', () => {
  it('are read as Kubernetes writes them', () => {
    assert.deepEqual(['128974848', '129e6', '129M', '123Mi', '1.5Gi', '250m', '0'].map(quantity), [
      128974848,
      129e6,
      129e6,
      123 * 2 ** 20,
      1.5 * 2 ** 30,
      0.25,
      0,
    ]);
    for (const text of ['', 'much', '1 Gi', '5X']) assert.ok(Number.isNaN(quantity(text)), text);
  });
});
