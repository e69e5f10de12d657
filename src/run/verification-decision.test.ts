import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { checkThat, verifyThat } from '../../test/support/pocket-world.ts';
import { apply, newState, stepOf } from './journal.ts';
import { afterLook, type Looked } from './verification-decision.ts';

const every = 5_000;
const within = 120_000;

/** A watch from zero, look by look: the journal is folded as the engine folds it. */
function watch(time: number) {
  const step = verifyThat(
    checkThat('light == 1', () => true),
    { for: time, within, every },
  );
  if (step.kind !== 'verify') throw new Error('not a verification');
  const state = newState();
  apply(state, { at: 0, kind: 'VerifyStarted', sentence: '', data: { index: 0, deadline: within } });
  let lastObserved: number | undefined;
  return (now: number, value: boolean | 'unknown'): Looked => {
    const evidence = { source: 'light == 1', readings: [], ...(value === 'unknown' ? { error: 'away' } : { value }) };
    const looked = afterLook(step, 0, stepOf(state, 'steps', 0), { now, evidence, lastObserved });
    for (const entry of looked.entries) apply(state, entry);
    lastObserved = now;
    return looked;
  };
}

const ends = ({ entries, again }: Looked) => (again ? 'again' : entries.at(-1)?.kind);

test('it has held when every look of its time held, none of them late: not before, and not later', () => {
  const look = fc.record({
    after: fc.integer({ min: 0, max: 20_000 }),
    value: fc.constantFrom(true, true, true, true, false, 'unknown' as const),
  });
  const looks = fc.array(look, { maxLength: 60 });
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 40_000 }), looks, (time, looks) => {
      const see = watch(time);
      const seen: { at: number; holds: boolean }[] = [];
      let now = 0;
      for (const { after, value } of looks) {
        now += after;
        const looked = see(now, value);
        seen.push({ at: now, holds: value === true });
        // Back from the end, as long as all held and nobody looked later than twice the interval and five seconds.
        let from = seen.length;
        while (from > 0 && seen[from - 1]?.holds && (seen[from]?.at ?? now) - (seen[from - 1]?.at ?? 0) <= 15_000)
          from -= 1;
        const held = from < seen.length && now - (seen[from]?.at ?? 0) >= time;
        assert.equal(ends(looked), held ? 'StepSucceeded' : now >= within ? 'StepFailed' : 'again');
        if (!looked.again) return;
        assert.ok(looked.again.at > now && looked.again.at <= within, `${now} → ${looked.again.at}`);
        assert.ok(looked.again.at <= now + every + 1_000);
      }
    }),
    { numRuns: 2_000 },
  );
});

test('it says what it saw', () => {
  const see = watch(10_000);
  const sentences = (looked: Looked) => [...looked.entries.map((entry) => entry.sentence), looked.again?.sentence];
  assert.deepEqual(sentences(see(1_000, 'unknown')), ['away']);
  assert.deepEqual(sentences(see(2_000, true)), ['light == 1 holds.', 'light == 1 holds.']);
  assert.deepEqual(sentences(see(3_000, false)), [
    'light == 1 does not hold any more.',
    'light == 1 does not hold yet.',
  ]);
  assert.deepEqual(sentences(see(4_000, true)), ['light == 1 holds.', 'light == 1 holds.']);
  assert.deepEqual(sentences(see(60_000, true)), [
    'Nobody looked for 56s; the watch starts anew.',
    'light == 1 holds.',
    'light == 1 holds.',
  ]);
  assert.deepEqual(sentences(see(70_000, true)), ['light == 1 has held for 10s.', undefined]);
  assert.deepEqual(sentences(watch(10_000)(120_000, false)), ['light == 1 did not hold for 10s within 2m.', undefined]);
  assert.deepEqual(sentences(watch(0)(120_000, 'unknown')), ['away', undefined]);
});
