import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { runDrill } from '../../src/app/drill.ts';
import type { DrillEvent } from '../../src/cli/registry.ts';
import { journeyClock } from '../support/pocket-sovereign.ts';

const handbook = new URL('../../../shared/handbook/SRE.md', import.meta.url);
const committed = new URL('../../handbook/runbooks/openbao-sealed.yaml', import.meta.url);

/** Handbook §4.2, §13.2, §14: the runbook as printed turns the alert into a verified fix. */
test('OpenBao is sealed: the alert comes in, the runbook unseals each pod, the fix is verified, the record is intact', async () => {
  const events: DrillEvent[] = [];
  const ports = { environment: {}, version: 'test', clock: journeyClock() };
  const result = await runDrill('openbao-sealed', (event) => events.push(event), AbortSignal.timeout(120_000), ports);

  assert.equal(result.passed, true, result.sentence);
  const kinds = events.map((event) => event.kind);
  const inOrder = ['fault', 'alert', 'incident', 'decision', 'fact', 'action', 'verification'] as const;
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
  // Nobody is called at night about what is repaired.
  assert.deepEqual(
    events.filter((event) => event.kind === 'page'),
    [],
  );
});

const skip = existsSync(handbook) ? false : 'the handbook is not beside this repository';
test('the runbook printed in handbook §14 is the one that is shipped, byte for byte', { skip }, () => {
  const text = readFileSync(handbook, 'utf8');
  const [, printed] = /^## 14\. Runbooks$[\s\S]*?^```yaml\n([\s\S]*?)^```$/m.exec(text) ?? [];
  assert.equal(readFileSync(committed, 'utf8'), printed);
});
