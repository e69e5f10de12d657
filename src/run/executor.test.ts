import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { checkThat, pocketWorld, runbookOf, setLight, verifyThat } from '../../test/support/pocket-world.ts';
import { VirtualClock } from '../clock.ts';
import { advance, type ExecutorPorts } from './executor.ts';
import { type Entry, fold } from './journal.ts';
import type { RunInHand } from './run-in-hand.ts';
import { type Simulation, simulate } from './simulation.ts';

type Setup = Partial<Omit<Simulation, 'world' | 'clock'>>;

/** A light to be switched on and verified, and whatever the test adds. */
function setup(more: Setup = {}) {
  const world = pocketWorld();
  const clock = new VirtualClock();
  const lit = checkThat('light == 1', () => world.light === 1);
  const runbook = more.runbook ?? runbookOf([setLight(world, 1), verifyThat(lit)]);
  const go = () => simulate({ mode: 'Automatic', alert, ...more, runbook, world, clock });
  return { world, clock, lit, go };
}

const alert = {
  id: 'a1',
  name: 'Dark',
  fingerprint: '00',
  labels: { alertname: 'Dark' },
  annotations: {},
  generatorUrl: '',
  startsAt: 0,
};

const kinds = (entries: readonly Entry[]) => entries.map((entry) => entry.kind);
const end = ({ entries }: { entries: readonly Entry[] }) => {
  const last = entries.at(-1);
  assert.equal(last?.kind, 'Ended');
  return last.kind === 'Ended' ? [last.data.outcome, last.data.reason] : [];
};

describe('a run that goes well', () => {
  test('intends, acts, verifies and ends, and pages nobody', async () => {
    const { world, go } = setup();
    const result = await go();
    assert.deepEqual(end(result), ['Succeeded', 'Verified']);
    assert.deepEqual(kinds(result.entries), [
      'Prepared',
      'StepStarted',
      'StepSucceeded',
      'VerifyStarted',
      'VerifyHolds',
      'StepSucceeded',
      'Ended',
    ]);
    assert.deepEqual(world.effects, ['light=1']);
    assert.deepEqual(result.pages, []);
  });

  test('a verification has to hold without a break for its time', async () => {
    const world = pocketWorld();
    const clock = new VirtualClock();
    // Flickers: holds for 4 s, breaks for one look, then holds.
    const start = clock.now();
    const lit = checkThat('light == 1', () => world.light === 1 && Math.floor((clock.now() - start) / 1000) !== 4);
    const runbook = runbookOf([setLight(world, 1), verifyThat(lit, { for: 10_000, within: 60_000 })]);
    const result = await simulate({ runbook, world, clock, mode: 'Automatic' });
    assert.deepEqual(end(result), ['Succeeded', 'Verified']);
    assert.equal(clock.now() - start, 15_000);
    assert.equal(kinds(result.entries).filter((kind) => kind === 'VerifyBroke').length, 1);
  });
});

describe('a run that does nothing says why', () => {
  const cases: [string, Setup & { world?: (world: ReturnType<typeof pocketWorld>) => void }, string[], number][] = [
    ['Suggest', { mode: 'Suggest' }, ['Suggested', 'Suggested'], 0],
    [
      'alert over',
      { world: (w) => (w.firing = { answer: 'notFiring', sentence: 'over' }) },
      ['Refused', 'NotFiring'],
      0,
    ],
    ['silenced', { world: (w) => (w.firing = { answer: 'silenced', sentence: 'quiet' }) }, ['Refused', 'Silenced'], 0],
    [
      'nobody can confirm',
      { world: (w) => (w.firing = { answer: 'unknown', sentence: 'away' }) },
      ['Refused', 'FiringUnconfirmed'],
      1,
    ],
    [
      'target gone',
      { world: (w) => (w.target = { state: 'Gone', uid: '', generation: 0 }) },
      ['Refused', 'TargetNotFound'],
      1,
    ],
    [
      'acted lately',
      { history: [{ actedAt: Date.UTC(2026, 0, 5, 11, 58), endedAt: Date.UTC(2026, 0, 5, 11, 59) }] },
      ['Refused', 'Cooldown'],
      1,
    ],
    [
      'budget spent',
      { world: (w) => (w.budgetState = { state: 'known', ratio: 1 }) },
      ['Refused', 'BudgetExhausted'],
      1,
    ],
    [
      'budget unknown',
      { world: (w) => (w.budgetState = { state: 'unknown', sentence: 'away' }) },
      ['Refused', 'BudgetUnknown'],
      1,
    ],
    ['key held', { lockFree: () => false }, ['Refused', 'Busy'], 1],
    ['rejected', { mode: 'Approval', decide: () => 'Rejected' }, ['Refused', 'ApprovalRejected'], 0],
    ['nobody approves', { mode: 'Approval' }, ['Refused', 'ApprovalExpired'], 1],
  ];
  for (const [name, { world: change, ...more }, expected, pages] of cases) {
    test(name, async () => {
      const { world, go } = setup(more);
      change?.(world);
      const result = await go();
      assert.deepEqual(end(result), expected);
      assert.deepEqual(world.effects, []);
      assert.equal(result.pages.length, pages);
    });
  }

  test('a false precondition and one that cannot be read', async () => {
    for (const [value, reason] of [
      [false, 'PreconditionFalse'],
      [new Error('away'), 'FactUnavailable'],
    ] as const) {
      const world = pocketWorld();
      const runbook = runbookOf([setLight(world, 1)], {
        preconditions: [{ check: checkThat('ready', () => value), description: '' }],
      });
      const result = await simulate({ runbook, world, clock: new VirtualClock(), mode: 'Automatic' });
      assert.deepEqual(end(result), ['Refused', reason]);
      assert.deepEqual(world.effects, []);
    }
  });

  test('at 80 % of the budget it warns and acts', async () => {
    const { world, go } = setup();
    world.budgetState = { state: 'known', ratio: 0.8 };
    const result = await go();
    const prepared = result.entries[0];
    assert.equal(
      prepared?.kind === 'Prepared' && prepared.data.guards.find((g) => g.guard === 'budget')?.verdict,
      'Warn',
    );
    assert.deepEqual(end(result), ['Succeeded', 'Verified']);
  });
});

describe('approvals', () => {
  test('an approved plan is the plan that is run', async () => {
    const { world, go } = setup({ mode: 'Approval', decide: () => 'Approved' });
    const result = await go();
    assert.deepEqual(end(result), ['Succeeded', 'Verified']);
    assert.deepEqual(world.effects, ['light=1']);
  });

  test('a rejected approval in the middle undoes what was done', async () => {
    const world = pocketWorld();
    const runbook = runbookOf([
      setLight(world, 1),
      { kind: 'approve', name: 'ask', line: 2, role: 'security-officer', within: 60_000, reason: 'sure?' },
      setLight(world, 2),
    ]);
    const result = await simulate({
      runbook,
      world,
      clock: new VirtualClock(),
      mode: 'Automatic',
      decide: () => 'Rejected',
    });
    assert.deepEqual(end(result), ['RolledBack', 'ApprovalRejected']);
    assert.deepEqual(world.effects, ['light=1', 'light=0']);
  });
});

describe('a step that fails', () => {
  test('is tried again while that may help, and undone when it does not', async () => {
    const world = pocketWorld();
    const runbook = runbookOf([setLight(world, 1), setLight(world, 2, { attempts: 3 }), setLight(world, 3)]);
    world.faults = [undefined as never, 'unavailable', 'unavailable', 'unavailable'];
    const result = await simulate({ runbook, world, clock: new VirtualClock(), mode: 'Automatic' });
    assert.deepEqual(end(result), ['RolledBack', 'ActionFailed']);
    assert.deepEqual(world.effects, ['light=1', 'light=0']);
    assert.equal(result.pages.length, 1);
  });

  test('never lets the next one run, and a refusal is not tried again', async () => {
    const world = pocketWorld();
    const runbook = runbookOf([setLight(world, 1, { attempts: 5 }), setLight(world, 2)]);
    world.faults = ['refused'];
    const result = await simulate({ runbook, world, clock: new VirtualClock(), mode: 'Automatic' });
    assert.deepEqual(end(result), ['Failed', 'ActionFailed']);
    assert.deepEqual(world.effects, []);
  });

  test('a verification that does not hold undoes the fix and pages', async () => {
    const world = pocketWorld();
    const runbook = runbookOf([
      setLight(world, 1),
      verifyThat(
        checkThat('false', () => false),
        { within: 30_000 },
      ),
    ]);
    const result = await simulate({ runbook, world, clock: new VirtualClock(), mode: 'Automatic' });
    assert.deepEqual(end(result), ['RolledBack', 'VerificationFailed']);
    assert.deepEqual(world.effects, ['light=1', 'light=0']);
    assert.equal(result.pages.length, 1);
  });

  test('steps of `rollback` run after what was done is undone', async () => {
    const world = pocketWorld();
    const runbook = runbookOf([setLight(world, 1), setLight(world, 2)], {
      rollback: { kind: 'steps', steps: [setLight(world, 7)] },
    });
    world.faults = [undefined as never, 'refused'];
    const result = await simulate({ runbook, world, clock: new VirtualClock(), mode: 'Automatic' });
    assert.deepEqual(end(result), ['RolledBack', 'ActionFailed']);
    assert.deepEqual(world.effects, ['light=1', 'light=0', 'light=7']);
  });
});

describe('an effect that may or may not have taken place', () => {
  test('had taken place: it is not repeated', async () => {
    const { world, go } = setup();
    world.faults = ['lostAfter'];
    assert.deepEqual(end(await go()), ['Succeeded', 'Verified']);
    assert.deepEqual(world.effects, ['light=1']);
  });

  test('had not, and there is a try left: it is repeated', async () => {
    const world = pocketWorld();
    world.faults = ['lostBefore'];
    const runbook = runbookOf([setLight(world, 1, { attempts: 2 })]);
    assert.deepEqual(end(await simulate({ runbook, world, clock: new VirtualClock(), mode: 'Automatic' })), [
      'Succeeded',
      'Completed',
    ]);
    assert.deepEqual(world.effects, ['light=1']);
  });

  test('is still under way when asked about, as after a kill: it is not repeated, and found to have taken place', async () => {
    const world = pocketWorld();
    const clock = new VirtualClock();
    world.faults = ['underWay'];
    const runbook = runbookOf([setLight(world, 1, { attempts: 2, timeout: 10_000 })]);
    void clock.sleep(9_000).then(() => world.underWay.pop()?.());
    const result = await simulate({ runbook, world, clock, mode: 'Automatic' });
    await clock.advance(10_000);
    assert.deepEqual(world.effects, ['light=1']);
    assert.deepEqual(end(result), ['Succeeded', 'Completed']);
  });

  test('nobody can tell: the run stops as Unknown, undoes nothing and pages', async () => {
    for (const memory of ['unknown', 'unreachable'] as const) {
      const { world, go } = setup();
      world.faults = ['lostAfter'];
      world.memory = memory;
      const result = await go();
      assert.deepEqual(end(result), ['Unknown', 'EffectUnknown']);
      assert.deepEqual(world.effects, ['light=1']);
      assert.equal(result.pages.length, 1);
    }
  });

  test('nobody can tell, but the action is idempotent: it is repeated', async () => {
    const { world, go } = setup();
    world.idempotent = true;
    world.faults = ['lostAfter'];
    world.memory = 'unknown';
    const result = await go();
    assert.deepEqual(world.effects, ['light=1', 'light=1']);
    // The repetition changed the generation, and that change was ours.
    assert.deepEqual(end(result), ['Succeeded', 'Verified']);
  });
});

describe('other hands', () => {
  test('a person who changes the target stops the run; nothing is undone over their head', async () => {
    const world = pocketWorld();
    const clock = new VirtualClock();
    const runbook = runbookOf([
      setLight(world, 1),
      { kind: 'wait', name: 'wait', line: 2, wait: 5_000 },
      setLight(world, 2),
    ]);
    const going = simulate({
      runbook,
      world,
      clock,
      mode: 'Automatic',
      crash: (entry, moment) => {
        if (entry.kind === 'WaitStarted' && moment === 'after')
          world.target = { ...world.target, generation: 99, changedBy: 'kubectl-edit' };
        return false;
      },
    });
    const result = await going;
    assert.deepEqual(end(result), ['Cancelled', 'ChangedByOthers']);
    assert.deepEqual(world.effects, ['light=1']);
    assert.match(result.entries.at(-1)?.sentence ?? '', /kubectl-edit changed Light lamp/);
    assert.equal(result.pages.length, 1);
  });

  test('the autoscaler is not a person', async () => {
    const { world, go } = setup({
      crash: (entry, moment) => {
        if (entry.kind === 'VerifyStarted' && moment === 'after')
          world.target = { ...world.target, generation: 9, changedBy: 'kube-controller-manager' };
        return false;
      },
    });
    assert.deepEqual(end(await go()), ['Succeeded', 'Verified']);
  });

  test('a replaced target is refused', async () => {
    const { world, go } = setup({
      mode: 'Approval',
      decide: () => {
        world.target = { state: 'Present', uid: 'another', generation: 1 };
        return 'Approved';
      },
    });
    assert.deepEqual(end(await go()), ['Refused', 'TargetReplaced']);
    assert.deepEqual(world.effects, []);
  });

  test('a person can cancel between two steps', async () => {
    const world = pocketWorld();
    const runbook = runbookOf([setLight(world, 1), setLight(world, 2)]);
    const cancelAfter = (entry: Entry) => entry.kind === 'StepSucceeded';
    const result = await simulate({ runbook, world, clock: new VirtualClock(), mode: 'Automatic', cancelAfter });
    assert.deepEqual(end(result), ['Cancelled', 'CancelledByPerson']);
    assert.deepEqual(world.effects, ['light=1']);
  });
});

test('a hold over which nobody looked does not count', async () => {
  const world = pocketWorld();
  const clock = new VirtualClock();
  const lit = checkThat('light == 1', () => world.light === 1);
  const runbook = runbookOf([setLight(world, 1), verifyThat(lit, { for: 60_000, within: 600_000, every: 5_000 })], {
    target: undefined,
  });
  let slept = false;
  const start = clock.now();
  const result = await simulate({
    runbook,
    world: {
      ...world,
      reader: (context) => {
        // The machine sleeps for two minutes in the middle of the watch.
        if (!slept && clock.now() - start > 20_000) {
          slept = true;
          void clock.advance(120_000);
        }
        return world.reader(context);
      },
    },
    clock,
    mode: 'Automatic',
  });
  assert.deepEqual(end(result), ['Succeeded', 'Verified']);
  assert.ok(result.entries.some((entry) => entry.kind === 'VerifyBroke' && /Nobody looked/.test(entry.sentence)));
});

test('whatever fails and wherever the process dies, no effect is repeated, nothing runs after a failure, and the run ends', async () => {
  const fault = fc.constantFrom('none', 'refused', 'unavailable', 'lostBefore', 'lostAfter');
  await fc.assert(
    fc.asyncProperty(
      fc.array(fault, { maxLength: 8 }),
      fc.array(fc.tuple(fc.nat({ max: 25 }), fc.boolean()), { maxLength: 6 }),
      fc.constantFrom('truth' as const, 'unknown' as const, 'unreachable' as const),
      fc.integer({ min: 1, max: 3 }),
      async (faults, deaths, memory, attempts) => {
        const world = pocketWorld();
        world.memory = memory;
        world.faults = faults as typeof world.faults;
        const executed: string[] = [];
        const runbook = runbookOf([1, 2, 3].map((to) => setLight(world, to, { attempts })));
        let committed = 0;
        const pending = new Map(deaths.map(([at, before]) => [at, before ? 'before' : 'after']));
        const result = await simulate({
          runbook,
          world,
          clock: new VirtualClock(),
          mode: 'Automatic',
          crash: (entry, moment) => {
            if (moment === 'before' && entry.kind === 'StepStarted') {
              const intended = `${entry.data.phase}/${entry.data.index}`;
              if (executed.at(-1) !== intended) executed.push(intended);
            }
            const due = pending.get(committed) === moment;
            if (due) pending.delete(committed);
            if (moment === 'after') committed += 1;
            return due;
          },
        });
        const [outcome] = end(result);
        assert.ok(['Succeeded', 'Failed', 'RolledBack', 'Unknown'].includes(outcome ?? ''), outcome);

        // A non-idempotent effect reaches the world at most once for each step and direction.
        for (const to of [1, 2, 3]) {
          const ups = world.effects.filter(
            (effect, at) => effect === `light=${to}` && (world.effects[at - 1] ?? 'light=0') < effect,
          );
          assert.ok(ups.length <= 1, `${world.effects.join(' ')}`);
        }
        // Steps go forward in order, and never again once the rollback has begun.
        const forward = result.entries.flatMap((e) =>
          e.kind === 'StepStarted' ? [`${e.data.phase}/${e.data.index}`] : [],
        );
        const firstUndo = forward.findIndex((step) => step.startsWith('undo'));
        if (firstUndo >= 0)
          assert.ok(
            forward.slice(firstUndo).every((step) => step.startsWith('undo')),
            forward.join(' '),
          );
        // Every effect had its intent in the journal first.
        assert.ok(world.effects.length <= forward.length);
        if (outcome === 'Succeeded') assert.equal(world.light, 3);
        if (outcome === 'RolledBack') assert.equal(world.light, 0);
        if (outcome === 'Failed') assert.ok(result.pages.length === 1);
      },
    ),
    { numRuns: 400 },
  );
});

describe('the journal stands before the effect', () => {
  /** Ports that commit only when they are let to, one entry after the other. */
  function heldJournal(world: ReturnType<typeof pocketWorld>) {
    const clock = new VirtualClock();
    const handedOver: { kind: Entry['kind']; commit: () => void; fail: (why: Error) => void }[] = [];
    const ports: ExecutorPorts = {
      clock,
      world,
      newId: () => 'id',
      confirmFiring: 'Required',
      signal: new AbortController().signal,
      lastObserved: undefined,
      history: async () => [],
      lock: async () => true,
      note: () => {},
      append: ({ kind }) => new Promise((commit, fail) => handedOver.push({ kind, commit, fail })),
    };
    const run: RunInHand = {
      id: 'r1',
      runbook: runbookOf([setLight(world, 1)]),
      organization: undefined,
      mode: 'Automatic',
      alert,
      incident: undefined,
      inputs: {},
      createdAt: clock.now(),
      cancelRequestedBy: undefined,
      state: fold([]),
    };
    const until = async (holds: () => boolean) => {
      for (let turns = 0; !holds(); turns++) {
        assert.ok(turns < 1_000, `after ${handedOver.map(({ kind }) => kind)}`);
        await new Promise(setImmediate);
      }
    };
    return { handedOver, going: advance(run, ports), until };
  }

  test('the effect waits until its intent, and all before it, is committed', async () => {
    const world = pocketWorld();
    const { handedOver, going, until } = heldJournal(world);
    await until(() => handedOver.length === 2);
    assert.deepEqual(
      handedOver.map(({ kind }) => kind),
      ['Prepared', 'StepStarted'],
    );
    handedOver[1]?.commit();
    await new Promise(setImmediate);
    assert.deepEqual(world.effects, [], 'one of the two is not committed');
    handedOver[0]?.commit();
    await until(() => handedOver.length === 4);
    assert.deepEqual(world.effects, ['light=1']);
    let home = false;
    void going.then(() => {
      home = true;
    });
    handedOver[2]?.commit();
    await new Promise(setImmediate);
    assert.equal(home, false, 'the run is not let go before its end is committed');
    handedOver[3]?.commit();
    assert.deepEqual(await going, { wakeAt: undefined });
  });

  test('when anything before it was not committed there is no effect, and nothing more is handed over', async () => {
    const world = pocketWorld();
    const { handedOver, going, until } = heldJournal(world);
    await until(() => handedOver.length === 2);
    handedOver[0]?.fail(new Error('the disk is full'));
    handedOver[1]?.commit();
    await assert.rejects(going, /the disk is full/);
    assert.deepEqual(world.effects, []);
    assert.equal(handedOver.length, 2);
  });
});
