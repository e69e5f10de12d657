import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Episode } from './alert.ts';
import { decideReport, overlapTolerance, type Report, type Transition } from './alert-decision.ts';

const minute = 60_000;
const t0 = Date.UTC(2026, 10, 2, 3);
const firing = (at: number): Report => ({ status: 'firing', startsAt: t0 + at, endsAt: undefined });
const resolved = (at: number, end: number): Report => ({ status: 'resolved', startsAt: t0 + at, endsAt: t0 + end });

/** Plays reports one after the other, one a minute, and keeps what happened. */
function play(reports: readonly Report[]) {
  const episodes = new Map<string, Episode>();
  const steps: Transition[] = [];
  let count = 0;
  const identity = { id: () => `e${++count}`, source: 'am', organization: undefined, fingerprint: 'f' };
  reports.forEach((report, index) => {
    for (const step of decideReport([...episodes.values()], report, identity, t0 + index * minute)) {
      episodes.set(step.next.id, step.next);
      steps.push(step);
    }
  });
  const all = [...episodes.values()].sort((a, b) => a.startsAt - b.startsAt);
  return { kinds: steps.map((step) => step.kind), episodes: all, steps };
}

test('a firing said again is the same episode, counted', () => {
  const { kinds, episodes } = play([firing(0), firing(0), firing(0)]);
  assert.deepEqual(kinds, ['Fired', 'Repeat', 'Repeat']);
  assert.equal(episodes.length, 1);
  assert.equal(episodes[0]?.deliveries, 3);
  assert.equal(episodes[0]?.lastSeen, t0 + 2 * minute);
});

test('a start that moves backwards while the episode is open is the same episode, with the earlier start', () => {
  const { kinds, episodes } = play([firing(60 * minute), firing(0), firing(60 * minute), resolved(0, 70 * minute)]);
  assert.deepEqual(kinds, ['Fired', 'Repeat', 'Repeat', 'ResolvedReported']);
  assert.equal(episodes.length, 1);
  assert.equal(episodes[0]?.startsAt, t0 + 60 * minute);
  assert.equal(episodes[0]?.earliestStart, t0);
  assert.equal(episodes[0]?.endsAt, t0 + 70 * minute);
});

test('a start later within the tolerance is the other replica; beyond it the "resolved" was lost', () => {
  const { kinds, episodes } = play([firing(0), firing(overlapTolerance), firing(overlapTolerance + 1)]);
  assert.deepEqual(kinds, ['Fired', 'Repeat', 'Superseded', 'Fired']);
  assert.deepEqual(
    episodes.map((e) => e.state),
    ['Superseded', 'Firing'],
  );
});

test('a new firing may begin soon after the end of the last one', () => {
  const { kinds } = play([firing(0), resolved(0, minute), firing(2 * minute)]);
  assert.deepEqual(kinds, ['Fired', 'ResolvedReported', 'Fired']);
});

test('the end of an unknown firing is recorded without acting', () => {
  const { kinds, episodes } = play([resolved(0, minute), resolved(0, minute)]);
  assert.deepEqual(kinds, ['ResolvedUnknown', 'Repeat']);
  assert.equal(episodes[0]?.state, 'Resolved');
  assert.equal(episodes[0]?.firedAt, undefined);
});

test('a false resolve reopens the episode; it does not fire again', () => {
  const { kinds, episodes } = play([firing(0), resolved(0, 5 * minute), firing(0), resolved(0, 9 * minute)]);
  assert.deepEqual(kinds, ['Fired', 'ResolvedReported', 'Reopened', 'ResolvedReported']);
  assert.equal(episodes.length, 1);
  assert.equal(episodes[0]?.endsAt, t0 + 9 * minute);
});

test('a firing whose end was heard of first is acted on when it is heard of', () => {
  const { kinds, episodes } = play([resolved(0, 5 * minute), firing(0)]);
  assert.deepEqual(kinds, ['ResolvedUnknown', 'Fired']);
  assert.equal(episodes.length, 1);
});

test('a late copy of an earlier firing changes nothing while a later one is open', () => {
  const { kinds, episodes } = play([firing(0), resolved(0, minute), firing(30 * minute), firing(0)]);
  assert.deepEqual(kinds, ['Fired', 'ResolvedReported', 'Fired', 'Stale']);
  assert.deepEqual(
    episodes.map((e) => e.state),
    ['Resolved', 'Firing'],
  );
});

test('the lost end of a superseded episode, arriving late, is kept', () => {
  const { kinds, episodes } = play([firing(0), firing(30 * minute), resolved(0, 10 * minute)]);
  assert.deepEqual(kinds, ['Fired', 'Superseded', 'Fired', 'ResolvedReported']);
  assert.equal(episodes[0]?.endsAt, t0 + 10 * minute);
  assert.equal(episodes[1]?.state, 'Firing');
});

test('the end of a later firing ends the open one too', () => {
  const { kinds, episodes } = play([firing(0), resolved(30 * minute, 40 * minute)]);
  assert.deepEqual(kinds, ['Fired', 'Superseded', 'ResolvedUnknown']);
  assert.deepEqual(
    episodes.map((e) => e.state),
    ['Superseded', 'Resolved'],
  );
});

test('an end before the episode began is about the firing before, and its start is given back', () => {
  const { kinds, episodes } = play([firing(60 * minute), firing(0), resolved(0, 10 * minute)]);
  assert.deepEqual(kinds, ['Fired', 'Repeat', 'Corrected', 'ResolvedUnknown']);
  assert.deepEqual(
    episodes.map((e) => [e.earliestStart - t0, e.state]),
    [
      [0, 'Resolved'],
      [60 * minute, 'Firing'],
    ],
  );
});

test('reports without a start belong to the open episode', () => {
  const bare: Report = { status: 'firing', startsAt: undefined, endsAt: undefined };
  const { kinds, episodes } = play([bare, bare, { ...bare, status: 'resolved' }]);
  assert.deepEqual(kinds, ['Fired', 'Repeat', 'ResolvedReported']);
  assert.equal(episodes.length, 1);
});

/** Real firings well apart, each with what two replicas report of it, starts moved by less than the tolerance. */
const history = fc
  .array(
    fc.record({
      gap: fc.integer({ min: 1, max: 30 }),
      length: fc.integer({ min: 11, max: 60 }),
      skew: fc.integer({ min: 0, max: overlapTolerance }),
      firings: fc.integer({ min: 1, max: 3 }),
      ends: fc.integer({ min: 1, max: 2 }),
    }),
    { minLength: 1, maxLength: 4 },
  )
  .map((firings) => {
    let at = 0;
    return firings.map(({ gap, length, skew, firings: times, ends }) => {
      const start = at + gap * minute;
      const end = start + length * minute;
      at = end;
      const starts = [start, start + skew];
      return {
        start,
        end,
        reports: [
          ...Array.from({ length: times }, (_, i) => firing(starts[i % 2] ?? start)),
          ...Array.from({ length: ends }, (_, i) => resolved(starts[i % 2] ?? start, end)),
        ],
      };
    });
  });

test('in whatever order and however often reports arrive, a real firing is one episode and fires at most once', () => {
  const shuffled = history.chain((firings) =>
    fc.record({
      firings: fc.constant(firings),
      reports: fc
        .constant(firings.flatMap((f) => f.reports))
        .chain((reports) =>
          fc
            .array(fc.constantFrom(...reports), { maxLength: 6 })
            .chain((copies) =>
              fc.shuffledSubarray([...reports, ...copies], { minLength: reports.length + copies.length }),
            ),
        ),
    }),
  );
  fc.assert(
    fc.property(shuffled, ({ firings, reports }) => {
      const { episodes, steps } = play(reports);
      assert.equal(episodes.length, firings.length, steps.map((s) => `${s.kind}: ${s.sentence}`).join('\n'));
      assert.ok(episodes.filter((e) => e.state === 'Firing').length <= 1);
      for (const episode of episodes) {
        const fired = steps.filter((s) => s.kind === 'Fired' && s.next.id === episode.id).length;
        assert.equal(fired, episode.firedAt === undefined ? 0 : 1);
      }
    }),
    { numRuns: 2000 },
  );
});

test('in order, with copies right behind, every real firing fires exactly once and ends as reported', () => {
  fc.assert(
    fc.property(history, (firings) => {
      const { episodes, kinds } = play(firings.flatMap((f) => f.reports));
      assert.equal(kinds.filter((kind) => kind === 'Fired').length, firings.length);
      assert.deepEqual(
        episodes.map((e) => [e.earliestStart, e.endsAt, e.state]),
        firings.map((f) => [t0 + f.start, t0 + f.end, 'Resolved']),
      );
    }),
  );
});

test('whatever is reported, no report is lost and nothing is open twice', () => {
  const minutes = fc.integer({ min: -20, max: 20 });
  const report = fc.oneof(
    minutes.map((at) => firing(at * minute)),
    fc.tuple(minutes, minutes).map(([at, end]) => resolved(at * minute, end * minute)),
    fc.constant<Report>({ status: 'firing', startsAt: undefined, endsAt: undefined }),
    fc.constant<Report>({ status: 'resolved', startsAt: undefined, endsAt: undefined }),
  );
  fc.assert(
    fc.property(fc.array(report, { maxLength: 30 }), (reports) => {
      const { episodes } = play(reports);
      assert.ok(episodes.filter((e) => e.state === 'Firing').length <= 1);
      assert.equal(
        episodes.reduce((sum, e) => sum + e.deliveries, 0),
        reports.length,
      );
      assert.equal(new Set(episodes.map((e) => e.startsAt)).size, episodes.length);
    }),
    { numRuns: 2000 },
  );
});
