import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { shareOf } from '../incident/share.ts';
import { type Candidate, healthOf, rankRunbooks } from './runbook-rank-decision.ts';

const candidate = (name: string, change: Partial<Candidate> = {}): Candidate => ({
  name,
  match: { kind: 'Alert', alertName: 'A', matchers: 0 },
  chosen: false,
  success: shareOf(0, 0),
  health: { state: 'Untried', sentence: 'It has not acted yet.' },
  lastRunAt: undefined,
  suppressed: undefined,
  ...change,
});
const names = (...candidates: Candidate[]) => rankRunbooks(candidates).map(({ name }) => name);
const held = { reason: 'Cooldown', sentence: 'It acted on this target 5s ago.' };

test('each rule decides where those before it do not, and says so', () => {
  const pairs: [Candidate, Candidate, RegExp][] = [
    [candidate('z'), candidate('a', { suppressed: held }), /a guard holds it back/],
    [
      candidate('z'),
      candidate('a', { health: { state: 'Failing', sentence: 'It fails.' } }),
      /It fails\. .*failed lately/,
    ],
    [
      candidate('z', { match: { kind: 'Alert', alertName: 'A', matchers: 1 } }),
      candidate('a'),
      /z matches more closely/,
    ],
    [candidate('z'), candidate('a', { match: { kind: 'Incident', type: 't' } }), /z matches more closely/],
    [candidate('z', { success: shareOf(9, 10) }), candidate('a', { success: shareOf(1, 1) }), /z is better proven/],
    [candidate('z', { chosen: true }), candidate('a'), /the engine takes z/],
    [candidate('z', { lastRunAt: 2 }), candidate('a', { lastRunAt: 1 }), /z ran more recently/],
    [candidate('a'), candidate('z'), /its name comes later/],
    [
      candidate('z', { match: { kind: 'Listed', position: 0 } }),
      candidate('a', { match: { kind: 'Listed', position: 1 } }),
      /names z first/,
    ],
  ];
  for (const [first, second, why] of pairs)
    for (const given of [
      [first, second],
      [second, first],
    ]) {
      const ranked = rankRunbooks(given);
      assert.deepEqual(
        ranked.map(({ name }) => name),
        [first.name, second.name],
      );
      assert.match(ranked[1]?.sentence ?? '', why);
    }
});

test('the sentence says how it matches, how it is proven and what holds it back', () => {
  const [one] = rankRunbooks([
    candidate('unseal', {
      match: { kind: 'Alert', alertName: 'OpenBaoSealed', matchers: 1 },
      success: shareOf(11, 12),
      suppressed: held,
    }),
  ]);
  assert.equal(
    one?.sentence,
    'It is triggered by OpenBaoSealed, and 1 matcher holds, and it fixed 11 of 12 (92 %) incidents of this type, verified. It acted on this target 5s ago.',
  );
});

test('the order does not depend on the order given', () => {
  const any = fc.record({
    name: fc.constantFrom('a', 'b', 'c', 'd'),
    match: fc.oneof(
      fc.nat(2).map((matchers) => ({ kind: 'Alert' as const, alertName: 'A', matchers })),
      fc.constant({ kind: 'Incident' as const, type: 't' }),
      fc.nat(3).map((position) => ({ kind: 'Listed' as const, position })),
    ),
    chosen: fc.boolean(),
    success: fc.tuple(fc.nat(3), fc.nat(3)).map(([a, b]) => shareOf(a, a + b)),
    suppressed: fc.constantFrom(undefined, held),
    lastRunAt: fc.constantFrom(undefined, 1, 2),
  });
  fc.assert(
    fc.property(fc.uniqueArray(any, { selector: ({ name }) => name }), (changes) => {
      const all = changes.map((change) => candidate(change.name, change));
      assert.deepEqual(names(...all), names(...all.toReversed()));
    }),
  );
});

test('health: three failures in a row are a sick runbook, a success among them is not', () => {
  assert.equal(healthOf([], undefined).state, 'Untried');
  assert.equal(healthOf([false, false], undefined).state, 'Good');
  assert.equal(healthOf([false, false, false, true], undefined).state, 'Failing');
  assert.equal(healthOf([false, true, false], undefined).state, 'Good');
  assert.deepEqual(healthOf([true], 'Its file is broken.'), { state: 'OldVersion', sentence: 'Its file is broken.' });
});
