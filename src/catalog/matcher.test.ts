import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { formatDuration, longestDuration, parseDuration } from './duration.ts';
import { contradiction, MatcherError, parseMatcher } from './matcher.ts';

describe('a matcher', () => {
  const holds: [string, Record<string, string>, boolean][] = [
    ['severity="critical"', { severity: 'critical' }, true],
    ['severity="critical"', { severity: 'critical ' }, false],
    ['severity=critical', { severity: 'critical' }, true],
    [' severity = "critical" ', { severity: 'critical' }, true],
    ['severity!="critical"', {}, true],
    ['severity=""', {}, true],
    ['severity=~"crit.*"', { severity: 'critical' }, true],
    // Anchored at both ends, as Alertmanager's are.
    ['severity=~"crit"', { severity: 'critical' }, false],
    ['severity=~"a|b"', { severity: 'xb' }, false],
    ['severity!~"a|b"', { severity: 'b' }, false],
    ['severity!~"a|b"', {}, true],
    ['note="a \\"b\\" \\\\ \\n"', { note: 'a "b" \\ \n' }, true],
    ['note="a=b,c!~d"', { note: 'a=b,c!~d' }, true],
    ['"dotted.name"="x"', { 'dotted.name': 'x' }, true],
    ['__proto__="x"', {}, false],
    ['toString=""', {}, true],
  ];
  for (const [text, labels, expected] of holds)
    it(`${text} on ${JSON.stringify(labels)} is ${expected}`, () =>
      assert.equal(parseMatcher(text).matches(labels), expected));

  for (const text of [
    '',
    'severity',
    '="x"',
    'a b="x"',
    'a="x',
    'a="x"y',
    'a=x y',
    'a==b',
    'a=~"("',
    '1a=b',
    'a=~"(?=x)"',
  ])
    it(`refuses ${JSON.stringify(text)}`, () => assert.throws(() => parseMatcher(text), MatcherError));

  it('takes any value that is quoted as JavaScript quotes it', () => {
    const values = fc.string({ unit: fc.constantFrom('a', '"', '\\', '\n', ' ', '=', '~', ',', '{', '}', 'é', '🦊') });
    fc.assert(
      fc.property(values, (value) => {
        const matcher = parseMatcher(`label=${JSON.stringify(value)}`);
        assert.equal(matcher.value, value);
        assert.ok(matcher.matches({ label: value }));
      }),
    );
  });

  it('knows what can never hold together', () => {
    const clash = (...texts: string[]) => contradiction(texts.map(parseMatcher))?.label;
    assert.equal(clash('a="x"', 'a="y"'), 'a');
    assert.equal(clash('a="x"', 'b="y"', 'a!~"x|z"'), 'a');
    assert.equal(clash('a="x"', 'a=~"x.*"', 'b="x"'), undefined);
  });
});

describe('a duration', () => {
  const cases: [string, number | undefined][] = [
    ['0s', 0],
    ['500ms', 500],
    ['30s', 30_000],
    ['1h30m', 5_400_000],
    ['2d', 172_800_000],
    ['366d', longestDuration],
    ['367d', undefined],
    ['5', undefined],
    ['5 m', undefined],
    ['-5m', undefined],
    ['1.5h', undefined],
    ['', undefined],
    ['m', undefined],
    ['99999999999999999999999999999999s', undefined],
  ];
  for (const [text, ms] of cases) it(`${text} is ${ms} ms`, () => assert.equal(parseDuration(text), ms));

  it('is written the way it is read', () => {
    fc.assert(
      fc.property(fc.nat({ max: longestDuration }), (ms) => assert.equal(parseDuration(formatDuration(ms)), ms)),
    );
  });
});
