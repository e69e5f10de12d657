import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { CompiledRunbook, CompiledTrigger } from './compiled-runbook.ts';
import { matchRunbooks } from './match.ts';
import { parseMatcher } from './matcher.ts';
import { apiVersion } from './resource.ts';

interface Sketch {
  name: string;
  matchers?: string[];
  priority?: number;
  organization?: string;
  triggers?: CompiledTrigger[];
}

function runbook({ name, matchers = [], priority = 0, organization, triggers }: Sketch): CompiledRunbook {
  const provenance = { source: 's', file: 'f', line: 1, digest: '', ...(organization ? { organization } : {}) };
  return {
    resource: { apiVersion, kind: 'Runbook', metadata: { name }, spec: { steps: [{ wait: '1s' }] }, provenance },
    triggers: triggers ?? [{ kind: 'alert', alertName: 'Down', matchers: matchers.map(parseMatcher) }],
    mode: undefined,
    priority,
    target: undefined,
    preconditions: [],
    steps: [],
    rollback: { kind: 'pageOncall' },
    guards: { cooldown: 0, maxRuns: { count: 1, per: 1 }, concurrencyKey: undefined, queueFor: 0 },
  };
}

const labels = { alertname: 'Down', severity: 'critical', team: 'web' };
const chosen = (...sketches: Sketch[]) =>
  matchRunbooks(sketches.map(runbook), labels, 'acme').chosen?.resource.metadata.name;

describe('matching', () => {
  it('prefers more matchers, then priority, then the Organization, then the name', () => {
    const specific = { name: 'specific', matchers: ['severity=critical', 'team=web'] };
    const less = { name: 'less', matchers: ['severity=critical'], priority: 1000, organization: 'acme' };
    assert.equal(chosen(less, specific), 'specific');
    assert.equal(chosen({ name: 'own', organization: 'acme' }, { name: 'urgent', priority: 1 }), 'urgent');
    assert.equal(chosen({ name: 'a' }, { name: 'own', organization: 'acme' }), 'own');
    assert.equal(chosen({ name: 'b' }, { name: 'a' }), 'a');
  });

  it('gives a reason for each that names the alert', () => {
    const result = matchRunbooks(
      [
        runbook({ name: 'best', matchers: ['team=web'] }),
        runbook({ name: 'plain' }),
        runbook({ name: 'other-team', matchers: ['team="db"'] }),
        runbook({ name: 'theirs', organization: 'globex' }),
        runbook({ name: 'nightly', triggers: [{ kind: 'schedule', cron: '0 2 * * *', timeZone: 'UTC' }] }),
        runbook({ name: 'full', triggers: [{ kind: 'alert', alertName: 'DiskFull', matchers: [] }] }),
        runbook({ name: 'incident', triggers: [{ kind: 'incident', type: 'Down', matchers: [] }] }),
      ],
      labels,
      'acme',
    );
    assert.deepEqual(
      result.considered.map((c) => [c.runbook, c.reason, c.sentence]),
      [
        ['best', 'RunStarted', 'It names Down, and its matchers hold (1).'],
        ['plain', 'OtherRunbookChosen', 'best goes first: 1 of its matchers hold, and 0 here.'],
        ['other-team', 'NoRunbook', 'The matcher team="db" does not hold.'],
        ['theirs', 'NoRunbook', 'It belongs to the Organization globex.'],
      ],
    );
    assert.deepEqual(
      result.matching.map((r) => r.resource.metadata.name),
      ['best', 'plain'],
    );
  });

  it('never gives one Organization the runbook of another, nor the Sovereign that of any', () => {
    const own = runbook({ name: 'own', organization: 'acme' });
    assert.equal(matchRunbooks([own], labels, 'acme').chosen, own);
    assert.equal(matchRunbooks([own], labels, 'globex').chosen, undefined);
    assert.equal(matchRunbooks([own], labels, undefined).chosen, undefined);
  });

  it('does not depend on the order of loading', () => {
    const sketch = fc.record({
      name: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g'),
      matchers: fc.subarray(['severity=critical', 'team=web', 'team=db', 'x=""']),
      priority: fc.integer({ min: -2, max: 2 }),
      organization: fc.constantFrom('acme', 'globex', ''),
    });
    const sketches = fc.uniqueArray(sketch, { selector: (s) => s.name, maxLength: 7 });
    fc.assert(
      fc.property(sketches, fc.infiniteStream(fc.nat()), (all, random) => {
        const books = all.map(runbook);
        const shuffled = books.map((b) => [random.next().value ?? 0, b] as const).sort((x, y) => x[0] - y[0]);
        const order = (list: readonly CompiledRunbook[]) => matchRunbooks(list, labels, 'acme').considered;
        assert.deepEqual(order(shuffled.map(([, b]) => b)), order(books));
      }),
    );
  });
});
