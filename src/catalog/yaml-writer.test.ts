import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import { loadAll } from 'js-yaml';
import { writeYaml } from './yaml-writer.ts';

const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 12 }),
  fc.string({ maxLength: 12 }),
  fc
    .array(fc.constantFrom('a', ' ', ':', '#', '\n', '-', "'", '"', '{', '}', '|', '1', 'e', '\t', 'true'), {
      maxLength: 8,
    })
    .map((p) => p.join('')),
);
const scalars = fc.oneof(text, fc.integer(), fc.boolean());
const { tree } = fc.letrec((tie) => ({
  tree: fc.oneof(
    { maxDepth: 4 },
    scalars,
    fc.array(tie('tree'), { maxLength: 3 }),
    fc.dictionary(text, tie('tree'), { maxKeys: 3, noNullPrototype: true }),
  ),
}));

it('what is written is read again as it was', () => {
  fc.assert(
    fc.property(fc.dictionary(text, tree, { maxKeys: 4, noNullPrototype: true }), (value) => {
      fc.pre(!JSON.stringify(value).includes('__proto__'));
      assert.deepEqual(loadAll(writeYaml(value))[0] ?? {}, value);
    }),
    { numRuns: 1000 },
  );
});

it('an expression is written as it is', () => {
  const expr = 'sum(rate(x{a="b",c=~"5.."}[5m])) > 0.005';
  assert.equal(
    writeYaml({ rules: [{ expr, for: '5m', value: 1 }] }),
    `rules:\n  - expr: ${expr}\n    for: 5m\n    value: 1\n`,
  );
});
