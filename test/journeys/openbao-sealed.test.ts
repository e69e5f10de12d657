import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runDrill } from '../../src/app/drill.ts';
import type { DrillEvent } from '../../src/cli/registry.ts';
import { systemClock } from '../../src/clock.ts';

/** Handbook §4.2, §13.2, §14: the runbook as printed turns the alert into a verified fix. */
test('OpenBao is sealed: the alert comes in, the runbook unseals each pod, the fix is verified, the record is intact', async () => {
  const events: DrillEvent[] = [];
  const ports = { environment: {}, version: 'test', clock: systemClock };
  const result = await runDrill('openbao-sealed', (event) => events.push(event), AbortSignal.timeout(120_000), ports);

  assert.equal(result.passed, true, result.sentence);
  const kinds = events.map((event) => event.kind);
  const inOrder = ['fault', 'alert', 'incident', 'decision', 'action', 'verification'] as const;
  const firsts = inOrder.map((kind) => kinds.indexOf(kind));
  assert.ok(
    firsts.every((at) => at >= 0),
    kinds.join(' '),
  );
  assert.deepEqual(
    firsts,
    firsts.toSorted((a, b) => a - b),
  );
  // One fault, three alerts, one repair.
  assert.equal(kinds.filter((kind) => kind === 'action').length, 1);
});
