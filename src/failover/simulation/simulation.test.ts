import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runHandbookLiteral } from './handbook-literal.ts';
import { simulate } from './simulate.ts';
import { count, emptyTally, quantile } from './tally.ts';
import { type Variant, variantNamed, variants } from './variants.ts';

/** Seeds of every pull request, dealt out over the variants that promise something. */
const seeds = 2_000;
const promising = variants.filter(({ safe }) => safe !== 'nothing');

/** Oracles that may speak where the two regions' resolvers do not agree: only what carries no data. */
const excused = new Set(['single-active-traffic', 'single-active-mesh']);

promising.forEach((variant: Variant, index) => {
  test(`${variant.name}: storms of faults, and no oracle speaks`, () => {
    for (let seed = 1 + index; seed <= seeds; seed += promising.length) {
      const found = simulate({ seed, variant }).violations.filter(
        ({ oracle }) => variant.safe === 'everything' || !excused.has(oracle),
      );
      assert.deepEqual(found.slice(0, 3), [], `npm run simulate -- --variant ${variant.name} --seed ${seed} --trace`);
    }
  });
});

for (const [what, seeds] of [
  ['a region does not resume while its peer may still carry traffic on the evidence of resolvers', [234, 997]],
  ['a promise is given while writes of an attempt that was given up are still under way', [20, 112, 6135]],
] as const)
  test(`seeds that found something: ${what}`, () => {
    for (const seed of seeds)
      assert.deepEqual(simulate({ seed, variant: variantNamed('continue-stateless-three') }).violations, []);
  });

test('a seed gives the same run again', () => {
  const run = () => {
    const lines: string[] = [];
    simulate({ seed: 7, variant: variantNamed('continue-stateless-three'), trace: (line) => lines.push(line) });
    return lines;
  };
  const first = run();
  assert.ok(first.length > 1_000);
  assert.deepEqual(run(), first);
});

test('handbook §2.4 taken literally has two active regions', () => {
  const overlaps = Array.from({ length: 30 }, (_, seed) => runHandbookLiteral(seed + 1));
  assert.ok(overlaps.filter((both) => both > 0).length >= 25, `${overlaps}`);
});

test('promoting on resolvers after a minute has two active regions', () => {
  const tally = emptyTally();
  for (let seed = 1; seed <= 100; seed += 1) count(tally, simulate({ seed, variant: variantNamed('promote-60s') }));
  assert.ok(tally.twoActive > 0);
});

test('the loss of a region: the lease is taken within 33 s, half of the time within 30 s', () => {
  const tally = emptyTally();
  const variant = { ...variantNamed('promise'), clockError: 0.001 };
  for (let seed = 1; seed <= 300; seed += 1) count(tally, simulate({ seed, variant, scenario: 'loss' }));
  assert.deepEqual(tally.violations, {});
  assert.equal(tally.lossToLease.length, 300);
  assert.ok(quantile(tally.lossToLease, 1) <= 33_000, `longest ${quantile(tally.lossToLease, 1)}`);
  assert.ok(quantile(tally.lossToLease, 0.5) <= 30_000);
});
