import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { load } from 'js-yaml';
import { stepsOf } from '../../console/src/run-steps.ts';
import { yamlText } from '../../console/src/yaml-text.ts';

const start = Date.parse('2026-11-28T03:00:00Z');
let seq = 0;
const entry = (seconds: number, kind: string, data: object) => ({
  seq: ++seq,
  at: new Date(start + seconds * 1_000).toISOString(),
  kind,
  data,
});
const plan = [
  { index: 0, name: 'scale', kind: 'run', sentence: 'Scale it', action: 'kubernetes scale' },
  { index: 1, name: 'check', kind: 'verify', sentence: 'Verify it' },
];
const prepared = entry(0, 'Prepared', {
  sentence: 'Plan',
  mode: 'Automatic',
  confirmation: '',
  target: null,
  guards: [],
  preconditions: [],
  plan,
});
const reading = (value: unknown, seconds: number) => ({ fact: 'up', value, at: start + seconds * 1_000, took: 2 });

test('a run that has only been planned shows every step as still to do', () => {
  assert.deepEqual(
    stepsOf([prepared]).steps.map(({ status, sentence }) => [status, sentence]),
    [
      ['Todo', 'Scale it'],
      ['Todo', 'Verify it'],
    ],
  );
});

test('durations, attempts and the curve of the verification are those of the journal', () => {
  const { steps, ended } = stepsOf([
    prepared,
    entry(1, 'StepStarted', { sentence: 'Scale it', phase: 'steps', index: 0, attempt: 1, readings: [] }),
    entry(2, 'StepFailed', {
      sentence: 'Conflict',
      phase: 'steps',
      index: 0,
      attempt: 1,
      reason: 'Conflict',
      certain: true,
      retryAt: start + 3_000,
      readings: [],
    }),
    entry(3, 'StepStarted', { sentence: 'Scale it', phase: 'steps', index: 0, attempt: 2, readings: [] }),
    entry(4, 'StepSucceeded', { sentence: 'Scaled', phase: 'steps', index: 0, result: { to: 3 }, readings: [] }),
    entry(5, 'VerifyStarted', { sentence: 'Watches', index: 1, deadline: start + 900_000 }),
    entry(20, 'VerifyHolds', { sentence: 'Holds', index: 1, readings: [reading(0, 20)] }),
    entry(30, 'VerifyBroke', { sentence: 'Broke', index: 1, readings: [reading(4, 30)] }),
    entry(40, 'VerifyHolds', { sentence: 'Holds', index: 1, readings: [reading(0, 40)] }),
    entry(160, 'StepSucceeded', {
      sentence: 'Held',
      phase: 'steps',
      index: 1,
      result: null,
      readings: [reading(0, 160)],
    }),
    entry(160, 'Ended', { sentence: 'Verified.', outcome: 'Succeeded', reason: 'Verified', evidence: [] }),
  ]);
  const [scale, verify] = steps;
  assert.deepEqual(
    [scale?.status, scale?.attempts, scale?.startedAt, scale?.endedAt],
    ['Succeeded', 2, start + 1_000, start + 4_000],
  );
  assert.deepEqual(
    verify?.curve.map(({ at, holds }) => [(at - start) / 1_000, holds]),
    [
      [5, false],
      [20, true],
      [30, false],
      [40, true],
    ],
  );
  assert.deepEqual(
    verify?.numbers.up?.map(({ value }) => value),
    [0, 4, 0, 0],
  );
  assert.equal(ended?.reason, 'Verified');
});

test('the approval of a plan comes first, what takes back comes last', () => {
  const { steps } = stepsOf([
    prepared,
    entry(1, 'ApprovalRequested', {
      sentence: 'Asks',
      step: -1,
      approvalId: 'a',
      role: 'sovereign-admin',
      expiresAt: start + 60_000,
      planDigest: '',
    }),
    entry(2, 'ApprovalDecided', { sentence: 'Approved', step: -1, decision: 'Approved', by: 'user/mira', comment: '' }),
    entry(3, 'StepStarted', { sentence: 'Undoing', phase: 'undo', index: 0, attempt: 1, readings: [] }),
  ]);
  assert.deepEqual(
    steps.map(({ phase }) => phase),
    ['approval', 'steps', 'steps', 'undo'],
  );
  assert.equal(steps[0]?.status, 'Succeeded');
});

test('a source is shown as YAML that means the same', () => {
  const value = fc.letrec((tie) => ({
    any: fc.oneof(
      { depthSize: 'small' },
      fc.string(),
      fc.integer(),
      fc.boolean(),
      fc.constant(null),
      fc.constantFrom('yes', 'a: b', '# c', '- d', '1e3', 'two\nlines', ''),
      fc.array(tie('any')),
      fc.dictionary(
        fc.string({ minLength: 1 }).filter((key) => key !== '__proto__'),
        tie('any'),
      ),
    ),
  })).any;
  fc.assert(
    fc.property(fc.dictionary(fc.constantFrom('spec', 'steps', 'run'), value), (document) => {
      assert.equal(JSON.stringify(load(yamlText(document))), JSON.stringify(document));
    }),
    { numRuns: 500 },
  );
});
