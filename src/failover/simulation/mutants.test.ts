import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mutants } from './mutants.ts';
import { simulate } from './simulate.ts';
import { variantNamed } from './variants.ts';

/** So many seeds a mistake may survive. */
const patience = 4_000;

for (const { name, variant, caughtBy, firstSeed = 1, sabotage } of mutants) {
  test(`caught by ${caughtBy}: ${name}`, () => {
    for (let seed = firstSeed; seed < firstSeed + patience; seed += 1) {
      const { violations } = simulate({ seed, variant: variantNamed(variant), sabotage });
      if (violations.some(({ oracle }) => oracle === caughtBy)) return;
    }
    assert.fail(`${patience} runs did not notice: ${name}`);
  });
}
