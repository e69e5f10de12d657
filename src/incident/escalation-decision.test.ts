import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decideEscalation, deliverWithin, type EscalationState, policyFor } from './escalation-decision.ts';

const minute = 60_000;
const steps = [2, 10, 30].map((minutes) => ({ after: minutes * minute, notify: [{ receiver: 'default' }] }));
const fresh: EscalationState = {
  clockFrom: 0,
  respondBy: 15 * minute,
  acknowledged: false,
  step: 0,
  ranOut: false,
  lastStepAt: undefined,
  reached: false,
};

test('before its first step it waits for it, or for the end of its time where it has none', () => {
  assert.deepEqual(decideEscalation(steps, fresh, 0), { take: [], ranOut: false, unreached: false, next: 2 * minute });
  assert.equal(decideEscalation([], fresh, 0).next, 15 * minute);
});

test('steps that came due while nobody looked are taken together', () => {
  assert.deepEqual(decideEscalation(steps, fresh, 11 * minute).take, [0, 1]);
});

test('the end of the time takes all that is left, also what would be later, and then it is over', () => {
  assert.deepEqual(decideEscalation(steps, { ...fresh, step: 1 }, 15 * minute), {
    take: [1, 2],
    ranOut: true,
    unreached: false,
    next: undefined,
  });
});

test('a step that reached nobody is followed at once by the next, and one that did is not', () => {
  const after = { ...fresh, step: 1, lastStepAt: 2 * minute };
  const now = 2 * minute + deliverWithin;
  assert.deepEqual(decideEscalation(steps, after, now).take, [1]);
  assert.deepEqual(decideEscalation(steps, { ...after, reached: true }, now).take, []);
  assert.equal(decideEscalation(steps, { ...after, reached: true }, now).next, 10 * minute);
});

test('where somebody is on it, only a step they asked for is looked after, until it reaches somebody', () => {
  const on = { ...fresh, acknowledged: true };
  assert.deepEqual(decideEscalation(steps, on, 60 * minute), {
    take: [],
    ranOut: false,
    unreached: false,
    next: undefined,
  });
  const asked = { ...on, step: 1, lastStepAt: 60 * minute };
  assert.equal(decideEscalation(steps, asked, 60 * minute).next, 60 * minute + deliverWithin);
  const late = decideEscalation(steps, asked, 60 * minute + deliverWithin);
  assert.deepEqual([late.take, late.unreached, late.ranOut], [[1], true, false]);
  assert.equal(decideEscalation(steps, { ...asked, reached: true }, 61 * minute).next, undefined);
});

test('looked at whenever it asks to be, it takes each step once, none after the end, and ends', () => {
  const afters = fc
    .array(fc.integer({ min: 0, max: 90 }), { maxLength: 5 })
    .map((list) => list.toSorted((a, b) => a - b));
  fc.assert(
    fc.property(
      afters,
      fc.integer({ min: 1, max: 60 }),
      fc.array(fc.boolean(), { minLength: 6, maxLength: 6 }),
      (minutes, within, reach) => {
        const plan = minutes.map((m) => ({ after: m * minute, notify: [{ receiver: 'default' }] }));
        let state: EscalationState = { ...fresh, respondBy: within * minute };
        const taken: number[] = [];
        let now: number | undefined = 0;
        for (let looks = 0; now !== undefined && looks < 100; looks++) {
          const move = decideEscalation(plan, state, now);
          taken.push(...move.take);
          if (move.next !== undefined) assert.ok(move.next > now);
          if (move.take.length > 0) state = { ...state, lastStepAt: now, reached: reach[taken.length % 6] ?? false };
          state = { ...state, step: state.step + move.take.length, ranOut: state.ranOut || move.ranOut };
          assert.ok(now <= state.respondBy);
          now = move.next;
        }
        assert.deepEqual(
          taken,
          plan.map((_, index) => index),
        );
        assert.ok(state.ranOut);
      },
    ),
  );
});

test("an Organization's own policy goes before the Sovereign's", () => {
  const of = (name: string, severities: ('P1' | 'P2')[], organization?: string) => ({
    name,
    spec: { severities, steps: [] },
    provenance: { organization },
  });
  const policies = [of('acme-p1', ['P1'], 'acme'), of('all', ['P1', 'P2'])];
  assert.equal(policyFor(policies, { organization: 'acme', severity: 'P1' })?.name, 'acme-p1');
  assert.equal(policyFor(policies, { organization: 'acme', severity: 'P2' })?.name, 'all');
  assert.equal(policyFor(policies, { organization: undefined, severity: 'P1' })?.name, 'all');
  assert.equal(policyFor([], { organization: undefined, severity: 'P1' }), undefined);
});
