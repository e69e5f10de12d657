import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isNews, objectStatus, type StatusFacts } from './group-status-decision.ts';
import { reasons } from './protocol.ts';
import type { GroupStatus } from './status.ts';

const shut = { open: false, epoch: 3, sentence: 'shut' };
const group: GroupStatus = {
  group: 'orders',
  region: 'hel',
  peer: 'fsn',
  mode: 'Manual',
  active: false,
  holder: 'fsn',
  epoch: 3,
  reason: 'PeerActive',
  sentence: 'fsn holds epoch 3 and renews it.',
  secondsToFence: 0,
  gates: { traffic: shut, mesh: shut, stateful: shut },
  witnesses: [],
  components: [{ component: 'db', verdict: 'ok', seconds: 1.26, rpoSeconds: 5, sentence: 'db: 1.3 s behind.' }],
  failedChecks: [],
  checks: 4,
  proposal: null,
  problems: [],
};
const at = (seconds: number) => new Date(Date.UTC(2026, 0, 5, 0, 0, seconds));
const facts: StatusFacts = {
  generation: 2,
  adoption: { kind: 'inUse' },
  runningGeneration: 2,
  acceptedBefore: undefined,
  group,
  before: undefined,
  now: at(0),
};

describe('the status of a FailoverGroup', () => {
  it('says what the group is here, and keeps the time at which a condition changed', () => {
    const first = objectStatus(facts);
    assert.deepEqual([first.phase, first.holder, first.epoch], ['Standby', 'fsn', 3]);
    assert.deepEqual(first.components, [{ name: 'db', verdict: 'ok', lagSeconds: 1.3 }]);
    const again = objectStatus({ ...facts, before: first, now: at(9), group: { ...group, active: true } });
    const times = (status: typeof first) =>
      status.conditions.map(({ type, lastTransitionTime: t }) => [type, t.slice(17, 19)]);
    assert.deepEqual(times(first), [
      ['Ready', '00'],
      ['Active', '00'],
      ['Preflight', '00'],
    ]);
    assert.deepEqual(times(again), [
      ['Ready', '00'],
      ['Active', '09'],
      ['Preflight', '00'],
    ]);
  });

  it('says every rule a refused declaration breaks, and what stays in use', () => {
    const adoption = { kind: 'refused', problems: ['A is wrong.', 'B is wrong.'] } as const;
    const kept = objectStatus({ ...facts, adoption, runningGeneration: 1 });
    assert.equal(kept.conditions[0]?.message, 'A is wrong. B is wrong. Generation 1 stays in use.');
    const acceptedBefore = '2026-01-04T00:00:00.000Z';
    assert.equal(
      objectStatus({ ...facts, adoption, runningGeneration: 1, acceptedBefore }).conditions[0]?.message,
      `A is wrong. B is wrong. Generation 1 is in use, accepted at ${acceptedBefore} and kept on disk.`,
    );
    const never = objectStatus({ ...facts, adoption, runningGeneration: undefined, group: undefined });
    assert.deepEqual([never.phase, never.conditions.length, never.epoch], ['Refused', 1, undefined]);
    assert.equal(never.conditions[0]?.message, 'A is wrong. B is wrong.');
  });

  it('names failed checks, and knows none that has not run', () => {
    const preflight = (more: Partial<GroupStatus>) =>
      objectStatus({ ...facts, group: { ...group, ...more } }).conditions.find(({ type }) => type === 'Preflight');
    assert.equal(preflight({ checks: 0 })?.status, 'Unknown');
    assert.equal(preflight({})?.status, 'True');
    const failed = preflight({ failedChecks: [{ check: 'clocks', verdict: 'failed', sentence: '3 s apart.' }] });
    assert.deepEqual([failed?.status, failed?.message], ['False', 'clocks: 3 s apart.']);
  });

  it('has a phase for every reason of the protocol', () => {
    const phases = new Set(reasons.map((reason) => objectStatus({ ...facts, group: { ...group, reason } }).phase));
    for (const phase of [
      'Starting',
      'Standby',
      'Acquiring',
      'Activating',
      'Active',
      'Stateless',
      'SwitchingOver',
      'Fencing',
    ])
      assert.ok(phases.has(phase as never), phase);
    const proposal = { id: 'x', kind: 'takeover', needed: 2, approvals: [], expiresInSeconds: 9 };
    assert.equal(objectStatus({ ...facts, group: { ...group, reason: 'RpoOver', proposal } }).phase, 'Proposed');
  });

  it('has no news in a counter, and some in everything else', () => {
    const before = objectStatus(facts);
    const change = (more: Partial<GroupStatus>) =>
      isNews(before, objectStatus({ ...facts, group: { ...group, ...more } }));
    assert.equal(isNews(undefined, before), true);
    assert.equal(change({ sentence: 'fsn renews it.', secondsToFence: 4 }), false);
    assert.equal(change({ epoch: 4 }), true);
    assert.equal(change({ reason: 'WaitingForExpiry' }), true);
    assert.equal(change({ gates: { ...group.gates, mesh: { ...shut, open: true } } }), true);
  });
});
