import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mutants } from './mutants.ts';
import { simulate } from './simulate.ts';
import { variantNamed } from './variants.ts';

/** So many seeds a mistake may survive. */
const patience = 4_000;

for (const { name, variant, caughtBy, sabotage } of mutants) {
  test(`caught by ${caughtBy}: ${name}`, () => {
    for (let seed = 1; seed <= patience; seed += 1) {
      const { violations } = simulate({ seed, variant: variantNamed(variant), sabotage });
      if (violations.some(({ oracle }) => oracle === caughtBy)) return;
    }
    assert.fail(`${patience} runs did not notice: ${name}`);
  });
}
