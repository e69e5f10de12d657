import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { doneByHand } from './by-hand.ts';
import type { RecordedFailoverEntry } from './record-file.ts';

function entries(...of: [kind: string, epoch: number, facts?: object][]): RecordedFailoverEntry[] {
  return of.map(([kind, epoch, facts], i) => ({
    ...{ seq: i + 1, at: '', previousHash: '', hash: '', group: 'g', region: 'hel', actor: 'x', sentence: '' },
    kind,
    epoch,
    facts: (facts ?? null) as RecordedFailoverEntry['facts'],
  }));
}
const intent = (epoch: number, kind: string): [string, number, object] => ['intent', epoch, { kind }];
const confirmed = (epoch: number, component = 'vectors'): [string, number, object] => [
  'confirmed',
  epoch,
  { component },
];

describe('what a person does', () => {
  it('is asked for after each move here, and not again when this region merely resumes', () => {
    const cases: [boolean, RecordedFailoverEntry[]][] = [
      [false, entries()],
      [true, entries(intent(1, 'genesis'))],
      [true, entries(intent(1, 'genesis'), intent(2, 'resume'))],
      [false, entries(intent(4, 'takeover'))],
      [false, entries(intent(4, 'handover'), confirmed(4, 'other'))],
      [true, entries(intent(4, 'takeover'), ['acquired', 4], confirmed(4))],
      [true, entries(intent(4, 'takeover'), confirmed(4), intent(5, 'resume'))],
      // Taken over, ended before anybody confirmed, and resumed: it was never done.
      [false, entries(intent(4, 'takeover'), intent(5, 'resume'))],
      [true, entries(intent(4, 'takeover'), intent(5, 'resume'), confirmed(5))],
      // An earlier move does not count for a later one.
      [false, entries(intent(4, 'takeover'), confirmed(4), ['released', 4], intent(9, 'handover'))],
    ];
    for (const [done, of] of cases)
      assert.equal(doneByHand(of, 'vectors'), done, JSON.stringify(of.map((e) => [e.kind, e.epoch, e.facts])));
  });
});
