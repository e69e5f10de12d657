import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Asked, afterAsking } from './asking-decision.ts';
import { apply, newState, type RunState, stepOf } from './journal.ts';

const place = { phase: 'steps', index: 0 } as const;
const intendedAt = 1_000;

/** A step that was intended and whose outcome nobody saw; `failed` when its try ended without saying whether it did harm. */
function uncertain(failed = false): RunState {
  const state = newState();
  const intent = { key: 'k', action: 'light set', effect: 'Change', input: {}, before: null, readings: [] } as const;
  const data = { ...place, attempt: 1, ...intent } as never;
  apply(state, { at: intendedAt, kind: 'StepStarted', sentence: '', data });
  if (failed) {
    const data = { ...place, attempt: 1, reason: 'StepTimedOut' as const, certain: false, retryAt: null, readings: [] };
    apply(state, { at: intendedAt + 1, kind: 'StepFailed', sentence: '', data });
  }
  return state;
}

interface Given {
  now?: number;
  answered?: boolean;
  repeatable?: boolean;
  attempts?: number;
}

function ask(state: RunState, answer: 'yes' | 'no' | 'unknown', given: Given = {}): Asked {
  const { now = intendedAt + 60_000, answered = true, repeatable = false, attempts = 1 } = given;
  const asked = afterAsking({ timeout: 30_000, attempts }, place, stepOf(state, 'steps', 0), {
    now,
    answer: { answer, sentence: 'so it is.' },
    answered,
    repeatable,
  });
  if (asked.so === 'Write') apply(state, asked.entry);
  return asked;
}

const status = (state: RunState) => stepOf(state, 'steps', 0).status;

test('yes: it is done', () => {
  const state = uncertain();
  ask(state, 'yes');
  assert.equal(status(state), 'Succeeded');
});

test('no: while it may still be under way it waits, at most to the limit of the step; then the attempt is made again', () => {
  const state = uncertain();
  assert.deepEqual(ask(state, 'no', { now: intendedAt + 1_000 }), {
    so: 'Wait',
    until: intendedAt + 6_000,
    sentence: 'It has not taken effect yet, and may still be under way: so it is.',
  });
  const late = ask(state, 'no', { now: intendedAt + 29_000 });
  assert.equal(late.so === 'Wait' && late.until, intendedAt + 30_000);
  ask(state, 'no', { now: intendedAt + 30_000 });
  assert.equal(status(state), 'Todo');
});

test('no, of an action that may be repeated: it is made again at once', () => {
  const state = uncertain();
  ask(state, 'no', { now: intendedAt + 1, repeatable: true });
  assert.equal(status(state), 'Todo');
});

test('no, after a try that failed by itself: the next try, if there is one', () => {
  for (const [attempts, then] of [
    [1, 'Failed'],
    [2, 'Todo'],
  ] as const) {
    const state = uncertain(true);
    ask(state, 'no', { attempts });
    assert.equal(status(state), then);
    if (then === 'Failed') assert.equal(stepOf(state, 'steps', 0).reason, 'StepTimedOut');
  }
});

test('whatever is answered, and however often: what must not be done twice is done again after a late "no" only', () => {
  const answers = fc.array(
    fc.record({
      after: fc.integer({ min: 0, max: 20_000 }),
      answer: fc.constantFrom('yes' as const, 'no' as const, 'unknown' as const),
      answered: fc.boolean(),
    }),
    { maxLength: 12 },
  );
  fc.assert(
    fc.property(answers, fc.boolean(), (answers, repeatable) => {
      const state = uncertain();
      let now = intendedAt;
      for (const { after, answer, answered } of answers) {
        now += after;
        const asked = ask(state, answer, { now, answered: answered || answer !== 'unknown', repeatable });
        if (asked.so === 'Unknown' || status(state) === 'Succeeded') return;
        if (status(state) !== 'Todo') continue;
        assert.ok(repeatable || (answer === 'no' && now >= intendedAt + 30_000), `${answer} at ${now}`);
        return;
      }
    }),
  );
});

test('a question that fails is asked three times, five seconds apart', () => {
  for (const repeatable of [false, true]) {
    const state = uncertain();
    for (const _ of [1, 2]) {
      const asked = ask(state, 'unknown', { now: 100_000, answered: false, repeatable });
      assert.equal(asked.so === 'Write' && asked.wakeAt, 105_000);
    }
    assert.equal(ask(state, 'unknown', { answered: false, repeatable }).so, repeatable ? 'Write' : 'Unknown');
    assert.equal(status(state), repeatable ? 'Todo' : 'Uncertain');
  }
});

test('who says that it cannot be known is believed at once; what may be repeated is, and still not for ever', () => {
  assert.deepEqual(ask(uncertain(), 'unknown'), { so: 'Unknown', sentence: 'so it is.' });
  const state = uncertain();
  for (let asks = 1; asks < 6; asks++) assert.equal(ask(state, 'unknown', { repeatable: true }).so, 'Write');
  assert.equal(ask(state, 'unknown', { repeatable: true }).so, 'Unknown');
});
