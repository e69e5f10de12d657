import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { brokenRules, defaultParameters, type Parameters } from './parameters.ts';

const all = { resolvers: true, promote: true };
const broken = (changes: Partial<Parameters>, uses = all) => brokenRules({ ...defaultParameters, ...changes }, uses);

test('the defaults keep every rule', () => assert.deepEqual(broken({}), []));

const cases: [Partial<Parameters>, string, string][] = [
  [{ renewMs: 13_000 }, 'R + 3*retry <= L_soft', '13 s + 6 s = 19 s > 18 s'],
  [
    { fenceMs: 9_000, hardMs: 26_000, dnsHardMs: 15_000, dnsVetoMs: 20_000 },
    'L_soft + F <= L_hard',
    '18 s + 9 s = 27 s > 26 s',
  ],
  [{ hardMs: 28_000 }, 'L_hard/(1-eps) < T/(1+eps)', '29.47 s >= 28.57 s'],
  [{ promiseMs: 20_000 }, 'L_hard/(1-eps) < P/(1+eps)', '27.37 s >= 19.05 s'],
  [{ waitMs: 29_000 }, 'T <= T_wait', '30 s = 30 s > 29 s'],
  [{ pollMs: 11_000 }, 'poll <= R', '11 s = 11 s > 10 s'],
  [{ dnsHardMs: 13_000 }, 'L_dnsSoft + F <= L_dnsHard', '6 s + 8 s = 14 s > 13 s'],
  [{ dnsSampleMs: 3_000, dnsVetoMs: 30_000 }, 'sample + 2*retry <= L_dnsSoft', '3 s + 4 s = 7 s > 6 s'],
  [{ dnsVetoMs: 15_000 }, 'L_dnsHard/(1-eps) + sample < H_veto/(1+eps)', '16.74 s >= 14.29 s'],
  [{ dnsPromoteMs: 60_000 }, '300 s <= H_dns', '300 s = 300 s > 60 s'],
];
for (const [changes, rule, numbers] of cases)
  test(`refused with its inequality: ${rule}`, () => {
    const found = broken(changes).find((one) => one.rule === rule);
    assert.equal(found?.numbers, numbers);
  });

test('rules about resolvers bind only who uses them', () =>
  assert.deepEqual(broken({ dnsVetoMs: 1, dnsPromoteMs: 1 }, { resolvers: false, promote: false }), []));

test('whatever is admitted leaves a gap between the last cut and the first takeover', () => {
  const duration = fc.integer({ min: 1_000, max: 120_000 });
  const parameters = fc.record({
    ttlMs: duration,
    hardMs: duration,
    waitMs: duration,
    promiseMs: duration,
    clockError: fc.double({ min: 0, max: 0.4, noNaN: true }),
  });
  fc.assert(
    fc.property(parameters, (changes) => {
      const relevant = broken(changes, { resolvers: false, promote: false }).filter(
        ({ rule }) => !/retry|F|poll/.test(rule),
      );
      fc.pre(relevant.length === 0);
      const lastCut = changes.hardMs / (1 - changes.clockError);
      assert.ok(lastCut < changes.waitMs / (1 + changes.clockError));
      assert.ok(lastCut < changes.promiseMs / (1 + changes.clockError));
    }),
  );
});
