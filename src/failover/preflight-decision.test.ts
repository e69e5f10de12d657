import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { CheckResult } from './layers/layer.ts';
import {
  approversCheck,
  backupCheck,
  cachingCheck,
  capacityCheck,
  clockCheck,
  drillCheck,
  type PodPlace,
} from './preflight-decision.ts';
import type { RecordedFailoverEntry } from './record-file.ts';

const now = Date.UTC(2026, 5, 1);
const hour = 3_600_000;
/** Verdict, and whether it keeps anybody from acting. */
const said = ({ verdict, advice }: CheckResult) => `${verdict}${advice ? ', advice' : ''}`;

describe('pre-flight', () => {
  it('wants as many approvers as the mode takes, each counted once', () => {
    assert.equal(said(approversCheck('Manual', ['anna', 'ben'])), 'passed');
    assert.equal(said(approversCheck('Manual', ['anna', 'anna'])), 'failed, advice');
    assert.equal(said(approversCheck('SemiAutomatic', [])), 'failed, advice');
    assert.equal(said(approversCheck('Automatic', [])), 'passed');
  });

  it('wants a move of the group within 90 days, and takes none for one', () => {
    const entry = (kind: string, daysAgo: number, facts: object | null = null) =>
      ({ kind, facts, at: new Date(now - daysAgo * 24 * hour).toISOString() }) as unknown as RecordedFailoverEntry;
    assert.equal(said(drillCheck([], now)), 'failed, advice');
    assert.equal(
      said(drillCheck([entry('intent', 1, { kind: 'genesis' }), entry('activated', 1)], now)),
      'failed, advice',
    );
    assert.equal(said(drillCheck([entry('released', 89)], now)), 'passed');
    assert.equal(said(drillCheck([entry('released', 200), entry('intent', 3, { kind: 'takeover' })], now)), 'passed');
    assert.match(drillCheck([entry('intent', 91, { kind: 'handover' })], now).sentence, /91 days ago.*At most 90/);
  });

  it('wants a backup of the last day, and knows nothing where nobody says', () => {
    const of = (last: string | undefined) => said(backupCheck('b', 'Cluster x', last, now));
    assert.equal(of(new Date(now - 25 * hour).toISOString()), 'passed');
    assert.equal(of(new Date(now - 27 * hour).toISOString()), 'failed, advice');
    assert.equal(of(undefined), 'unknown, advice');
    assert.equal(of('yesterday'), 'unknown, advice');
  });

  it('calls clocks apart only when that is certain, and then keeps people from acting', () => {
    const heard = (sentAt: number, receivedAt: number, date: number) => ({
      sentAt: now + sentAt,
      receivedAt: now + receivedAt,
      date: now + date,
    });
    const of = (...times: Parameters<typeof heard>) => said(clockCheck('hel', heard(...times), now));
    assert.equal(of(0, 20, 0), 'passed');
    assert.equal(of(0, 20, -1_000), 'passed', 'a second is what the header rounds away');
    assert.equal(of(0, 3_000, 2_500), 'passed', 'a slow answer says little');
    assert.equal(of(0, 20, 2_000), 'failed');
    assert.equal(of(0, 20, -3_000), 'failed');
    assert.match(clockCheck('hel', heard(0, 0, 5_000), now).sentence, /at least 5\.0 s ahead of ours/);
    assert.match(clockCheck('hel', heard(0, 0, -6_000), now).sentence, /at least 5\.0 s behind ours/);
    assert.equal(said(clockCheck('hel', undefined, now)), 'unknown, advice');
    assert.equal(said(clockCheck('hel', heard(0, 0, 0), now + 11 * 60_000)), 'unknown, advice');
  });

  it('never calls clocks apart that are not, however long an answer takes', () => {
    const ms = fc.integer({ min: 0, max: 20_000 });
    fc.assert(
      fc.property(
        ms,
        ms,
        fc.integer({ min: -900, max: 900 }),
        fc.integer({ min: 0, max: 999 }),
        (there, back, apart, phase) => {
          const sentAt = now + phase;
          const date = Math.floor((sentAt + there + apart) / 1000) * 1000;
          const { verdict } = clockCheck('x', { sentAt, receivedAt: sentAt + there + back, date }, sentAt);
          assert.equal(verdict, 'passed');
        },
      ),
    );
  });

  it('refuses resolvers that keep our answers', () => {
    const of = (...caching: ('fresh' | 'cached' | 'unknown')[]) =>
      said(cachingCheck(caching.map((one, i) => ({ resolver: `r${i}`, caching: one }))));
    assert.equal(of('fresh', 'fresh'), 'passed');
    assert.equal(of('fresh', 'unknown'), 'unknown, advice');
    assert.equal(of('unknown', 'cached'), 'failed');
  });

  it('wants a place and an image for every pod; a full quota is only told', () => {
    const pod = (change: Partial<PodPlace> = {}): PodPlace => ({
      ...{ name: 'web', phase: 'Running', unschedulable: false, waiting: [] },
      ...change,
    });
    const full = [{ name: 'q', resource: 'cpu', used: 4, hard: 4 }];
    assert.equal(said(capacityCheck('acme', [pod()], [{ ...full[0], used: 3 } as never])), 'passed');
    assert.equal(said(capacityCheck('acme', [pod({ phase: 'Pending', unschedulable: true })], [])), 'failed');
    assert.equal(said(capacityCheck('acme', [pod({ waiting: ['ErrImagePull'] })], [])), 'failed');
    assert.equal(said(capacityCheck('acme', [pod({ waiting: ['ContainerCreating'] })], [])), 'passed');
    assert.equal(said(capacityCheck('acme', [pod()], full)), 'failed, advice');
    assert.equal(said(capacityCheck('acme', [pod({ unschedulable: true })], full)), 'failed');
  });
});
