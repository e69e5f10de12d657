import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { LeaseVersion } from '../lease.ts';
import { historyProblem, type Operation } from './history.ts';

const v = (seq: number): LeaseVersion => ({ epoch: 1, seq });
const operation = (client: string, calledAt: number, answeredAt: number, did: Operation['did']): Operation => ({
  client,
  calledAt,
  answeredAt,
  did,
});

const wrong: [string, Operation[]][] = [
  [
    'two writers replaced the same version',
    [
      operation('a', 0, 5, { kind: 'applied', expect: v(0), next: v(1) }),
      operation('b', 1, 6, { kind: 'applied', expect: v(0), next: v(1) }),
    ],
  ],
  [
    'an old version is read after a new one was written',
    [
      operation('a', 0, 1, { kind: 'applied', expect: v(0), next: v(1) }),
      operation('b', 2, 3, { kind: 'read', saw: v(0) }),
    ],
  ],
  [
    'two readers, one after the other, see time go backwards',
    [
      operation('a', 0, 9, { kind: 'applied', expect: v(0), next: v(1) }),
      operation('b', 1, 2, { kind: 'read', saw: v(1) }),
      operation('c', 3, 4, { kind: 'read', saw: v(0) }),
    ],
  ],
  ['a version that nobody wrote is seen', [operation('a', 0, 1, { kind: 'read', saw: v(1) })]],
  [
    'a write over what the register held is refused',
    [operation('a', 0, 1, { kind: 'conflict', expect: v(0), saw: v(0) })],
  ],
  [
    'a write is seen before it was asked for',
    [
      operation('a', 0, 1, { kind: 'read', saw: v(1) }),
      operation('b', 2, 3, { kind: 'applied', expect: v(0), next: v(1) }),
    ],
  ],
];
for (const [what, operations] of wrong)
  test(`refused: ${what}`, () => assert.match(historyProblem(v(0), operations) ?? '', /no order explains/));

test('a write whose outcome is unknown may have taken place, later, or never', () => {
  const lost = operation('a', 0, 1, { kind: 'unknown', expect: v(0), next: v(1) });
  for (const seen of [[0], [1], [0, 1]])
    assert.equal(
      historyProblem(v(0), [
        lost,
        ...seen.map((s, i) => operation('b', 2 + i * 2, 3 + i * 2, { kind: 'read', saw: v(s) })),
      ]),
      undefined,
    );
  const back = [1, 0].map((s, i) => operation('b', 2 + i * 2, 3 + i * 2, { kind: 'read', saw: v(s) }));
  assert.notEqual(historyProblem(v(0), [lost, ...back]), undefined);
});

test('every history of a real register is accepted, whatever the order of calls and answers', () => {
  const step = fc.record({
    client: fc.integer({ min: 0, max: 3 }),
    before: fc.integer({ min: 0, max: 3 }),
    after: fc.integer({ min: 0, max: 3 }),
    write: fc.boolean(),
    // How far behind its knowledge is.
    behind: fc.integer({ min: 0, max: 2 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      let held = 0;
      const free = [0, 0, 0, 0];
      const operations = steps.map(({ client, before, after, write, behind }, i): Operation => {
        // It takes effect at 10 i, called some time before, but not before the client's last answer.
        const calledAt = Math.max(free[client] ?? 0, 10 * i - 10 * before);
        const answeredAt = Math.max(calledAt, 10 * i + 3 * after);
        // A client that is still waiting does nothing: its operation took effect, and this one is not made.
        free[client] = answeredAt + 1;
        if (calledAt > 10 * i) return operation('nobody', 0, 10_000, { kind: 'unknown', expect: v(-1), next: v(-2) });
        const expect = Math.max(0, held - behind);
        if (!write) return operation(`c${client}`, calledAt, answeredAt, { kind: 'read', saw: v(held) });
        if (expect !== held)
          return operation(`c${client}`, calledAt, answeredAt, { kind: 'conflict', expect: v(expect), saw: v(held) });
        held++;
        return operation(`c${client}`, calledAt, answeredAt, { kind: 'applied', expect: v(expect), next: v(held) });
      });
      assert.equal(
        historyProblem(
          v(0),
          operations.filter(({ client }) => client !== 'nobody'),
        ),
        undefined,
      );
    }),
    { numRuns: 200 },
  );
});
