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

const question = {
  kind: 'alert',
  name: 'Down',
  labels: { severity: 'critical', team: 'web' },
  organization: 'acme',
} as const;
const chosen = (...sketches: Sketch[]) => matchRunbooks(sketches.map(runbook), question).chosen?.resource.metadata.name;

describe('matching', () => {
  it('prefers more matchers, then priority, then the Organization, then the name', () => {
    const specific = { name: 'specific', matchers: ['severity=critical', 'team=web'] };
    const less = { name: 'less', matchers: ['severity=critical'], priority: 1000, organization: 'acme' };
    assert.equal(chosen(less, specific), 'specific');
    assert.equal(chosen({ name: 'own', organization: 'acme' }, { name: 'urgent', priority: 1 }), 'urgent');
    assert.equal(chosen({ name: 'a' }, { name: 'own', organization: 'acme' }), 'own');
    assert.equal(chosen({ name: 'b' }, { name: 'a' }), 'a');
  });

  it('gives a reason for each that was not chosen', () => {
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
      question,
    );
    assert.deepEqual(
      result.candidates.map((c) => [c.runbook.resource.metadata.name, c.reason]),
      [
        ['best', 'Chosen'],
        ['plain', 'LessSpecific'],
        ['full', 'OtherAlert'],
        ['incident', 'NoAlertTrigger'],
        ['nightly', 'NoAlertTrigger'],
        ['other-team', 'MatcherFailed'],
        ['theirs', 'OtherOrganization'],
      ],
    );
    assert.match(result.candidates[1]?.sentence ?? '', /best goes first: 1 matchers hold there, 0 here/);
    assert.match(result.candidates[5]?.sentence ?? '', /team="db" does not hold/);
    assert.deepEqual(
      result.matching.map((r) => r.resource.metadata.name),
      ['best', 'plain'],
    );
  });

  it('never gives one Organization the runbook of another, nor the Sovereign that of any', () => {
    const own = runbook({ name: 'own', organization: 'acme' });
    assert.equal(matchRunbooks([own], question).chosen, own);
    assert.equal(matchRunbooks([own], { ...question, organization: 'globex' }).chosen, undefined);
    assert.equal(matchRunbooks([own], { kind: 'alert', name: 'Down', labels: {} }).chosen, undefined);
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
        const order = (list: readonly CompiledRunbook[]) =>
          matchRunbooks(list, question).candidates.map(
            (c) => `${c.runbook.resource.metadata.name} ${c.reason} ${c.sentence}`,
          );
        assert.deepEqual(order(shuffled.map(([, b]) => b)), order(books));
      }),
    );
  });
});
